"""Reads a network of transformers: a folder, one of the hub, or a state dict with its config.json."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from erfscope.checkpoints.detection import Detection
from erfscope.checkpoints.files.weights_file import Checkpoint
from erfscope.checkpoints.formats.hf.hf_config import backbone_of, read_config
from erfscope.checkpoints.formats.hf.hf_folder import Weights, find_weights, locate_folder, read_weights
from erfscope.checkpoints.formats.hf.hf_network import build
from erfscope.checkpoints.formats.hf.hf_preprocessing import read_facts
from erfscope.checkpoints.formats.hf.transformers_wrapper import TransformersNetwork
from erfscope.checkpoints.library import import_library
from erfscope.checkpoints.request import Request
from erfscope.errors import CheckpointError
from erfscope.model.network import Network
from erfscope.records.model_info import ModelInfo, TrainingFacts

# Of a config, where it has them, under the catalog's names.
_OPTIONS = {"num_classes": "num_labels", "output_stride": "output_stride", "rates": "atrous_rates"}


@dataclass(frozen=True)
class _HfNetwork:
    """What is known of a network before it is built; `format` is recorded in its `ModelInfo`."""

    path: Path
    config: Any
    training: TrainingFacts
    weights: Weights | None
    format: str


def read(request: Request, detection: Detection) -> Network:
    """Read a folder of `save_pretrained`, or a state dict with its config.json.

    Weights are random where a folder holds none.

    Raises
    ------
    CheckpointError
        There is no such folder, it describes nothing that erfscope loads, or its weights don't fit.
    """
    request.refuse_options("the config.json says what network it is")
    if detection.content is not None and detection.config is not None:
        return _read_state_dict(request, detection.content, detection.config)
    request.refuse_config("the folder has its own")
    request.refuse_checkpoint(
        "the folder holds the weights; for others, give their file and --config config.json"
    )
    folder, form = locate_folder(request)
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{folder} has no config.json; expected a folder that save_pretrained wrote")
    with _quiet(request.spec):
        config = read_config(path)
        training = read_facts(folder, config)
        source = find_weights(folder)
        weights = None if source is None else read_weights(source)
        return _network(request, _HfNetwork(path, config, training, weights, form))


def _read_state_dict(request: Request, content: Checkpoint, path: Path) -> Network:
    with _quiet(request.spec):
        config = read_config(path)
        training = replace(read_facts(path.parent, config), hyper_parameters=content.hyper_parameters)
        weights = Weights(content.state, content.path, (content.path,))
        return _network(request, _HfNetwork(path, config, training, weights, "state dict of transformers"))


def _network(request: Request, described: _HfNetwork) -> Network:
    config, backbone = described.config, backbone_of(described.config)
    network, report = build(config, described.weights, str(described.path), request)
    options = {ours: getattr(config, theirs) for ours, theirs in _OPTIONS.items() if hasattr(config, theirs)}
    options |= {} if backbone is None else {"backbone": backbone.model_type}
    info = ModelInfo(
        config.model_type,
        options,
        report,
        training=described.training,
        format=described.format,
    )
    return TransformersNetwork(network, info)


@contextmanager
def _quiet(spec: str) -> Iterator[None]:
    """Silence transformers' log, warnings and progress bars: what matters is in the weights report."""
    logs = import_library("transformers", "hf", spec).utils.logging
    verbosity, bars = logs.get_verbosity(), logs.is_progress_bar_enabled()
    logs.set_verbosity(logs.CRITICAL)
    logs.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logs.set_verbosity(verbosity)
        if bars:
            logs.enable_progress_bar()
