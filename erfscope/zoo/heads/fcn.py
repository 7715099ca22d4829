"""The fully convolutional head (arXiv 1411.4038), and FCN-D6 with two atrous convolutions in a row."""

from collections.abc import Sequence

import torch
from torch import nn

from erfscope.zoo.blocks import ConvNormAct
from erfscope.zoo.heads.head import Head


class FCNHead(Head):
    """3×3 convolutions in a row, their output joined with their input by one more.

    Parameters
    ----------
    rates
        Atrous rate of each convolution: (1, 1) is FCN, (6, 6) is FCN-D6.
    """

    def __init__(self, in_channels: int, channels: int, num_classes: int, rates: Sequence[int]) -> None:
        super().__init__(channels, num_classes)
        self.convs = nn.Sequential(
            *(
                ConvNormAct(in_channels if i == 0 else channels, channels, 3, dilation=rate)
                for i, rate in enumerate(rates)
            )
        )
        self.conv_cat = ConvNormAct(in_channels + channels, channels, 3)

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps → (N, channels, h, w) at the last map's size."""
        x = maps[-1]
        joined: torch.Tensor = self.conv_cat(torch.cat([x, self.convs(x)], dim=1))
        return joined
