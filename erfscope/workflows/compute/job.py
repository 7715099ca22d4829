"""What is computed, and its identity: what must be the same in all parts of one map."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

from erfscope.engine.image_order import ImageOrder
from erfscope.engine.image_source import ImageSource
from erfscope.model.network import name_of
from erfscope.records.model_info import ModelInfo, WeightsReport
from erfscope.records.shard import Shard
from erfscope.store.write import image_list_sha256
from erfscope.workflows.compute.options import ComputeOptions

# The list of the images tells where they lie and how many there are.
_NOT_IDENTIFYING = ("root", "images", "available")


@dataclass(frozen=True)
class ComputeJob:
    """A network, images and options.

    Attributes
    ----------
    source
        The images, `open_source` of a dataset or an iterable.
    """

    model: nn.Module
    source: ImageSource
    options: ComputeOptions

    @property
    def name(self) -> str:
        """Name of the network."""
        return name_of(self.model)

    @property
    def shard(self) -> Shard:
        """Which share of the images."""
        return Shard(*self.options.shard)

    @cached_property
    def image_order(self) -> ImageOrder:
        """Which images, in which order."""
        options = self.options
        return ImageOrder(
            self.source, self.shard, options.replicates, options.seed, shuffled=options.until is not None
        )

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that decides the map's numbers, flat and JSON-able.

        A run goes on with an unfinished map, and shards make one map, if their identities are equal.
        """
        data = self.source.description
        facts = {
            **self.options.decisive(),
            "network": _identify_network(self.model),
            "weights": _identify_weights(self.model),
            "data": {name: value for name, value in data.items() if name not in _NOT_IDENTIFYING},
            "images": image_list_sha256(self.image_order.names),
        }
        identity: dict[str, Any] = json.loads(json.dumps(dict(_flatten(facts)), default=str))
        return identity

    def describe_model(self) -> dict[str, Any]:
        """Return network and weights for the provenance, as `load_model` or the caller made them."""
        info = _model_info(self.model) or ModelInfo(type(self.model).__name__, {}, WeightsReport("as given"))
        network = {
            "name": info.name,
            "format": info.format,
            "detected_by": info.detected_by,
            "options": dict(info.options),
            "trained_settings": dict(info.trained_settings),
            "training": info.training.summary(),
            "parts": dict(info.parts),
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
        }
        return {"network": network, "weights": info.weights.summary()}


def weights_sha256(model: nn.Module) -> str:
    """SHA-256 of a module's parameters and buffers, with their names."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        if isinstance(value, torch.Tensor) and value.numel():
            flat = value.detach().cpu().contiguous().flatten().view(torch.uint8)
            digest.update(flat.numpy().data)
    return digest.hexdigest()


def _model_info(model: nn.Module) -> ModelInfo | None:
    info = getattr(model, "info", None)
    return info if isinstance(info, ModelInfo) else None


def _identify_network(model: nn.Module) -> dict[str, Any]:
    info = _model_info(model)
    return {"name": info.name, **info.options} if info else {"name": type(model).__name__}


def _identify_weights(model: nn.Module) -> str:
    """Tell which weights these are: the file's SHA-256, the seed of random ones, else their own SHA-256."""
    info = _model_info(model)
    if info and info.weights.sha256:
        return info.weights.sha256
    if info and info.weights.source == "random":
        return f"random, seed {info.weights.seed}"
    return weights_sha256(model)


def _flatten(facts: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
