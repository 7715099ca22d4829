"""The mask transformer of Segmenter (arXiv 2105.05633, section 3.2)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from erfscope.zoo.backbones.encoder_layer import TOKEN_STD, make_encoder
from erfscope.zoo.blocks import GELU, LAYER_NORM, Config, make_norm
from erfscope.zoo.heads.head import Head


class SegmenterMaskTransformerHead(Head):
    """Patches and one token per class attend to each other; a logit is the cosine of patch and class.

    Parameters
    ----------
    num_layers, num_heads, embed_dims, mlp_ratio, qkv_bias, act_cfg, norm_cfg
        Arguments of the transformer, as in `VisionTransformer`; `norm_cfg` also of the norm over the logits.
    drop_rate, attn_drop_rate, drop_path_rate
        As in `VisionTransformer`.
    """

    # The scale (K,) of the norm over the classes: nothing else here has one row for each class. It must be
    # drawn at random like a classifier's weights: with the norm's usual ones the logits of all classes
    # sum to zero whatever the image is, and so would the gradient of their sum.
    classifier_weight = "mask_norm.weight"

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        num_layers: int,
        num_heads: int,
        embed_dims: int,
        mlp_ratio: int = 4,
        drop_path_rate: float = 0.1,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        qkv_bias: bool = True,
        act_cfg: Config = GELU,
        norm_cfg: Config = LAYER_NORM,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, channels, **options)
        del self.conv_seg
        self.cls_emb = nn.Parameter(torch.empty(1, self.num_classes, embed_dims))
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
        self.dec_proj = nn.Linear(in_channels, embed_dims)
        self.patch_proj = nn.Linear(embed_dims, embed_dims, bias=False)
        self.classes_proj = nn.Linear(embed_dims, embed_dims, bias=False)
        self.decoder_norm = make_norm(norm_cfg, embed_dims)[1]
        self.mask_norm = make_norm(norm_cfg, self.num_classes)[1]

    @torch.no_grad()
    def initialize(self, generator: torch.Generator) -> None:
        """Draw the class tokens, truncated normal as the paper's."""
        nn.init.trunc_normal_(self.cls_emb, std=TOKEN_STD, generator=generator)

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps → logits (N, K, h, w) at the size of the map that is read."""
        x: torch.Tensor = self.select(maps)
        patches = self.dec_proj(x.flatten(2).transpose(1, 2))
        tokens = torch.cat([patches, self.cls_emb.expand(len(x), -1, -1)], dim=1)
        for layer in self.layers:
            tokens = layer(tokens)
        tokens = self.decoder_norm(tokens)
        patches = F.normalize(self.patch_proj(tokens[:, : -self.num_classes]), dim=2)
        classes = F.normalize(self.classes_proj(tokens[:, -self.num_classes :]), dim=2)
        logits: torch.Tensor = self.mask_norm(patches @ classes.transpose(1, 2))
        return logits.transpose(1, 2).reshape(len(x), -1, *x.shape[-2:])
