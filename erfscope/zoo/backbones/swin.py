"""Swin Transformer (arXiv 2103.14030): self-attention inside windows, shifted in every other block."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from erfscope.errors import NetworkError
from erfscope.zoo.attention import DropPath
from erfscope.zoo.backbones.swin_attention import ShiftedWindowAttention, SwinStyle, pad_to_multiple
from erfscope.zoo.blocks import GELU, LAYER_NORM, Config, make_activation

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        name: MappingProxyType(
            {
                "embed_dims": embed_dims,
                "depths": (2, 2, depth, 2),
                "num_heads": (heads, 2 * heads, 4 * heads, 8 * heads),
                "window_size": window,
                "drop_path_rate": 0.3,
            }
        )
        for name, embed_dims, depth, heads, window in (
            ("swin-t", 96, 6, 3, 7),
            ("swin-s", 96, 18, 3, 7),
            ("swin-b", 128, 18, 4, 7),
            ("swin-b-window12", 128, 18, 4, 12),
            ("swin-l", 192, 18, 6, 7),
            ("swin-l-window12", 192, 18, 6, 12),
        )
    }
)


class FeedForward(nn.Module):
    """Two linear layers applied to each token."""

    def __init__(self, channels: int, style: SwinStyle) -> None:
        super().__init__()
        hidden = int(style.mlp_ratio * channels)
        widen = nn.Sequential(
            nn.Linear(channels, hidden), make_activation(style.act_cfg), nn.Dropout(style.drop_rate)
        )
        self.layers = nn.Sequential(widen, nn.Linear(hidden, channels), nn.Dropout(style.drop_rate))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, channels) → the same shape."""
        y: torch.Tensor = self.layers(x)
        return y


class SwinBlock(nn.Module):
    """Attention and a feed-forward network, each behind a norm and added to its input."""

    def __init__(self, channels: int, heads: int, shift: int, style: SwinStyle, drop_path: float) -> None:
        super().__init__()
        self.norm1 = style.make_norm(channels)
        self.attn = ShiftedWindowAttention(channels, heads, shift, style)
        self.norm2 = style.make_norm(channels)
        self.ffn = FeedForward(channels, style)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, h, w, channels) → the same shape."""
        x = x + self.drop_path(self.attn(self.norm1(x)))
        y: torch.Tensor = x + self.drop_path(self.ffn(self.norm2(x)))
        return y


class PatchEmbedding(nn.Module):
    """One token for each patch of the image, padded with zeros at the bottom and on the right."""

    def __init__(self, in_channels: int, channels: int, patch: int, norm: nn.Module) -> None:
        super().__init__()
        self.patch = patch
        self.projection = nn.Conv2d(in_channels, channels, patch, patch)
        self.norm = norm

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W) → (N, H/patch, W/patch, channels), rounded up."""
        padded = pad_to_multiple(image.permute(0, 2, 3, 1), self.patch).permute(0, 3, 1, 2)
        tokens: torch.Tensor = self.norm(self.projection(padded).permute(0, 2, 3, 1))
        return tokens


class PatchMerging(nn.Module):
    """One token of twice the channels for each 2×2 tokens, padded like the patches."""

    def __init__(self, channels: int, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, h, w, channels) → (N, h/2, w/2, 2·channels), rounded up."""
        x = pad_to_multiple(x, 2)
        samples, height, width, channels = x.shape
        x = x.reshape(samples, height // 2, 2, width // 2, 2, channels).permute(0, 1, 3, 5, 2, 4)
        merged: torch.Tensor = self.reduction(self.norm(x.flatten(3)))
        return merged


class SwinStage(nn.Module):
    """Blocks, and what shrinks their map for the next stage; the identity in the last."""

    def __init__(self, blocks: Sequence[SwinBlock], downsample: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.downsample = downsample

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, h, w, channels) → the stage's map, of the same shape, and what the next stage reads."""
        x = self.blocks(x)
        return x, self.downsample(x)


class SwinTransformer(nn.Module):
    """A Swin Transformer with a norm on each map that comes out. Its maps shrink by 4, 8, 16 and 32.

    Parameters and their defaults are mmsegmentation's.

    Parameters
    ----------
    in_channels
        Channels of the image.
    embed_dims
        Channels of the first stage; each further stage has twice as many.
    patch_size
        Side of the patches, pixels.
    window_size
        Side of the windows, tokens; shifts are half of it.
    mlp_ratio
        Hidden over outer width of the feed-forward networks.
    depths, num_heads
        Blocks of each stage, and their attention heads.
    strides
        Strides of the patches and of each merging; only (patch_size, 2, 2, …) is built.
    out_indices
        Stages whose maps come out.
    qkv_bias, qk_scale
        Bias of queries, keys and values; scale of their products, None for one over the root of a head's
        width.
    patch_norm
        Whether there is a norm after the patch embedding and before each merging.
    drop_rate, attn_drop_rate, drop_path_rate
        Dropout after projections, of attention weights, and of whole branches: the last grows linearly
        from 0 in the first block to this in the last.

    Raises
    ------
    NetworkError
        Other strides.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        embed_dims: int = 96,
        patch_size: int = 4,
        window_size: int = 7,
        mlp_ratio: float = 4,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        strides: Sequence[int] = (4, 2, 2, 2),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        patch_norm: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.1,
        act_cfg: Config = GELU,
        norm_cfg: Config = LAYER_NORM,
    ) -> None:
        super().__init__()
        expected = (patch_size, *(2,) * (len(depths) - 1))
        if tuple(strides) != expected:
            raise NetworkError(
                f"a SwinTransformer of strides {tuple(strides)} can't be built; give {expected}"
            )
        style = SwinStyle(
            window_size, mlp_ratio, qkv_bias, qk_scale, drop_rate, attn_drop_rate, act_cfg, norm_cfg
        )

        def patch_norm_of(channels: int) -> nn.Module:
            return style.make_norm(channels) if patch_norm else nn.Identity()

        self.patch_embed = PatchEmbedding(in_channels, embed_dims, patch_size, patch_norm_of(embed_dims))
        self.drop_after_pos = nn.Dropout(drop_rate)
        self.stages = nn.ModuleList()
        step = drop_path_rate / max(sum(depths) - 1, 1)
        for stage, (depth, heads) in enumerate(zip(depths, num_heads, strict=True)):
            width, before = embed_dims * 2**stage, sum(depths[:stage])
            blocks = [
                SwinBlock(width, heads, i % 2 * (window_size // 2), style, step * (before + i))
                for i in range(depth)
            ]
            last = stage == len(depths) - 1
            merge = nn.Identity() if last else PatchMerging(width, patch_norm_of(4 * width))
            self.stages.append(SwinStage(blocks, merge))
        self.out_indices = tuple(sorted(out_indices))
        self.channels = tuple(embed_dims * 2**stage for stage in self.out_indices)
        self.output_stride = patch_size * 2 ** self.out_indices[-1]
        for stage, width in zip(self.out_indices, self.channels, strict=True):
            self.add_module(f"norm{stage}", style.make_norm(width))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(N, 3, H, W) → the normalized feature maps of the stages in `out_indices`."""
        x = self.drop_after_pos(self.patch_embed(image))
        maps = []
        for i, stage in enumerate(self.stages):
            y, x = stage(x)
            if i in self.out_indices:
                maps.append(self.get_submodule(f"norm{i}")(y).permute(0, 3, 1, 2))
        return tuple(maps)
