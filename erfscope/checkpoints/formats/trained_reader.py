"""Weights that erfscope trained: safetensors whose header, or torch files whose `meta`, describe them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from erfscope.checkpoints.files.plain_data import plain_copy
from erfscope.checkpoints.files.weights_file import Checkpoint
from erfscope.checkpoints.fitting.blueprint import Blueprint, build
from erfscope.checkpoints.fitting.construct import fill
from erfscope.checkpoints.fitting.overrides import OVERRIDES, override
from erfscope.checkpoints.request import Request
from erfscope.errors import CheckpointError
from erfscope.model.network import Network
from erfscope.records.model_info import TrainingFacts
from erfscope.zoo.build import build_skeleton
from erfscope.zoo.catalog.entries import summarize
from erfscope.zoo.description import NetworkDescription

#: The name in the header under which a run tells of its network, as JSON.
KEY = "erfscope"
_MAX_HEADER = 1_000_000  # characters


def recognize(content: Checkpoint) -> Mapping[str, Any] | None:
    """Return what a run of ours tells of its network; None for another's file.

    Raises
    ------
    CheckpointError
        It begins like one and is damaged.
    """
    text = content.meta.get(KEY)
    if not isinstance(text, str):
        return None
    try:
        told = plain_copy(json.loads(text)) if len(text) <= _MAX_HEADER else None
    except (ValueError, RecursionError):  # NotPlainError is a ValueError
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("network"), dict):
        raise CheckpointError(
            f"{content.path} has a damaged header; copy it again, or take last.pt beside it"
        )
    return told


def read_recognized(request: Request, content: Checkpoint, told: Mapping[str, Any]) -> Network:
    """Build the network that the header describes, at its stride and rates unless others are given.

    Raises
    ------
    CheckpointError, NetworkError
        The header describes nothing that can be built, or the tensors aren't that network's.
    """
    request.refuse_options(
        f"the file says what network it is; of its options only {', '.join(OVERRIDES)} can be changed",
        but=OVERRIDES,
    )
    request.refuse_config("the file describes itself")
    trained = _describe(told["network"], content)
    # Names and sizes first, which takes no memory: a header can describe a network of any size.
    fill(build_skeleton(trained), content.state, content, request)
    description = override(trained, request.options)
    before, after = summarize(trained), summarize(description)
    recipe = told.get("recipe")
    blueprint = Blueprint(
        name=str(told.get("name", "network")),
        description=description,
        options=after,
        content=replace(content, hyper_parameters=recipe if isinstance(recipe, dict) else {}),
        described=True,
        format="erfscope training run",
        detected_by="its header",
        trained_settings={option: value for option, value in before.items() if value != after[option]},
        training=_facts(told),
    )
    return build(blueprint, request)


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


def _facts(told: Mapping[str, Any]) -> TrainingFacts:
    mean, std = _numbers(told.get("mean"), 3), _numbers(told.get("std"), 3)
    size = _numbers(told.get("crop_size"), 2)
    classes = told.get("classes")
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
