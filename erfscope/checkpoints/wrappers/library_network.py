"""A network that isn't erfscope's own, as a `Network`: it returns logits of the image's size."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from erfscope.model.logits import logits_of
from erfscope.model.network import Network
from erfscope.records.model_info import ModelInfo
from erfscope.zoo.blocks import resize_like

Pick = Callable[[Any], torch.Tensor]


class LibraryNetwork(Network):
    """Runs another library's network, or a user's, and resizes its logits bilinearly to the image's size.

    Parameters
    ----------
    network
        Maps images (N, 3, H, W) to an output that holds logits (N, K, h, w).
    info
        What the network is and where its weights come from.
    pick
        Takes the logits from the output; None finds them in a tensor, mapping, sequence or object.
    align_corners
        Whether the resizing aligns corners, as the library's own does.
    """

    def __init__(
        self, network: nn.Module, info: ModelInfo, pick: Pick | None = None, *, align_corners: bool = False
    ) -> None:
        super().__init__()
        self.network = network
        self.info, self.pick, self.align_corners = info, pick, align_corners
        self.eval()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map normalized images (N, 3, H, W) to logits (N, K, H, W)."""
        return self._logits(self.network(image), image)

    def _logits(self, output: Any, image: torch.Tensor) -> torch.Tensor:
        """Take the logits from the network's output and resize them to the image's size."""
        height, width = image.shape[-2:]
        logits = logits_of(output, (height, width)) if self.pick is None else self.pick(output)
        return resize_like(logits, image, align_corners=self.align_corners)
