"""Another library's network, made to behave like ours."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from erfscope.records.network import ModelOrigin
from erfscope.zoo.blocks import resize_like
from erfscope.zoo.network import Network

Pick = Callable[[Any], torch.Tensor]


class Foreign(Network):
    """Runs a library's network and resizes its logits bilinearly to the image's size.

    Parameters
    ----------
    network
        (N, 3, H, W) → what `pick` takes the logits from.
    origin
        Where it comes from.
    pick
        From what the network returns to logits (N, K, h, w).
    align_corners
        Of the resizing, as the library does it.
    """

    def __init__(
        self, network: nn.Module, origin: ModelOrigin, pick: Pick, *, align_corners: bool = False
    ) -> None:
        super().__init__()
        self.network = network
        self.origin, self.pick, self.align_corners = origin, pick, align_corners
        self.eval()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map normalized images (N, 3, H, W) to logits (N, K, H, W)."""
        return resize_like(self.pick(self.network(image)), image, align_corners=self.align_corners)


def as_returned(output: Any) -> torch.Tensor:
    """Take the output itself for the logits."""
    logits: torch.Tensor = output
    return logits


def under(key: str) -> Pick:
    """Take what stands under a key of the returned mapping."""

    def pick(output: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return output[key]

    return pick
