"""The star that was measured in a map."""

from dataclasses import asdict, dataclass
from typing import Any


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
