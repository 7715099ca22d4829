"""The multi-level feature aggregation of SETR-MLA (arXiv 2012.15840, section 3.3)."""

from collections.abc import Sequence

import torch
from torch import nn

from erfscope.zoo.blocks import TIGHT_LAYER_NORM, Config, ConvNormAct, make_norm


class MLAModule(nn.Module):
    """Projects maps of one size, adds each to the sum of all deeper ones, and convolves the sums."""

    def __init__(
        self, in_channels: Sequence[int], out_channels: int, norm: Config | None, activation: Config | None
    ) -> None:
        super().__init__()
        self.channel_proj = nn.ModuleList(
            ConvNormAct(width, out_channels, 1, norm=norm, activation=activation) for width in in_channels
        )
        self.feat_extract = nn.ModuleList(
            ConvNormAct(out_channels, out_channels, 3, norm=norm, activation=activation) for _ in in_channels
        )

    def forward(self, maps: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Take maps, shallowest first; return as many, deepest first."""
        projected = [project(x) for project, x in zip(self.channel_proj, maps, strict=True)]
        sums = [projected.pop()]
        while projected:
            sums.append(sums[-1] + projected.pop())
        return tuple(extract(x) for extract, x in zip(self.feat_extract, sums, strict=True))


class MLANeck(nn.Module):
    """A layer norm for each of a Vision Transformer's maps, then `MLAModule`.

    Parameters and their defaults are mmsegmentation's.

    Parameters
    ----------
    in_channels
        Channels of each map.
    out_channels
        Channels of all maps that come out.
    norm_layer
        Config of the norms over the channels of the maps that are read.
    norm_cfg, act_cfg
        Norm and activation of the convolutions; None for none.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        out_channels: int,
        norm_layer: Config = TIGHT_LAYER_NORM,
        norm_cfg: Config | None = None,
        act_cfg: Config | None = None,
    ) -> None:
        super().__init__()
        self.norm = nn.ModuleList(make_norm(norm_layer, width)[1] for width in in_channels)
        self.mla = MLAModule(in_channels, out_channels, norm_cfg, act_cfg)

    def forward(self, maps: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """(N, C, h, w) maps, shallowest first → as many (N, out_channels, h, w), deepest first."""
        normed = [
            norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) for norm, x in zip(self.norm, maps, strict=True)
        ]
        aggregated: tuple[torch.Tensor, ...] = self.mla(normed)
        return aggregated
