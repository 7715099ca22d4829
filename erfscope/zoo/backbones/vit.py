"""Vision Transformer (arXiv 2010.11929) and DeiT (2012.12877), which is one trained otherwise.

The backbone of SETR, Segmenter and DPT, by mmsegmentation's names. All maps have the stride of a patch.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from erfscope.errors import NetworkError
from erfscope.zoo.backbones.encoder_layer import TOKEN_STD, make_encoder
from erfscope.zoo.blocks import GELU, LAYER_NORM, Config, make_norm


def _preset(embed_dims: int, num_layers: int, num_heads: int, **others: Any) -> Mapping[str, Any]:
    return MappingProxyType(
        {
            "img_size": (512, 512),
            "embed_dims": embed_dims,
            "num_layers": num_layers,
            "num_heads": num_heads,
            "out_indices": tuple(num_layers * quarter // 4 - 1 for quarter in (1, 2, 3, 4)),
            "norm_cfg": {"type": "LN", "eps": 1e-6},
            **others,
        }
    )


#: Sizes for crops of 512 pixels, with four maps; a head that reads one reads the last.
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "vit-t16": _preset(192, 12, 3),
        "vit-s16": _preset(384, 12, 6),
        "vit-b16": _preset(768, 12, 12),
        "vit-l16": _preset(1024, 24, 16),
        "deit-s16": _preset(384, 12, 6, drop_path_rate=0.1),
        "deit-b16": _preset(768, 12, 12, drop_path_rate=0.1),
    }
)


class VisionTransformer(nn.Module):
    """A transformer encoder over square patches; its maps are the patches' tokens after some layers.

    Parameters and their defaults are mmsegmentation's. An image that is no multiple of `patch_size` is
    padded with zeros at its bottom and right. Where the patches' grid isn't that of `img_size`, the
    position embedding is resized to it. (mmsegmentation compares only the number of patches, so that on
    a grid of as many patches in another shape it adds to each patch the position of a wrong one.)

    Parameters
    ----------
    img_size
        Pixels (height, width) of the training crops, or of their side: the grid of the position
        embedding.
    patch_size
        Pixels of a patch's side.
    in_channels
        Channels of the image.
    embed_dims, num_layers, num_heads, mlp_ratio
        Channels of a token, encoder layers, attention heads, and the ratio of the feed-forward networks'
        width to the channels.
    out_origin
        Begin the maps with the embedded patches themselves.
    out_indices
        Layers whose tokens come out, or one layer; -1 is the last.
    qkv_bias
        Bias of the attention's projections.
    drop_rate, attn_drop_rate, drop_path_rate
        Dropout of tokens and after projections, of attention weights, and of whole feed-forward branches:
        the last grows linearly from 0 in the first layer to this in the last.
    with_cls_token
        The class token takes part in the attention.
    output_cls_token
        Return it too, with each map.
    norm_cfg, act_cfg
        Norm and activation of the encoder layers.
    final_norm
        Norm after the last layer.
    interpolate_mode
        Mode of the position embedding's resizing: "bicubic" or "bilinear".

    Raises
    ------
    NetworkError
        The class token is to come out but doesn't take part.
    """

    def __init__(
        self,
        *,
        img_size: int | Sequence[int] = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        embed_dims: int = 768,
        num_layers: int = 12,
        num_heads: int = 12,
        mlp_ratio: int = 4,
        out_origin: bool = False,
        out_indices: int | Sequence[int] = -1,
        qkv_bias: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        with_cls_token: bool = True,
        output_cls_token: bool = False,
        norm_cfg: Config = LAYER_NORM,
        act_cfg: Config = GELU,
        final_norm: bool = False,
        interpolate_mode: str = "bicubic",
    ) -> None:
        super().__init__()
        if output_cls_token and not with_cls_token:
            raise NetworkError("output_cls_token=True needs with_cls_token=True")
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        self.patch_size, self.grid = patch_size, (height // patch_size, width // patch_size)
        self.interpolate_mode, self.out_origin = interpolate_mode, out_origin
        self.with_cls_token, self.output_cls_token = with_cls_token, output_cls_token
        if isinstance(out_indices, int):
            out_indices = (num_layers - 1 if out_indices == -1 else out_indices,)
        self.out_indices = tuple(out_indices)
        self.channels = (embed_dims,) * (out_origin + len(self.out_indices))
        self.output_stride = patch_size

        self.cls_token = nn.Parameter(torch.empty(1, 1, embed_dims))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + self.grid[0] * self.grid[1], embed_dims))
        projection = nn.Conv2d(in_channels, embed_dims, patch_size, patch_size, bias=False)
        self.patch_embed = nn.Sequential(OrderedDict(projection=projection))
        self.drop_after_pos = nn.Dropout(drop_rate)
        self.layers = make_encoder(
            num_layers,
            embed_dims,
            num_heads=num_heads,
            mlp_ratio=mlp_ratio,
            qkv_bias=qkv_bias,
            drop_rate=drop_rate,
            attn_drop_rate=attn_drop_rate,
            drop_path_rate=drop_path_rate,
            activation=act_cfg,
            norm=norm_cfg,
        )
        self.ln1 = make_norm(norm_cfg, embed_dims)[1] if final_norm else nn.Identity()

    @torch.no_grad()
    def initialize(self, generator: torch.Generator) -> None:
        """Draw the class token and the position embedding, truncated normal as ViT's."""
        nn.init.trunc_normal_(self.cls_token, std=TOKEN_STD, generator=generator)
        nn.init.trunc_normal_(self.pos_embed, std=TOKEN_STD, generator=generator)

    def forward(self, image: torch.Tensor) -> tuple[Any, ...]:
        """(N, 3, H, W) → maps (N, C, ⌈H / patch_size⌉, ⌈W / patch_size⌉) of the layers in `out_indices`.

        With `output_cls_token`, each is a pair of the map and the class token (N, C).
        """
        tokens, grid = self._embed(image)
        outputs = [self._output(tokens, grid)] if self.out_origin else []
        for i, layer in enumerate(self.layers):
            tokens = layer(tokens)
            if i == len(self.layers) - 1:
                tokens = self.ln1(tokens)
            if i in self.out_indices:
                outputs.append(self._output(tokens, grid))
        return tuple(outputs)

    def _embed(self, image: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
        """Image → tokens (N, L, C), the class token first, and the patches' grid."""
        height, width = image.shape[-2:]
        margins = (0, -width % self.patch_size, 0, -height % self.patch_size)
        patches = self.patch_embed(F.pad(image, margins) if any(margins) else image)
        grid = (patches.shape[-2], patches.shape[-1])
        tokens = patches.flatten(2).transpose(1, 2) + self._positions(grid)
        if self.with_cls_token:
            cls_token = self.cls_token + self.pos_embed[:, :1]
            tokens = torch.cat([cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        return self.drop_after_pos(tokens), grid

    def _positions(self, grid: tuple[int, int]) -> torch.Tensor:
        """Position embedding (1, h·w, C) of the patches on a grid."""
        positions = self.pos_embed[:, 1:]
        if grid == self.grid:
            return positions
        maps = positions.transpose(1, 2).reshape(1, -1, *self.grid)
        maps = F.interpolate(maps, size=grid, mode=self.interpolate_mode, align_corners=False)
        return maps.flatten(2).transpose(1, 2)

    def _output(self, tokens: torch.Tensor, grid: tuple[int, int]) -> Any:
        patches = tokens[:, 1:] if self.with_cls_token else tokens
        maps = patches.transpose(1, 2).reshape(len(patches), -1, *grid)
        return (maps, tokens[:, 0]) if self.output_cls_token else maps
