"""What a spec is: which format's reader takes it, and what told so. Reads a few bytes, runs nothing."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from erfscope import plugins
from erfscope.checkpoints.files.archive import member_names
from erfscope.checkpoints.files.archive_scan import module_class
from erfscope.checkpoints.files.file_type import check_file
from erfscope.checkpoints.files.plain_data import plain_copy
from erfscope.checkpoints.formats.plugin_reader import recognize
from erfscope.checkpoints.request import Request
from erfscope.errors import CheckpointError
from erfscope.zoo.catalog.entries import CATALOG

LIBRARIES = ("torchvision", "smp", "hf", "timm")
FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
# What ends so is no network's name.
_SUFFIXES = (".ckpt", ".onnx", ".pt", ".pt2", ".pth", ".safetensors", ".bin")
_MAX_JSON = 5_000_000  # bytes: descriptions are some kB


@dataclass(frozen=True)
class Detection:
    """Name of a format's reader, and what told that it is this one."""

    format: str
    detected_by: str


def detect(request: Request) -> Detection:
    """Tell which reader a spec needs.

    Raises
    ------
    CheckpointError
        A file or folder that no reader takes; the message says what it looks like.
    """
    if request.config is not None:
        check_file(request.config, "config")
    recognized = recognize(request)
    if recognized is not None:
        return Detection("plugin", recognized[2])
    prefix = request.spec.partition(":")[0]
    if prefix in LIBRARIES and request.name:
        return Detection(prefix, f"the word before the colon, {prefix}")
    path = request.path
    if os.path.isdir(path):  # noqa: PTH112 - pathlib's raises at names that are too long
        return _detect_folder(path)
    if os.path.lexists(path) or path.suffix in _SUFFIXES or "/" in prefix:
        check_file(path)
        return _detect_file(path)
    if FACTORY.fullmatch(request.spec):
        return Detection("factory", "module:function")
    if request.spec not in CATALOG and request.spec in plugins.names(plugins.NETWORKS):
        return Detection("plugin", "its name")
    return Detection("catalog", "its name")


def read_json(path: Path) -> Mapping[str, Any]:
    """Read a JSON object of plain, bounded data.

    Raises
    ------
    CheckpointError
        It isn't one, or is too large or too deep to be a description of anything.
    """
    try:
        check_file(path, "config")
        if path.stat().st_size > _MAX_JSON:
            raise CheckpointError(
                f"{path} has {path.stat().st_size / 1e6:.0f} MB, too many for a description; "
                "give a config.json"
            )
        content = plain_copy(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError) as error:  # NotPlainError is a ValueError
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise CheckpointError(f"{path} is no readable JSON ({reason}); copy or download it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is no JSON object; expected the description of a network")
    return content


def _detect_folder(path: Path) -> Detection:
    if not (path / "config.json").is_file():
        raise CheckpointError(
            f"{path} is a folder without config.json; expected one that save_pretrained of transformers or "
            "segmentation_models_pytorch wrote, or give the path of a weights file"
        )
    found = detect_description(path / "config.json")
    if found.format not in LIBRARIES:
        raise CheckpointError(
            f"{path} is a folder with a config of mmsegmentation; give --model WEIGHTS --config "
            f"{path}/config.json"
        )
    return found


def detect_description(path: Path) -> Detection:
    """Tell whose `config.json` it is."""
    config = read_json(path)
    if "_model_class" in config:
        return Detection("smp", f"_model_class in {path.name}")
    if "model_type" in config or "architectures" in config:
        return Detection("hf", f"model_type in {path.name}")
    if isinstance(config.get("model"), dict) or "_base_" in config:
        return Detection("mmsegmentation", f"the model of mmsegmentation in {path.name}")
    raise CheckpointError(
        f"{path} describes no network of transformers (model_type), segmentation_models_pytorch "
        "(_model_class) or mmsegmentation (model); name the network by --model, and give this one's weights "
        "by --checkpoint"
    )


def _detect_file(path: Path) -> Detection:
    if path.suffix == ".onnx":
        return Detection("onnx", "its suffix")
    members = member_names(path)
    if any(name.endswith(("models/model.json", "serialized_exported_program.json")) for name in members):
        return Detection("exported", "the exported program inside")
    if any(name.endswith("constants.pkl") for name in members) and any("/code/" in name for name in members):
        return Detection("torchscript", "the code inside")
    if path.suffix != ".safetensors" and module_class(path):
        return Detection("pickled", "the class in its pickle")
    return Detection("weights", "a file of tensors")
