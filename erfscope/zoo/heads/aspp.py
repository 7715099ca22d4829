"""Atrous spatial pyramid pooling: DeepLabV3 (arXiv 1706.05587) and DeepLabV3+ (arXiv 1802.02611).

Structure and names are mmsegmentation's: one 3×3 `bottleneck` over the concatenated branches.
"""

from collections.abc import Sequence

import torch
from torch import nn

from erfscope.zoo.blocks import ConvNormAct, DepthwiseSeparableConv, resize_like
from erfscope.zoo.heads.head import Head


class ASPPHead(Head):
    """Image pooling, one 1×1 and one atrous 3×3 branch a rate, in parallel; then a 3×3 bottleneck.

    Parameters
    ----------
    in_channels
        Channels of the map that the branches read (the backbone's last).
    channels
        Width of every branch and of the bottleneck.
    rates
        Atrous rates of the 3×3 branches, any number of them.
    separable
        Depthwise separable atrous branches.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        num_classes: int,
        rates: Sequence[int],
        *,
        align_corners: bool = False,
        separable: bool = False,
    ) -> None:
        super().__init__(channels, num_classes)
        self.align_corners = align_corners
        self.image_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvNormAct(in_channels, channels, 1))
        atrous = DepthwiseSeparableConv if separable else ConvNormAct
        self.aspp_modules = nn.ModuleList(
            [
                ConvNormAct(in_channels, channels, 1),
                *(atrous(in_channels, channels, 3, dilation=rate) for rate in rates),
            ]
        )
        self.bottleneck = ConvNormAct((len(rates) + 2) * channels, channels, 3)

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps → (N, channels, h, w) at the last map's size."""
        x = maps[-1]
        pooled = resize_like(self.image_pool(x), x, align_corners=self.align_corners)
        fused: torch.Tensor = self.bottleneck(
            torch.cat([pooled, *(branch(x) for branch in self.aspp_modules)], dim=1)
        )
        return fused


class ASPPDecoderHead(ASPPHead):
    """DeepLabV3+: ASPP, resized to the first stage's map, joined with its reduced features, decoded.

    Parameters
    ----------
    low_level_in_channels, low_level_channels
        Channels of the first stage's map, before and after its 1×1 reduction.
    separable
        Depthwise separable convolutions in both the atrous branches and the decoder.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        num_classes: int,
        rates: Sequence[int],
        *,
        low_level_in_channels: int,
        low_level_channels: int,
        align_corners: bool = False,
        separable: bool = True,
    ) -> None:
        super().__init__(
            in_channels, channels, num_classes, rates, align_corners=align_corners, separable=separable
        )
        self.c1_bottleneck = ConvNormAct(low_level_in_channels, low_level_channels, 1)
        conv = DepthwiseSeparableConv if separable else ConvNormAct
        # mmsegmentation's name, kept where the convolutions are plain, so that one class serves both.
        self.sep_bottleneck = nn.Sequential(
            conv(channels + low_level_channels, channels, 3), conv(channels, channels, 3)
        )

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps → (N, channels, h, w) at the first map's size."""
        low_level = self.c1_bottleneck(maps[0])
        context = resize_like(super().features(maps), low_level, align_corners=self.align_corners)
        decoded: torch.Tensor = self.sep_bottleneck(torch.cat([context, low_level], dim=1))
        return decoded
