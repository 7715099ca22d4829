"""MobileNetV3, large and small (arXiv 1905.02244), with atrous rates in place of its last strides.

Structure and names are mmsegmentation's: without the classifier's layers, at output stride 8.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import mul
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import nn

from erfscope.errors import NetworkError
from erfscope.zoo.backbones.inverted_residual import InvertedResidualV3, SamePaddedConvNormAct
from erfscope.zoo.blocks import BATCH_NORM, RELU, Config, ConvNormAct

STEM_CHANNELS = 16
STEM_STRIDE = 2
FULL_STRIDE = 32
HSWISH: Config = {"type": "HSwish"}


class BlockDesign(NamedTuple):
    """One row of the paper's tables: kernel size, channels, gate, activation and stride of a block."""

    kernel_size: int
    mid_channels: int
    out_channels: int
    squeeze: bool
    activation: Config
    stride: int


class Design(NamedTuple):
    """The blocks of one size, and the channels of the 1×1 convolution after them."""

    blocks: tuple[BlockDesign, ...]
    last_channels: int


DESIGNS: Mapping[str, Design] = MappingProxyType(
    {
        # Table 1 of the paper.
        "large": Design(
            (
                BlockDesign(3, 16, 16, False, RELU, 1),
                BlockDesign(3, 64, 24, False, RELU, 2),
                BlockDesign(3, 72, 24, False, RELU, 1),
                BlockDesign(5, 72, 40, True, RELU, 2),
                BlockDesign(5, 120, 40, True, RELU, 1),
                BlockDesign(5, 120, 40, True, RELU, 1),
                BlockDesign(3, 240, 80, False, HSWISH, 2),
                BlockDesign(3, 200, 80, False, HSWISH, 1),
                BlockDesign(3, 184, 80, False, HSWISH, 1),
                BlockDesign(3, 184, 80, False, HSWISH, 1),
                BlockDesign(3, 480, 112, True, HSWISH, 1),
                BlockDesign(3, 672, 112, True, HSWISH, 1),
                BlockDesign(5, 672, 160, True, HSWISH, 2),
                BlockDesign(5, 960, 160, True, HSWISH, 1),
                BlockDesign(5, 960, 160, True, HSWISH, 1),
            ),
            960,
        ),
        # Table 2.
        "small": Design(
            (
                BlockDesign(3, 16, 16, True, RELU, 2),
                BlockDesign(3, 72, 24, False, RELU, 2),
                BlockDesign(3, 88, 24, False, RELU, 1),
                BlockDesign(5, 96, 40, True, HSWISH, 2),
                BlockDesign(5, 240, 40, True, HSWISH, 1),
                BlockDesign(5, 240, 40, True, HSWISH, 1),
                BlockDesign(5, 120, 48, True, HSWISH, 1),
                BlockDesign(5, 144, 48, True, HSWISH, 1),
                BlockDesign(5, 288, 96, True, HSWISH, 2),
                BlockDesign(5, 576, 96, True, HSWISH, 1),
                BlockDesign(5, 576, 96, True, HSWISH, 1),
            ),
            576,
        ),
    }
)
# TensorFlow's eps, with which the weights were trained; mmsegmentation's configs set it too.
_NORM: Config = {"type": "BN", "eps": 0.001}
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        f"mobilenet-v3-{arch}": MappingProxyType(
            {"arch": arch, "out_indices": out_indices, "norm_cfg": _NORM}
        )
        for arch, out_indices in (("large", (1, 3, 16)), ("small", (0, 1, 12)))
    }
)


class MobileNetV3(nn.Module):
    """A MobileNetV3 that stops shrinking its maps at `output_stride` and goes on by atrous rates.

    Parameters and their defaults are mmsegmentation's, but for `output_stride`: there it is always 8.

    Parameters
    ----------
    arch
        "large" or "small".
    out_indices
        Layers whose maps come out: 0 is the stem, then the blocks (15 or 11), then the 1×1 convolution.
    reduction_factor
        Divides the channels of the blocks at the architecture's stride 32 (section 6.4 of the paper).
    norm_cfg
        Norm of all convolutions.
    output_stride
        8, 16 or 32: a block that would exceed it keeps its input's size, and the atrous rate of its
        depthwise convolution and of all that follow doubles.
    """

    def __init__(
        self,
        *,
        arch: str = "small",
        norm_cfg: Config = BATCH_NORM,
        out_indices: Sequence[int] = (0, 1, 12),
        reduction_factor: int = 1,
        output_stride: int = 8,
    ) -> None:
        super().__init__()
        if arch not in DESIGNS:
            raise NetworkError(f"there is no MobileNetV3 {arch!r}; known: {', '.join(DESIGNS)}")
        blocks, last_channels = DESIGNS[arch]
        # Strides of the maps as published and as they are here.
        full = list(accumulate((block.stride for block in blocks), mul, initial=STEM_STRIDE))
        reached = [min(stride, _known_stride(output_stride)) for stride in full]
        shrink = [reduction_factor if stride == FULL_STRIDE else 1 for stride in full[1:]]
        widths = [STEM_CHANNELS, *(block.out_channels // s for block, s in zip(blocks, shrink, strict=True))]
        self.layer0 = SamePaddedConvNormAct(
            3, STEM_CHANNELS, 3, stride=STEM_STRIDE, norm=norm_cfg, activation=HSWISH
        )
        for i, block in enumerate(blocks):
            layer = InvertedResidualV3(
                widths[i],
                block.mid_channels // shrink[i],
                widths[i + 1],
                block.kernel_size,
                stride=reached[i + 1] // reached[i],
                dilation=full[i + 1] // reached[i + 1],
                squeeze=block.squeeze,
                # A block that lost its stride to an atrous rate gets no shortcut for it.
                shortcut=block.stride == 1 and widths[i] == widths[i + 1],
                norm=norm_cfg,
                activation=block.activation,
            )
            self.add_module(f"layer{i + 1}", layer)
        last = ConvNormAct(widths[-1], last_channels, 1, norm=norm_cfg, activation=HSWISH)
        self.add_module(f"layer{len(widths)}", last)
        widths.append(last_channels)
        reached.append(reached[-1])
        self.depth, self.out_indices = len(widths), tuple(out_indices)
        self.channels = tuple(widths[i] for i in self.out_indices)
        self.output_stride = reached[max(self.out_indices)]

    @staticmethod
    def at_output_stride(config: dict[str, Any], stride: int) -> dict[str, Any]:
        """Change the arguments so that the last map has this stride.

        Raises
        ------
        NetworkError
            A stride that can't be reached.
        """
        return {**config, "output_stride": _known_stride(stride)}

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(N, 3, H, W) → the feature maps of the layers in `out_indices`."""
        x = image
        maps = []
        for i in range(self.depth):
            x = self.get_submodule(f"layer{i}")(x)
            if i in self.out_indices:
                maps.append(x)
        return tuple(maps)


def _known_stride(stride: int) -> int:
    if stride not in (8, 16, 32):
        raise NetworkError(f"output stride {stride} can't be built; choose one of 8, 16, 32")
    return stride
