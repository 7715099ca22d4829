"""Finds the network of timm that is meant: by its name, or by a folder of timm, here or in the hub."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from erfscope.checkpoints.files.json_file import read_json
from erfscope.checkpoints.library import find_folder, find_weights
from erfscope.checkpoints.request import Request
from erfscope.errors import CheckpointError, suggest

#: timm's arguments for images of another size.
SIZES = ("img_size", "dynamic_img_size")
_CONFIG = "config.json"
# What a folder tells of its images, under timm's names.
_FACTS = ("mean", "std", "input_size", "fixed_input_size")
# Arguments that a folder may name and that change nothing: the file shows the classes, dropout is off.
_IDLE = ("num_classes", "drop_rate", "drop_path_rate")
_POOLING = "global_pool"
_MAX_SIDE = 4096


@dataclass(frozen=True)
class TimmSource:
    """A network of timm and its weights.

    Attributes
    ----------
    request
        A request whose spec is `timm:` and a name that timm knows, and whose checkpoint is the weights' file.
    facts
        Entries that replace those of timm's description of the images.
    pooling
        Pooling before the classifier, as timm calls it; None for the network's own.
    """

    request: Request
    facts: Mapping[str, Any] = field(default_factory=dict)
    pooling: str | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments for timm, for a classifier and a backbone alike."""
        told = {name: value for name, value in self.request.options.items() if name in SIZES}
        told |= {} if self.pooling is None else {_POOLING: self.pooling}
        return told | ({"pretrained_cfg_overlay": dict(self.facts)} if self.facts else {})


def find_source(request: Request, timm: Any) -> TimmSource:
    """Find the network.

    Raises
    ------
    CheckpointError
        timm has none of that name, or the folder describes none.
    """
    folder = find_folder(request.name, "timm", request.spec)
    if folder is not None:
        return _read_folder(request, folder, timm)
    if not timm.is_model(request.name):
        hint = suggest(request.name, timm.list_models(), "timm.list_models() lists all")
        raise CheckpointError(f"{request.spec} is no network of timm; {hint}")
    return TimmSource(request)


def _read_folder(request: Request, folder: Path, timm: Any) -> TimmSource:
    path = folder / _CONFIG
    request.refuse_checkpoint("the folder has its own")
    if request.options.get("pretrained"):
        raise CheckpointError(f"{request.spec}: leave pretrained out: the folder has its own weights")
    config = read_json(path)
    name = config.get("architecture")
    if not isinstance(name, str) or not timm.is_model(name):
        raise CheckpointError(f"{path}: timm has no network {str(name)[:60]!r} (architecture)")
    told, arguments = config.get("pretrained_cfg", config), _arguments(config.get("model_args") or {}, path)
    found = Request(
        f"timm:{name}",
        checkpoint=find_weights(folder),
        trust=request.trust,
        allow_partial=request.allow_partial,
        seed=request.seed,
        options={**{name: arguments[name] for name in SIZES if name in arguments}, **request.options},
    )
    return TimmSource(found, _facts(told, path), arguments.get(_POOLING))


def _arguments(arguments: Any, path: Path) -> dict[str, Any]:
    """Check what a folder has timm told, which might also name files to read."""
    if not isinstance(arguments, dict):
        raise CheckpointError(f"{path}: model_args is no JSON object")
    for name, value in arguments.items():
        if name not in (*SIZES, *_IDLE, _POOLING) and (name, value) != ("in_chans", 3):
            raise CheckpointError(
                f"{path}: model_args names {name[:60]!r}, which erfscope doesn't pass on to timm; "
                "build the network yourself and hand it to compute_erf"
            )
    if not isinstance(arguments.get(_POOLING, ""), str):
        raise CheckpointError(f"{path}: {_POOLING} is no word")
    sides = arguments.get("img_size", 1)
    for side in sides if isinstance(sides, list) else [sides]:
        if not isinstance(side, int) or not 1 <= side <= _MAX_SIDE:
            raise CheckpointError(f"{path}: img_size is {str(sides)[:60]}; expected 1 to {_MAX_SIDE} px")
    return arguments


def _facts(told: Any, path: Path) -> dict[str, Any]:
    facts = {name: told[name] for name in _FACTS if name in told} if isinstance(told, dict) else {}
    for name in ("mean", "std", "input_size"):
        value = facts.get(name, [1, 1, 1])
        if not isinstance(value, list) or len(value) != 3 or not all(type(v) in (int, float) for v in value):
            raise CheckpointError(f"{path}: {name} is {str(value)[:60]}; expected three numbers")
    return facts
