"""What a network is made of, as plain data: enough to build it again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: A module's class and its arguments: {"type": "ResNet", "depth": 50}. JSON-able, but for tuples.
Part = Mapping[str, Any]


@dataclass(frozen=True)
class NetworkDescription:
    """The parts of a network, with mmsegmentation's names for them and for their arguments.

    Attributes
    ----------
    backbone, neck, head
        The parts that read the image, that read the backbone's maps (None without one), and that make
        logits.
    head_name
        The attribute that holds the head, hence the prefix of its parameters: mmsegmentation says
        `decode_head`, torchvision `classifier`.
    align_corners
        Whether corners are aligned in the resizing of the logits; most heads have an argument of that name
        for their own resizing.
    """

    backbone: Part
    head: Part
    neck: Part | None = None
    head_name: str = "decode_head"
    align_corners: bool = False

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        plain: dict[str, Any] = _plain(vars(self))
        return plain

    @property
    def num_classes(self) -> int:
        """K, the number of logits."""
        return int(self.head.get("out_channels") or self.head["num_classes"])


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
