"""The pieces that several networks share. Parameter names are mmsegmentation's."""

import torch
from torch import nn
from torch.nn import functional as F


class ConvNormAct(nn.Sequential):
    """Convolution without bias, batch norm, ReLU, under the names `conv`, `bn`, `activate`.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, dilation, groups
        As in `nn.Conv2d`.
    padding
        None keeps the size at stride 1: `dilation * (kernel_size // 2)`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int | None = None,
        dilation: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        if padding is None:
            padding = dilation * (kernel_size // 2)
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=False,
        )
        self.bn = nn.BatchNorm2d(out_channels)
        self.activate = nn.ReLU(inplace=True)


class DepthwiseSeparableConv(nn.Sequential):
    """A depthwise and a pointwise `ConvNormAct` (DeepLabV3+, arXiv 1802.02611, section 3.1)."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, dilation: int = 1) -> None:
        super().__init__()
        self.depthwise_conv = ConvNormAct(
            in_channels, in_channels, kernel_size, dilation=dilation, groups=in_channels
        )
        self.pointwise_conv = ConvNormAct(in_channels, out_channels, 1)


def resize_like(x: torch.Tensor, reference: torch.Tensor, *, align_corners: bool) -> torch.Tensor:
    """Resize (N, C, h, w) bilinearly to the height and width of `reference` (…, H, W)."""
    return F.interpolate(x, size=reference.shape[-2:], mode="bilinear", align_corners=align_corners)
