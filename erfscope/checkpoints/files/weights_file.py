"""Reads weights files safely: safetensors, or torch files with `weights_only=True`."""

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from erfscope.checkpoints.files.archive_scan import FileScan, scan_file
from erfscope.checkpoints.files.file_type import explain_unreadable, other_file_type
from erfscope.checkpoints.files.plain_data import as_json, plain_entries
from erfscope.checkpoints.files.safe_globals import only_inert_names
from erfscope.checkpoints.files.state_dict import (
    StateDict,
    entries,
    find_state_dict,
    named_tensors,
    without_wrappers,
)
from erfscope.errors import CheckpointError, one_line

__all__ = ["Checkpoint", "StateDict", "file_sha256", "read_checkpoint", "read_tensors"]

# A tensor may claim more values than it stores, by strides of zero. Beyond this none is a network's.
_MAX_REPEATED = 1 << 28  # bytes
# They go into every map's provenance.
_MAX_HYPER_PARAMETERS = 50_000  # characters


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
        1.x, `config` in 0.x), classes and palette, versions. Of safetensors, its `__metadata__`. Empty if
        there is none.
    nested_under
        The names that lead to the tensors in the file, as in "state_dict"; "" where they are outermost.
    hyper_parameters
        What of Lightning's `hyper_parameters` is plain data, as JSON can say it; empty if that is much.
    """

    path: Path
    state: StateDict
    meta: Mapping[str, Any]
    nested_under: str
    hyper_parameters: Mapping[str, Any] = field(default_factory=dict)


def read_checkpoint(path: Path, scan: FileScan | None = None) -> Checkpoint:
    """Read a `.safetensors` file or a torch checkpoint, of which nothing is executed.

    Parameters
    ----------
    path
        The file.
    scan
        What `scan_file` says of it; None to have it scanned here.

    Returns
    -------
    Checkpoint
        Its tensors on the CPU, and what it says of them.

    Raises
    ------
    CheckpointError
        The file isn't there, is cut off, is no weights file, would run code, or holds no tensors.

    Notes
    -----
    A state dict nested under the usual keys (`state_dict`, `model`, `net`, …; averaged weights first) is
    found, and the prefixes that DataParallel, Lightning, torch.compile and others add to names are removed.
    What the training kept beside (optimizers, logs of mmengine, callbacks of Lightning) is ignored.
    """
    outermost, metadata = _read(path, scan or scan_file(path))
    found, nested_under = find_state_dict(outermost)
    return Checkpoint(
        path=path,
        state=_usable(without_wrappers(found), path),
        meta=plain_entries(entries(outermost.get("meta"))) | metadata,
        nested_under=nested_under,
        hyper_parameters=_hyper_parameters(outermost),
    )


def read_tensors(path: Path) -> StateDict:
    """Read the outermost tensors under the names that the file gives them; otherwise as `read_checkpoint`."""
    return _usable(named_tensors(_read(path, scan_file(path))[0]), path)


def file_sha256(*paths: Path) -> str:
    """SHA-256 of the files' bytes, one after another, as hexadecimal digits."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def _read(path: Path, scan: FileScan) -> tuple[dict[Any, Any], dict[str, str]]:
    """Return the outermost entries, and the metadata of safetensors."""
    if scan.kind in ("exported program", "TorchScript archive"):
        raise CheckpointError(f"{path} holds its network, too ({scan.kind}); give it as --model")
    return _read_safetensors(path) if scan.kind == "safetensors" else (entries(_read_torch(path)), {})


def _hyper_parameters(outermost: dict[Any, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = as_json(plain_entries(entries(outermost.get("hyper_parameters"))))
    return found if len(json.dumps(found)) <= _MAX_HYPER_PARAMETERS else {}


def _read_safetensors(path: Path) -> tuple[dict[Any, Any], dict[str, str]]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    # Whatever a broken file makes the library raise is the file's fault.
    except Exception as error:
        kind = (
            other_file_type(path) or f"is not a readable safetensors file ({one_line(error)}); copy it again"
        )
        raise CheckpointError(f"{path} {kind}") from error


def _read_torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old pickle protocols: what matters is whether it loads
            with only_inert_names():
                return torch.load(path, map_location="cpu", weights_only=True)
    # Whatever a broken or hostile file makes the unpickler raise is the file's fault, not a bug here.
    except Exception as error:
        raise CheckpointError(explain_unreadable(path, error)) from error


def _usable(state: StateDict, path: Path) -> StateDict:
    if not state:
        raise CheckpointError(f"{path} holds no tensors under names; expected a network's state dict")
    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta or tensor.is_nested:
            raise CheckpointError(
                f"{path}: {name!r} is sparse, quantized, nested or empty of values; "
                "expected plain tensors, save the network in floating point"
            )
        if tensor.is_complex():
            raise CheckpointError(f"{path}: {name!r} is complex; expected the weights of a real network")
        claimed, stored = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
        if claimed > max(stored, _MAX_REPEATED):
            raise CheckpointError(
                f"{path}: {name!r} claims {claimed / 1e9:.3g} GB and stores {stored / 1e9:.3g}; "
                "expected plain tensors, get the file from another source"
            )
    return state
