"""A network of transformers: a folder, one of the hub, or a state dict with its config.json."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from erfscope.checkpoints.files.weights_file import Checkpoint
from erfscope.checkpoints.formats.hf.hf_config import backbone_of, read_config
from erfscope.checkpoints.formats.hf.hf_folder import Weights, find_weights, locate_folder, read_weights
from erfscope.checkpoints.formats.hf.hf_logits import Pretrained
from erfscope.checkpoints.formats.hf.hf_network import build
from erfscope.checkpoints.formats.hf.hf_preprocessing import read_facts
from erfscope.checkpoints.formats.hf.quiet import quiet
from erfscope.checkpoints.request import Request
from erfscope.errors import CheckpointError
from erfscope.model.network import Network
from erfscope.records.model_info import ModelInfo, TrainingFacts

_FIXED = "the config.json says what network it is"
# Of a config, where it has them, under the catalog's names.
_OPTIONS = {"num_classes": "num_labels", "output_stride": "output_stride", "rates": "atrous_rates"}


@dataclass(frozen=True)
class _Found:
    """What is known of a network before it is built; `form` is what it was read from, in words."""

    path: Path
    config: Any
    training: TrainingFacts
    weights: Weights | None
    form: str


def read(request: Request) -> Network:
    """Read a folder of `save_pretrained`; weights are random where it holds none.

    Raises
    ------
    CheckpointError
        There is no such folder, it describes nothing that erfscope loads, or its weights don't fit.
    """
    request.refuse_options(_FIXED)
    request.refuse_config("the folder has its own")
    request.refuse_checkpoint(
        "the folder holds the weights; for others, give their file and --config config.json"
    )
    folder, form = locate_folder(request)
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{folder} has no config.json; expected a folder that save_pretrained wrote")
    with quiet(request.spec):
        config = read_config(path)
        training = read_facts(folder, config)
        source = find_weights(folder)
        weights = None if source is None else read_weights(source)
        return _network(request, _Found(path, config, training, weights, form))


def read_described(request: Request, content: Checkpoint) -> Network:
    """Read a state dict by the config.json that `--config` names.

    Raises
    ------
    CheckpointError
        The config describes nothing that erfscope loads, or the tensors don't fit.
    """
    request.refuse_options(_FIXED)
    path = request.config or content.path.with_name("config.json")
    with quiet(request.spec):
        config = read_config(path)
        training = replace(read_facts(path.parent, config), hyper_parameters=content.hyper_parameters)
        weights = Weights(content.state, content.path, (content.path,))
        return _network(request, _Found(path, config, training, weights, "state dict of transformers"))


def _network(request: Request, found: _Found) -> Network:
    config, backbone = found.config, backbone_of(found.config)
    network, report = build(config, found.weights, str(found.path), request)
    options = {ours: getattr(config, theirs) for ours, theirs in _OPTIONS.items() if hasattr(config, theirs)}
    options |= {} if backbone is None else {"backbone": backbone.model_type}
    info = ModelInfo(
        config.model_type,
        options,
        report,
        training=found.training,
        format=found.form,
        detected_by=f"model_type in {found.path.name}",
    )
    return Pretrained(network, info)
