"""Mix Transformer, the backbone of SegFormer (arXiv 2105.15203, section 3.1), by mmsegmentation's names.

Overlapping patches, attention whose keys and values come from a coarser map, and a feed-forward network
with a depthwise convolution in place of a position embedding. Maps are (N, h, w, C) between the layers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from erfscope.zoo.attention import DropPath, MultiheadAttention
from erfscope.zoo.blocks import GELU, TIGHT_LAYER_NORM, Config, make_activation, make_norm

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        f"mit-{size}": MappingProxyType(
            {"embed_dims": embed_dims, "num_layers": num_layers, "num_heads": (1, 2, 5, 8)}
        )
        for size, embed_dims, num_layers in (
            ("b0", 32, (2, 2, 2, 2)),
            ("b1", 64, (2, 2, 2, 2)),
            ("b2", 64, (3, 4, 6, 3)),
            ("b3", 64, (3, 4, 18, 3)),
            ("b4", 64, (3, 8, 27, 3)),
            ("b5", 64, (3, 6, 40, 3)),
        )
    }
)


class PatchEmbed(nn.Module):
    """Overlapping patches, each of which becomes one cell; padded by half a patch.

    Parameters
    ----------
    patch_size, stride
        Pixels (or cells) of a patch's side and between patches.
    """

    def __init__(self, in_channels: int, channels: int, patch_size: int, stride: int, norm: Config) -> None:
        super().__init__()
        self.projection = nn.Conv2d(in_channels, channels, patch_size, stride, patch_size // 2)
        self.norm = make_norm(norm, channels)[1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W) → (N, h, w, channels)."""
        cells: torch.Tensor = self.norm(self.projection(x).permute(0, 2, 3, 1))
        return cells


@dataclass(frozen=True)
class LayerStyle:
    """What all encoder layers of a network share; see `MixVisionTransformer`."""

    mlp_ratio: int
    qkv_bias: bool
    drop_rate: float
    attn_drop_rate: float
    activation: Config
    norm: Config

    def make_norm(self, channels: int) -> nn.Module:
        """Return a norm over the last axis, of so many channels."""
        return make_norm(self.norm, channels)[1]


class EfficientAttention(nn.Module):
    """Attention of all cells to a map that is `sr_ratio` times coarser (equations 1 and 2 of the paper)."""

    def __init__(self, channels: int, num_heads: int, sr_ratio: int, style: LayerStyle) -> None:
        super().__init__()
        self.attn = MultiheadAttention(
            channels, num_heads, bias=style.qkv_bias, drop_rate=style.attn_drop_rate
        )
        self.proj_drop = nn.Dropout(style.drop_rate)
        self.sr_ratio = sr_ratio
        if sr_ratio > 1:
            self.sr = nn.Conv2d(channels, channels, sr_ratio, sr_ratio)
            self.norm = style.make_norm(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, h, w, C) → (N, h, w, C)."""
        context = x
        if self.sr_ratio > 1:
            context = self.norm(self.sr(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
        mixed: torch.Tensor = self.proj_drop(self.attn(x.flatten(1, 2), context.flatten(1, 2)))
        return mixed.reshape(x.shape)


class MixFFN(nn.Module):
    """1×1 convolution, depthwise 3×3 convolution, activation, 1×1 convolution (equation 3 of the paper)."""

    def __init__(self, channels: int, style: LayerStyle) -> None:
        super().__init__()
        width = style.mlp_ratio * channels
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 1),
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            make_activation(style.activation),
            nn.Dropout(style.drop_rate),
            nn.Conv2d(width, channels, 1),
            nn.Dropout(style.drop_rate),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, h, w, C) → (N, h, w, C)."""
        y: torch.Tensor = self.layers(x.permute(0, 3, 1, 2))
        return y.permute(0, 2, 3, 1)


class EncoderLayer(nn.Module):
    """Attention and `MixFFN`, each with a norm before it and a shortcut around it."""

    def __init__(
        self, channels: int, num_heads: int, sr_ratio: int, drop_path_rate: float, style: LayerStyle
    ) -> None:
        super().__init__()
        self.norm1 = style.make_norm(channels)
        self.attn = EfficientAttention(channels, num_heads, sr_ratio, style)
        self.norm2 = style.make_norm(channels)
        self.ffn = MixFFN(channels, style)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, h, w, C) → (N, h, w, C)."""
        x = x + self.drop_path(self.attn(self.norm1(x)))
        y: torch.Tensor = x + self.drop_path(self.ffn(self.norm2(x)))
        return y


class MixVisionTransformer(nn.Module):
    """SegFormer's hierarchical transformer, mit-b0 to mit-b5.

    Parameters and their defaults are mmsegmentation's.

    Parameters
    ----------
    in_channels
        Channels of the image.
    embed_dims
        Channels per attention head; a stage has `embed_dims` times its number of heads.
    num_stages
        Length of each of the sequences that follow.
    num_layers, num_heads
        Encoder layers of each stage and their attention heads.
    patch_sizes, strides
        Sizes and strides of the patches that each stage makes of the map before it.
    sr_ratios
        How many times coarser the map is from which each stage's attention takes keys and values.
    out_indices
        Stages whose maps come out.
    mlp_ratio
        Ratio of the feed-forward network's width to the stage's channels.
    qkv_bias
        Bias of the attention's projections.
    drop_rate, attn_drop_rate, drop_path_rate
        Dropout after projections, of attention weights, and of whole branches: the last grows linearly
        from 0 in the first layer to this in the last.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        embed_dims: int = 64,
        num_stages: int = 4,
        num_layers: Sequence[int] = (3, 4, 6, 3),
        num_heads: Sequence[int] = (1, 2, 4, 8),
        patch_sizes: Sequence[int] = (7, 3, 3, 3),
        strides: Sequence[int] = (4, 2, 2, 2),
        sr_ratios: Sequence[int] = (8, 4, 2, 1),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        mlp_ratio: int = 4,
        qkv_bias: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        act_cfg: Config = GELU,
        norm_cfg: Config = TIGHT_LAYER_NORM,
    ) -> None:
        super().__init__()
        style = LayerStyle(mlp_ratio, qkv_bias, drop_rate, attn_drop_rate, act_cfg, norm_cfg)
        widths = [embed_dims * heads for heads in num_heads]
        last = max(sum(num_layers) - 1, 1)
        self.layers = nn.ModuleList()
        for i in range(num_stages):
            before, first = widths[i - 1] if i else in_channels, sum(num_layers[:i])
            embed = PatchEmbed(before, widths[i], patch_sizes[i], strides[i], norm_cfg)
            layers = (
                EncoderLayer(widths[i], num_heads[i], sr_ratios[i], drop_path_rate * j / last, style)
                for j in range(first, first + num_layers[i])
            )
            self.layers.append(nn.Sequential(embed, nn.Sequential(*layers), style.make_norm(widths[i])))
        self.out_indices = tuple(out_indices)
        self.channels = tuple(widths[i] for i in self.out_indices)
        self.output_stride = prod(strides[: max(self.out_indices) + 1])

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(N, 3, H, W) → the feature maps of the stages in `out_indices`."""
        x = image
        maps = []
        for i, stage in enumerate(self.layers):
            x = stage(x).permute(0, 3, 1, 2)
            if i in self.out_indices:
                maps.append(x)
        return tuple(maps)
