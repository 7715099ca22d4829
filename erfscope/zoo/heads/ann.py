"""Asymmetric non-local network (arXiv 1908.07678): attention to a pyramid of pooled keys and values."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from erfscope.errors import NetworkError
from erfscope.zoo.blocks import ConvNormAct
from erfscope.zoo.heads.head import Head
from erfscope.zoo.heads.self_attention import SelfAttentionBlock

POOL_SCALES = (1, 3, 6, 8)


class PyramidSampling(nn.ModuleList):
    """A map pooled to several sizes, all their cells in one row.

    Parameters
    ----------
    pool_scales
        Sides of the pooled maps, cells.
    """

    def __init__(self, pool_scales: Sequence[int]) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(bins) for bins in pool_scales)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) → (N, C, Σ bins²)."""
        return torch.cat([pool(x).flatten(2) for pool in self], dim=2)


class AsymmetricBlock(nn.Module):
    """Context of one map in another (AFNB) or in itself (APNB), joined with it by a 1×1 convolution.

    Parameters
    ----------
    low_channels, high_channels
        Channels of the map with the keys and values, and of that with the queries.
    channels, out_channels
        Channels of the projections, and of the result.
    query_scales
        One attention for each; their contexts are summed. Only scale 1: for coarser queries
        mmsegmentation has no way back to the map's size.
    key_pool_scales
        Sides of the pooled key and value maps, cells.
    shared
        Whether keys and queries have one projection.
    conv
        Makes convolutions with the head's norm and activation.
    activated
        Whether the joining convolution has an activation.

    Raises
    ------
    NetworkError
        A query scale other than 1.
    """

    def __init__(
        self,
        low_channels: int,
        high_channels: int,
        channels: int,
        out_channels: int,
        *,
        query_scales: Sequence[int],
        key_pool_scales: Sequence[int],
        shared: bool,
        conv: partial[ConvNormAct],
        activated: bool,
    ) -> None:
        super().__init__()
        if any(scale != 1 for scale in query_scales):
            raise NetworkError(f"query_scales must all be 1, not {tuple(query_scales)}")
        self.stages = nn.ModuleList()
        for _ in query_scales:
            key = conv(low_channels, channels, 1)
            self.stages.append(
                SelfAttentionBlock(
                    key_project=key,
                    query_project=key if shared else conv(high_channels, channels, 1),
                    value_project=nn.Conv2d(low_channels, channels, 1),
                    out_project=nn.Conv2d(channels, out_channels, 1),
                    key_downsample=PyramidSampling(key_pool_scales),
                )
            )
        joined = out_channels + high_channels
        self.bottleneck = (conv if activated else partial(conv, activation=None))(joined, out_channels, 1)

    def forward(self, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        """Low map of any size, high map (N, high_channels, h, w) → (N, out_channels, h, w)."""
        first, *others = (stage(high, low) for stage in self.stages)
        context = sum(others, start=first)
        joined: torch.Tensor = self.bottleneck(torch.cat([context, high], dim=1))
        return joined


class ANNHead(Head):
    """Fuses two maps by attention of the last one to the one before, then attends within the result.

    Parameters
    ----------
    in_channels
        Channels of the two maps that are read, the finer first.
    project_channels
        Channels of keys, queries and values.
    query_scales, key_pool_scales
        Scales of both blocks, see `AsymmetricBlock`.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        project_channels: int,
        query_scales: Sequence[int] = (1,),
        key_pool_scales: Sequence[int] = POOL_SCALES,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, channels, input_transform="multiple_select", **options)
        low, high = in_channels
        block = partial(
            AsymmetricBlock, query_scales=query_scales, key_pool_scales=key_pool_scales, conv=self.conv
        )
        self.fusion = block(low, high, project_channels, high, shared=False, activated=False)
        self.bottleneck = self.conv(high, channels, 3)
        self.context = block(channels, channels, project_channels, channels, shared=True, activated=True)

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps → (N, channels, h, w) at the size of the second map that is read."""
        low, high = self.select(maps)
        fused = self.bottleneck(self.dropout(self.fusion(low, high)))
        context: torch.Tensor = self.context(fused, fused)
        return context
