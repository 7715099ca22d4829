"""Pyramid pooling: PSPNet (arXiv 1612.01105)."""

from collections.abc import Sequence

import torch
from torch import nn

from erfscope.zoo.blocks import ConvNormAct, resize_like
from erfscope.zoo.heads.head import Head

BINS = (1, 2, 3, 6)


class PSPHead(Head):
    """The last map pooled to 1×1, 2×2, 3×3 and 6×6, reduced, resized back and joined by a bottleneck."""

    def __init__(
        self, in_channels: int, channels: int, num_classes: int, *, align_corners: bool = False
    ) -> None:
        super().__init__(channels, num_classes)
        self.align_corners = align_corners
        self.psp_modules = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(bins), ConvNormAct(in_channels, channels, 1)) for bins in BINS
        )
        self.bottleneck = ConvNormAct(in_channels + len(BINS) * channels, channels, 3)

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps → (N, channels, h, w) at the last map's size."""
        x = maps[-1]
        pooled = [resize_like(pool(x), x, align_corners=self.align_corners) for pool in self.psp_modules]
        fused: torch.Tensor = self.bottleneck(torch.cat([x, *pooled], dim=1))
        return fused
