"""UPerNet's head (arXiv 1807.10221): pyramid pooling on top of a feature pyramid."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from erfscope.zoo.blocks import resize_like
from erfscope.zoo.heads.head import Head
from erfscope.zoo.heads.psp import BINS, PyramidPooling


class UPerHead(Head):
    """The coarsest map, pooled as in PSPNet, is added to the finer ones from top to bottom; all are fused.

    Parameters
    ----------
    in_channels
        Channels of each map that is read, finest first.
    pool_scales
        Sides of the pooled maps, cells.
    """

    def __init__(
        self, in_channels: Sequence[int], channels: int, *, pool_scales: Sequence[int] = BINS, **options: Any
    ) -> None:
        super().__init__(in_channels, channels, input_transform="multiple_select", **options)
        *lower, top = in_channels
        self.psp_modules = PyramidPooling(
            pool_scales, top, channels, self.conv, align_corners=self.align_corners
        )
        self.bottleneck = self.conv(top + len(pool_scales) * channels, channels, 3)
        self.lateral_convs = nn.ModuleList(self.conv(width, channels, 1) for width in lower)
        self.fpn_convs = nn.ModuleList(self.conv(channels, channels, 3) for _ in lower)
        self.fpn_bottleneck = self.conv(len(in_channels) * channels, channels, 3)

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps, finest first → (N, channels, h, w) at the size of the finest map that is read."""
        *lower, top = self.select(maps)
        laterals = [conv(x) for conv, x in zip(self.lateral_convs, lower, strict=True)]
        x = pooled = self.bottleneck(torch.cat([top, *self.psp_modules(top)], dim=1))
        pyramid: list[torch.Tensor] = []
        for lateral in reversed(laterals):
            x = lateral + self._resize(x, lateral)
            pyramid.insert(0, x)
        outputs = [conv(x) for conv, x in zip(self.fpn_convs, pyramid, strict=True)] + [pooled]
        resized = [self._resize(x, outputs[0]) for x in outputs[1:]]
        fused: torch.Tensor = self.fpn_bottleneck(torch.cat([outputs[0], *resized], dim=1))
        return fused

    def _resize(self, x: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        return resize_like(x, reference, align_corners=self.align_corners)
