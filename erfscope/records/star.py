"""The star that was measured in a map."""

from dataclasses import asdict, dataclass, field
from typing import Any

from erfscope.records.flags import Flag, flag_fields


@dataclass(frozen=True)
class Ring:
    """One ring of a star: `distance_px` is d where its N blob sits at (−d, 0) from the star's center.

    `mass_share` is its share of the map's sum, `blobs_inside` how many of its blobs are centered in the
    image: a star's ring has eight, the k-th of a grid 8k.
    """

    distance_px: float
    stderr_px: float | None = None
    mass_share: float | None = None
    blobs_inside: int = 8


@dataclass(frozen=True)
class Arm:
    """One blob of a star, at absolute (y, x) in px, on the arm that points to `direction`.

    `ring` is the index in the star's `rings`, from 0.
    """

    direction: str
    ring: int
    y_px: float
    x_px: float
    distance_px: float


@dataclass(frozen=True)
class StarMeasurement:
    """What `measure.star` found: lengths in px, None where there is nothing or too little to say.

    Attributes
    ----------
    pattern
        "star", "grid" or "none".
    center
        (y, x) of the star itself, or the given one if there is none.
    center_to_center_px, center_to_center_stderr_px, center_to_center_interval95_px
        Between the outermost bottom-left and bottom-right blobs; standard error and 95 % interval of the
        sampling of images alone.
    systematic_px
        Bound of the method's own error at this overlap of blobs, which more images don't lessen.
    end_to_end_convention_px
        With the study's 32 px.
    end_to_end_measured_px, end_to_end_measured_stderr_px, end_to_end_contour
        Between the outer contours of those blobs, and at which contour.
    blob_fwhm_px, blob_fwhm_stderr_px
        Full width of a blob alone at half its maximum, in the map (not in its square).
    rings, arms
        Distances ascending; the blobs on the eight arms that lie in the image.
    score, threshold
        Share of what shapes without arms leave unexplained that rings explain; a star or grid has at least
        the threshold.
    """

    pattern: str
    center: tuple[float, float]
    center_to_center_px: float | None = None
    center_to_center_stderr_px: float | None = None
    center_to_center_interval95_px: tuple[float, float] | None = None
    systematic_px: float | None = None
    end_to_end_convention_px: float | None = None
    end_to_end_measured_px: float | None = None
    end_to_end_measured_stderr_px: float | None = None
    end_to_end_contour: str = "half of a blob's maximum"
    blob_fwhm_px: float | None = None
    blob_fwhm_stderr_px: float | None = None
    rings: tuple[Ring, ...] = ()
    arms: tuple[Arm, ...] = field(default=(), repr=False)
    score: float = 0.0
    threshold: float = 0.0
    flags: tuple[Flag, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        facts = asdict(self)
        y, x = facts.pop("center")
        pattern = facts.pop("pattern")
        return {"pattern": pattern, "center": {"y_px": y, "x_px": x}, **facts, **flag_fields(self.flags)}
