"""Joint pyramid upsampling: FastFCN (arXiv 1903.11816)."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

from erfscope.zoo.blocks import BATCH_NORM, RELU, Config, ConvNormAct, resize_like


class JPU(nn.Module):
    """Makes of maps of several strides one of the finest stride, in place of an atrous backbone.

    Each map is reduced by a 3×3 convolution and resized to the first one's size; the joined maps are read
    by separable convolutions of several atrous rates, side by side.

    Parameters
    ----------
    in_channels
        Channels of the backbone's maps, finest first.
    mid_channels
        Channels of each reduced map and of each atrous branch.
    start_level, end_level
        The maps that are used: from the first to before the second; -1: to the last.
    dilations
        Atrous rates.
    align_corners
        Whether corners are aligned in the resizing.
    norm_cfg, act_cfg
        Norm and activation of the convolutions; the depthwise ones have no activation.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int] = (512, 1024, 2048),
        mid_channels: int = 512,
        start_level: int = 0,
        end_level: int = -1,
        dilations: Sequence[int] = (1, 2, 4, 8),
        align_corners: bool = False,
        norm_cfg: Config | None = BATCH_NORM,
        act_cfg: Config | None = RELU,
    ) -> None:
        super().__init__()
        self.levels = slice(start_level, len(in_channels) if end_level == -1 else end_level)
        self.align_corners = align_corners
        used = in_channels[self.levels]
        self.conv_layers = nn.ModuleList(
            nn.Sequential(ConvNormAct(width, mid_channels, 3, norm=norm_cfg, activation=act_cfg))
            for width in used
        )
        joined = len(used) * mid_channels
        self.dilation_layers = nn.ModuleList(
            nn.Sequential(_separable_conv(joined, mid_channels, rate, norm_cfg, act_cfg))
            for rate in dilations
        )

    def forward(self, maps: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Backbone maps, finest first → those that are used, the joint one in place of the last.

        The joint map has as many times `mid_channels` as there are rates, and the first map's size.
        """
        used = maps[self.levels]
        reduced = [conv(x) for conv, x in zip(self.conv_layers, used, strict=True)]
        resized = [resize_like(x, reduced[0], align_corners=self.align_corners) for x in reduced[1:]]
        joined = torch.cat([reduced[0], *resized], dim=1)
        return *used[:-1], torch.cat([branch(joined) for branch in self.dilation_layers], dim=1)


def _separable_conv(
    in_channels: int, out_channels: int, rate: int, norm: Config | None, activation: Config | None
) -> nn.Sequential:
    depthwise = ConvNormAct(
        in_channels, in_channels, 3, dilation=rate, groups=in_channels, norm=norm, activation=None
    )
    pointwise = ConvNormAct(in_channels, out_channels, 1, norm=norm, activation=activation)
    return nn.Sequential(OrderedDict(depthwise_conv=depthwise, pointwise_conv=pointwise))
