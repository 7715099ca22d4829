"""Inverted residual blocks of MobileNetV2 (arXiv 1801.04381) and MobileNetV3 (arXiv 1905.02244).

A 1×1 convolution widens the map, a depthwise one looks around, a 1×1 convolution without activation
narrows it again. Parameter names are mmsegmentation's.
"""

import math
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from erfscope.zoo.blocks import BATCH_NORM, RELU, Config, ConvNormAct

RELU6: Config = {"type": "ReLU6"}


def round_channels(channels: float, divisor: int = 8) -> int:
    """Return the multiple of `divisor` nearest to `channels`, at least one and not more than 10 % below."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


class SamePaddedConvNormAct(ConvNormAct):
    """A `ConvNormAct` padded as TensorFlow's "SAME": the output has ⌈size / stride⌉ cells.

    Where the padding is an odd number of cells, bottom and right get the one more, so that on even sizes
    the taps lie half a stride further down and right than with symmetric padding.

    Parameters
    ----------
    kernel_size, stride, groups, norm, activation
        As of `ConvNormAct`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int,
        groups: int = 1,
        norm: Config | None = BATCH_NORM,
        activation: Config | None = RELU,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=0,
            groups=groups,
            norm=norm,
            activation=activation,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) → (N, out_channels, ⌈h / stride⌉, ⌈w / stride⌉)."""
        kernel_size, stride = self.conv.kernel_size[0], self.conv.stride[0]
        height, width = (
            max((math.ceil(size / stride) - 1) * stride + kernel_size - size, 0) for size in x.shape[-2:]
        )
        x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        y: torch.Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return y


class SqueezeExcitation(nn.Module):
    """A map times a gate for each channel, computed from the channels' means (arXiv 1709.01507).

    The gate is a hard sigmoid, as in MobileNetV3. Every output reads the whole map through it.

    Parameters
    ----------
    ratio
        Ratio of the map's channels to those of the gate's hidden layer.
    """

    def __init__(self, channels: int, ratio: int = 4) -> None:
        super().__init__()
        squeezed = round_channels(channels // ratio)
        self.global_avgpool = nn.AdaptiveAvgPool2d(1)
        self.conv1 = ConvNormAct(channels, squeezed, 1, norm=None)
        self.conv2 = ConvNormAct(squeezed, channels, 1, norm=None, activation=None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) → (N, C, h, w)."""
        return x * F.hardsigmoid(self.conv2(self.conv1(self.global_avgpool(x))))


class InvertedResidual(nn.Module):
    """MobileNetV2's block (arXiv 1801.04381, figure 4); a shortcut where the shape stays.

    Parameters
    ----------
    stride, dilation
        Stride and atrous rate of the depthwise convolution.
    expand_ratio
        Ratio of the widened map's channels to `in_channels`; 1: no widening convolution.
    norm, activation
        Configs.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int,
        expand_ratio: int,
        dilation: int = 1,
        norm: Config | None = BATCH_NORM,
        activation: Config | None = RELU6,
    ) -> None:
        super().__init__()
        width = in_channels * expand_ratio
        conv = partial(ConvNormAct, norm=norm, activation=activation)
        expand = [conv(in_channels, width, 1)] if expand_ratio != 1 else []
        self.conv = nn.Sequential(
            *expand,
            conv(width, width, 3, stride=stride, dilation=dilation, groups=width),
            ConvNormAct(width, out_channels, 1, norm=norm, activation=None),
        )
        self.has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, h, w) → (N, out_channels, ⌈h / stride⌉, ⌈w / stride⌉)."""
        y: torch.Tensor = self.conv(x)
        return x + y if self.has_shortcut else y


class InvertedResidualV3(nn.Module):
    """MobileNetV3's block (arXiv 1905.02244, figure 4): other kernels, a gate, TensorFlow's padding.

    Parameters
    ----------
    mid_channels
        Channels of the widened map; where it is `in_channels`, there is no widening convolution.
    kernel_size, stride, dilation
        Parameters of the depthwise convolution; at stride 2 it is padded as TensorFlow does it.
    squeeze
        Gate the widened map by `SqueezeExcitation`.
    shortcut
        Add what came in.
    """

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        squeeze: bool = False,
        shortcut: bool = False,
        norm: Config | None = BATCH_NORM,
        activation: Config | None = RELU,
    ) -> None:
        super().__init__()
        self.expand_conv = (
            ConvNormAct(in_channels, mid_channels, 1, norm=norm, activation=activation)
            if mid_channels != in_channels
            else None
        )
        depthwise = (
            partial(SamePaddedConvNormAct, stride=stride)
            if stride > 1
            else partial(ConvNormAct, dilation=dilation)
        )
        self.depthwise_conv = depthwise(
            mid_channels, mid_channels, kernel_size, groups=mid_channels, norm=norm, activation=activation
        )
        self.se = SqueezeExcitation(mid_channels) if squeeze else None
        self.linear_conv = ConvNormAct(mid_channels, out_channels, 1, norm=norm, activation=None)
        self.has_shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, h, w) → (N, out_channels, ⌈h / stride⌉, ⌈w / stride⌉)."""
        y: torch.Tensor = x if self.expand_conv is None else self.expand_conv(x)
        y = self.depthwise_conv(y)
        if self.se is not None:
            y = self.se(y)
        y = self.linear_conv(y)
        return x + y if self.has_shortcut else y
