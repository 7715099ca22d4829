"""The heads of DeepLabV3 (arXiv 1706.05587) and DeepLabV3+ (arXiv 1802.02611) as their papers have them.

mmsegmentation's (`heads/aspp.py`) are 512 wide and fuse the branches by a 3×3 convolution; these are 256
wide and fuse them by a 1×1 convolution. The authors resize with aligned corners.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from erfscope.errors import NetworkError
from erfscope.zoo.blocks import BATCH_NORM, Config, ConvNormAct, DepthwiseSeparableConv, resize_like
from erfscope.zoo.heads.head import Head

#: The papers' rates at output stride 16, beside the 1×1 branch.
RATES = (6, 12, 18)


class ASPP(nn.Module):
    """A 1×1 branch, one 3×3 branch a rate and image pooling, in parallel; then a 1×1 projection.

    Parameters
    ----------
    in_channels, channels
        Channels of the map, and of every branch and the projection.
    rates
        Atrous rates of the 3×3 branches.
    image_pooling
        Whether there is such a branch.
    separable
        Depthwise separable 3×3 branches.
    conv
        Makes the convolutions.
    align_corners
        Whether corners are aligned in the pooled map's resizing.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        rates: Sequence[int],
        image_pooling: bool,
        separable: bool,
        conv: partial[ConvNormAct],
        align_corners: bool,
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        atrous = _separable(conv) if separable else conv
        self.branches = nn.ModuleList(
            [
                conv(in_channels, channels, 1),
                *(atrous(in_channels, channels, 3, dilation=rate) for rate in rates),
            ]
        )
        self.image_pool = (
            nn.Sequential(nn.AdaptiveAvgPool2d(1), conv(in_channels, channels, 1)) if image_pooling else None
        )
        self.project = conv((len(self.branches) + image_pooling) * channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, h, w) → (N, channels, h, w)."""
        outputs = [branch(x) for branch in self.branches]
        if self.image_pool is not None:
            outputs.append(resize_like(self.image_pool(x), x, align_corners=self.align_corners))
        fused: torch.Tensor = self.project(torch.cat(outputs, dim=1))
        return fused


class PaperASPPHead(Head):
    """DeepLabV3: ASPP and the classifier.

    Parameters
    ----------
    in_channels
        Channels of the map that is read.
    channels
        Width of every branch and of the projection.
    dilations
        Atrous rates of the 3×3 branches; the 1×1 branch is always there.
    image_pooling
        Whether there is an image pooling branch.
    separable
        Depthwise separable 3×3 branches.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 256,
        *,
        dilations: Sequence[int] = RATES,
        image_pooling: bool = True,
        separable: bool = False,
        norm_cfg: Config | None = BATCH_NORM,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, channels, norm_cfg=norm_cfg, **options)
        self.rates = tuple(dilations)
        self.aspp = ASPP(
            in_channels,
            channels,
            rates=dilations,
            image_pooling=image_pooling,
            separable=separable,
            conv=self.conv,
            align_corners=self.align_corners,
        )

    @staticmethod
    def with_rates(config: dict[str, Any], rates: tuple[int, ...]) -> dict[str, Any]:
        """Change the arguments to these rates, beside the 1×1 branch."""
        return {**config, "dilations": rates}

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps → (N, channels, h, w) at the size of the map that is read."""
        context: torch.Tensor = self.aspp(self.select(maps))
        return context


class PaperDecoderHead(Head):
    """DeepLabV3+: ASPP, then for each low-level map, coarsest first: resized to it, joined, convolved.

    Parameters
    ----------
    in_channels
        Channels of the map that ASPP reads.
    channels
        Width of the decoder's 3×3 convolutions.
    low_level_in_channels
        Channels of the backbone's first map; or of its first maps, finest first, as in the decoder that
        reads Conv3 before Conv2 (the paper's table 2).
    low_level_channels
        Channels of each low-level map after its 1×1 reduction.
    decoder_convs
        3×3 convolutions after each join.
    aspp_channels, dilations, image_pooling
        Arguments of ASPP; see `PaperASPPHead`.
    separable
        Depthwise separable 3×3 convolutions, in ASPP and in the decoder.
    dropout_ratio
        Between ASPP and decoder, as the authors have it.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 256,
        *,
        low_level_in_channels: int | Sequence[int],
        low_level_channels: int = 48,
        decoder_convs: int = 2,
        aspp_channels: int = 256,
        dilations: Sequence[int] = RATES,
        image_pooling: bool = True,
        separable: bool = False,
        norm_cfg: Config | None = BATCH_NORM,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, channels, norm_cfg=norm_cfg, **options)
        if decoder_convs < 1:
            raise NetworkError(f"the decoder needs at least one convolution, not {decoder_convs}")
        self.rates = tuple(dilations)
        self.aspp = ASPP(
            in_channels,
            aspp_channels,
            rates=dilations,
            image_pooling=image_pooling,
            separable=separable,
            conv=self.conv,
            align_corners=self.align_corners,
        )
        low_level = (
            [low_level_in_channels] if isinstance(low_level_in_channels, int) else low_level_in_channels
        )
        conv = _separable(self.conv) if separable else self.conv
        self.low_level_projects, self.decoders = nn.ModuleList(), nn.ModuleList()
        for i, width in enumerate(low_level):
            self.low_level_projects.append(self.conv(width, low_level_channels, 1))
            coming = aspp_channels if i == len(low_level) - 1 else channels
            widths = [coming + low_level_channels, *[channels] * decoder_convs]
            self.decoders.append(nn.Sequential(*(conv(a, b, 3) for a, b in pairwise(widths))))

    @staticmethod
    def with_rates(config: dict[str, Any], rates: tuple[int, ...]) -> dict[str, Any]:
        """Change the arguments to these rates, beside the 1×1 branch."""
        return {**config, "dilations": rates}

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps → (N, channels, H, W) at the first map's size."""
        x: torch.Tensor = self.dropout(self.aspp(self.select(maps)))
        for i in reversed(range(len(self.decoders))):
            low_level = self.low_level_projects[i](maps[i])
            resized = resize_like(x, low_level, align_corners=self.align_corners)
            x = self.decoders[i](torch.cat([resized, low_level], dim=1))
        return x

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps, finest first → logits (N, K, H, W)."""
        logits: torch.Tensor = self.conv_seg(self.features(maps))
        return logits


def _separable(conv: partial[ConvNormAct]) -> partial[DepthwiseSeparableConv]:
    return partial(DepthwiseSeparableConv, **conv.keywords)
