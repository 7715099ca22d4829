"""The unit whose gradient is taken."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Unit:
    """The unit whose gradient is taken.

    Attributes
    ----------
    y, x
        Row and column in the output map, which has the size of the input unless its logits are kept at
        low resolution; with a `layer`, in that layer's feature map.
    layer
        Name of the layer, as in `model.named_modules()`; None for the output.
    """

    y: int
    x: int
    layer: str | None = None

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"y": self.y, "x": self.x, "layer": self.layer}
