"""The attention of Swin Transformer (arXiv 2103.14030): inside windows of a map, which may be shifted."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from erfscope.zoo.blocks import Config, make_norm

# Added to the attention between tokens that only the cyclic shift made neighbors.
APART = -100.0


@dataclass(frozen=True)
class SwinStyle:
    """What all blocks of a network share; names are mmsegmentation's."""

    window_size: int
    mlp_ratio: float
    qkv_bias: bool
    qk_scale: float | None
    drop_rate: float
    attn_drop_rate: float
    act_cfg: Config
    norm_cfg: Config

    def make_norm(self, channels: int) -> nn.Module:
        """Return a norm over channels."""
        return make_norm(self.norm_cfg, channels)[1]


class WindowAttention(nn.Module):
    """Self-attention inside each window, with a learned bias for each relative position."""

    def __init__(self, channels: int, heads: int, style: SwinStyle) -> None:
        super().__init__()
        self.heads, self.window, self.scale = heads, style.window_size, style.qk_scale
        self.attn_drop = style.attn_drop_rate
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * self.window - 1) ** 2, heads))
        self.relative_position_index: torch.Tensor
        self.register_buffer("relative_position_index", _relative_positions(self.window))
        self.qkv = nn.Linear(channels, 3 * channels, bias=style.qkv_bias)
        self.proj = nn.Linear(channels, channels)
        self.proj_drop = nn.Dropout(style.drop_rate)

    @torch.no_grad()
    def initialize(self, generator: torch.Generator) -> None:
        """Draw the bias from a truncated normal of standard deviation 0.02."""
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02, generator=generator)

    def fill_buffers(self) -> None:
        """Compute the index again, in place."""
        self.relative_position_index.copy_(_relative_positions(self.window))

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """(N, windows, tokens, channels) → the same shape; `mask` (windows, 1, tokens, tokens) is added."""
        samples, windows, tokens, channels = x.shape
        qkv = self.qkv(x).reshape(samples, windows, tokens, 3, self.heads, channels // self.heads)
        query, key, value = (qkv.select(3, i).transpose(2, 3) for i in range(3))
        bias = self.relative_position_bias_table.index_select(0, self.relative_position_index.flatten())
        bias = bias.view(tokens, tokens, self.heads).permute(2, 0, 1)
        y = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=bias if mask is None else bias + mask.to(bias.dtype),
            dropout_p=self.attn_drop if self.training else 0.0,
            scale=self.scale,
        )
        joined = y.transpose(2, 3).reshape(samples, windows, tokens, channels)
        projected: torch.Tensor = self.proj_drop(self.proj(joined))
        return projected


class ShiftedWindowAttention(nn.Module):
    """Cuts a map into windows, attends inside each, and puts the map together again.

    The map is padded with zeros at the bottom and on the right; that padding takes part in the attention.

    Parameters
    ----------
    shift
        By how many tokens the map is rolled up and to the left before it is cut.
    """

    def __init__(self, channels: int, heads: int, shift: int, style: SwinStyle) -> None:
        super().__init__()
        self.shift = shift
        self.w_msa = WindowAttention(channels, heads, style)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, h, w, channels) → the same shape."""
        samples, height, width, channels = x.shape
        window, shift = self.w_msa.window, self.shift
        x = pad_to_multiple(x, window)
        rows, columns = x.shape[1] // window, x.shape[2] // window
        mask = None
        if shift:
            x = torch.roll(x, (-shift, -shift), (1, 2))
            mask = _shift_mask(rows, columns, window, shift, x.device)
        x = x.reshape(samples, rows, window, columns, window, channels).transpose(2, 3)
        x = self.w_msa(x.reshape(samples, rows * columns, window**2, channels), mask)
        x = x.reshape(samples, rows, columns, window, window, channels).transpose(2, 3)
        x = x.reshape(samples, rows * window, columns * window, channels)
        if shift:
            x = torch.roll(x, (shift, shift), (1, 2))
        return x[:, :height, :width]


def pad_to_multiple(x: torch.Tensor, size: int) -> torch.Tensor:
    """(N, h, w, C) with zeros at the bottom and on the right, to multiples of `size`."""
    bottom, right = -x.shape[1] % size, -x.shape[2] % size
    return F.pad(x, (0, 0, 0, right, 0, bottom)) if bottom or right else x


def _relative_positions(window: int) -> torch.Tensor:
    """Row of the bias table for each pair of tokens: (tokens, tokens) int64."""
    at = torch.arange(window)
    y, x = at.repeat_interleave(window), at.repeat(window)
    down, right = (axis[:, None] - axis[None] + window - 1 for axis in (y, x))
    return down * (2 * window - 1) + right


def _shift_mask(rows: int, columns: int, window: int, shift: int, device: torch.device) -> torch.Tensor:
    """Keep those tokens apart that only the roll made neighbors: (windows, 1, tokens, tokens), 0 or -100."""

    def wrapped(count: int) -> torch.Tensor:
        size = count * window
        return (torch.arange(size, device=device) >= size - shift).view(count, window)

    region = 2 * wrapped(rows)[:, None, :, None] + wrapped(columns)[None, :, None, :]
    region = region.reshape(rows * columns, 1, window**2)
    return APART * (region.unsqueeze(-1) != region.unsqueeze(-2))
