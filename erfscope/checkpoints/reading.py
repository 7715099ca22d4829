"""Reads weights files safely: safetensors, or torch files with `weights_only=True`."""

import hashlib
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from erfscope.errors import CheckpointError

StateDict = dict[str, torch.Tensor]

_NESTED_UNDER = ("state_dict", "model_state_dict", "model")
_WRAPPER_PREFIX = "module."  # DataParallel and DDP


def read_state_dict(path: Path) -> StateDict:
    """Read the tensors of a `.safetensors` file or a torch checkpoint.

    A state dict nested under `state_dict`, `model_state_dict` or `model` is found, and the `module.` of
    a parallel wrapper is taken off.

    Raises
    ------
    CheckpointError
        The file isn't there, is cut off, is no weights file, would run code, or holds no tensors.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise CheckpointError(f"checkpoint {path} {what}; give the path of a weights file")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    state = _find_state_dict(content)
    if not state:
        raise CheckpointError(f"{path} holds no tensors under names; expected a network's state dict")
    if all(name.startswith(_WRAPPER_PREFIX) for name in state):
        state = {name.removeprefix(_WRAPPER_PREFIX): tensor for name, tensor in state.items()}
    return state


def file_sha256(path: Path) -> str:
    """SHA-256 of the file's bytes, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_safetensors(path: Path) -> Any:
    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file ({_one_line(error)})") from error


def _read_torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old pickle protocols: what matters is whether it loads
            return torch.load(path, map_location="cpu", weights_only=True)
    # Whatever a broken or hostile file makes the unpickler raise is the file's fault, not a bug here.
    except Exception as error:
        raise CheckpointError(_explain(path, error)) from error


def _explain(path: Path, error: Exception) -> str:
    message = str(error)
    refused = re.search(r"(?:GLOBAL|Unsupported global:(?: GLOBAL)?|class) ([\w.]+\.[\w.]+)", message)
    if refused:
        return (
            f"{path} is refused: loading it would need {refused[1]}, which is not plain weights; "
            "save the state dict alone, or as safetensors"
        )
    with path.open("rb") as file:
        head = file.read(256).lstrip().lower()
    if not head:
        return f"{path} is empty; download or copy it again"
    if head.startswith((b"<!doctype", b"<html")):
        return f"{path} is a web page, not weights; the download failed, repeat it"
    if head.startswith(b"pk\x03\x04"):
        return f"{path} is cut off or damaged ({_one_line(error)}); download or copy it again"
    return (
        f"{path} is not a torch checkpoint, or is damaged ({_one_line(error)}); expected .pth or .safetensors"
    )


def _one_line(error: Exception) -> str:
    # Torch's message begins with advice to load the file unsafely; its reason stands at the end.
    lines = str(error).partition("WeightsUnpickler error:")[2].split("\n") + str(error).split("\n")
    text = next((line.strip() for line in lines if line.strip()), type(error).__name__)
    return text if len(text) <= 120 else text[:117] + "..."


def _find_state_dict(content: Any) -> StateDict:
    if not isinstance(content, Mapping):
        return {}
    for key in _NESTED_UNDER:
        if isinstance(content.get(key), Mapping):
            return _find_state_dict(content[key])
    return {
        name: tensor
        for name, tensor in content.items()
        if isinstance(name, str) and isinstance(tensor, torch.Tensor)
    }
