"""The Gaussian that was fitted to a map."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


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
