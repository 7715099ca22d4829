"""What a spec is: which format's reader takes it, and what told so. Reads a few bytes, runs nothing."""

import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from erfscope.checkpoints.plain import plain_copy
from erfscope.checkpoints.request import Request
from erfscope.errors import CheckpointError

LIBRARIES = ("torchvision", "smp", "hf", "timm")
FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
# What ends so is no network's name.
_SUFFIXES = (".ckpt", ".onnx", ".pt", ".pt2", ".pth", ".safetensors", ".bin")
_MAX_JSON = 5_000_000  # bytes: descriptions are some kB


@dataclass(frozen=True)
class Sniffed:
    """Name of a format's reader, and what told that it is this one."""

    format: str
    recognised_by: str


def sniff(request: Request) -> Sniffed:
    """Tell which reader a spec needs.

    Raises
    ------
    CheckpointError
        A file or folder that no reader takes; the message says what it looks like.
    """
    prefix = request.spec.partition(":")[0]
    if prefix in LIBRARIES and request.name:
        return Sniffed(prefix, f"the word before the colon, {prefix}")
    path = request.path
    if path.is_dir():
        return _sniff_folder(path)
    if path.is_file():
        return _sniff_file(path)
    if path.is_symlink():
        raise CheckpointError(f"{path} is a link to {path.readlink()}, which does not exist; mend the link")
    if path.suffix in _SUFFIXES or "/" in request.spec.partition(":")[0]:
        raise CheckpointError(f"checkpoint {path} does not exist; give the path of a weights file")
    if FACTORY.fullmatch(request.spec):
        return Sniffed("factory", "module:function")
    return Sniffed("catalogue", "its name")


def read_json(path: Path) -> Mapping[str, Any]:
    """Read a JSON object of plain, bounded data.

    Raises
    ------
    CheckpointError
        It isn't one, or is too large or too deep to be a description of anything.
    """
    try:
        if path.stat().st_size > _MAX_JSON:
            raise CheckpointError(
                f"{path} has {path.stat().st_size / 1e6:.0f} MB, too many for a description"
            )
        content = plain_copy(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError) as error:  # NotPlainError is a ValueError
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise CheckpointError(f"{path} is no readable JSON ({reason}); copy or download it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is no JSON object; expected the description of a network")
    return content


def _sniff_folder(path: Path) -> Sniffed:
    if not (path / "config.json").is_file():
        raise CheckpointError(
            f"{path} is a folder without config.json; expected one that save_pretrained of transformers or "
            "segmentation_models_pytorch wrote, or give the path of a weights file"
        )
    return sniff_description(path / "config.json")


def sniff_description(path: Path) -> Sniffed:
    """Tell whose `config.json` it is."""
    config = read_json(path)
    if "_model_class" in config:
        return Sniffed("smp", f"_model_class in {path.name}")
    if "model_type" in config or "architectures" in config:
        return Sniffed("hf", f"model_type in {path.name}")
    raise CheckpointError(
        f"{path} describes no network of transformers (model_type) or of segmentation_models_pytorch "
        "(_model_class); name the network by --model, and this one's weights by --checkpoint"
    )


def _sniff_file(path: Path) -> Sniffed:
    if path.suffix == ".onnx":
        return Sniffed("onnx", "its suffix")
    members = _members(path)
    if any(name.endswith(("models/model.json", "serialized_exported_program.json")) for name in members):
        return Sniffed("exported", "the exported program inside")
    if any(name.endswith("constants.pkl") for name in members) and any("/code/" in name for name in members):
        return Sniffed("torchscript", "the code inside")
    return Sniffed("weights", "a file of tensors")


def _members(path: Path) -> list[str]:
    """Names in a zip archive; none if it is no archive, or a damaged one."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return []
