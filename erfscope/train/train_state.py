"""The state of a training, and the one file that holds it: `last.pt`, from which a run is resumed.

Learning rate, order of the images and random numbers of augmentation and dropout are functions of the seed
and the iteration; nothing else of them is saved.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from erfscope.errors import TrainError, one_line
from erfscope.system.atomic_files import replacing
from erfscope.train.network.auxiliary import TrainedNetwork
from erfscope.train.network.average import Average
from erfscope.train.recipes.fields import plain
from erfscope.train.recipes.recipe import Recipe

#: Fields of the recipe that may differ when a run is resumed: they change no number.
_FREE = {"run": ("workers", "save_every", "log_every"), "data": ("root", "cache_mb")}
_PROGRESS = ("iteration", "seconds", "loss", "validated", "miou", "best_miou", "best_iteration")


@dataclass
class TrainState:
    """What changes while a network is trained.

    Attributes
    ----------
    model
        The network with its auxiliary head.
    optimizer
        Holds the momentum.
    average
        Running average of the weights; None without `run.ema`.
    iteration
        Number of steps that are done.
    seconds
        Time that training took so far, in all sessions.
    loss
        Mean loss since the last row of the log.
    validated
        Iteration of the last validation; -1 before the first.
    miou
        mIoU of the last validation, in 0 to 1; None if undefined.
    best_miou, best_iteration
        The highest mIoU so far, and its iteration.
    """

    model: TrainedNetwork
    optimizer: torch.optim.Optimizer
    average: Average | None
    iteration: int = 0
    seconds: float = 0.0
    loss: float | None = None
    validated: int = -1
    miou: float | None = None
    best_miou: float | None = None
    best_iteration: int | None = None

    @property
    def network(self) -> nn.Module:
        """The network that is validated and exported: the average if there is one."""
        return self.model.network if self.average is None else self.average.network

    def first_not_finite(self) -> str | None:
        """Return the name of the first weight or statistic that is NaN or infinite; None if there is none."""
        for name, tensor in self.model.state_dict().items():
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                return name
        return None


def save_state(path: Path, state: TrainState, recipe: Recipe, metadata: Mapping[str, str]) -> None:
    """Write the state, complete or not at all; `metadata` describes the network, as in safetensors."""
    model, average = state.model, state.average
    content: dict[str, Any] = {
        "meta": dict(metadata),
        "model": model.network.state_dict(),
        "auxiliary": None if model.auxiliary is None else model.auxiliary.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "progress": {name: getattr(state, name) for name in _PROGRESS},
        "recipe": json.dumps(plain(recipe)),
    }
    if average is not None:
        content["model_ema"] = average.network.state_dict()
        content["averaged"] = average.steps
    with replacing(path) as temporary:
        torch.save(content, temporary)


def load_state(path: Path, state: TrainState, recipe: Recipe) -> None:
    """Read a file of `save_state` into a state, in place.

    Raises
    ------
    TrainError
        The file can't be read, or belongs to another recipe.
    """
    model, average = state.model, state.average
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        _check_recipe(path, json.loads(content["recipe"]), plain(recipe))
        model.network.load_state_dict(content["model"])
        if model.auxiliary is not None:
            model.auxiliary.load_state_dict(content["auxiliary"])
        if average is not None:
            average.network.load_state_dict(content["model_ema"])
            average.steps = content["averaged"]
        state.optimizer.load_state_dict(content["optimizer"])
        for name in _PROGRESS:
            setattr(state, name, content["progress"][name])
    except TrainError:
        raise
    except Exception as error:  # whatever torch makes of a file that isn't one
        raise TrainError(
            f"{path} can't be read ({one_line(error)}); leave --resume out to begin anew"
        ) from error


def _check_recipe(path: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    for section in sorted(before.keys() | now.keys()):
        theirs, ours = (_section(recipe, section) for recipe in (before, now))
        for name in sorted(theirs.keys() | ours.keys()):
            if name not in _FREE.get(section, ()) and theirs.get(name) != ours.get(name):
                raise TrainError(
                    f"{path} is of a run with {section}.{name} = {theirs.get(name)}, not {ours.get(name)}; go"
                    " on with that value, or choose another --out"
                )


def _section(recipe: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = recipe.get(name, {})
    return section if isinstance(section, Mapping) else {}
