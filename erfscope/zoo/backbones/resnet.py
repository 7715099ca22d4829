"""ResNet (arXiv 1512.03385) with atrous rates in place of strides, in five variants.

v1 has its strides in the 1×1 convolutions, as first published; v1b, here without a suffix, in the 3×3
ones, as torchvision has it; v1c has three 3×3 convolutions as its stem besides, v1d averages before its
shortcuts (both arXiv 1812.01187), and beta is v1c with DeepLab's wider stem. Parameter names are
mmsegmentation's, which for v1b are torchvision's too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from erfscope.errors import NetworkError
from erfscope.zoo.blocks import BATCH_NORM, Config, check_output_stride, make_norm

STEM_STRIDE = 4


@dataclass(frozen=True)
class BlockStyle:
    """What all blocks of a network share: where the stride is, how shortcuts shrink, which norm."""

    stride_first: bool = False
    average_shortcut: bool = False
    norm: Config = field(default_factory=lambda: BATCH_NORM)

    def make_norm(self, channels: int) -> nn.Module:
        """Return the norm that follows a convolution of so many channels."""
        return make_norm(self.norm, channels)[1]

    def make_shortcut(self, in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
        """Return the way around a block; None where nothing has to change."""
        if stride == 1 and in_channels == out_channels:
            return None
        layers: list[nn.Module] = []
        if self.average_shortcut:
            layers.append(nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False))
        conv_stride = 1 if self.average_shortcut else stride
        layers.append(nn.Conv2d(in_channels, out_channels, 1, conv_stride, bias=False))
        return nn.Sequential(*layers, self.make_norm(out_channels))


_PLAIN = BlockStyle()


class BasicBlock(nn.Module):
    """Two 3×3 convolutions. Only the first is atrous, as in mmsegmentation."""

    expansion = 1

    def __init__(
        self, in_channels: int, width: int, stride: int, dilation: int, style: BlockStyle = _PLAIN
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, dilation, dilation, bias=False)
        self.bn1 = style.make_norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = style.make_norm(width)
        self.downsample = style.make_shortcut(in_channels, width, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(y + shortcut, inplace=True)


class Bottleneck(nn.Module):
    """1×1, 3×3 (with the atrous rate), 1×1."""

    expansion = 4

    def __init__(
        self, in_channels: int, width: int, stride: int, dilation: int, style: BlockStyle = _PLAIN
    ) -> None:
        super().__init__()
        out_channels = width * self.expansion
        strides = (stride, 1) if style.stride_first else (1, stride)
        self.conv1 = nn.Conv2d(in_channels, width, 1, strides[0], bias=False)
        self.bn1 = style.make_norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, strides[1], dilation, dilation, bias=False)
        self.bn2 = style.make_norm(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = style.make_norm(out_channels)
        self.downsample = style.make_shortcut(in_channels, out_channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(y + shortcut, inplace=True)


Depths = tuple[int, int, int, int]
DEPTHS: Mapping[int, tuple[type[BasicBlock] | type[Bottleneck], Depths]] = MappingProxyType(
    {
        18: (BasicBlock, (2, 2, 2, 2)),
        34: (BasicBlock, (3, 4, 6, 3)),
        50: (Bottleneck, (3, 4, 6, 3)),
        101: (Bottleneck, (3, 4, 23, 3)),
        152: (Bottleneck, (3, 8, 36, 3)),
    }
)
# Narrow, ends at stride 8, and reaches 49 px each way: for experiments in which the head alone sees far.
_SMALL = {
    "base_channels": 32,
    "stem_channels": 32,
    "num_stages": 2,
    "strides": (1, 2),
    "dilations": (1, 1),
    "out_indices": (0, 1),
}
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "resnet18-small": MappingProxyType({"depth": 18, **_SMALL}),
    }
    | {
        f"resnet{depth}{suffix}": MappingProxyType({"depth": depth, **variant})
        for depth in DEPTHS
        for suffix, variant in (
            ("", {}),
            ("-v1", {"style": "caffe"}),
            ("-v1c", {"deep_stem": True}),
            ("-v1d", {"deep_stem": True, "avg_down": True}),
            ("-beta", {"deep_stem": True, "stem_channels": 128}),
        )
    }
)


class ResNet(nn.Module):
    """A ResNet whose last stages may keep their size by atrous rates.

    Parameters and their defaults are mmsegmentation's.

    Parameters
    ----------
    depth
        18, 34, 50, 101 or 152.
    in_channels, stem_channels, base_channels
        Channels of the image, after the stem, and of the first stage's narrow convolutions.
    strides, dilations
        Stride and atrous rate of each stage.
    out_indices
        Stages whose maps come out.
    style
        "pytorch" has a bottleneck's stride in its 3×3 convolution, "caffe" in its first.
    deep_stem, avg_down
        Deep stem and average-pooling shortcuts, of the variants v1c and v1d.
    multi_grid
        Atrous rates of the last stage's blocks, one each, in place of its own rate.
    contract_dilation
        Half the rate in an atrous stage's first block, as in the map that it reads.
    """

    def __init__(
        self,
        depth: int,
        *,
        in_channels: int = 3,
        stem_channels: int = 64,
        base_channels: int = 64,
        num_stages: int = 4,
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        style: str = "pytorch",
        deep_stem: bool = False,
        avg_down: bool = False,
        norm_cfg: Config = BATCH_NORM,
        multi_grid: Sequence[int] | None = None,
        contract_dilation: bool = False,
    ) -> None:
        super().__init__()
        if depth not in DEPTHS:
            raise NetworkError(f"there is no ResNet-{depth}; known depths: {', '.join(map(str, DEPTHS))}")
        block, depths = DEPTHS[depth]
        blocks = BlockStyle(stride_first=style == "caffe", average_shortcut=avg_down, norm=norm_cfg)
        if deep_stem:
            self.stem: nn.Sequential | None = _deep_stem(in_channels, stem_channels, blocks)
        else:
            self.stem = None
            self.conv1 = nn.Conv2d(in_channels, stem_channels, 7, 2, 3, bias=False)
            self.bn1 = blocks.make_norm(stem_channels)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = stem_channels
        for stage in range(num_stages):
            rates = _block_rates(dilations[stage], depths[stage], contract=contract_dilation)
            if multi_grid is not None and stage == num_stages - 1:
                rates = tuple(multi_grid)
            layers = []
            for i, rate in enumerate(rates):
                stride = strides[stage] if i == 0 else 1
                layers.append(block(channels, base_channels * 2**stage, stride, rate, blocks))
                channels = base_channels * 2**stage * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.num_stages, self.out_indices = num_stages, tuple(out_indices)
        self.channels = tuple(base_channels * 2**stage * block.expansion for stage in self.out_indices)
        self.output_stride = _output_stride(strides[: max(self.out_indices) + 1])

    @staticmethod
    def at_output_stride(config: dict[str, Any], stride: int) -> dict[str, Any]:
        """Change the arguments so that the last map has this stride: each stride less doubles the rates.

        Raises
        ------
        NetworkError
            A stride that can't be reached.
        """
        check_output_stride(stride)
        strides = list(config.get("strides", (1, 2, 2, 2)))
        rates = list(config.get("dilations", (1, 1, 1, 1)))
        before = rates[-1]
        while (now := _output_stride(strides)) != stride:
            if now > stride:
                at = max((i for i, s in enumerate(strides) if s == 2 and i > 1), default=None)
            else:
                at = next((i for i, s in enumerate(strides) if s == 1 and rates[i] > 1), None)
            if at is None:
                raise NetworkError(f"this ResNet can't be brought from output stride {now} to {stride}")
            strides[at] = 1 if now > stride else 2
            rates[at:] = [rate * 2 if now > stride else rate // 2 for rate in rates[at:]]
        changed = {**config, "strides": tuple(strides), "dilations": tuple(rates), "contract_dilation": True}
        if config.get("multi_grid") is not None:
            changed["multi_grid"] = tuple(max(rate * rates[-1] // before, 1) for rate in config["multi_grid"])
        return changed

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(N, 3, H, W) → the feature maps of the stages in `out_indices`."""
        x = F.relu(self.bn1(self.conv1(image)), inplace=True) if self.stem is None else self.stem(image)
        x = self.maxpool(x)
        maps = []
        for stage in range(self.num_stages):
            x = self.get_submodule(f"layer{stage + 1}")(x)
            if stage in self.out_indices:
                maps.append(x)
        return tuple(maps)


def _block_rates(rate: int, depth: int, *, contract: bool) -> tuple[int, ...]:
    first = rate // 2 if contract and rate > 1 else rate
    return first, *((rate,) * (depth - 1))


def _output_stride(strides: Sequence[int]) -> int:
    stride = STEM_STRIDE
    for factor in strides:
        stride *= factor
    return stride


def _deep_stem(in_channels: int, out_channels: int, blocks: BlockStyle) -> nn.Sequential:
    def unit(before: int, after: int, stride: int) -> list[nn.Module]:
        conv = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        return [conv, blocks.make_norm(after), nn.ReLU(inplace=True)]

    half = out_channels // 2
    return nn.Sequential(*unit(in_channels, half, 2), *unit(half, half, 1), *unit(half, out_channels, 1))
