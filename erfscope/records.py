"""Frozen results, data only: what one room hands to another and what a file keeps.

No torch here: a map can be read, measured and drawn where torch is not wanted.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class WeightsReport:
    """Where a network's weights come from and how well they fit.

    `source` is a path, "random" or "as given" (a module that the caller built); `matched`, `missing`
    and `unexpected` name tensors of the state dict. `left_out` counts tensors of auxiliary heads,
    which no map needs.
    """

    source: str
    sha256: str | None = None
    seed: int | None = None
    matched: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    left_out: int = 0

    @property
    def label(self) -> str:
        """How a figure's title names the weights."""
        if self.source == "random":
            return f"random weights (seed {self.seed})"
        name = self.source.rsplit("/", 1)[-1]
        return f"{name}, {len(self.missing)} tensors random" if self.missing else name

    def summary(self) -> dict[str, Any]:
        """Return the JSON form: counts, and the names of what didn't match."""
        return {
            "source": self.source,
            "label": self.label,
            "sha256": self.sha256,
            "seed": self.seed,
            "matched": len(self.matched),
            "missing": len(self.missing),
            "unexpected": len(self.unexpected),
            "left_out": self.left_out,
            "missing_names": list(self.missing),
            "unexpected_names": list(self.unexpected),
        }


@dataclass(frozen=True)
class ModelOrigin:
    """What a loaded network is: attached to it as `.origin`, recorded in every map made with it."""

    name: str
    options: Mapping[str, Any]
    weights: WeightsReport


@dataclass(frozen=True)
class Unit:
    """The unit whose gradient is taken: row `y` and column `x` of the output map.

    With `layer` they are those of that layer's feature map, in its own units, not in input pixels.
    """

    y: int
    x: int
    layer: str | None = None

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"y": self.y, "x": self.x, "layer": self.layer}


@dataclass(frozen=True)
class FovPrediction:
    """What the network's own graph predicts of a unit's field of view, at one size. Lengths in px.

    Attributes
    ----------
    pattern
        What the head's atrous convolutions leave in the map: "star" if they are parallel, "grid" if one
        reads another, "none" without any.
    output_stride
        The largest stride of the maps on the unit's way; None if it depends on the image as a whole only.
    read_stride
        Stride of the feature map that the atrous convolutions read.
    rates
        Of the atrous convolutions: ascending in a star, from the image on in a grid.
    projected_center
        (y, x) in the image over which the unit lies.
    lattice
        (dy, dx) from the projected center: positions inside the image at which the unit reads that map,
        one for each combination of taps.
    center_to_center_px, end_to_end_convention_px
        Between the outermost positions of one side, inside the image or not; with the study's 32 px.
    valid_tap_fraction, valid_tap_fraction_map
        For each rate the share of the taps that fall inside the map: of those of this unit, and on average
        over all positions of the map.
    theoretical_rf_px, theoretical_rf_without_global_px
        (h, w) that the receptive field spans within the image: all of it, and without the branches that
        mix the whole map (image pooling, attention).
    recommended_rate, recommended_rates
        Base rate, exact, whose star or grid just covers the shorter side, and the rates for the rounded
        one; None where no formula holds.
    receptive_field, receptive_field_without_global
        (H, W) bool: the pixels themselves.
    """

    model: str
    size: tuple[int, int]
    unit: Unit
    pattern: str
    output_stride: float | None
    projected_center: tuple[float, float] | None
    read_stride: float | None = None
    rates: tuple[int, ...] = ()
    lattice: tuple[tuple[float, float], ...] = ()
    center_to_center_px: float | None = None
    end_to_end_convention_px: float | None = None
    valid_tap_fraction: tuple[float, ...] = ()
    valid_tap_fraction_map: tuple[float, ...] = ()
    theoretical_rf_px: tuple[int, int] | None = None
    theoretical_rf_without_global_px: tuple[int, int] | None = None
    recommended_rate: float | None = None
    recommended_rates: tuple[int, ...] | None = None
    flags: tuple[str, ...] = ()
    receptive_field: NDArray[np.bool_] | None = None
    receptive_field_without_global: NDArray[np.bool_] | None = None

    def summary(self) -> dict[str, Any]:
        """Return the JSON form: everything but the arrays."""
        facts = {field.name: getattr(self, field.name) for field in fields(self)}
        del facts["receptive_field"], facts["receptive_field_without_global"]
        center = self.projected_center
        facts["unit"] = self.unit.summary()
        facts["projected_center"] = None if center is None else {"y_px": center[0], "x_px": center[1]}
        return facts


@dataclass(frozen=True)
class ImageRecord:
    """What became of one image: `status` is "done" or "skipped" (`reason` says why).

    `mass` is the sum over all pixels of its clipped gradient, None if it was skipped.
    """

    name: str
    group: int
    status: str
    reason: str = ""
    mass: float | None = None


@dataclass(frozen=True)
class ErfMap:
    """An effective receptive field.

    Attributes
    ----------
    erf
        (H, W) float64, axes (y, x): sum over the images of the clipped gradient, un-normalised.
    unit
        The unit that the gradient was taken of.
    origin
        (y, x) in input pixels, from which the file's axes count: the unit's projected center, as the
        network's graph gives it. Where there is no graph, the unit itself, or the image's middle for a
        layer's unit.
    formula, target
        Names from `engine.formulas` and `engine.target`; "unknown" for an imported map.
    images
        How many images the sums hold, None if unknown.
    signed, square
        (H, W) float64: sums of the unclipped gradient (summed over channels) and of its square; None
        for an imported map.
    replicates
        (G, H, W) float32: partial sums of `erf` over disjoint image groups, or None.
    records
        One per image, in list order; empty for an imported map.
    provenance
        JSON-able: command, versions, network, weights, dataset, engine plan, host, times.
    """

    erf: FloatArray
    unit: Unit
    origin: tuple[float, float]
    formula: str
    target: str
    images: int | None
    signed: FloatArray | None = None
    square: FloatArray | None = None
    replicates: NDArray[np.float32] | None = None
    records: tuple[ImageRecord, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        height, width = self.erf.shape
        return height, width

    @property
    def skipped(self) -> tuple[ImageRecord, ...]:
        """Return the images that were skipped."""
        return tuple(record for record in self.records if record.status == "skipped")

    def summary(self) -> dict[str, Any]:
        """Return the JSON form: everything but the arrays and the list of images."""
        masses = [record.mass for record in self.records if record.mass is not None]
        return {
            "images": self.images,
            "images_skipped": len(self.skipped),
            "skipped": [{"name": record.name, "reason": record.reason} for record in self.skipped],
            "size": list(self.size),
            "unit": self.unit.summary(),
            "formula": self.formula,
            "target": self.target,
            "replicates": 0 if self.replicates is None else len(self.replicates),
            "sum": float(self.erf.sum()),
            "peak": float(self.erf.max()),
            "largest_image_share": max(masses) / sum(masses) if masses else None,
            **self.provenance,
        }

    @property
    def network_label(self) -> str:
        """How a figure names the network."""
        network = self.provenance.get("network", {})
        parts = [network.get("name", ""), network.get("options", {}).get("backbone", "")]
        return " ".join(part for part in parts if part) or "network unknown"

    @property
    def weights_label(self) -> str:
        """How a figure names the weights."""
        return str(self.provenance.get("weights", {}).get("label", "weights unknown"))

    @property
    def data_label(self) -> str:
        """How a figure names the images."""
        dataset = self.provenance.get("dataset", {})
        parts = [dataset.get("name", ""), dataset.get("split") or ""]
        return " ".join(part for part in parts if part) or "data unknown"


@dataclass(frozen=True)
class Ring:
    """One ring of a star: `distance_px` is d where its N blob sits at (−d, 0) from the star's center."""

    distance_px: float
    stderr_px: float | None = None
    mass_share: float | None = None


@dataclass(frozen=True)
class Arm:
    """One blob of a star, at absolute (y, x) in px, on the arm that points to `direction`."""

    direction: str
    ring: int
    y_px: float
    x_px: float
    distance_px: float


@dataclass(frozen=True)
class StarMeasurement:
    """What `measure.star` found: lengths in px, None where there is nothing or too little to say.

    `pattern` is "star", "grid" or "none"; `center` is the star's own (y, x), or the given one if there
    is none; `score` is the share of the eight arms on which the outermost ring was located.
    """

    pattern: str
    center: tuple[float, float]
    center_to_center_px: float | None = None
    center_to_center_stderr_px: float | None = None
    systematic_px: float | None = None
    end_to_end_convention_px: float | None = None
    end_to_end_measured_px: float | None = None
    blob_fwhm_px: float | None = None
    rings: tuple[Ring, ...] = ()
    arms: tuple[Arm, ...] = ()
    score: float = 0.0
    flags: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        facts = asdict(self)
        y, x = facts.pop("center")
        pattern = facts.pop("pattern")
        return {"pattern": pattern, "center": {"y_px": y, "x_px": x}, **facts}


@dataclass(frozen=True)
class GaussianFit:
    """What `measure.gaussian` fitted: lengths in px, θ in degrees from +x toward +y.

    `stderr` holds the fit's own standard errors by parameter, None for what was not free.
    `shift_from_projected_center` is (y, x). `study` is the same map by the study's protocol.
    """

    model: str
    x0_px: float
    y0_px: float
    sigma_x_px: float
    sigma_y_px: float
    theta_deg: float
    amplitude: float
    offset: float
    stderr: Mapping[str, float | None]
    r_squared: float
    r_squared_smoothed: float
    shift_from_projected_center: tuple[float, float]
    flags: tuple[str, ...] = ()
    study: "GaussianFit | None" = None

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        facts = {field.name: getattr(self, field.name) for field in fields(self)}
        y, x = self.shift_from_projected_center
        study = None if self.study is None else self.study.summary()
        facts |= {"shift_from_projected_center": {"y_px": y, "x_px": x}, "flags": list(self.flags)}
        return facts | {"stderr": dict(self.stderr), "study": study}
