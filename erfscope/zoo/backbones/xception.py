"""The aligned Xception of DeepLabV3+ (arXiv 1802.02611, figure 4), after Xception (arXiv 1610.02357).

Unlike Chollet's network it is deeper, has strided separable convolutions in place of max pooling, so that
it can be run at any output stride by atrous rates, and norms between depthwise and pointwise.

Names follow TensorFlow's DeepLab: `entry_flow/block1/unit_1/xception_module/separable_conv1_depthwise`
is `entry_flow.block1.unit_1.separable_conv1_depthwise` here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from erfscope.errors import NetworkError
from erfscope.zoo.blocks import RELU, Config, ConvNormAct, check_output_stride

STEM_STRIDE = 2
STEM_CHANNELS = (32, 64)
#: With TensorFlow's guard against small variances.
BATCH_NORM: Config = {"type": "BN", "eps": 1e-3}

#: Width and full stride of each block of the entry flow.
_ENTRY: Mapping[int, tuple[tuple[int, int], ...]] = MappingProxyType(
    {
        65: ((128, 2), (256, 2), (728, 2)),
        71: ((128, 2), (256, 1), (256, 2), (728, 1), (728, 2)),
    }
)

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {f"xception{depth}": MappingProxyType({"depth": depth}) for depth in _ENTRY}
)


@dataclass(frozen=True)
class Block:
    """Units of the same widths.

    Attributes
    ----------
    name
        Flow and block, as submodules.
    widths
        After each of a unit's three separable convolutions.
    stride, rate
        Stride of the block's third separable convolution, and the atrous rate of all three.
    units
        How many, one after the other.
    shortcut
        "conv", "sum" or "none": what is added to the third separable convolution's output.
    """

    name: str
    widths: tuple[int, int, int]
    stride: int = 1
    rate: int = 1
    units: int = 1
    shortcut: str = "conv"


def plan_blocks(depth: int, output_stride: int) -> list[Block]:
    """Return all blocks; one whose stride would exceed `output_stride` keeps its size.

    The blocks after that one take over its stride as their rate.
    """
    blocks = [
        *(Block(f"entry_flow.block{i}", (width,) * 3, s) for i, (width, s) in enumerate(_ENTRY[depth], 1)),
        Block("middle_flow.block1", (728, 728, 728), units=16, shortcut="sum"),
        Block("exit_flow.block1", (728, 1024, 1024), 2),
        Block("exit_flow.block2", (1536, 1536, 2048), shortcut="none"),
    ]
    planned, stride, rate = [], STEM_STRIDE, 1
    for block in blocks:
        keeps_size = stride * block.stride > output_stride
        planned.append(replace(block, stride=1 if keeps_size else block.stride, rate=rate))
        if keeps_size:
            rate *= block.stride
        else:
            stride *= block.stride
    return planned


class XceptionUnit(nn.Module):
    """Three separable convolutions, the last of them strided, and perhaps a way around them.

    With a way around, a ReLU comes before each separable convolution; without, one follows each depthwise
    and each pointwise convolution.

    Parameters
    ----------
    in_channels
        Channels of the input.
    block
        The block that the unit is of.
    rates
        Atrous rate of each separable convolution.
    norm
        After each depthwise and each pointwise convolution.
    activate_depthwise
        A ReLU between depthwise and pointwise convolutions in any case.
    """

    def __init__(
        self,
        in_channels: int,
        block: Block,
        *,
        rates: Sequence[int],
        norm: Config,
        activate_depthwise: bool,
    ) -> None:
        super().__init__()
        self.has_way_around = block.shortcut != "none"
        after = None if self.has_way_around else RELU
        between = RELU if activate_depthwise else after
        before = in_channels
        for i, (width, rate) in enumerate(zip(block.widths, rates, strict=True), 1):
            stride = block.stride if i == 3 else 1
            depthwise = ConvNormAct(
                before, before, 3, stride=stride, dilation=rate, groups=before, norm=norm, activation=between
            )
            pointwise = ConvNormAct(before, width, 1, norm=norm, activation=after)
            self.add_module(f"separable_conv{i}_depthwise", depthwise)
            self.add_module(f"separable_conv{i}_pointwise", pointwise)
            before = width
        self.shortcut = (
            ConvNormAct(in_channels, before, 1, stride=block.stride, norm=norm, activation=None)
            if block.shortcut == "conv"
            else None
        )

    def begin(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) → what the second separable convolution makes of it, at the same size."""
        return self._separable_conv(2, self._separable_conv(1, x))

    def finish(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Unit's input, and what `begin` made of it → unit's output."""
        y = self._separable_conv(3, y)
        if not self.has_way_around:
            return y
        return y + (x if self.shortcut is None else self.shortcut(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) → (N, widths[2], h / stride, w / stride)."""
        return self.finish(x, self.begin(x))

    def _separable_conv(self, i: int, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(x) if self.has_way_around else x  # not in place: the way around reads x too
        y = self.get_submodule(f"separable_conv{i}_depthwise")(y)
        z: torch.Tensor = self.get_submodule(f"separable_conv{i}_pointwise")(y)
        return z


class Xception(nn.Module):
    """Entry, middle and exit flow; the last of the strides may be replaced by atrous rates.

    Returns two maps: what DeepLabV3+ takes as low-level features, 256 channels at stride 4, after the
    second separable convolution of the block that goes on to stride 8 and before its next ReLU; and the
    last map, 2048 channels.

    Parameters
    ----------
    depth
        65 or 71.
    output_stride
        8, 16 or 32.
    multi_grid
        Multiplies the rates of the last block's three separable convolutions, as (1, 2, 4) does.
    norm_cfg
        Norm of all convolutions.
    activate_depthwise
        A ReLU after the norm of every depthwise convolution, as the paper says. The networks that the
        authors published have it in the last block alone: False.
    """

    def __init__(
        self,
        depth: int,
        *,
        output_stride: int = 16,
        multi_grid: Sequence[int] = (1, 1, 1),
        norm_cfg: Config = BATCH_NORM,
        activate_depthwise: bool = True,
    ) -> None:
        super().__init__()
        if depth not in _ENTRY:
            raise NetworkError(f"there is no Xception-{depth}; known depths: {', '.join(map(str, _ENTRY))}")
        check_output_stride(output_stride)
        plan = plan_blocks(depth, output_stride)
        first, channels = STEM_CHANNELS
        self.entry_flow, self.middle_flow, self.exit_flow = nn.Sequential(), nn.Sequential(), nn.Sequential()
        self.entry_flow.add_module("conv1_1", ConvNormAct(3, first, 3, stride=STEM_STRIDE, norm=norm_cfg))
        self.entry_flow.add_module("conv1_2", ConvNormAct(first, channels, 3, norm=norm_cfg))
        for block in plan:
            flow, name = block.name.split(".")
            grid = multi_grid if block is plan[-1] else (1, 1, 1)
            units = nn.Sequential()
            for i in range(block.units):
                unit = XceptionUnit(
                    channels,
                    block,
                    rates=[block.rate * factor for factor in grid],
                    norm=norm_cfg,
                    activate_depthwise=activate_depthwise,
                )
                units.add_module(f"unit_{i + 1}", unit)
                channels = block.widths[-1]
            self.get_submodule(flow).add_module(name, units)
        self.steps = ["entry_flow.conv1_1", "entry_flow.conv1_2", *(block.name for block in plan)]
        to_stride_8 = [block for block in plan if block.stride == 2][1]
        self.low_level = to_stride_8.name
        self.channels = (to_stride_8.widths[1], channels)
        self.output_stride = output_stride

    @staticmethod
    def at_output_stride(config: dict[str, Any], stride: int) -> dict[str, Any]:
        """Change the arguments so that the last map has this stride.

        Raises
        ------
        NetworkError
            A stride that can't be reached.
        """
        check_output_stride(stride)
        return {**config, "output_stride": stride}

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(N, 3, H, W) → low-level features (N, 256, H / 4, W / 4) and the last map (N, 2048, h, w)."""
        x = low_level = image
        for step in self.steps:
            if step == self.low_level:
                unit: XceptionUnit = self.get_submodule(f"{step}.unit_1")  # type: ignore[assignment]
                low_level = unit.begin(x)
                x = unit.finish(x, low_level)
            else:
                x = self.get_submodule(step)(x)
        return low_level, x
