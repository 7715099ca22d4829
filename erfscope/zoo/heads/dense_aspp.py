"""DenseASPP (Yang et al., CVPR 2018): atrous convolutions of growing rates, densely connected."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from erfscope.zoo.blocks import BATCH_NORM, RELU, Config, ConvNormAct, make_activation, make_norm
from erfscope.zoo.heads.head import Head

RATES = (3, 6, 12, 18, 24)


class DenseASPPLayer(nn.Sequential):
    """Norm, ReLU and 1×1 convolution; norm, ReLU and atrous 3×3 convolution: the order of the authors' code.

    Parameters
    ----------
    in_channels, bottleneck, growth
        Channels of the input, between the two convolutions, and of the output.
    rate
        Atrous rate of the 3×3 convolution.
    norm, activation
        Before each convolution.
    drop_rate
        Dropout rate of the output's channels.
    starts_normed
        Whether the input has had its norm and activation.
    """

    def __init__(
        self,
        in_channels: int,
        bottleneck: int,
        growth: int,
        *,
        rate: int,
        norm: Config,
        activation: Config,
        drop_rate: float,
        starts_normed: bool,
    ) -> None:
        super().__init__()
        if not starts_normed:
            self.norm1 = make_norm(norm, in_channels)[1]
            self.activate1 = make_activation(activation)
        # Biases and all: the authors' convolutions have them although no norm follows the second.
        self.conv1 = ConvNormAct(in_channels, bottleneck, 1, bias=True, norm=norm, activation=activation)
        self.conv2 = nn.Conv2d(bottleneck, growth, 3, padding=rate, dilation=rate)
        self.dropout = nn.Dropout2d(drop_rate)


class DenseASPPHead(Head):
    """A 1×1 convolution, then atrous layers each of which reads that and the output of all before it.

    All those maps are classified, `channels` + number of rates × `growth`. Over DenseNet the authors halve
    the channels by the 1×1 convolution.

    Parameters
    ----------
    in_channels
        Channels of the map that is read.
    channels
        After the 1×1 convolution.
    dilations
        Atrous rate of each layer.
    bottleneck
        Width between a layer's two convolutions: half of `channels` in the paper. The authors' code has
        128 over DenseNet-121 and 512 over DenseNet-161.
    growth
        Channels that each layer adds: an eighth of `channels` in the paper. The authors' code has 64 and
        128.
    layer_dropout
        Dropout of each layer's output.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 512,
        *,
        dilations: Sequence[int] = RATES,
        bottleneck: int = 256,
        growth: int = 64,
        layer_dropout: float = 0.1,
        norm_cfg: Config = BATCH_NORM,
        act_cfg: Config = RELU,
        **options: Any,
    ) -> None:
        joined = channels + len(dilations) * growth
        super().__init__(in_channels, joined, norm_cfg=norm_cfg, act_cfg=act_cfg, **options)
        self.rates = tuple(dilations)
        self.reduce = self.conv(in_channels, channels, 1)
        self.layers = nn.ModuleList(
            DenseASPPLayer(
                channels + i * growth,
                bottleneck,
                growth,
                rate=rate,
                norm=norm_cfg,
                activation=act_cfg,
                drop_rate=layer_dropout,
                starts_normed=i == 0,
            )
            for i, rate in enumerate(dilations)
        )

    @staticmethod
    def with_rates(config: dict[str, Any], rates: tuple[int, ...]) -> dict[str, Any]:
        """Change the arguments to these rates, one layer each."""
        return {**config, "dilations": rates}

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps → (N, channels + number of rates × growth, h, w)."""
        x: torch.Tensor = self.reduce(self.select(maps))
        for layer in self.layers:
            x = torch.cat([layer(x), x], dim=1)
        return x
