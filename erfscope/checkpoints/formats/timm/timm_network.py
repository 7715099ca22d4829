"""What classifiers and backbones of timm share: building them, their weights, their normalization."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from erfscope.checkpoints.files.weights_file import Checkpoint, file_sha256
from erfscope.checkpoints.fitting.build_filled import find_tensor
from erfscope.checkpoints.fitting.matching import comparable
from erfscope.checkpoints.formats.timm.timm_source import TimmSource
from erfscope.checkpoints.library import import_library
from erfscope.checkpoints.request import Request
from erfscope.records.model_info import TrainingFacts, WeightsReport


def maker(source: TimmSource, timm: Any, **arguments: Any) -> Callable[[], Any]:
    """Return a function that builds the network; with `pretrained`, timm downloads its weights safely."""
    pretrained = bool(source.request.options.get("pretrained"))
    given = {**source.arguments, **arguments}
    return lambda: timm.create_model(source.request.name, pretrained=pretrained, **given)


def count_classes(timm: Any, name: str, content: Checkpoint) -> int:
    """Read the classifier's outputs off a file; without a classifier it is of a network of no classes."""
    config = timm.get_pretrained_cfg(name)
    names = None if config is None else config.classifier
    for each in [names] if isinstance(names, str) else names or ():
        weight = find_tensor(content.state, f"{each}.weight")
        if weight is not None and weight.ndim > 0:
            return weight.shape[0]
    return 0


def report_own(network: Any) -> WeightsReport:
    """Report that a network has timm's own weights, and where these come from."""
    config = network.pretrained_cfg
    hub = import_library("huggingface_hub", "timm", "timm's own weights")
    repository = config.get("hf_hub_id")
    file = config.get("hf_hub_filename") or "model.safetensors"
    path = hub.try_to_load_from_cache(repository, file) if repository else None
    return WeightsReport(
        f"hf-hub:{repository}" if repository else str(config.get("url")),
        sha256=file_sha256(Path(path)) if isinstance(path, str) else None,
        matched=tuple(comparable(network.state_dict())),
    )


def training_facts(
    network: Any, request: Request, content: Checkpoint | None, *, classifier: bool
) -> TrainingFacts:
    """Return how images are normalized, and their size for a classifier or where it is fixed."""
    config = network.pretrained_cfg
    size = request.options.get("img_size", config["input_size"][1:])
    size = (size, size) if isinstance(size, int) else tuple(size)
    fixed = config.get("fixed_input_size") and not request.options.get("dynamic_img_size")
    return TrainingFacts(
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        crop_size=size if classifier or fixed else None,
        hyper_parameters={} if content is None else content.hyper_parameters,
    )
