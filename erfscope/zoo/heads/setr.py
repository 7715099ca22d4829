"""The heads of SETR (arXiv 2012.15840): naive, progressive (PUP) and multi-level (MLA) upsampling."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from erfscope.errors import NetworkError
from erfscope.zoo.blocks import TIGHT_LAYER_NORM, Config, make_norm
from erfscope.zoo.heads.head import Head


class Upsample(nn.Module):
    """Enlarges a map bilinearly by a whole factor."""

    def __init__(self, factor: int, *, align_corners: bool) -> None:
        super().__init__()
        self.factor, self.align_corners = factor, align_corners

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) → (N, C, factor·h, factor·w)."""
        size = [self.factor * side for side in x.shape[-2:]]
        return F.interpolate(x, size=size, mode="bilinear", align_corners=self.align_corners)


class SETRUPHead(Head):
    """A layer norm, then convolutions that are each followed by upsampling.

    Parameters
    ----------
    norm_layer
        Config of the norm over the channels of the map that is read.
    num_convs, kernel_size
        Number and size of the convolutions: one for SETR-Naive, four for SETR-PUP.
    up_scale
        Factor of the upsampling after each.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        norm_layer: Config = TIGHT_LAYER_NORM,
        num_convs: int = 1,
        up_scale: int = 4,
        kernel_size: int = 3,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, channels, **options)
        self.norm = make_norm(norm_layer, in_channels)[1]
        self.up_convs = nn.ModuleList(
            nn.Sequential(
                self.conv(in_channels if i == 0 else channels, channels, kernel_size),
                Upsample(up_scale, align_corners=self.align_corners),
            )
            for i in range(num_convs)
        )

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps → (N, channels, s·h, s·w), s = up_scale to the power num_convs."""
        x: torch.Tensor = self.select(maps)
        x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        for up_conv in self.up_convs:
            x = up_conv(x)
        return x


class SETRMLAHead(Head):
    """Two convolutions and an upsampling for each of several maps, which are then joined.

    Parameters
    ----------
    mla_channels
        Width of the convolutions; `channels` is this times the number of maps.
    up_scale
        Factor of the upsampling.

    Raises
    ------
    NetworkError
        `channels` isn't what the joined maps have.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        mla_channels: int = 128,
        up_scale: int = 4,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, channels, input_transform="multiple_select", **options)
        if channels != len(in_channels) * mla_channels:
            raise NetworkError(
                f"{len(in_channels)} maps of mla_channels={mla_channels} don't join to channels={channels}"
            )
        self.up_convs = nn.ModuleList(
            nn.Sequential(
                self.conv(width, mla_channels, 3),
                self.conv(mla_channels, mla_channels, 3),
                Upsample(up_scale, align_corners=self.align_corners),
            )
            for width in in_channels
        )

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Several maps of one size → (N, channels, up_scale·h, up_scale·w)."""
        chosen = self.select(maps)
        return torch.cat([up_conv(x) for up_conv, x in zip(self.up_convs, chosen, strict=True)], dim=1)
