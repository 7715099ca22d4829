"""U-Net (arXiv 1505.04597) as mmsegmentation builds it: padded convolutions, any number of stages.

Parameter names are mmsegmentation's.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from erfscope.errors import NetworkError
from erfscope.zoo.blocks import BATCH_NORM, RELU, Config, ConvNormAct, make_activation, make_norm, resize_like

INTERPOLATE: Config = {"type": "InterpConv"}

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"unet-s5-d16": MappingProxyType({"base_channels": 64, "num_stages": 5})}
)


class BasicConvBlock(nn.Module):
    """3×3 convolutions in a row, the first with the stride, the others with the atrous rate."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        num_convs: int,
        stride: int = 1,
        dilation: int = 1,
        norm: Config | None,
        activation: Config | None,
    ) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            *(
                ConvNormAct(
                    in_channels if i == 0 else out_channels,
                    out_channels,
                    3,
                    stride=stride if i == 0 else 1,
                    dilation=1 if i == 0 else dilation,
                    norm=norm,
                    activation=activation,
                )
                for i in range(num_convs)
            )
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, h, w) → (N, out_channels, h / stride, w / stride)."""
        y: torch.Tensor = self.convs(x)
        return y


class InterpConv(nn.Module):
    """Enlarges bilinearly, then reduces the channels by a 1×1 convolution."""

    def __init__(
        self, in_channels: int, out_channels: int, *, norm: Config | None, activation: Config | None
    ) -> None:
        super().__init__()
        # The first place is that of mmsegmentation's resizing, which here needs to know the skip's size.
        self.interp_upsample = nn.Sequential(
            nn.Identity(), ConvNormAct(in_channels, out_channels, 1, norm=norm, activation=activation)
        )

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, h, w) → (N, out_channels, H, W), the size of `skip`."""
        y: torch.Tensor = self.interp_upsample(resize_like(x, skip, align_corners=False))
        return y


class DeconvModule(nn.Module):
    """Doubles the size and reduces the channels by a transposed convolution of an even kernel size."""

    def __init__(
        self, in_channels: int, out_channels: int, *, norm: Config, activation: Config, kernel_size: int = 4
    ) -> None:
        super().__init__()
        if kernel_size < 2 or kernel_size % 2:
            raise NetworkError(f"a deconvolution by 2 needs an even kernel size, not {kernel_size}")
        self.deconv_upsamping = nn.Sequential(
            nn.ConvTranspose2d(in_channels, out_channels, kernel_size, 2, (kernel_size - 2) // 2),
            make_norm(norm, out_channels)[1],
            make_activation(activation),
        )

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, h, w) → (N, out_channels, H, W), the size of `skip`."""
        y: torch.Tensor = self.deconv_upsamping(x)
        return y if y.shape[-2:] == skip.shape[-2:] else resize_like(y, skip, align_corners=False)


class UpConvBlock(nn.Module):
    """Enlarges a map to the size of an encoder stage's, joins the two and convolves."""

    def __init__(self, conv_block: BasicConvBlock, upsample: InterpConv | DeconvModule | ConvNormAct) -> None:
        super().__init__()
        self.conv_block, self.upsample = conv_block, upsample

    def forward(self, skip: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Skip (N, C, H, W) and coarser map (N, 2 C, h, w) → (N, C, H, W)."""
        same_size = isinstance(self.upsample, ConvNormAct)
        upsampled = self.upsample(x) if same_size else self.upsample(x, skip)
        y: torch.Tensor = self.conv_block(torch.cat([skip, upsampled], dim=1))
        return y


class UNet(nn.Module):
    """An encoder that halves and a decoder that joins each of the encoder's maps again.

    Parameters and their defaults are mmsegmentation's. Unlike there, the image's sides need not be
    multiples of the output stride: an enlarged map takes the skip's size.

    The maps come out as in mmsegmentation, whose heads count on it: **coarsest first**, the encoder's last
    map and then the decoder's, so that with five stages map 4 is the one at the image's size. `channels`
    is in that order.

    Parameters
    ----------
    in_channels, base_channels
        Channels of the image, and of the first stage; each further one has twice as many.
    num_stages
        Number of stages of the encoder, which is the length of `strides`, `enc_num_convs` and
        `enc_dilations`; one more than that of `dec_num_convs`, `downsamples` and `dec_dilations`.
    strides
        Strides of each encoder stage's first convolution.
    enc_num_convs, dec_num_convs
        3×3 convolutions of each stage.
    downsamples
        Whether an encoder stage from the second on halves its input, by max pooling if its stride is 1.
    enc_dilations, dec_dilations
        Atrous rates of each stage, but for its first convolution.
    norm_cfg, act_cfg
        Norm and activation of all convolutions.
    upsample_cfg
        {"type": "InterpConv"} or {"type": "DeconvModule", "kernel_size": 4}.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        base_channels: int = 64,
        num_stages: int = 5,
        strides: Sequence[int] = (1, 1, 1, 1, 1),
        enc_num_convs: Sequence[int] = (2, 2, 2, 2, 2),
        dec_num_convs: Sequence[int] = (2, 2, 2, 2),
        downsamples: Sequence[bool] = (True, True, True, True),
        enc_dilations: Sequence[int] = (1, 1, 1, 1, 1),
        dec_dilations: Sequence[int] = (1, 1, 1, 1),
        norm_cfg: Config = BATCH_NORM,
        act_cfg: Config = RELU,
        upsample_cfg: Config = INTERPOLATE,
    ) -> None:
        super().__init__()
        lengths = {len(x) for x in (strides, enc_num_convs, enc_dilations)}
        lengths |= {len(x) + 1 for x in (dec_num_convs, downsamples, dec_dilations)}
        if lengths != {num_stages}:
            raise NetworkError(f"a U-Net of {num_stages} stages needs settings for each, and no more")
        block = partial(BasicConvBlock, norm=norm_cfg, activation=act_cfg)
        widths = [base_channels * 2**i for i in range(num_stages)]
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for i, width in enumerate(widths):
            before = in_channels if i == 0 else widths[i - 1]
            stage: list[nn.Module] = []
            if i > 0:
                if strides[i] == 1 and downsamples[i - 1]:
                    stage.append(nn.MaxPool2d(2))
                halves = strides[i] != 1 or downsamples[i - 1]
                upsample = _make_upsample(upsample_cfg if halves else None, width, before, norm_cfg, act_cfg)
                convs = block(
                    2 * before, before, num_convs=dec_num_convs[i - 1], dilation=dec_dilations[i - 1]
                )
                self.decoder.append(UpConvBlock(convs, upsample))
            stage.append(
                block(before, width, num_convs=enc_num_convs[i], stride=strides[i], dilation=enc_dilations[i])
            )
            self.encoder.append(nn.Sequential(*stage))
        self.channels = tuple(reversed(widths))
        self.output_stride = strides[0] * prod(
            stride if stride > 1 else 2 if halve else 1
            for stride, halve in zip(strides[1:], downsamples, strict=True)
        )

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(N, 3, H, W) → one map a stage, coarsest first; the last is (N, base_channels, H, W)."""
        x, skips = image, []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        maps = [x]
        for i in reversed(range(len(self.decoder))):
            x = self.decoder[i](skips[i], x)
            maps.append(x)
        return tuple(maps)


def _make_upsample(
    config: Config | None, in_channels: int, out_channels: int, norm: Config, activation: Config
) -> InterpConv | DeconvModule | ConvNormAct:
    if config is None:
        return ConvNormAct(in_channels, out_channels, 1, norm=norm, activation=activation)
    options = {key: value for key, value in config.items() if key != "type"}
    if config["type"] == "InterpConv":
        return InterpConv(in_channels, out_channels, norm=norm, activation=activation, **options)
    if config["type"] == "DeconvModule":
        return DeconvModule(in_channels, out_channels, norm=norm, activation=activation, **options)
    raise NetworkError(f"a U-Net is enlarged by InterpConv or DeconvModule, not by {config['type']!r}")
