"""Atrous spatial pyramid pooling: DeepLabV3 (arXiv 1706.05587) and DeepLabV3+ (arXiv 1802.02611).

Structure and names are mmsegmentation's: one 3×3 `bottleneck` over the concatenated branches.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from erfscope.zoo.blocks import DepthwiseSeparableConv, resize_like
from erfscope.zoo.heads.head import Head


class ASPPHead(Head):
    """Image pooling and one branch a rate, in parallel; then a 3×3 bottleneck.

    Parameters
    ----------
    in_channels
        Channels of the map that the branches read.
    channels
        Width of every branch and of the bottleneck.
    dilations
        Atrous rates of the branches, any number of them.
    kernel_sizes
        One for each; None: 1 for rate 1 and 3 for the others. Not an argument of mmsegmentation, where
        there is no 3×3 branch of rate 1.
    separable
        Depthwise separable atrous branches. In mmsegmentation that is a head of its own.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        dilations: Sequence[int] = (1, 6, 12, 18),
        kernel_sizes: Sequence[int] | None = None,
        separable: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, channels, **options)
        if kernel_sizes is None:
            kernel_sizes = [1 if rate == 1 else 3 for rate in dilations]
        branches = list(zip(dilations, kernel_sizes, strict=True))
        self.rates = tuple(rate for rate, size in branches if size > 1)
        self.image_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), self.conv(in_channels, channels, 1))
        self.aspp_modules = nn.ModuleList(
            (self.separable_conv if separable and size > 1 else self.conv)(
                in_channels, channels, size, dilation=rate
            )
            for rate, size in branches
        )
        self.bottleneck = self.conv((len(dilations) + 1) * channels, channels, 3)

    @staticmethod
    def with_rates(config: dict[str, Any], rates: tuple[int, ...]) -> dict[str, Any]:
        """Change the arguments to these rates, beside the 1×1 branch."""
        changed = {**config, "dilations": (1, *rates)}
        changed.pop("kernel_sizes", None)
        return changed | ({"kernel_sizes": (1, *(3,) * len(rates))} if 1 in rates else {})

    @property
    def separable_conv(self) -> partial[DepthwiseSeparableConv]:
        """Make depthwise separable convolutions with the head's norm and activation."""
        return partial(DepthwiseSeparableConv, norm=self.norm_cfg, activation=self.act_cfg)

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps → (N, channels, h, w) at the size of the map that is read."""
        x: torch.Tensor = self.select(maps)
        pooled = resize_like(self.image_pool(x), x, align_corners=self.align_corners)
        fused: torch.Tensor = self.bottleneck(
            torch.cat([pooled, *(branch(x) for branch in self.aspp_modules)], dim=1)
        )
        return fused


class ASPPDecoderHead(ASPPHead):
    """DeepLabV3+: ASPP, resized to the first map, joined with that map's reduced features, decoded.

    Parameters
    ----------
    c1_in_channels, c1_channels
        Channels of the backbone's first map, before and after its 1×1 reduction; 0 of them: no such map.
    separable
        Depthwise separable convolutions in both the atrous branches and the decoder.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        c1_in_channels: int,
        c1_channels: int,
        separable: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, channels, separable=separable, **options)
        self.c1_bottleneck = self.conv(c1_in_channels, c1_channels, 1) if c1_in_channels else None
        joined = channels + (c1_channels if c1_in_channels else 0)
        conv = self.separable_conv if separable else self.conv
        # mmsegmentation's name, kept where the convolutions are plain, so that one class serves both.
        self.sep_bottleneck = nn.Sequential(conv(joined, channels, 3), conv(channels, channels, 3))

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps → (N, channels, h, w) at the first map's size."""
        context = super().features(maps)
        if self.c1_bottleneck is not None:
            low_level = self.c1_bottleneck(maps[0])
            resized = resize_like(context, low_level, align_corners=self.align_corners)
            context = torch.cat([resized, low_level], dim=1)
        decoded: torch.Tensor = self.sep_bottleneck(context)
        return decoded
