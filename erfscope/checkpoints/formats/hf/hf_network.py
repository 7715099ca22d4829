"""Builds a network of transformers from a config and tensors, and reports how well they fit."""

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook

from erfscope.checkpoints.fitting.build_filled import build_seeded, build_shapes
from erfscope.checkpoints.fitting.matching import report_random
from erfscope.checkpoints.formats.hf.hf_config import MASK_NETWORKS
from erfscope.checkpoints.formats.hf.hf_folder import Weights
from erfscope.checkpoints.formats.hf.hf_weights_report import count_values, refuse_poor, report_fit, show
from erfscope.checkpoints.library import import_library
from erfscope.checkpoints.request import Request
from erfscope.errors import CheckpointError, one_line
from erfscope.records.model_info import WeightsReport

_MAX_MODULES = 10_000
# How many times the values of its file a network may have; without one, 2 GB of them.
_MAX_GROWTH = 4
_MAX_VALUES = 500_000_000
# Tables that no file holds, such as those of the positions in a window.
_MAX_TABLES = 100_000_000


def build(
    config: Any, weights: Weights | None, what: str, request: Request
) -> tuple[nn.Module, WeightsReport]:
    """Build the network, in eval mode on the CPU, with the weights or with random ones from the seed.

    Parameters
    ----------
    config
        From `read_config`: its class, not the file, decides the network's.
    what
        The config's file.

    Raises
    ------
    CheckpointError
        It can't be built, is far larger than its weights, or they don't fit.
    """
    transformers = import_library("transformers", "hf", what)
    kind = _network_class(transformers, config, what)
    shapes = build_shapes(lambda: _bounded(kind, config, what), what)
    _refuse_size(shapes, weights, what)
    if weights is None:
        network = build_seeded(lambda: kind(copy.deepcopy(config)), request.seed, what)
        return network, report_random(network, request.seed)
    _refuse_integers(weights)
    network, info = _load(kind, config, weights, request.seed)
    report = report_fit(network, weights, info)
    if not request.allow_partial:
        refuse_poor(network, weights, report, info)
    return network, replace(report, sha256=weights.sha256())  # last: it reads every byte of a large file


def _network_class(transformers: Any, config: Any, what: str) -> Any:
    auto = import_library("transformers.models.auto.modeling_auto", "hf", what)
    names = (
        auto.MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING_NAMES
        if config.model_type in MASK_NETWORKS
        else auto.MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES
    )
    try:
        return getattr(transformers, names[config.model_type])
    except Exception as error:  # a torchvision for another torch breaks it, and an old one lacks the network
        raise CheckpointError(
            f"{what} needs transformers' {config.model_type}, which can't be imported ({one_line(error)}); "
            "install versions of transformers and torchvision that fit this torch: pip install 'erfscope[hf]'"
        ) from error


def _bounded(kind: Any, config: Any, what: str) -> nn.Module:
    """Make the network, but no more modules than networks have."""
    made = 0

    def tally(_module: nn.Module, _name: str, _child: nn.Module | None) -> None:
        nonlocal made
        made += 1
        if made > _MAX_MODULES:
            raise CheckpointError(
                f"{what} describes more than {_MAX_MODULES} modules; no network has so many"
            )

    handle = register_module_module_registration_hook(tally)
    try:
        network: nn.Module = kind(copy.deepcopy(config))
    finally:
        handle.remove()
    return network


def _refuse_size(shapes: nn.Module, weights: Weights | None, what: str) -> None:
    wanted = count_values(shapes.state_dict().values())
    held = 0 if weights is None else count_values(weights.state.values())
    limit = _MAX_GROWTH * held if weights else _MAX_VALUES
    if wanted > limit:
        held_text = f"its weights' file {held:.3g}" if weights else f"at most {limit:.3g} are made at random"
        raise CheckpointError(f"{what} describes {wanted:.3g} values, {held_text}; give its own weights")
    tables = count_values(shapes.buffers())
    if tables > wanted + _MAX_TABLES:
        raise CheckpointError(f"{what} describes tables of {tables:.3g} numbers; no network has so many")


def _refuse_integers(weights: Weights) -> None:
    """Refuse packed or quantized weights, which would be taken for numbers of that size."""
    for name, tensor in weights.state.items():
        if name.endswith((".weight", ".bias")) and not tensor.is_floating_point():
            raise CheckpointError(
                f"{weights.source}: {show([name])} is of {str(tensor.dtype).removeprefix('torch.')}; "
                "save the network in floating point"
            )


def _load(kind: Any, config: Any, weights: Weights, seed: int) -> tuple[nn.Module, dict[str, Any]]:
    """Let transformers rename and copy the tensors: names change between its versions.

    It gets the tensors, not a file, and a config, not its name: there is nothing for it to open, to
    unpickle or to fetch.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            network, info = kind.from_pretrained(
                None,
                config=config,
                state_dict=dict(weights.state),
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                local_files_only=True,
            )
    except Exception as error:  # whatever it finds wrong
        raise CheckpointError(
            f"{weights.source} can't be loaded as {config.model_type} ({one_line(error)}); "
            "expected the weights that belong to the config beside it"
        ) from error
    return network.eval(), info
