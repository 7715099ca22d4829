"""Reads a config.json of transformers; nothing is looked up, downloaded or run.

Transformers takes any key of a config.json for an attribute: `attn_implementation` can name a kernel of the
hub, which is code; `backbone` a repository to ask for. So only what a config's class declares is handed on.
"""

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from erfscope.checkpoints.files.json_file import read_json
from erfscope.checkpoints.library import import_library
from erfscope.errors import CheckpointError, one_line

#: Networks that return a score of each class at every position.
PIXEL_NETWORKS = (
    "beit", "data2vec-vision", "dpt", "mobilenet_v2", "mobilevit", "mobilevitv2", "segformer", "upernet",
)  # fmt: skip
#: Networks that return masks and a class for each.
MASK_NETWORKS = ("eomt", "eomt_dinov3", "mask2former", "maskformer", "oneformer")

#: "the task is semantic" in CLIP's byte pairs, between its start and end: what OneFormer's own processor
#: makes of it; zeros fill the rest.
SEMANTIC_TASK = (49406, 518, 10549, 533, 29119, 1550, 49407)

# What may stand within a config, and what it may be: transformers has more, with configs within in turn.
_PARTS = {
    "backbone_config": (
        "beit", "bit", "convnext", "convnextv2", "dinat", "dinov2", "focalnet", "hiera", "maskformer-swin",
        "pvt_v2", "resnet", "swin", "swinv2", "timm_backbone",
    ),
    "decoder_config": ("detr",),
}  # fmt: skip
_LABELS = ("id2label", "label2id")
# A base and a kind of rotary position embeddings.
_MAPPINGS = ("rope_parameters",)
# What configs take under older names, without declaring it.
_LEGACY = {*_LABELS, "num_labels", "out_features", "out_indices", "segmentation_indices"}
# What is for `read` to say: the class, the precision, and what a call returns.
_OURS = {
    "architectures", "dtype", "output_hidden_states", "problem_type", "return_dict", "transformers_version",
}  # fmt: skip
# Layers are made one by one, in time and memory that no file's size bounds.
_MAX_NUMBER = 20_000
_MAX_LIST = 100
_TIMM_NAME = re.compile(r"\w+(\.\w+)?")


def read_config(path: Path) -> Any:
    """Read a network's config.

    Raises
    ------
    CheckpointError
        It describes nothing that erfscope loads, or what no network can be.
    """
    raw = read_json(path)
    kind = raw.get("model_type")
    if kind not in PIXEL_NETWORKS + MASK_NETWORKS:
        code = "; the code that its auto_map names is never run" if "auto_map" in raw else ""
        known = ", ".join(sorted(PIXEL_NETWORKS + MASK_NETWORKS))
        raise CheckpointError(
            f"{path}: model_type {str(kind)[:40]!r} is not supported{code}; supported: {known}"
        )
    if raw.get("quantization_config"):
        raise CheckpointError(f"{path} describes quantized weights; save the network in floating point")
    config = _make(kind, raw, path)
    _refuse_other_channels(config, path)
    if kind == "oneformer" and config.task_seq_len < len(SEMANTIC_TASK):
        raise CheckpointError(f"{path}: task_seq_len has no room for 'the task is semantic'; expected 77")
    return config


def backbone_of(config: Any) -> Any | None:
    """Return the config of the backbone, where it has one of its own."""
    return getattr(config, "backbone_config", None)


def _make(kind: str, raw: Mapping[str, Any], path: Path) -> Any:
    kinds = import_library("transformers.models.auto.configuration_auto", "hf", str(path)).CONFIG_MAPPING
    declared = inspect.signature(kinds[kind].__init__).parameters
    if kind == "timm_backbone":
        _refuse_timm_name(raw.get("backbone"), path)
    elif "backbone_config" in declared:
        raw = _with_backbone(kind, raw, path)
    kept = (set(declared) | set(kinds[kind].attribute_map) | _LEGACY) - _OURS
    settings = {key: value for key, value in raw.items() if key in kept}
    for key, value in settings.items():
        if key not in _PARTS and key not in _LABELS:
            _refuse_absurd(key, value, path)
    for key, allowed in _PARTS.items():
        if key in declared and isinstance(settings.get(key), dict):
            settings[key] = _make_part(key, settings[key], allowed, path)
    forced = {"is_training": False} if "is_training" in declared else {}  # OneFormer then wants texts, too
    # An older transformers would download the weights of a backbone otherwise.
    forced |= {"use_pretrained_backbone": False} if kind == "timm_backbone" else {}
    try:
        return kinds[kind](**{**settings, **forced})
    except Exception as error:  # whatever the class finds wrong
        raise CheckpointError(
            f"{path} describes no {kind} ({one_line(error)}); copy or download it again"
        ) from error


def _make_part(key: str, raw: Mapping[str, Any], allowed: tuple[str, ...], path: Path) -> Any:
    kind = raw.get("model_type")
    if kind not in allowed:
        raise CheckpointError(
            f"{path}: its {key} has the model_type {str(kind)[:40]!r}; expected one of {', '.join(allowed)}"
        )
    return _make(kind, raw, path)


def _with_backbone(kind: str, raw: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Turn the name of a backbone of timm into its config; refuse one that the hub would be asked for."""
    settings = {key: value for key, value in raw.items() if key not in ("backbone", "backbone_kwargs")}
    name = raw.get("backbone")
    if kind == "detr":  # in MaskFormer just the decoder: what backbone it would have doesn't matter
        return settings | {"backbone_config": None}
    if name is None or raw.get("backbone_config") is not None:
        return settings
    if not raw.get("use_timm_backbone"):
        raise CheckpointError(
            f"{path} names the backbone {str(name)[:80]!r} of the hub, which no file makes erfscope ask; "
            "put that backbone's own config under backbone_config"
        )
    extra = raw.get("backbone_kwargs")
    part = {**(extra if isinstance(extra, dict) else {}), "model_type": "timm_backbone", "backbone": name}
    return settings | {"backbone_config": part}


def _refuse_timm_name(name: Any, path: Path) -> None:
    if not isinstance(name, str) or not _TIMM_NAME.fullmatch(name):  # timm takes addresses of its own, too
        raise CheckpointError(
            f"{path}: {str(name)[:80]!r} is no name of a network of timm; expected one such as 'resnet50'"
        )


def _refuse_absurd(key: str, value: Any, path: Path) -> None:
    if isinstance(value, dict) and key in _MAPPINGS:
        for name, entry in value.items():
            _refuse_absurd(name, entry, path)
    elif isinstance(value, dict):
        raise CheckpointError(f"{path}: {key} is a mapping; expected a number, a word, or a list of these")
    elif isinstance(value, list):
        if len(value) > _MAX_LIST:
            raise CheckpointError(f"{path}: {key} has {len(value)} entries; no network has so many")
        for entry in value:
            _refuse_absurd(key, entry, path)
        # Libraries make a number for each layer of all stages at once.
        _refuse_absurd(key, sum(abs(entry) for entry in value if isinstance(entry, int)), path)
    elif isinstance(value, int) and abs(value) > _MAX_NUMBER and not key.endswith("vocab_size"):
        raise CheckpointError(f"{path}: {key} has a number beyond {_MAX_NUMBER}; no network has so many")


def _refuse_other_channels(config: Any, path: Path) -> None:
    for part in (config, backbone_of(config)):
        channels = getattr(part, "num_channels", None)
        if channels not in (3, None):
            raise CheckpointError(
                f"{path} describes a network of images with {channels} channels; "
                "expected three (R, G, B), which is what a map is computed of"
            )
