"""A pyramid made of maps of one size by plain resizing, for heads that expect one: mmsegmentation's MLN."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from erfscope.zoo.blocks import Config, ConvNormAct


class MultiLevelNeck(nn.Module):
    """A 1×1 convolution for each map, bilinear resizing by its factor, and a 3×3 convolution.

    Parameters and their defaults are mmsegmentation's.

    Parameters
    ----------
    in_channels
        Channels of each map.
    out_channels
        Channels of all maps that come out.
    scales
        Factor of each map that comes out. A single map that comes in is read once for each of them.
    norm_cfg, act_cfg
        Norm and activation of the convolutions; None for none.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        out_channels: int,
        scales: Sequence[float] = (0.5, 1, 2, 4),
        norm_cfg: Config | None = None,
        act_cfg: Config | None = None,
    ) -> None:
        super().__init__()
        self.scales = tuple(scales)
        self.lateral_convs = nn.ModuleList(
            ConvNormAct(width, out_channels, 1, norm=norm_cfg, activation=act_cfg) for width in in_channels
        )
        self.convs = nn.ModuleList(
            ConvNormAct(out_channels, out_channels, 3, norm=norm_cfg, activation=act_cfg) for _ in scales
        )

    def forward(self, maps: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """(N, C, h, w) maps → a map (N, out_channels, ⌊scale·h⌋, ⌊scale·w⌋) for each scale."""
        lateral = [conv(x) for conv, x in zip(self.lateral_convs, maps, strict=True)]
        if len(lateral) == 1:
            lateral = lateral * len(self.scales)
        # By the factor, not to a size: at odd sizes torch then takes other sampling positions.
        return tuple(
            conv(F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False))
            for conv, x, scale in zip(self.convs, lateral, self.scales, strict=True)
        )
