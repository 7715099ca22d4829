"""Reads weights that erfscope trained, by the header of a safetensors file or the `meta` of a torch file."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from erfscope.checkpoints.detection import Detection
from erfscope.checkpoints.files.plain_data import plain_copy
from erfscope.checkpoints.files.weights_file import Checkpoint
from erfscope.checkpoints.fitting.build_filled import fill
from erfscope.checkpoints.fitting.zoo_network import build_zoo_network, change_trained
from erfscope.checkpoints.request import Request
from erfscope.errors import CheckpointError
from erfscope.model.network import Network
from erfscope.records.model_info import TrainingFacts
from erfscope.zoo.build import build_skeleton
from erfscope.zoo.description import NetworkDescription

#: The key of the header under which a training run describes its network, as JSON.
KEY = "erfscope"
_MAX_HEADER = 1_000_000  # characters


def read(request: Request, detection: Detection) -> Network:
    """Build the network that the header describes, at its stride and rates unless others are given.

    Raises
    ------
    CheckpointError, NetworkError
        The header is damaged or describes nothing that can be built, or the tensors aren't that network's.
    """
    content: Any = detection.content
    header = _read_header(content)
    request.refuse_config("the file describes itself")
    trained = _describe(header["network"], content)
    description = change_trained(trained, request)
    # Names and sizes first, which takes no memory: a header can describe a network of any size.
    fill(build_skeleton(trained), content.state, content, request)
    recipe = header.get("recipe")
    return build_zoo_network(
        request,
        description,
        replace(content, hyper_parameters=recipe if isinstance(recipe, dict) else {}),
        name=str(header.get("name", "network")),
        format="erfscope training run",
        trained=trained,
        training=_training_facts(header),
    )


def _read_header(content: Checkpoint) -> Mapping[str, Any]:
    text = content.meta[KEY]
    try:
        header = plain_copy(json.loads(text)) if len(text) <= _MAX_HEADER else None
    except (ValueError, RecursionError):  # NotPlainError is a ValueError
        header = None
    if not isinstance(header, dict) or not isinstance(header.get("network"), dict):
        raise CheckpointError(
            f"{content.path} has a damaged header; copy it again, or take last.pt beside it"
        )
    return header


def _describe(parts: Mapping[str, Any], content: Checkpoint) -> NetworkDescription:
    frozen = {name: _frozen(value) for name, value in parts.items()}
    parts_ = [frozen.get("backbone"), frozen.get("head"), frozen.get("neck") or {"type": ""}]
    sound = all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in parts_)
    if not sound or not isinstance(frozen.get("head_name"), str):
        raise CheckpointError(f"{content.path} has a damaged header; copy it again")
    return NetworkDescription(
        backbone=frozen["backbone"],
        head=frozen["head"],
        neck=frozen.get("neck"),
        head_name=frozen["head_name"],
        align_corners=bool(frozen.get("align_corners")),
    )


def _frozen(value: Any) -> Any:
    """Turn JSON's lists back into tuples."""
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _training_facts(header: Mapping[str, Any]) -> TrainingFacts:
    mean, std = _numbers(header.get("mean"), 3), _numbers(header.get("std"), 3)
    size = _numbers(header.get("crop_size"), 2)
    classes = header.get("classes")
    named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    return TrainingFacts(
        classes=tuple(classes) if named else (),  # type: ignore[arg-type]
        mean=mean if mean and std and all(std) else None,  # type: ignore[arg-type]
        std=std if mean and std and all(std) else None,  # type: ignore[arg-type]
        crop_size=None if size is None else (int(size[0]), int(size[1])),
    )


def _numbers(values: Any, count: int) -> tuple[float, ...] | None:
    fits = isinstance(values, list) and len(values) == count
    return tuple(values) if fits and all(type(value) in (int, float) for value in values) else None
