"""The unit whose gradient is taken."""

from dataclasses import dataclass
from typing import Any


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
