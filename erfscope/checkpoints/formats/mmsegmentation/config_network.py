"""Turns the model part of an mmsegmentation config (0.x or 1.x) into a network's description."""

from collections.abc import Mapping
from typing import Any

from erfscope.errors import CheckpointError
from erfscope.zoo.description import NetworkDescription, Part
from erfscope.zoo.parts import PARTS

# Arguments that training alone reads, or that say how a network starts or saves memory.
_TRAINING_ONLY = {
    "frozen_stages", "ignore_index", "init_cfg", "loss_decode", "loss_se_decode", "norm_eval",
    "pretrain_img_size", "pretrained", "sampler", "threshold", "with_cp", "zero_init_residual",
}  # fmt: skip
# Arguments that change nothing where they have these values; other values are refused.
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "conv_cfg": (None, {"type": "Conv2d"}),
    "dcn": (None,),
    "gap_before_final_norm": (False,),
    "plugins": (None,),
    "use_abs_pos_embed": (False,),
}
# Other names of the same parts, with the arguments that they stand for.
_ALIASES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ResNetV1c": ("ResNet", {"deep_stem": True, "avg_down": False}),
    "ResNetV1d": ("ResNet", {"deep_stem": True, "avg_down": True}),
    "mmpretrain.ConvNeXt": ("ConvNeXt", {}),
    "mmcls.ConvNeXt": ("ConvNeXt", {}),
}
_SEGMENTORS = ("EncoderDecoder",)
# Catalogue name; backbone and neck where they matter; head. Of two that fit, the first counts.
_NAMES = (
    ("setr-aspp", "VisionTransformer", None, "ASPPHead"),
    ("unet-aspp", "UNet", None, "ASPPHead"),
    ("unet-psp", "UNet", None, "PSPHead"),
    ("fastfcn-aspp", None, "JPU", "ASPPHead"),
    ("fastfcn-psp", None, "JPU", "PSPHead"),
    ("fastfcn-enc", None, "JPU", "EncHead"),
    ("deeplabv3", None, None, "ASPPHead"),
    ("deeplabv3plus", None, None, "DepthwiseSeparableASPPHead"),
    ("pspnet", None, None, "PSPHead"),
    ("encnet", None, None, "EncHead"),
    ("nonlocal", None, None, "NLHead"),
    ("ann", None, None, "ANNHead"),
    ("danet", None, None, "DAHead"),
    ("lraspp", None, None, "LRASPPHead"),
    ("upernet", None, None, "UPerHead"),
    ("setr-mla", None, None, "SETRMLAHead"),
    ("segmenter-mask", None, None, "SegmenterMaskTransformerHead"),
    ("dpt", None, None, "DPTHead"),
    ("segformer", None, None, "SegformerHead"),
)


def describe_config(config: Mapping[str, Any], source: str) -> NetworkDescription:
    """Return what a config's network is made of.

    Parameters
    ----------
    config
        As `config_text.parse_config` reads it.
    source
        Where it comes from, for errors.

    Raises
    ------
    CheckpointError
        The config has no model, or a model or a part that erfscope doesn't have.
    """
    model = config.get("model")
    if not isinstance(model, Mapping):
        raise CheckpointError(f"the config of {source} has no model part; expected mmsegmentation's")
    if model.get("type") not in _SEGMENTORS:
        raise CheckpointError(
            f"{source} holds a {model.get('type')}; of mmsegmentation's segmentors {', '.join(_SEGMENTORS)} "
            "is known"
        )
    neck, head = model.get("neck"), _describe_part(model, "decode_head", source)
    return NetworkDescription(
        backbone=_describe_part(model, "backbone", source),
        neck=None if neck is None else _describe_part(model, "neck", source),
        head=head,
        align_corners=head.get("align_corners", False),
    )


def name_network(description: NetworkDescription) -> str:
    """Return the catalog's name of a network with these parts; the head's type if it has none."""
    backbone, head = description.backbone["type"], description.head["type"]
    neck = None if description.neck is None else description.neck["type"]
    if head == "FCNHead":
        return _name_fcn(backbone, description.head)
    if head == "SETRUPHead":
        return "setr-naive" if description.head.get("num_convs", 1) == 1 else "setr-pup"
    for name, wanted_backbone, wanted_neck, wanted_head in _NAMES:
        if wanted_head == head and wanted_backbone in (None, backbone) and wanted_neck in (None, neck):
            return name
    return str(head)


def _name_fcn(backbone: str, head: Part) -> str:
    if backbone == "VisionTransformer":
        return "segmenter-linear"
    if backbone == "UNet":
        return "unet-fcn" if head.get("num_convs", 2) else "unet"
    return "fcn" if head.get("dilation", 1) == 1 else "fcn-d6"


def _describe_part(model: Mapping[str, Any], role: str, source: str) -> Part:
    config = model.get(role)
    if not isinstance(config, Mapping) or not isinstance(config.get("type"), str):
        raise CheckpointError(
            f"the config of {source} has no single {role}; networks of several are not known"
        )
    kind, implied = _ALIASES.get(config["type"], (config["type"], {}))
    if kind not in PARTS:
        raise CheckpointError(
            f"{source} has the {role} {config['type']}, which erfscope doesn't have; known parts: "
            f"{', '.join(sorted(PARTS))}"
        )
    part = {"type": kind, **implied}
    for name, value in config.items():
        neutral = name in _NEUTRAL and value in _NEUTRAL[name]
        if name != "type" and name not in _TRAINING_ONLY and not neutral:
            part[name] = value
    return part
