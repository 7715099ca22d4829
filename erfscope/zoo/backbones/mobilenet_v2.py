"""MobileNetV2 (arXiv 1801.04381) with atrous rates in place of strides, by mmsegmentation's names."""

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from erfscope.errors import NetworkError
from erfscope.zoo.backbones.inverted_residual import RELU6, InvertedResidual, round_channels
from erfscope.zoo.blocks import BATCH_NORM, Config, ConvNormAct

STEM_STRIDE = 2
STEM_CHANNELS = 32
#: Widening factor, channels and number of blocks of each layer (table 2 of the paper).
LAYERS = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
STRIDES = (1, 2, 2, 2, 1, 2, 1)
DILATIONS = (1, 1, 1, 1, 1, 1, 1)

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"mobilenet-v2": MappingProxyType({"widen_factor": 1.0})}
)


class MobileNetV2(nn.Module):
    """A MobileNetV2 whose last layers may keep their size by atrous rates.

    Parameters and their defaults are mmsegmentation's.

    Parameters
    ----------
    widen_factor
        Multiplies all channels, which are then rounded to multiples of 8.
    strides, dilations
        Stride and atrous rate of the first block of each of the seven layers. As in mmsegmentation, a
        layer's other blocks have rate 1 whatever `dilations` says.
    out_indices
        Layers whose maps come out, 0 to 6.
    norm_cfg, act_cfg
        Norm and activation of all convolutions.
    """

    def __init__(
        self,
        *,
        widen_factor: float = 1.0,
        strides: Sequence[int] = STRIDES,
        dilations: Sequence[int] = DILATIONS,
        out_indices: Sequence[int] = (1, 2, 4, 6),
        norm_cfg: Config = BATCH_NORM,
        act_cfg: Config = RELU6,
    ) -> None:
        super().__init__()
        block = partial(InvertedResidual, norm=norm_cfg, activation=act_cfg)
        widths = [round_channels(channels * widen_factor) for _, channels, _ in LAYERS]
        before = round_channels(STEM_CHANNELS * widen_factor)
        self.conv1 = ConvNormAct(3, before, 3, stride=STEM_STRIDE, norm=norm_cfg, activation=act_cfg)
        for i, (expand_ratio, _, depth) in enumerate(LAYERS):
            first = block(
                before, widths[i], stride=strides[i], expand_ratio=expand_ratio, dilation=dilations[i]
            )
            others = (
                block(widths[i], widths[i], stride=1, expand_ratio=expand_ratio) for _ in range(depth - 1)
            )
            self.add_module(f"layer{i + 1}", nn.Sequential(first, *others))
            before = widths[i]
        self.out_indices = tuple(out_indices)
        self.channels = tuple(widths[i] for i in self.out_indices)
        self.output_stride = STEM_STRIDE * prod(strides[: max(self.out_indices) + 1])

    @staticmethod
    def at_output_stride(config: dict[str, Any], stride: int) -> dict[str, Any]:
        """Change the arguments so that the last layer has this stride: each stride less doubles the rates.

        Stride 8 gives the strides (1, 2, 2, 1, 1, 1, 1) and rates (1, 1, 1, 2, 2, 4, 4) of mmsegmentation's
        networks. What `config` says of strides and rates is replaced.

        Raises
        ------
        NetworkError
            A stride that can't be reached.
        """
        if stride not in (8, 16, 32):
            raise NetworkError(f"output stride {stride} can't be built; choose one of 8, 16, 32")
        full = [STEM_STRIDE * prod(STRIDES[: i + 1]) for i in range(len(STRIDES))]
        return {
            **config,
            "strides": tuple(1 if full[i] > stride else s for i, s in enumerate(STRIDES)),
            "dilations": tuple(max(1, reached // stride) for reached in full),
        }

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(N, 3, H, W) → the feature maps of the layers in `out_indices`."""
        x: torch.Tensor = self.conv1(image)
        maps = []
        for i in range(len(LAYERS)):
            x = self.get_submodule(f"layer{i + 1}")(x)
            if i in self.out_indices:
                maps.append(x)
        return tuple(maps)
