"""An effective receptive field, and what became of the images in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erfscope.records.arrays import FloatArray
from erfscope.records.provenance import Labeled
from erfscope.records.unit import Unit


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
class ErfMap(Labeled):
    """An effective receptive field.

    Attributes
    ----------
    erf
        (H, W) float64, axes (y, x): sum over the images of the clipped gradient, un-normalized.
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
