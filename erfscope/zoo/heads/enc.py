"""Context encoding network (arXiv 1803.08904): channels gated by a global code of the map."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from erfscope.zoo.blocks import BATCH_NORM, Config, ConvNormAct, make_norm, resize_like
from erfscope.zoo.heads.head import Head


class Encoding(nn.Module):
    """The encoding layer: residuals to learned codewords, summed over the map with soft assignment.

    Parameters
    ----------
    channels
        C, of the map and of the codewords.
    num_codes
        K, the number of codewords.
    """

    def __init__(self, channels: int, num_codes: int) -> None:
        super().__init__()
        self.codewords = nn.Parameter(torch.empty(num_codes, channels))
        self.scale = nn.Parameter(torch.empty(num_codes))

    @torch.no_grad()
    def initialize(self, generator: torch.Generator) -> None:
        """Codewords uniform within ±1 / √(K·C), smoothing factors uniform on [-1, 0), as the authors do."""
        bound = self.codewords.numel() ** -0.5
        self.codewords.uniform_(-bound, bound, generator=generator)
        self.scale.uniform_(-1.0, 0.0, generator=generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) → (N, K, C, 1), one column a codeword."""
        x = x.flatten(2)
        # |x - c|² = |x|² - 2 x·c + |c|², and Σ a (x - c) = Σ a x - c Σ a: no residual is ever held.
        sizes = x.pow(2).sum(1, keepdim=True), self.codewords.pow(2).sum(1, keepdim=True)
        distances = sizes[0] - 2 * (self.codewords @ x) + sizes[1]
        assignment = (self.scale.unsqueeze(1) * distances).softmax(1)
        residuals = assignment @ x.transpose(1, 2) - assignment.sum(2, keepdim=True) * self.codewords
        return residuals.unsqueeze(3)


class EncModule(nn.Module):
    """Encodes a map and gates its channels by the mean code; the map itself is added.

    Parameters
    ----------
    in_channels
        Channels of the map.
    num_codes
        Codewords.
    norm_cfg
        Norm of the projection; also of the codes, which without it have a batch norm.
    conv
        Makes convolutions with the head's norm and activation.
    """

    def __init__(
        self, in_channels: int, num_codes: int, norm_cfg: Config | None, conv: partial[ConvNormAct]
    ) -> None:
        super().__init__()
        self.encoding_project = conv(in_channels, in_channels, 1)
        _, norm = make_norm(norm_cfg or BATCH_NORM, num_codes)
        self.encoding = nn.Sequential(Encoding(in_channels, num_codes), norm, nn.ReLU(inplace=True))
        self.fc = nn.Sequential(nn.Linear(in_channels, in_channels), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, h, w) → the same shape."""
        code = self.encoding(self.encoding_project(x)).mean(1).flatten(1)
        gate = self.fc(code).unsqueeze(2).unsqueeze(3)
        return torch.relu(x + x * gate)


class EncHead(Head):
    """A 3×3 convolution of the last map, joined or not with the others, gated by its encoding.

    Parameters
    ----------
    in_channels
        Channels of the maps that are read; without `add_lateral` the last alone counts.
    num_codes
        Codewords of the encoding layer.
    use_se_loss
        Hold `se_layer`, which predicts from the code which classes are in the image, for a loss in
        training; it is held for the state dict and never run.
    add_lateral
        Join the maps before the last one.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        num_codes: int = 32,
        use_se_loss: bool = True,
        add_lateral: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, channels, input_transform="multiple_select", **options)
        self.bottleneck = self.conv(in_channels[-1], channels, 3)
        self.add_lateral = add_lateral
        if add_lateral:
            self.lateral_convs = nn.ModuleList(self.conv(width, channels, 1) for width in in_channels[:-1])
            self.fusion = self.conv(len(in_channels) * channels, channels, 3)
        self.enc_module = EncModule(channels, num_codes, self.norm_cfg, self.conv)
        if use_se_loss:
            self.se_layer = nn.Linear(channels, self.num_classes)

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps → (N, channels, h, w) at the size of the last map that is read."""
        *finer, last = self.select(maps)
        x = self.bottleneck(last)
        if self.add_lateral:
            laterals = (conv(y) for conv, y in zip(self.lateral_convs, finer, strict=True))
            resized = [resize_like(y, x, align_corners=self.align_corners) for y in laterals]
            x = self.fusion(torch.cat([x, *resized], dim=1))
        gated: torch.Tensor = self.enc_module(x)
        return gated
