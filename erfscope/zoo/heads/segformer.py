"""The all-MLP head of SegFormer (arXiv 2105.15203, section 3.2), with mmsegmentation's 1×1 convolutions."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from erfscope.zoo.blocks import ConvNormAct, resize_like
from erfscope.zoo.heads.head import Head


class SegformerHead(Head):
    """Maps of all stages, brought to one width and to the finest one's size, fused by a 1×1 convolution.

    Parameters
    ----------
    in_channels, in_index
        Channels of the maps that are read, finest first, as many of each.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, **options: Any) -> None:
        super().__init__(in_channels, channels, input_transform="multiple_select", **options)
        self.convs = nn.ModuleList(self.conv(width, channels, 1) for width in in_channels)
        # Its activation is ReLU whatever `act_cfg` says, as in mmsegmentation.
        self.fusion_conv = ConvNormAct(channels * len(in_channels), channels, 1, norm=self.norm_cfg)

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps → (N, channels, h, w) at the size of the finest map that is read."""
        finest, *coarser = (conv(x) for conv, x in zip(self.convs, self.select(maps), strict=True))
        resized = [resize_like(x, finest, align_corners=self.align_corners) for x in coarser]
        fused: torch.Tensor = self.fusion_conv(torch.cat([finest, *resized], dim=1))
        return fused
