"""DenseNet (arXiv 1608.06993) with atrous rates in place of the last poolings, by torchvision's names."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from erfscope.zoo.blocks import check_output_stride

STEM_STRIDE = 4

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        f"densenet{depth}": MappingProxyType(
            {"growth_rate": growth, "block_config": layers, "num_init_features": 2 * growth}
        )
        for depth, growth, layers in (
            (121, 32, (6, 12, 24, 16)),
            (161, 48, (6, 12, 36, 24)),
            (169, 32, (6, 12, 32, 32)),
            (201, 32, (6, 12, 48, 32)),
        )
    }
)


class DenseLayer(nn.Module):
    """Norm, ReLU and 1×1 convolution, then norm, ReLU and 3×3 convolution with the atrous rate."""

    def __init__(self, in_channels: int, growth: int, bottleneck: int, rate: int, drop_rate: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, bottleneck, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(bottleneck)
        self.conv2 = nn.Conv2d(bottleneck, growth, 3, padding=rate, dilation=rate, bias=False)
        self.dropout = nn.Dropout(drop_rate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, h, w) → (N, growth, h, w)."""
        y = self.conv1(F.relu(self.norm1(x), inplace=True))
        y = self.conv2(F.relu(self.norm2(y), inplace=True))
        new: torch.Tensor = self.dropout(y)
        return new


class DenseBlock(nn.Module):
    """Layers each of which reads the block's input and what all layers before it made."""

    def __init__(
        self, in_channels: int, depth: int, growth: int, bn_size: int, rate: int, drop_rate: float
    ) -> None:
        super().__init__()
        for i in range(depth):
            layer = DenseLayer(in_channels + i * growth, growth, bn_size * growth, rate, drop_rate)
            self.add_module(f"denselayer{i + 1}", layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, h, w) → (N, in_channels + depth × growth, h, w)."""
        for layer in self.children():
            x = torch.cat([x, layer(x)], dim=1)
        return x


class Transition(nn.Module):
    """Norm, ReLU and 1×1 convolution to half the channels; then pooling, unless traded for a rate."""

    def __init__(self, in_channels: int, *, pools: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.conv = nn.Conv2d(in_channels, in_channels // 2, 1, bias=False)
        self.pool = nn.AvgPool2d(2) if pools else nn.Identity()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, C, h, w) → the normed map (N, C, h, w) and the next block's input (N, C / 2, …)."""
        normed = F.relu(self.norm(x), inplace=True)
        return normed, self.pool(self.conv(normed))


class DenseNet(nn.Module):
    """A DenseNet; the last of its poolings may be replaced by atrous rates, as in DenseASPP.

    Returns four maps, each block's output after norm and ReLU, at strides 4 … `output_stride`. Parameter
    names are torchvision's; its classifier isn't here.

    Parameters
    ----------
    growth_rate
        Channels that each layer adds.
    block_config
        Layers of each block.
    num_init_features
        Channels after the stem.
    bn_size
        Width of a layer's 1×1 convolution, in growth rates.
    drop_rate
        Dropout of each layer.
    output_stride
        8, 16 or 32.
    """

    #: Every layer reads all before it: by fan out, the untrained last ones would dwarf the others.
    kaiming_mode = "fan_in"

    def __init__(
        self,
        *,
        growth_rate: int = 32,
        block_config: Sequence[int] = (6, 12, 24, 16),
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0.0,
        output_stride: int = 32,
    ) -> None:
        super().__init__()
        check_output_stride(output_stride)
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(3, num_init_features, 7, 2, 3, bias=False))
        self.features.add_module("norm0", nn.BatchNorm2d(num_init_features))
        self.pool0 = nn.MaxPool2d(3, 2, 1)
        before, stride, rate, channels = num_init_features, STEM_STRIDE, 1, []
        for i, depth in enumerate(block_config, 1):
            block = DenseBlock(before, depth, growth_rate, bn_size, rate, drop_rate)
            self.features.add_module(f"denseblock{i}", block)
            channels.append(before + depth * growth_rate)
            if i < len(block_config):
                pools = stride < output_stride
                self.features.add_module(f"transition{i}", Transition(channels[-1], pools=pools))
                before = channels[-1] // 2
                stride, rate = (stride * 2, rate) if pools else (stride, rate * 2)
        self.features.add_module("norm5", nn.BatchNorm2d(channels[-1]))
        self.channels, self.output_stride = tuple(channels), stride

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
        """(N, 3, H, W) → the blocks' normed maps, finest first."""
        part = self.features.get_submodule
        x = F.relu(part("norm0")(part("conv0")(image)), inplace=True)
        x = self.pool0(x)
        maps = []
        for i in range(1, len(self.channels)):
            normed, x = part(f"transition{i}")(part(f"denseblock{i}")(x))
            maps.append(normed)
        x = part(f"denseblock{len(self.channels)}")(x)
        return *maps, F.relu(part("norm5")(x), inplace=True)
