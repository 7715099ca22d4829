"""How the images share a map's gradient mass."""

from dataclasses import asdict, dataclass
from typing import Any

from erfscope.records.flags import Flag, flag_fields


@dataclass(frozen=True)
class MassStatistics:
    """How evenly the images contribute to a map.

    Attributes
    ----------
    count
        Images in the map.
    effective
        How many equal images would be as even: (Σ mass)² / Σ mass² (Kish).
    largest_share
        Of the mass, what the heaviest image has, from 1 / `count` to 1.
    largest_name
        Its name.
    """

    count: int
    effective: float
    largest_share: float
    largest_name: str
    flags: tuple[Flag, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**asdict(self), **flag_fields(self.flags)}
