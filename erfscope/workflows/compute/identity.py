"""What must be the same in all parts of one map: those of a resumed run, and the shards that are merged."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from erfscope.records.model_info import ModelInfo
from erfscope.store.write import image_list_sha256

# Where the images lie, and how many there are, is told by their list.
_NOT_THEIRS = ("root", "images", "available")


def identify(
    model: nn.Module,
    dataset: Mapping[str, Any],
    names: Iterable[str],
    wishes: Mapping[str, Any],
) -> dict[str, Any]:
    """Return all that decides the numbers of a map, flat and JSON-able.

    Parameters
    ----------
    dataset
        Its description.
    names
        Of all images, in the order of the run.
    wishes
        What was asked for, by name: formula, target, unit and the like.
    """
    facts = {
        **wishes,
        "network": _network(model),
        "weights": _weights(model),
        "data": {name: value for name, value in dataset.items() if name not in _NOT_THEIRS},
        "images": image_list_sha256(names),
    }
    flat: dict[str, Any] = json.loads(json.dumps(dict(_flatten(facts)), default=str))
    return flat


def _flatten(facts: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _network(model: nn.Module) -> dict[str, Any]:
    info = getattr(model, "info", None)
    if not isinstance(info, ModelInfo):
        return {"name": type(model).__name__}
    return {"name": info.name, **info.options}


def _weights(model: nn.Module) -> str:
    """Tell which weights these are: the file's SHA-256, the seed of random ones, else their own SHA-256."""
    info = getattr(model, "info", None)
    if isinstance(info, ModelInfo):
        if info.weights.sha256:
            return info.weights.sha256
        if info.weights.source == "random":
            return f"random, seed {info.weights.seed}"
    return weights_sha256(model)


def weights_sha256(model: nn.Module) -> str:
    """SHA-256 of a module's parameters and buffers, with their names."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        if isinstance(value, torch.Tensor) and value.numel():
            flat = value.detach().cpu().contiguous().flatten().view(torch.uint8)
            digest.update(flat.numpy().data)
    return digest.hexdigest()
