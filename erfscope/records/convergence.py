"""How well a map was known while its images were added, and how a run with `--until` ended."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from erfscope.records.flags import Flag, flag_fields, read_flags


@dataclass(frozen=True)
class ErrorCheck:
    """The sampling errors of a map of so many images, as `measure.sampling_error` found them.

    Attributes
    ----------
    images
        In the map.
    map_error
        Relative standard error of the smoothed mean map: L1 norm of its error over L1 norm of the map.
        None with fewer than 8 filled groups of images.
    arm_error
        Relative standard error of the ring whose distance is known worst; None without one.
    pattern, rings
        "star", "grid" or "none", and how many rings it has.
    smoothing_px
        Full width at half maximum of the smoothing.
    center_to_center_px, center_to_center_stderr_px
        Of the star; None without one.
    """

    images: int
    map_error: float | None
    arm_error: float | None
    pattern: str
    rings: int
    smoothing_px: float
    center_to_center_px: float | None = None
    center_to_center_stderr_px: float | None = None

    @classmethod
    def from_summary(cls, summary: Mapping[str, Any]) -> "ErrorCheck":
        """Read what `summary` wrote."""
        return cls(**summary)

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


@dataclass(frozen=True)
class Convergence:
    """A run that was to stop at a relative standard error.

    Attributes
    ----------
    until
        The error, 0.01 for 1 %.
    checks
        In the order of their images.
    converged
        Whether the run stopped there, before it had used all images.
    flags
        What must be known of a map that was stopped.
    """

    until: float
    checks: tuple[ErrorCheck, ...]
    converged: bool
    flags: tuple[Flag, ...] = ()

    @classmethod
    def from_summary(cls, summary: Mapping[str, Any]) -> "Convergence":
        """Read what `summary` wrote."""
        checks = tuple(map(ErrorCheck.from_summary, summary["checks"]))
        return cls(summary["until"], checks, summary["converged"], read_flags(summary))

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        checks = [check.summary() for check in self.checks]
        return {
            "until": self.until,
            "converged": self.converged,
            "checks": checks,
            **flag_fields(self.flags),
        }
