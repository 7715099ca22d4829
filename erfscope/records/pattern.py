"""The pattern that a map shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from erfscope.records.flags import Flag, flag_fields

PATTERNS = ("star", "grid", "patch-partitioned", "local", "asymmetric-gaussian", "gaussian", "diffuse")


@dataclass(frozen=True)
class Pattern:
    """One of `PATTERNS`, and a score from 0 to 1 for each, as `measure.pattern` defines them.

    `patch_size_px` is None where the map isn't partitioned.
    """

    pattern: str
    scores: Mapping[str, float]
    patch_size_px: int | None = None
    flags: tuple[Flag, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "pattern": self.pattern,
            "scores": dict(self.scores),
            "patch_size_px": self.patch_size_px,
            **flag_fields(self.flags),
        }
