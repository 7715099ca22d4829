"""Networks of which nothing is known but that they take an image: programs in files, and user code."""

import torch
from torch import nn

from erfscope.checkpoints.wrappers.foreign import Foreign, as_returned
from erfscope.model.logits import logits_of
from erfscope.records.model_info import ModelInfo
from erfscope.zoo.blocks import resize_like


class Adopted(Foreign):
    """Runs a network, finds the logits in what it returns, and resizes them to the image's size.

    Parameters
    ----------
    network
        (N, 3, H, W) → logits (N, K, h, w), alone or in a mapping, sequence or object.
    info
        Where it comes from.
    """

    def __init__(self, network: nn.Module, info: ModelInfo) -> None:
        super().__init__(network, info, as_returned)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map normalized images (N, 3, H, W) to logits (N, K, H, W)."""
        height, width = image.shape[-2:]
        logits = logits_of(self.network(image), (height, width))
        return resize_like(logits, image, align_corners=self.align_corners)
