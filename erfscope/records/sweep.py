"""What a sweep over atrous rates found: one run, and one row of its table."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from erfscope.records.flags import Flag, flag_fields, read_flags


@dataclass(frozen=True)
class SweepRun:
    """One network trained, scored and measured.

    Attributes
    ----------
    base_rate
        None for the baseline, which has no atrous head.
    rates, output_stride, seed
        Of the network; the seed is that of weights, order and augmentation.
    miou, miou_image_stderr
        On the validation images, and its standard error from their sampling.
    star
        A `StarMeasurement`'s summary, with its comparison with the prediction.
    prediction
        A `FovPrediction`'s summary at the crop that is trained on, empty without one.
    side95_px
        Side of the square that holds 95 % of what stands above the map's background.
    untrained
        Of the same network before training: erf, star and side95_px, as above; empty if it wasn't asked for.
    checkpoint, erf
        Paths of weights and map.
    flags
        Of training, scoring and measuring.
    """

    base_rate: int | None
    rates: tuple[int, ...]
    output_stride: int | None
    seed: int
    miou: float | None
    miou_image_stderr: float | None
    star: Mapping[str, Any]
    prediction: Mapping[str, Any]
    side95_px: float | None
    checkpoint: str
    erf: str
    untrained: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()

    @classmethod
    def from_summary(cls, summary: Mapping[str, Any]) -> "SweepRun":
        """Read what `summary` wrote."""
        facts = {**summary, "rates": tuple(summary["rates"]), "flags": read_flags(summary)}
        del facts["flag_codes"]
        return cls(**facts)

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**asdict(self), **flag_fields(self.flags)}


@dataclass(frozen=True)
class SweepRow:
    """The runs of one base rate at one output stride, over their seeds.

    Attributes
    ----------
    base_rate, rates, output_stride
        As in `SweepRun`.
    predicted_center_to_center_px
        From the network's graph; None where it has no star.
    measured_center_to_center_px, measured_stderr_px
        Mean over the seeds' maps, measured without sight of the prediction; its standard error over the
        seeds, of one seed that of the sampling of images. None where no star was found.
    relative_error
        (measured − predicted) / predicted; None where the outermost ring lies outside the map.
    miou, miou_stderr
        Mean over the seeds; its standard error over them, of one seed that of the sampling of images.
    seeds
        How many.
    recommended_rate, recommended_rate_at_output_stride
        r* for the crop that is trained on, by the stride of the map that the atrous convolutions read, and by
        the network's deepest, which the study goes by.
    ring_mass_shares, side95_px
        Means over the seeds; no shares where the seeds' maps don't have as many rings.
    untrained
        measured_center_to_center_px, relative_error, ring_mass_shares and side95_px of the networks before
        training; empty if they weren't asked for.
    checkpoint, erf
        Of the first seed.
    flags
        What must be known to trust the row.
    """

    base_rate: int | None
    rates: tuple[int, ...]
    output_stride: int | None
    predicted_center_to_center_px: float | None
    measured_center_to_center_px: float | None
    measured_stderr_px: float | None
    relative_error: float | None
    miou: float | None
    miou_stderr: float | None
    seeds: int
    recommended_rate: float | None
    recommended_rate_at_output_stride: float | None
    ring_mass_shares: tuple[float, ...]
    side95_px: float | None
    checkpoint: str
    erf: str
    untrained: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**asdict(self), **flag_fields(self.flags)}


@dataclass(frozen=True)
class Agreement:
    """How measured center-to-center distances follow predicted ones, where the stars fit their maps.

    Attributes
    ----------
    points
        How many rows are compared.
    slope, slope_stderr, intercept_px, r_squared
        Of the least-squares line of measured over predicted; None of fewer than three distances.
    largest_relative_error
        The largest |measured − predicted| / predicted; None of no point.
    """

    points: int
    slope: float | None
    slope_stderr: float | None
    intercept_px: float | None
    r_squared: float | None
    largest_relative_error: float | None

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)
