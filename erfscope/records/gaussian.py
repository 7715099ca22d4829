"""The Gaussian that was fitted to a map, how its shape was chosen, and whether it is asymmetric."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from erfscope.records.flags import Flag, flag_fields

#: From the smallest to the largest: σx = σy; θ = 0; all free.
GAUSSIAN_PARAMETERS = ("x0_px", "y0_px", "sigma_x_px", "sigma_y_px", "theta_deg", "amplitude", "offset")


@dataclass(frozen=True)
class Prediction:
    """How well a shape that was fitted to the other groups of images predicts the group left out.

    `error` is the share of the group's sum of squares that is left over, mean over the groups. `gain` is
    by how much it is smaller than that of the shape `against`, mean of the paired differences.
    """

    error: float
    against: str | None = None
    gain: float | None = None
    gain_stderr: float | None = None


@dataclass(frozen=True)
class Asymmetry:
    """Whether y0 lies off the projected center and σx differs from σy, by Student's t at 95 %.

    `vertical` is "below" (y0 is larger, for y goes down), "above", "level" or "unknown"; `widths`
    "x wider", "y wider", "equal" or "unknown": unknown without replicates. Effects are relative: the
    shift to σy, the difference to the mean of the sigmas. `widths_shape` is whose sigmas these are.
    """

    vertical: str
    shift_px: float
    shift_stderr_px: float | None
    shift_effect: float
    widths: str
    difference_px: float
    difference_stderr_px: float | None
    difference_effect: float
    widths_shape: str
    verdict: str


@dataclass(frozen=True)
class GaussianFit:
    """What `measure.gaussian` fitted: lengths in px, θ in degrees from +x toward +y.

    Attributes
    ----------
    shape
        One of `choices.GAUSSIAN_SHAPES`. σx is the one nearest to +x.
    amplitude, offset
        In the units of the map.
    stderr
        The standard errors to print, by `GAUSSIAN_PARAMETERS`; None for what wasn't free or determined.
    stderr_source
        "replicates": by the jackknife over groups of images; "fit": the least-squares fit's own, too
        small where neighboring pixels are correlated.
    stderr_fit, stderr_replicates
        Both kinds; the second is None with fewer than 8 filled groups.
    interval95
        Both ends of each number's 95 % interval, by the errors in `stderr`.
    groups
        How many filled groups of images there were.
    r_squared, r_squared_smoothed
        At the map's full resolution; and with map and residual smoothed.
    shift_from_projected_center
        (y, x) in px.
    bic
        Bayesian information criterion by shape, of those that were fitted. It counts neighboring pixels
        as independent, and so nearly always prefers the largest shape.
    predictions
        By shape, where the shape was chosen by them; otherwise empty.
    study
        The same map by the study's protocol (Table 7): axis-aligned, no offset.
    """

    shape: str
    x0_px: float
    y0_px: float
    sigma_x_px: float
    sigma_y_px: float
    theta_deg: float
    amplitude: float
    offset: float
    stderr: Mapping[str, float | None]
    stderr_source: str
    stderr_fit: Mapping[str, float | None] = field(repr=False)
    stderr_replicates: Mapping[str, float | None] | None = field(repr=False)
    interval95: Mapping[str, tuple[float, float] | None] = field(repr=False)
    groups: int
    r_squared: float
    r_squared_smoothed: float
    shift_from_projected_center: tuple[float, float]
    asymmetry: Asymmetry
    bic: Mapping[str, float | None] = field(repr=False)
    predictions: Mapping[str, Prediction] = field(default_factory=dict, repr=False)
    flags: tuple[Flag, ...] = ()
    study: "GaussianFit | None" = field(default=None, repr=False)

    def summary(self) -> dict[str, Any]:
        """Return the JSON form; the shape's key is `model`."""
        facts = {each.name: getattr(self, each.name) for each in fields(self)}
        facts = {"model": facts.pop("shape"), **facts}
        y, x = self.shift_from_projected_center
        facts["shift_from_projected_center"] = {"y_px": y, "x_px": x}
        facts["interval95"] = {name: ends and list(ends) for name, ends in self.interval95.items()}
        facts["asymmetry"] = asdict(self.asymmetry)
        facts["predictions"] = {shape: asdict(one) for shape, one in self.predictions.items()}
        facts |= flag_fields(self.flags)
        facts["study"] = None if self.study is None else self.study.summary()
        return facts
