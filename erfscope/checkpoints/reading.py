"""Reads weights files safely: safetensors, or torch files with `weights_only=True`."""

import hashlib
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from erfscope.checkpoints.inert import only_inert_names
from erfscope.checkpoints.plain import plain_entries
from erfscope.errors import CheckpointError

StateDict = dict[str, torch.Tensor]

# In order of preference. mmengine's EMAHook swaps the averaged weights into `state_dict` before it saves and
# leaves the last step's in `ema_state_dict`, so the latter counts only where it is alone.
_NESTED_UNDER = ("state_dict", "model_state_dict", "model", "net", "ema_state_dict")
_MAX_NESTING = 4
# DataParallel, DDP and averaged models; Lightning modules; torch.compile.
_PREFIXES = ("module.", "model.", "_orig_mod.")
# Steps that averaged models of mmengine and torch count beside their `module.`.
_COUNTERS = ("steps", "n_averaged")


@dataclass(frozen=True)
class Checkpoint:
    """What a weights file holds.

    Attributes
    ----------
    path
        The file.
    state
        The network's tensors, under names without the prefixes of wrappers.
    meta
        What of the file's `meta` is plain data: mmsegmentation keeps there the config as text (`cfg` in
        1.x, `config` in 0.x), classes and palette, versions. Empty if there is none.
    nested_under
        The names that lead to the tensors in the file, as in "state_dict"; "" where they are outermost.
    """

    path: Path
    state: StateDict
    meta: Mapping[str, Any]
    nested_under: str


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a `.safetensors` file or a torch checkpoint, of which nothing is executed.

    A state dict nested under `state_dict`, `model_state_dict`, `model`, `net` or `ema_state_dict` is
    found, and the prefixes `module.`, `model.` and `_orig_mod.` of wrappers are taken off. What the
    training kept beside (optimizers, logs of mmengine, callbacks of Lightning) is passed over.

    Raises
    ------
    CheckpointError
        The file isn't there, is cut off, is no weights file, would run code, or holds no tensors.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise CheckpointError(f"checkpoint {path} {what}; give the path of a weights file")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    outermost = _entries(content)
    found, nested_under = _find_state_dict(outermost)
    state = _without_prefixes(_without_averages(found))
    if not state:
        raise CheckpointError(f"{path} holds no tensors under names; expected a network's state dict")
    _refuse_unusual(state, path)
    return Checkpoint(path, state, plain_entries(_entries(outermost.get("meta"))), nested_under)


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
            with only_inert_names():
                return torch.load(path, map_location="cpu", weights_only=True)
    # Whatever a broken or hostile file makes the unpickler raise is the file's fault, not a bug here.
    except Exception as error:
        raise CheckpointError(_explain(path, error)) from error


def _explain(path: Path, error: Exception) -> str:
    message = str(error)
    refused = re.search(r"GLOBAL ([\w.]+)", message)
    if refused:
        return (
            f"{path} is refused: loading it would need {refused[1]}, which is not plain weights; "
            "save the state dict alone, or as safetensors"
        )
    if re.search("Trying to call|Can only|Only persistent_load", message):
        return f"{path} is refused: it holds more than plain weights ({_one_line(error)}); save these alone"
    with path.open("rb") as file:
        head = file.read(256).lstrip().lower()
    if not head:
        return f"{path} is empty; download or copy it again"
    if head.startswith((b"<!doctype", b"<html")):
        return f"{path} is a web page, not weights; the download failed, repeat it"
    if "TorchScript" in message or ".tar format" in message:
        return f"{path} is a TorchScript archive or of torch before 0.4; save the state dict of its network"
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


def _entries(content: Any) -> dict[Any, Any]:
    # By dict's own method: a file can give its OrderedDicts attributes, such as an `items` of its own.
    return dict(dict.items(content)) if isinstance(content, dict) else {}


def _find_state_dict(content: dict[Any, Any]) -> tuple[StateDict, str]:
    trail: list[str] = []
    while len(trail) < _MAX_NESTING:
        key = next((key for key in _NESTED_UNDER if isinstance(content.get(key), dict)), None)
        if key is None:
            break
        content = _entries(content[key])
        trail.append(key)
    tensors = {
        name: tensor
        for name, tensor in content.items()
        if isinstance(name, str) and isinstance(tensor, torch.Tensor)
    }
    return tensors, ".".join(trail)


def _without_averages(state: StateDict) -> StateDict:
    """Leave out what mmcv's EMAHook and averaged models keep beside a network's own tensors."""
    shadows = {f"ema_{name.replace('.', '_')}" for name in state}
    averaged = any(name.startswith("module.") for name in state)
    return {
        name: tensor
        for name, tensor in state.items()
        if name not in shadows and not (averaged and name in _COUNTERS)
    }


def _without_prefixes(state: StateDict) -> StateDict:
    while state:
        prefix = next((prefix for prefix in _PREFIXES if all(name.startswith(prefix) for name in state)), "")
        if not prefix:
            break
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _refuse_unusual(state: StateDict, path: Path) -> None:
    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta or tensor.is_nested:
            raise CheckpointError(
                f"{path}: {name!r} is sparse, quantized, nested or empty of values; "
                "expected plain tensors, save the network in floating point"
            )
