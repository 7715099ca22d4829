"""Networks over transformers, and UPerNet, which stands on any pyramid."""

from collections.abc import Sequence
from typing import Any

from erfscope.zoo.adjust import with_rates
from erfscope.zoo.catalog.backbone_catalog import backbone_channels, describe_backbone, describe_backbone_of
from erfscope.zoo.catalog.choices import describe_head
from erfscope.zoo.description import NetworkDescription, Part

_WIDTH = 512
_SETR_CROP, _CROP = (768, 768), (512, 512)
# Rates of ASPP at stride 16 (Eq. 2 of the study).
_RATES = (6, 12, 18)
_LEVELS = 4


def upernet(*, backbone: str = "resnet50-v1c") -> NetworkDescription:
    """Pool the coarsest map to a pyramid, and join all maps."""
    part = describe_backbone(backbone)
    neck = None
    if part["type"] == "VisionTransformer":
        part = _vit(backbone, _CROP)
        width = part["embed_dims"]
        neck = {
            "type": "MultiLevelNeck",
            "in_channels": (width,) * _LEVELS,
            "out_channels": width,
            "scales": (4, 2, 1, 0.5),
        }
    head = describe_head(
        "UPerHead", backbone_channels(part), _WIDTH, in_index=tuple(range(len(backbone_channels(part))))
    )
    return NetworkDescription(part, head, neck)


def setr_naive(*, backbone: str = "vit-l16") -> NetworkDescription:
    """Reduce the last layer's tokens and upsample them once."""
    return _setr(backbone, num_convs=1, up_scale=4, kernel_size=1)


def setr_pup(*, backbone: str = "vit-l16") -> NetworkDescription:
    """Upsample the last layer's tokens step by step."""
    return _setr(backbone, num_convs=4, up_scale=2, kernel_size=3)


def setr_mla(*, backbone: str = "vit-l16") -> NetworkDescription:
    """Reduce four layers' tokens and join them."""
    part = _vit(backbone, _SETR_CROP)
    width = 256
    neck = {
        "type": "MLANeck",
        "in_channels": (part["embed_dims"],) * _LEVELS,
        "out_channels": width,
        "norm_cfg": {"type": "BN"},
    }
    head = describe_head(
        "SETRMLAHead", (width,) * _LEVELS, _WIDTH, in_index=tuple(range(_LEVELS)), mla_channels=128
    )
    return NetworkDescription(part, head | {"dropout_ratio": 0.0}, neck)


def setr_aspp(*, backbone: str = "vit-l16", rates: Sequence[int] = _RATES) -> NetworkDescription:
    """Put ASPP on the last layer's tokens (Table 8 of the study)."""
    part = _vit(backbone, _SETR_CROP)
    return with_rates(NetworkDescription(part, describe_head("ASPPHead", part["embed_dims"], _WIDTH)), rates)


def segmenter_linear(*, backbone: str = "vit-s16") -> NetworkDescription:
    """Classify the last layer's tokens as they are."""
    part = _vit(backbone, _CROP, final_norm=True, last_only=True)
    head = {
        "type": "FCNHead",
        "in_channels": part["embed_dims"],
        "channels": part["embed_dims"],
        "num_convs": 0,
        "concat_input": False,
        "dropout_ratio": 0.0,
    }
    return NetworkDescription(part, head)


def segmenter_mask(*, backbone: str = "vit-b16") -> NetworkDescription:
    """Send tokens and class embeddings through two more layers and multiply them."""
    part = _vit(backbone, _CROP, final_norm=True, last_only=True)
    width = part["embed_dims"]
    head = {
        "type": "SegmenterMaskTransformerHead",
        "in_channels": width,
        "channels": width,
        "embed_dims": width,
        "num_layers": 2,
        "num_heads": part["num_heads"],
        "dropout_ratio": 0.0,
    }
    return NetworkDescription(part, head)


def dpt(*, backbone: str = "vit-b16") -> NetworkDescription:
    """Fuse four layers' tokens, as maps of four sizes, from coarse to fine."""
    part = {**_vit(backbone, (224, 224)), "final_norm": False, "output_cls_token": True}
    width = part["embed_dims"]
    head = describe_head(
        "DPTHead",
        (width,) * _LEVELS,
        256,
        embed_dims=width,
        post_process_channels=tuple(width * 2**i // 8 for i in range(_LEVELS)),
        readout_type="project",
        input_transform="multiple_select",
        in_index=tuple(range(_LEVELS)),
    )
    return NetworkDescription(part, head)


def segformer(*, backbone: str = "mit-b0") -> NetworkDescription:
    """Reduce four maps and join them by a 1×1 convolution."""
    part = describe_backbone_of("MixVisionTransformer", backbone)
    channels = backbone_channels(part)
    return NetworkDescription(
        part, describe_head("SegformerHead", channels, 256, in_index=tuple(range(_LEVELS)))
    )


def _vit(
    backbone: str, crop: tuple[int, int], *, final_norm: bool | None = None, last_only: bool = False
) -> Part:
    """Describe a ViT trained at a crop, with the tokens of four layers, evenly spaced, or of the last."""
    part: dict[str, Any] = {**describe_backbone_of("VisionTransformer", backbone), "img_size": crop}
    if last_only:
        del part["out_indices"]
    if final_norm is not None:
        part["final_norm"] = final_norm
    return part


def _setr(backbone: str, **head: Any) -> NetworkDescription:
    part = _vit(backbone, _SETR_CROP)
    described = describe_head("SETRUPHead", part["embed_dims"], 256, dropout_ratio=0.0, **head)
    return NetworkDescription(part, described)
