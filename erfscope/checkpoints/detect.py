"""Finds out the format of what `--model` names, and what shows it; a file of weights is read on the way."""

import os
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from erfscope import plugins
from erfscope.checkpoints.detection import Detection
from erfscope.checkpoints.files.archive_scan import scan_file
from erfscope.checkpoints.files.file_type import check_file
from erfscope.checkpoints.files.json_file import read_json
from erfscope.checkpoints.files.weights_file import Checkpoint, read_checkpoint
from erfscope.checkpoints.fitting.library_names import library_hint
from erfscope.checkpoints.fitting.matching import nearest_entry
from erfscope.checkpoints.formats.mmsegmentation.mmsegmentation_reader import config_text
from erfscope.checkpoints.formats.plugin_reader import find_plugin
from erfscope.checkpoints.formats.torchvision.torchvision_weights import find_network
from erfscope.checkpoints.formats.trained_reader import KEY
from erfscope.checkpoints.request import Request
from erfscope.errors import CheckpointError
from erfscope.zoo.catalog.entries import CATALOG

LIBRARIES = ("torchvision", "smp", "hf", "timm")
_FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
# What ends so is no network's name.
_SUFFIXES = (".ckpt", ".onnx", ".pt", ".pt2", ".pth", ".safetensors", ".bin")


def detect(request: Request) -> Detection:
    """Find out which reader a request needs. A weights file is scanned and read on the way, once.

    Raises
    ------
    CheckpointError
        There is no such file, it can't be read safely, or no reader takes it; the message says what it looks
        like.
    """
    detection = detect_by_name(request)
    if detection is not None:
        return detection
    if _is_folder(request.path):
        return _detect_folder(request.path)
    request.refuse_checkpoint(f"{request.path} is a checkpoint itself")
    return _detect_file(request)


def detect_by_name(request: Request) -> Detection | None:
    """Find out what the name alone shows; None for the path of a file or folder, of which nothing is read.

    Plug-ins are asked first.

    Raises
    ------
    CheckpointError
        The name is that of a file, or `--config` names one, that isn't there or can't be read.
    """
    if request.config is not None:
        check_file(request.config, "config")
    plugin = find_plugin(request)
    if plugin is not None:
        return plugin
    prefix = request.spec.partition(":")[0]
    if prefix in LIBRARIES and request.name:
        return Detection(prefix, f"the prefix {prefix}:")
    path = request.path
    if _is_folder(path):
        return None
    if os.path.lexists(path) or path.suffix in _SUFFIXES or "/" in prefix:
        check_file(path)
        return None
    if _FACTORY.fullmatch(request.spec):
        return Detection("factory", "module:function")
    if request.spec not in CATALOG and request.spec in plugins.names(plugins.NETWORKS):
        return Detection("plug-in network", "its name")
    return Detection("catalog", "its name")


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - pathlib's raises at names that are too long


def _detect_folder(path: Path) -> Detection:
    config = path / "config.json"
    if not config.is_file():
        raise CheckpointError(
            f"{path} is a folder without config.json; expected one that save_pretrained of transformers or "
            "segmentation_models_pytorch wrote, or give the path of a weights file"
        )
    detection = _detect_description(config)
    if detection.format not in LIBRARIES:
        raise CheckpointError(
            f"{path} is a folder with a config of mmsegmentation; give --model WEIGHTS --config {config}"
        )
    return replace(detection, config=None)  # the folder's own, whatever the reader takes of it


def _detect_description(path: Path) -> Detection:
    """Find out which library's `config.json` it is."""
    config = read_json(path)
    if "_model_class" in config:
        return Detection("smp", f"_model_class in {path}", config=path)
    if "model_type" in config or "architectures" in config:
        return Detection("hf", f"model_type in {path}", config=path)
    if isinstance(config.get("model"), dict) or "_base_" in config:
        return Detection("mmsegmentation", f"the config in {path}", config=path)
    raise CheckpointError(
        f"{path} describes no network of transformers (model_type), segmentation_models_pytorch "
        "(_model_class) or mmsegmentation (model); name the network by --model, and give this one's weights "
        "by --checkpoint"
    )


def _detect_file(request: Request) -> Detection:
    path = request.path
    if path.suffix == ".onnx":
        return Detection("onnx", "its suffix")
    scan = scan_file(path)
    match scan.kind:
        case "exported program":
            return Detection("exported", "the exported program inside")
        case "TorchScript archive":
            return Detection("torchscript", "the code inside")
        case "module":
            return Detection(
                "pickled", f"the class {scan.module_class} in its pickle", found=scan.module_class
            )
        case _:
            return _detect_tensors(request, read_checkpoint(path, scan))


def _detect_tensors(request: Request, content: Checkpoint) -> Detection:
    """Find out what network a file of tensors is of: by its header, its description, or all its tensors."""
    if isinstance(content.meta.get(KEY), str):
        return Detection("trained", "its header", content)
    config = request.config or _find_description(content.path)
    if config is not None and config.suffix == ".json":
        return replace(_detect_description(config), content=content)
    if config is not None:
        return Detection("mmsegmentation", f"the config in {config}", content, config)
    if config_text(content):
        return Detection("mmsegmentation", "the config in its meta", content)
    network = find_network(content)
    if network is not None:
        words = f"all its tensors, which are those of {' on '.join(network)}"
        return Detection("torchvision weights", words, content, found=network)
    raise CheckpointError(_unknown(content))


def _find_description(path: Path) -> Path | None:
    """Find the description beside a safetensors file: `w.json` of `w.safetensors`, or `config.json`."""
    if path.suffix == ".safetensors":
        for beside in (path.with_suffix(".json"), path.with_name("config.json")):
            with suppress(CheckpointError):  # it describes something else
                _detect_description(beside)
                return beside
    return None


def _unknown(content: Checkpoint) -> str:
    path = content.path
    unknown = f"{path} is a file of weights, which doesn't say what network it is"
    hint = library_hint(content.state, path)
    if hint is not None:
        return f"{unknown}; {hint}"
    name, backbone, share = nearest_entry(content.state)
    return (
        f"{unknown}; closest in the catalog: --model {name} --backbone {backbone} --checkpoint {path} "
        f"({share:.0%} match); or give its config by --config"
    )
