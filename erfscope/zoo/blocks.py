"""The pieces that several networks share. Parameter names are mmsegmentation's."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from erfscope.errors import NetworkError

#: How a part says what norm or activation it takes: {"type": "BN", "eps": 1e-3}, as in mmsegmentation.
Config = Mapping[str, Any]

BATCH_NORM: Config = {"type": "BN"}
LAYER_NORM: Config = {"type": "LN"}
#: As the transformers' authors have it.
TIGHT_LAYER_NORM: Config = {"type": "LN", "eps": 1e-6}
RELU: Config = {"type": "ReLU"}
GELU: Config = {"type": "GELU"}

#: Output strides that a backbone can be brought to by atrous rates.
OUTPUT_STRIDES = (8, 16, 32)

# Of a norm's config: what only training reads.
_TRAINING_ONLY = {"type", "requires_grad"}
_BATCH_NORMS = ("BN", "BN2d", "SyncBN", "MMSyncBN")
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "ReLU": lambda: nn.ReLU(inplace=True),
    "ReLU6": lambda: nn.ReLU6(inplace=True),
    "LeakyReLU": lambda: nn.LeakyReLU(inplace=True),
    "HSwish": lambda: nn.Hardswish(inplace=True),
    "GELU": nn.GELU,
    "Sigmoid": nn.Sigmoid,
}


def check_output_stride(stride: int) -> None:
    """Raise `NetworkError` for a stride that no backbone is built for."""
    if stride not in OUTPUT_STRIDES:
        raise NetworkError(f"output stride {stride} can't be built; choose one of 8, 16, 32")


def make_norm(config: Config, channels: int) -> tuple[str, nn.Module]:
    """Return a norm over channels and the name under which mmsegmentation registers it.

    Raises
    ------
    NetworkError
        A kind of norm that isn't known.
    """
    kind = config["type"]
    options = {key: value for key, value in config.items() if key not in _TRAINING_ONLY}
    if kind in _BATCH_NORMS:
        return "bn", nn.BatchNorm2d(channels, **options)
    if kind == "LN":
        return "ln", nn.LayerNorm(channels, **options)
    raise NetworkError(f"norm {kind!r} is not known; known: {', '.join(_BATCH_NORMS)}, LN")


def make_activation(config: Config) -> nn.Module:
    """Return an activation; `NetworkError` for a kind that isn't known."""
    make = _ACTIVATIONS.get(config["type"])
    if make is None:
        raise NetworkError(f"activation {config['type']!r} is not known; known: {', '.join(_ACTIVATIONS)}")
    return make()


class ConvNormAct(nn.Sequential):
    """Convolution, norm and activation, under the names `conv`, `bn` (or the norm's own), `activate`.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, dilation, groups
        As in `nn.Conv2d`.
    padding
        None keeps the size at stride 1: `dilation * (kernel_size // 2)`.
    bias
        Bias of the convolution; None: only where no norm follows.
    norm, activation
        Configs, or None for none.
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
        bias: bool | None = None,
        norm: Config | None = BATCH_NORM,
        activation: Config | None = RELU,
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
            bias=norm is None if bias is None else bias,
        )
        if norm is not None:
            self.add_module(*make_norm(norm, out_channels))
        if activation is not None:
            self.activate = make_activation(activation)


class DepthwiseSeparableConv(nn.Sequential):
    """A depthwise and a pointwise `ConvNormAct` (DeepLabV3+, arXiv 1802.02611, section 3.1)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        dilation: int = 1,
        norm: Config | None = BATCH_NORM,
        activation: Config | None = RELU,
    ) -> None:
        super().__init__()
        conv = partial(ConvNormAct, norm=norm, activation=activation)
        self.depthwise_conv = conv(
            in_channels, in_channels, kernel_size, dilation=dilation, groups=in_channels
        )
        self.pointwise_conv = conv(in_channels, out_channels, 1)


def resize_like(x: torch.Tensor, reference: torch.Tensor, *, align_corners: bool) -> torch.Tensor:
    """Resize (N, C, h, w) bilinearly to the height and width of `reference` (…, H, W)."""
    return F.interpolate(x, size=reference.shape[-2:], mode="bilinear", align_corners=align_corners)
