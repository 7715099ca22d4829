"""What every head of mmsegmentation's naming ends with: dropout and the 1×1 classifier `conv_seg`."""

from collections.abc import Sequence

import torch
from torch import nn


class Head(nn.Module):
    """Base of the heads; a subclass computes `features` and this class classifies them.

    Parameters
    ----------
    channels
        Width of the features that the classifier reads.
    num_classes
        K, the number of logits.
    """

    #: Name of the classifier's weight (K, C, 1, 1) inside the head.
    classifier_weight = "conv_seg.weight"

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout2d(0.1)
        self.conv_seg = nn.Conv2d(channels, num_classes, 1)

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps, finest first → (N, channels, h, w)."""
        raise NotImplementedError

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps, finest first → logits (N, K, h, w)."""
        logits: torch.Tensor = self.conv_seg(self.dropout(self.features(maps)))
        return logits
