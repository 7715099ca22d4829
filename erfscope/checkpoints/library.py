"""Imports other libraries where a network needs them, and finds their files, here or in the hub."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from erfscope.errors import CheckpointError, one_line

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def import_library(module: str, extra: str, spec: str) -> Any:
    """Import a module that loading `spec` needs; `extra` is the extra of erfscope that installs it.

    Raises
    ------
    CheckpointError
        It isn't installed, or can't be imported.
    """
    library = module.partition(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise CheckpointError(
            f"{spec} needs the library {error.name or library}: pip install 'erfscope[{extra}]'"
        ) from error
    except Exception as error:  # built for another torch, it may raise anything
        raise CheckpointError(
            f"{spec} needs the library {library}, which can't be imported here ({one_line(error)}); "
            f"install one that fits this torch: pip install 'erfscope[{extra}]'"
        ) from error


def find_folder(name: str, extra: str, spec: str) -> Path | None:
    """Return the folder of that path, or of `user/name` in the Hugging Face hub; None for another name."""
    if Path(name).is_dir():
        return Path(name)
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return fetch_folder(name, extra, spec)
    return None


def find_weights(folder: Path) -> Path:
    """Return the weights' file of a saved network, safetensors first.

    Raises
    ------
    CheckpointError
        There is none.
    """
    found = next((folder / file for file in _WEIGHTS if (folder / file).is_file()), None)
    if found is None:
        raise CheckpointError(f"{folder} holds neither {' nor '.join(_WEIGHTS)}; save the network again")
    return found


def fetch_folder(
    repository: str, extra: str, spec: str, files: Sequence[str] = ("*.json", "*.safetensors")
) -> Path:
    """Download `user/name` of the hub, or find it in its cache: of its files those that hold no code.

    Raises
    ------
    CheckpointError
        There is no such repository, or no way to it.
    """
    hub = import_library("huggingface_hub", extra, spec)
    try:
        return Path(hub.snapshot_download(repository, allow_patterns=list(files)))
    except Exception as error:  # of the network, the hub, the disk, or the name
        raise CheckpointError(
            f"{spec} is no folder here and can't be had from the Hugging Face hub ({one_line(error)}); "
            "download it where there is a network, and give the folder"
        ) from error
