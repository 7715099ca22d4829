"""Reads segmentation_models_pytorch: saved folders, `smp:Unet`, state dicts with a config.json."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from erfscope.checkpoints.detection import Detection
from erfscope.checkpoints.files.json_file import read_json
from erfscope.checkpoints.files.state_dict import StateDict
from erfscope.checkpoints.files.weights_file import Checkpoint, read_checkpoint
from erfscope.checkpoints.fitting.build_filled import build_filled, build_shapes, count_classes
from erfscope.checkpoints.formats.smp.smp_config import (
    ARCHITECTURES,
    ARGUMENTS,
    architecture_arguments,
    check_architecture,
    check_arguments,
    keep_pixels,
    name_arguments,
)
from erfscope.checkpoints.formats.smp.smp_preprocessing import read_preprocessing
from erfscope.checkpoints.library import find_folder, find_weights, import_library
from erfscope.checkpoints.request import Request
from erfscope.checkpoints.wrappers.library_network import LibraryNetwork
from erfscope.errors import CheckpointError
from erfscope.model.network import Network
from erfscope.records.model_info import ModelInfo

_CONFIG = "config.json"
# What may be chosen for a network that its folder describes.
_OVERRIDES = ("output_stride", "rates")
# How former releases called what is now called otherwise.
_RENAMED = (
    ("decoder.0.", "decoder.aspp."),
    ("decoder.1.", "decoder.conv."),
    ("decoder.2.", "decoder.bn."),
    ("encoder.", "encoder.model."),
)


@dataclass(frozen=True)
class _SmpNetwork:
    """A network to build.

    `arguments` are the library's; `encoder_weights` and `activation` are those of its description, which
    aren't used; `trained_settings` are the options that were changed, as they were in the training.
    """

    architecture: type[nn.Module]
    arguments: Mapping[str, Any]
    format: str
    encoder_weights: Any = None
    activation: Any = None
    trained_settings: Mapping[str, Any] = field(default_factory=dict)

    def make(self) -> nn.Module:
        return self.architecture(**self.arguments)

    def value(self, argument: str) -> Any:
        return self.arguments.get(argument, architecture_arguments(self.architecture).get(argument))


def read(request: Request, detection: Detection) -> Network:
    """Build an architecture by its name, or the network of a folder or of a state dict with its config.json.

    Raises
    ------
    CheckpointError
        There is no such architecture or folder, the library is missing, or the file doesn't fit.
    """
    if detection.content is not None and detection.config is not None:
        kind = "segmentation_models_pytorch state dict"
        return _build(request, _read_config(request, detection.config, kind), detection.content)
    name = request.name if request.spec.startswith("smp:") else request.spec
    if name in ARCHITECTURES:
        request.refuse_config("an architecture's options describe it")
        return _read_named(request, name)
    request.refuse_config("the folder has its own")
    request.refuse_checkpoint("the folder has its own; or give --model WEIGHTS --config FOLDER/config.json")
    folder = find_folder(name, "smp", request.spec)
    if folder is None:
        raise CheckpointError(
            f"{request.spec} is neither a folder, nor user/name in the Hugging Face hub, nor an "
            f"architecture: {', '.join(ARCHITECTURES)}"
        )
    described = _read_config(request, folder / _CONFIG, "segmentation_models_pytorch folder")
    return _build(request, described, read_checkpoint(find_weights(folder)))


def _read_named(request: Request, name: str) -> Network:
    architecture = _architecture(name, request.spec)
    content = None if request.checkpoint is None else read_checkpoint(request.checkpoint)
    asked = name_arguments(request.options, architecture, request.spec)
    described = _SmpNetwork(
        architecture,
        check_arguments(asked, architecture, request.spec),
        "segmentation_models_pytorch",
    )
    if content is not None and "classes" not in asked:
        shapes = build_shapes(described.make, request.spec)
        classes = count_classes(shapes, "segmentation_head", content.state)
        arguments = {**described.arguments, "classes": classes or described.value("classes")}
        described = replace(described, arguments=arguments)
    return _build(request, described, content)


def _read_config(request: Request, path: Path, kind: str) -> _SmpNetwork:
    request.refuse_options(
        f"{path} describes the network; only {' and '.join(_OVERRIDES)} can be changed", but=_OVERRIDES
    )
    config = read_json(path)
    architecture = _architecture(check_architecture(config.get("_model_class"), str(path)), request.spec)
    arguments = {name: value for name, value in config.items() if not name.startswith("_")}
    asked = name_arguments(
        keep_pixels(request.options, arguments, architecture, str(path)), architecture, request.spec
    )
    own = architecture_arguments(architecture)
    before = {
        option: _plain(arguments.get(argument, own.get(argument)))
        for option, argument in ARGUMENTS.items()
        if argument in asked
    }
    return _SmpNetwork(
        architecture,
        check_arguments({**arguments, **asked}, architecture, str(path)),
        kind,
        config.get("encoder_weights", own["encoder_weights"]),
        config.get("activation"),
        {option: value for option, value in before.items() if value != _plain(asked[ARGUMENTS[option]])},
    )


def _architecture(name: str, spec: str) -> type[nn.Module]:
    library = import_library("segmentation_models_pytorch", "smp", spec)
    architecture: type[nn.Module] = getattr(library, check_architecture(name, spec))
    return architecture


def _build(request: Request, described: _SmpNetwork, content: Checkpoint | None) -> Network:
    network, report = build_filled(described.make, content, request, _with_current_names)
    encoder = str(described.value("encoder_name"))
    info = ModelInfo(
        described.architecture.__name__,
        _options(described, network),
        report,
        trained_settings=described.trained_settings,
        training=replace(
            read_preprocessing(encoder, described.encoder_weights, request.spec),
            hyper_parameters={} if content is None else content.hyper_parameters,
        ),
        format=described.format,
    )
    # The library resizes its heads' maps with aligned corners.
    return LibraryNetwork(network, info, _take_map, align_corners=True)


def _with_current_names(state: StateDict, shapes: nn.Module) -> StateDict:
    """Rename what older releases saved, where the network has the new name and not the old."""
    wanted = shapes.state_dict()

    def current(name: str) -> str:
        renamed = (new + name.removeprefix(old) for old, new in _RENAMED if name.startswith(old))
        return name if name in wanted else next((new for new in renamed if new in wanted), name)

    return {current(name): tensor for name, tensor in state.items()}


def _options(described: _SmpNetwork, network: Any) -> dict[str, Any]:
    rest = {
        name: value
        for name, value in described.arguments.items()
        if name not in (*ARGUMENTS.values(), "in_channels", "encoder_weights", "activation")
    }
    if described.activation not in (None, "identity"):
        rest["activation"] = f"{described.activation}, left out: the map is of logits"
    rates = described.value("decoder_atrous_rates")
    return {
        "backbone": described.value("encoder_name"),
        "output_stride": getattr(network.encoder, "output_stride", None),
        "rates": _plain(rates),
        "num_classes": described.value("classes"),
        **rest,
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value


def _take_map(output: Any) -> torch.Tensor:
    """Take the map, where an auxiliary classifier of the whole image (`aux_params`) stands beside it."""
    masks: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return masks
