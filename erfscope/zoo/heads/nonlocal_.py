"""Non-local networks (arXiv 1711.07971): every position reads every other one."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from erfscope.errors import NetworkError
from erfscope.zoo.blocks import Config, ConvNormAct
from erfscope.zoo.heads.fcn import FCNHead
from erfscope.zoo.heads.self_attention import attend

MODES = ("embedded_gaussian", "gaussian", "dot_product", "concatenation")


class NonLocal2d(nn.Module):
    """The non-local block: a map plus a projection of its context. Names are mmcv's.

    Parameters
    ----------
    in_channels
        Channels of the map.
    reduction
        By which the projections to query, key and value have fewer channels.
    use_scale
        Scale the products of "embedded_gaussian" by 1 / √channels.
    norm_cfg
        Norm of the output projection alone.
    mode
        How the weight of one position for another is made: "embedded_gaussian", the softmax of the
        product of projections; "gaussian", of the map itself; "dot_product", the product itself over the
        number of positions; "concatenation", a linear form of both projections, rectified, over that
        number.

    Raises
    ------
    NetworkError
        Another mode.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        reduction: int = 2,
        use_scale: bool = True,
        norm_cfg: Config | None = None,
        mode: str = "embedded_gaussian",
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise NetworkError(f"non-local mode {mode!r} is not known; known: {', '.join(MODES)}")
        self.use_scale, self.mode = use_scale, mode
        inner = max(in_channels // reduction, 1)
        self.g = ConvNormAct(in_channels, inner, 1, norm=None, activation=None)
        self.conv_out = ConvNormAct(inner, in_channels, 1, norm=norm_cfg, activation=None)
        if mode != "gaussian":
            self.theta = ConvNormAct(in_channels, inner, 1, norm=None, activation=None)
            self.phi = ConvNormAct(in_channels, inner, 1, norm=None, activation=None)
        if mode == "concatenation":
            self.concat_project = ConvNormAct(2 * inner, 1, 1, bias=False, norm=None)

    def context(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, h, w) → the weighted sum over all positions, (N, inner, h, w)."""
        value: torch.Tensor = self.g(x)
        if self.mode == "gaussian":
            return attend(x, x, value, scale=1.0)
        query, key = self.theta(x), self.phi(x)
        if self.mode == "embedded_gaussian":
            return attend(query, key, value, scale=None if self.use_scale else 1.0)
        positions = x.shape[2] * x.shape[3]
        values = value.flatten(2).transpose(1, 2)
        if self.mode == "dot_product":
            # Keys and values first: without a softmax, no weight of a pair of positions is needed.
            shared = key.flatten(2) @ values / positions
            context: torch.Tensor = query.flatten(2).transpose(1, 2) @ shared
        else:
            # A linear form of two joined vectors is the sum of two; the joined ones would be huge.
            by_query, by_key = self.concat_project.conv.weight.chunk(2, dim=1)
            of_query = (query * by_query).sum(1).flatten(1).unsqueeze(2)
            of_key = (key * by_key).sum(1).flatten(1).unsqueeze(1)
            context = torch.relu(of_query + of_key) @ values / positions
        return context.transpose(1, 2).reshape(value.shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, h, w) → the same shape."""
        added: torch.Tensor = x + self.conv_out(self.context(x))
        return added


class NLHead(FCNHead):
    """The FCN head with a non-local block between its two convolutions.

    Parameters
    ----------
    reduction, use_scale, mode
        Arguments of the `NonLocal2d`.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        channels: int,
        *,
        reduction: int = 2,
        use_scale: bool = True,
        mode: str = "embedded_gaussian",
        **options: Any,
    ) -> None:
        super().__init__(in_channels, channels, num_convs=2, **options)
        self.nl_block = NonLocal2d(
            channels, reduction=reduction, use_scale=use_scale, norm_cfg=self.norm_cfg, mode=mode
        )

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps → (N, channels, h, w) at the size of the map that is read."""
        x: torch.Tensor = self.select(maps)
        y: torch.Tensor = self.convs[1](self.nl_block(self.convs[0](x)))
        return y if self.conv_cat is None else self.conv_cat(torch.cat([x, y], dim=1))
