"""What transformers share: multi-head attention, and dropping whole branches."""

import torch
from torch import nn
from torch.nn import functional as F

_STD = 0.02  # of projections, truncated, as in ViT, SegFormer and Swin


class DropPath(nn.Dropout):
    """Drops a residual branch for whole samples while training (arXiv 1603.09382)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, …) → (N, …)."""
        if not self.training:
            return x
        return x * super().forward(x.new_ones(len(x), *(1,) * (x.ndim - 1)))


class MultiheadAttention(nn.Module):
    """Attention of tokens to tokens, by the parameter names of torch's module, but batch first.

    Parameters
    ----------
    bias
        Bias of all four projections.
    drop_rate
        Dropout of the attention weights.
    """

    def __init__(self, channels: int, num_heads: int, *, bias: bool, drop_rate: float) -> None:
        super().__init__()
        self.num_heads, self.drop_rate = num_heads, drop_rate
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * channels)) if bias else None
        self.out_proj = nn.Linear(channels, channels, bias=bias)

    @torch.no_grad()
    def initialize(self, generator: torch.Generator) -> None:
        """Draw the weights of queries, keys and values like other projections; biases are zero."""
        nn.init.trunc_normal_(self.in_proj_weight, std=_STD, a=-2 * _STD, b=2 * _STD, generator=generator)
        if self.in_proj_bias is not None:
            nn.init.zeros_(self.in_proj_bias)

    def forward(self, x: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """(N, L, C), whence the queries, and (N, M, C), whence keys and values → (N, L, C)."""
        weights = self.in_proj_weight.chunk(3)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        sources = (x, x, x) if context is None else (x, context, context)
        query, key, value = (
            F.linear(tokens, weight, bias).reshape(*tokens.shape[:2], self.num_heads, -1).transpose(1, 2)
            for tokens, weight, bias in zip(sources, weights, biases, strict=True)
        )
        drop_rate = self.drop_rate if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=drop_rate)
        out: torch.Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out
