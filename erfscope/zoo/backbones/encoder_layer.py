"""Layers of a plain transformer encoder (arXiv 1706.03762), its norms first, by mmsegmentation's names.

Shared by the Vision Transformer and by heads that let tokens attend to each other.
"""

from collections import OrderedDict
from typing import Any

import torch
from torch import nn

from erfscope.zoo.attention import DropPath, MultiheadAttention
from erfscope.zoo.blocks import Config, make_activation, make_norm

TOKEN_STD = 0.02


class TransformerEncoderLayer(nn.Module):
    """Self-attention and a feed-forward network, each with a norm before it and a shortcut around it.

    Parameters
    ----------
    width
        Width of the feed-forward network's hidden layer.
    drop_rate, attn_drop_rate, drop_path_rate
        Dropout after projections, of attention weights, and of the feed-forward branch as a whole:
        mmsegmentation never drops the attention branch.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        width: int,
        *,
        qkv_bias: bool,
        drop_rate: float,
        attn_drop_rate: float,
        drop_path_rate: float,
        activation: Config,
        norm: Config,
    ) -> None:
        super().__init__()
        attention = MultiheadAttention(embed_dims, num_heads, bias=qkv_bias, drop_rate=attn_drop_rate)
        hidden = nn.Sequential(
            nn.Linear(embed_dims, width), make_activation(activation), nn.Dropout(drop_rate)
        )
        layers = nn.Sequential(hidden, nn.Linear(width, embed_dims), nn.Dropout(drop_rate))
        self.ln1 = make_norm(norm, embed_dims)[1]
        self.attn = nn.Sequential(OrderedDict(attn=attention, proj_drop=nn.Dropout(drop_rate)))
        self.ln2 = make_norm(norm, embed_dims)[1]
        self.ffn = nn.Sequential(OrderedDict(layers=layers, dropout_layer=DropPath(drop_path_rate)))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, L, C) → (N, L, C)."""
        attended: torch.Tensor = tokens + self.attn(self.ln1(tokens))
        fed: torch.Tensor = attended + self.ffn(self.ln2(attended))
        return fed


def make_encoder(
    num_layers: int, embed_dims: int, *, mlp_ratio: int, drop_path_rate: float, **options: Any
) -> nn.ModuleList:
    """Stack encoder layers of width `mlp_ratio * embed_dims`; the rest is `TransformerEncoderLayer`'s.

    `drop_path_rate` is the last layer's; it grows linearly from 0 in the first.
    """
    return nn.ModuleList(
        TransformerEncoderLayer(
            embed_dims,
            width=mlp_ratio * embed_dims,
            drop_path_rate=drop_path_rate * i / max(num_layers - 1, 1),
            **options,
        )
        for i in range(num_layers)
    )
