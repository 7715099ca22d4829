"""Pyramid pooling: PSPNet (arXiv 1612.01105)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from erfscope.zoo.blocks import ConvNormAct, resize_like
from erfscope.zoo.heads.head import Head

BINS = (1, 2, 3, 6)


class PyramidPooling(nn.ModuleList):
    """A map pooled to several sizes; each is reduced and resized back.

    Parameters
    ----------
    pool_scales
        Sides of the pooled maps, cells.
    conv
        Makes the reducing convolutions.
    """

    def __init__(
        self,
        pool_scales: Sequence[int],
        in_channels: int,
        channels: int,
        conv: partial[ConvNormAct],
        *,
        align_corners: bool,
    ) -> None:
        super().__init__(
            nn.Sequential(nn.AdaptiveAvgPool2d(bins), conv(in_channels, channels, 1)) for bins in pool_scales
        )
        self.align_corners = align_corners

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(N, in_channels, h, w) → as many (N, channels, h, w) as there are scales."""
        return [resize_like(pool(x), x, align_corners=self.align_corners) for pool in self]


class PSPHead(Head):
    """The pooled maps joined with the map itself by a 3×3 bottleneck.

    Parameters
    ----------
    pool_scales
        Sides of the pooled maps, cells.
    """

    def __init__(
        self, in_channels: int, channels: int, *, pool_scales: Sequence[int] = BINS, **options: Any
    ) -> None:
        super().__init__(in_channels, channels, **options)
        self.psp_modules = PyramidPooling(
            pool_scales, in_channels, channels, self.conv, align_corners=self.align_corners
        )
        self.bottleneck = self.conv(in_channels + len(pool_scales) * channels, channels, 3)

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps → (N, channels, h, w) at the size of the map that is read."""
        x: torch.Tensor = self.select(maps)
        fused: torch.Tensor = self.bottleneck(torch.cat([x, *self.psp_modules(x)], dim=1))
        return fused
