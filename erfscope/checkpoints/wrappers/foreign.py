"""Another library's network, made to behave like ours."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from erfscope.model.network import Network
from erfscope.records.model_info import ModelInfo
from erfscope.zoo.blocks import resize_like

Pick = Callable[[Any], torch.Tensor]


class Foreign(Network):
    """Runs a library's network and resizes its logits bilinearly to the image's size.

    Parameters
    ----------
    network
        (N, 3, H, W) → what `pick` takes the logits from.
    info
        Where it comes from.
    pick
        From what the network returns to logits (N, K, h, w).
    align_corners
        Of the resizing, as the library does it.
    """

    def __init__(
        self, network: nn.Module, info: ModelInfo, pick: Pick, *, align_corners: bool = False
    ) -> None:
        super().__init__()
        self.network = network
        self.info, self.pick, self.align_corners = info, pick, align_corners
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
