"""All that a run needs to go on, in one file that is always complete: `last.pt`.

What the schedule, the order of the images and the random numbers of augmentation and dropout are at is
told by the iteration alone: each is a function of it and of the seed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from erfscope.errors import TrainError
from erfscope.system.atomic_files import replacing
from erfscope.train.network.auxiliary import TrainedNetwork
from erfscope.train.network.average import Average
from erfscope.train.recipes.fields import plain
from erfscope.train.recipes.recipe import Recipe

#: Fields that may differ when a run goes on: they change no number.
_FREE = {"run": ("workers", "save_every", "log_every"), "data": ("root", "cache_mb")}


@dataclass
class Progress:
    """How far a run is.

    Attributes
    ----------
    iteration
        Steps that are done.
    seconds
        That they took, in all sessions.
    loss
        Mean over the last steps that the log tells of.
    validated
        Iteration of the last validation; -1 before the first.
    miou, best_miou, best_iteration
        Of the last validation and of the best one.
    """

    iteration: int = 0
    seconds: float = 0.0
    loss: float | None = None
    validated: int = -1
    miou: float | None = None
    best_miou: float | None = None
    best_iteration: int | None = None


@dataclass(frozen=True)
class Parts:
    """What moves in training; `average` is None without EMA."""

    model: TrainedNetwork
    optimizer: torch.optim.Optimizer
    average: Average | None
    progress: Progress = field(default_factory=Progress)

    @property
    def weights(self) -> nn.Module:
        """The network that is validated and kept: the average if there is one."""
        return self.model.network if self.average is None else self.average.network


def save_state(path: Path, parts: Parts, recipe: Recipe, metadata: Mapping[str, str]) -> None:
    """Write the state, complete or not at all; `metadata` tells of the network, as in safetensors."""
    content: dict[str, Any] = {
        "meta": dict(metadata),
        "model": parts.model.network.state_dict(),
        "auxiliary": None if parts.model.auxiliary is None else parts.model.auxiliary.state_dict(),
        "optimizer": parts.optimizer.state_dict(),
        "progress": asdict(parts.progress),
        "recipe": json.dumps(plain(recipe)),
    }
    if parts.average is not None:
        content["model_ema"] = parts.average.network.state_dict()
        content["averaged"] = parts.average.steps
    with replacing(path) as temporary:
        torch.save(content, temporary)


def load_state(path: Path, parts: Parts, recipe: Recipe) -> None:
    """Read a state into the parts, in place.

    Raises
    ------
    TrainError
        It can't be read, or is that of another recipe.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        _check_recipe(path, json.loads(content["recipe"]), plain(recipe))
        parts.model.network.load_state_dict(content["model"])
        if parts.model.auxiliary is not None:
            parts.model.auxiliary.load_state_dict(content["auxiliary"])
        if parts.average is not None:
            parts.average.network.load_state_dict(content["model_ema"])
            parts.average.steps = content["averaged"]
        parts.optimizer.load_state_dict(content["optimizer"])
        for name, value in content["progress"].items():
            setattr(parts.progress, name, value)
    except TrainError:
        raise
    except Exception as error:  # whatever torch makes of a file that isn't one
        reason = " ".join(str(error).split())[:120]
        raise TrainError(f"{path} can't be read ({reason}); leave --resume out to begin anew") from error


def _check_recipe(path: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    for section in sorted(before.keys() | now.keys()):
        theirs, ours = (_section(recipe, section) for recipe in (before, now))
        for name in sorted(theirs.keys() | ours.keys()):
            if name not in _FREE.get(section, ()) and theirs.get(name) != ours.get(name):
                raise TrainError(
                    f"{path} is of a run with {section}.{name} = {theirs.get(name)}, not {ours.get(name)}; go"
                    " on with that, or choose another --out"
                )


def _section(recipe: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = recipe.get(name, {})
    return section if isinstance(section, Mapping) else {}
