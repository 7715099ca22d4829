"""ResNet (arXiv 1512.03385) with atrous rates in place of strides, in the v1 and v1c variants.

v1 has the 7×7 stem and its stride in the 3×3 convolution, as torchvision and mmsegmentation build it;
v1c has three 3×3 convolutions as its stem (arXiv 1812.01187). Parameter names are mmsegmentation's,
which for v1 are torchvision's too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

STEM_STRIDE = 4


class BasicBlock(nn.Module):
    """Two 3×3 convolutions. Only the first is atrous, as in mmsegmentation."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, dilation, dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(y + shortcut, inplace=True)


class Bottleneck(nn.Module):
    """1×1, 3×3 (with the stride and the atrous rate), 1×1."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(y + shortcut, inplace=True)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
    )


@dataclass(frozen=True)
class ResNetDesign:
    """One depth: its block, the blocks in each of the four stages, and whether the stem is v1c's."""

    block: type[BasicBlock] | type[Bottleneck]
    depths: tuple[int, int, int, int]
    deep_stem: bool

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the four feature maps."""
        return tuple(64 * 2**stage * self.block.expansion for stage in range(4))


_DEPTHS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}

RESNETS = {
    f"resnet{depth}{suffix}": ResNetDesign(block, depths, deep_stem=bool(suffix))
    for depth, (block, depths) in _DEPTHS.items()
    for suffix in ("", "-v1c")
}


class ResNet(nn.Module):
    """A ResNet that keeps its last stages at `output_stride` by atrous rates.

    Parameters
    ----------
    design
        An entry of `RESNETS`.
    output_stride
        8, 16 or 32: a stage that would exceed it keeps its input's size and doubles the rate. Its first
        block keeps the rate of the stage before, as in torchvision and mmsegmentation.
    last_stage_rates
        The atrous rates of the last stage's blocks, one each, in place of the doubled rate (multi-grid).
    """

    def __init__(
        self, design: ResNetDesign, output_stride: int, last_stage_rates: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        if design.deep_stem:
            self.stem: nn.Sequential | None = _deep_stem()
        else:
            self.stem = None
            self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)

        channels, stride, rate = 64, STEM_STRIDE, 1
        for stage, depth in enumerate(design.depths):
            stage_stride, first_rate = (1 if stage == 0 else 2), rate
            if stride * stage_stride > output_stride:
                stage_stride, rate = 1, rate * 2
            stride *= stage_stride
            rates = (first_rate,) + (rate,) * (depth - 1)
            if stage == 3 and last_stage_rates is not None:
                rates = tuple(last_stage_rates)
            width = 64 * 2**stage
            blocks = []
            for i, block_rate in enumerate(rates):
                blocks.append(design.block(channels, width, stage_stride if i == 0 else 1, block_rate))
                channels = width * design.block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(N, 3, H, W) → four feature maps at strides 4 … output_stride."""
        x = F.relu(self.bn1(self.conv1(image)), inplace=True) if self.stem is None else self.stem(image)
        x = self.maxpool(x)
        features = []
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
            features.append(x)
        return tuple(features)


def last_stage_rate(output_stride: int) -> int:
    """Atrous rate of the last stage at an output stride: 4, 2, 1 at 8, 16, 32."""
    return 32 // output_stride


def _deep_stem() -> nn.Sequential:
    def unit(in_channels: int, out_channels: int, stride: int) -> list[nn.Module]:
        conv = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        return [conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]

    return nn.Sequential(*unit(3, 32, 2), *unit(32, 32, 1), *unit(32, 64, 1))
