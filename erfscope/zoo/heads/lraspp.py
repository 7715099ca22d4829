"""LR-ASPP, the light head of MobileNetV3 (arXiv 1905.02244, section 6.4), with mmsegmentation's two skips."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from erfscope.errors import NetworkError
from erfscope.zoo.blocks import ConvNormAct, resize_like
from erfscope.zoo.heads.head import Head

# Figure 10 of the paper.
POOL_SIZE = 49
POOL_STRIDE = (16, 20)


class _WindowPool(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        return F.avg_pool2d(x, (min(height, POOL_SIZE), min(width, POOL_SIZE)), POOL_STRIDE)


class LRASPPHead(Head):
    """The coarsest map gated by its pooled self, then joined with finer maps one after the other.

    Parameters
    ----------
    in_channels
        Channels of the maps that are read, finest first.
    branch_channels
        Channels to which each map but the coarsest is reduced before it is joined.
    options
        As of `Head`; `input_transform` has to be "multiple_select".

    A coarsest map of less than 49 × 49 cells (an image of less than 385 px at stride 8) is pooled whole;
    mmsegmentation refuses it.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        branch_channels: Sequence[int] = (32, 64),
        **options: Any,
    ) -> None:
        super().__init__(in_channels, channels, **options)
        if self.input_transform != "multiple_select" or len(branch_channels) != len(in_channels) - 1:
            raise NetworkError(
                f"an LR-ASPP head of {len(branch_channels)} branches reads one map more by "
                f"'multiple_select', not {len(in_channels)} by {self.input_transform!r}"
            )
        self.convs, self.conv_ups = nn.Sequential(), nn.Sequential()
        for i, width in enumerate(branch_channels):
            self.convs.add_module(f"conv{i}", nn.Conv2d(in_channels[i], width, 1, bias=False))
            self.conv_ups.add_module(f"conv_up{i}", self.conv(channels + width, channels, 1, bias=False))
        self.conv_up_input = nn.Conv2d(channels, channels, 1)
        self.aspp_conv = self.conv(in_channels[-1], channels, 1, bias=False)
        self.image_pool = nn.Sequential(
            _WindowPool(),
            ConvNormAct(in_channels[-1], channels, 1, bias=False, norm=None, activation={"type": "Sigmoid"}),
        )

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps → (N, channels, h, w) at the size of the finest map that is read."""
        *finer, coarsest = self.select(maps)
        gate = resize_like(self.image_pool(coarsest), coarsest, align_corners=self.align_corners)
        x: torch.Tensor = self.conv_up_input(self.aspp_conv(coarsest) * gate)
        branches = list(zip(finer, self.convs, self.conv_ups, strict=True))
        for skip, reduce, join in reversed(branches):
            x = resize_like(x, skip, align_corners=self.align_corners)
            x = join(torch.cat([x, reduce(skip)], dim=1))
        return x
