"""Dual attention network (arXiv 1809.02983): attention between positions and between channels."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from erfscope.zoo.heads.head import Head
from erfscope.zoo.heads.self_attention import SelfAttentionBlock


class Scale(nn.Module):
    """Multiplies by one learned number."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(()))

    @torch.no_grad()
    def initialize(self, generator: torch.Generator) -> None:
        """Set it to 1: at the paper's 0 an untrained network would have no attention to look at."""
        self.scale.fill_(1.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape → the same shape."""
        return x * self.scale


class PositionAttention(SelfAttentionBlock):
    """A map plus its scaled context from all positions; products of query and key are not scaled.

    Parameters
    ----------
    in_channels, channels
        Channels of the map, and of queries and keys.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__(
            key_project=nn.Conv2d(in_channels, channels, 1),
            query_project=nn.Conv2d(in_channels, channels, 1),
            value_project=nn.Conv2d(in_channels, in_channels, 1),
            scale=1.0,
        )
        self.gamma = Scale()

    def forward(self, query_map: torch.Tensor, key_map: torch.Tensor) -> torch.Tensor:
        """Query map (N, in_channels, h, w), key map of any size → the query map's shape."""
        added: torch.Tensor = query_map + self.gamma(super().forward(query_map, key_map))
        return added


class ChannelAttention(nn.Module):
    """A map plus its scaled context from all channels."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = Scale()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) → the same shape."""
        channels = x.flatten(2)
        # Channels that are unlike weigh more: of each product the authors take the largest minus it, and
        # the softmax doesn't see the largest.
        context = F.scaled_dot_product_attention(-channels, channels, channels, scale=1.0)
        added: torch.Tensor = x + self.gamma(context.reshape(x.shape))
        return added


class DAHead(Head):
    """Position and channel attention side by side, each between two convolutions; their sum is classified.

    `pam_conv_seg` and `cam_conv_seg` classify the two addends for losses in training; they are held for
    the state dict and never run.

    Parameters
    ----------
    pam_channels
        Channels of queries and keys of the position attention.
    """

    def __init__(self, in_channels: int, channels: int, *, pam_channels: int, **options: Any) -> None:
        super().__init__(in_channels, channels, **options)
        self.pam_in_conv = self.conv(in_channels, channels, 3)
        self.pam = PositionAttention(channels, pam_channels)
        self.pam_out_conv = self.conv(channels, channels, 3)
        self.pam_conv_seg = nn.Conv2d(channels, self.num_classes, 1)
        self.cam_in_conv = self.conv(in_channels, channels, 3)
        self.cam = ChannelAttention()
        self.cam_out_conv = self.conv(channels, channels, 3)
        self.cam_conv_seg = nn.Conv2d(channels, self.num_classes, 1)

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps → (N, channels, h, w) at the size of the map that is read."""
        x: torch.Tensor = self.select(maps)
        reduced = self.pam_in_conv(x)
        by_position = self.pam_out_conv(self.pam(reduced, reduced))
        by_channel = self.cam_out_conv(self.cam(self.cam_in_conv(x)))
        total: torch.Tensor = by_position + by_channel
        return total
