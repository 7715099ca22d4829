"""Finds the logits in whatever a network returns."""

from collections.abc import Mapping
from typing import Any

import torch

from erfscope.errors import ComputeError

# Names that networks give their logits, the surest first.
_LOGITS = ("out", "logits", "main", "pred", "preds", "prediction", "semantic", "seg", "output", "x")


def logits_of(output: Any, size: tuple[int, int]) -> torch.Tensor:
    """Find the main logits (N, K, h, w) in what a network returns for images of `size`, (H, W).

    A tensor is taken as it is. Of a mapping or an object, the entry called `out`, `logits` or the like is
    taken, else its only map; of a sequence, the first map: networks with side outputs return their main one
    first. Channels in the last axis are moved to the second.

    Raises
    ------
    ComputeError
        There is no such tensor, or it has no height and width.
    """
    found = _main(output)
    if not isinstance(found, torch.Tensor) or found.ndim != 4:
        got = f"shape {list(found.shape)}" if isinstance(found, torch.Tensor) else type(output).__name__
        raise ComputeError(
            f"the network returned {got}; expected logits (N, K, h, w): wrap it in a module that returns "
            "them, or give a layer as the unit"
        )
    return channels_first(found, size)


def channels_first(map_: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return a map of images of `size`, (H, W), as (N, C, h, w).

    It is taken for (N, h, w, C) where its middle axes, and not its last ones, have the image's proportions.
    """
    _, first, middle, last = map_.shape
    if not _proportional((middle, last), size) and _proportional((first, middle), size):
        return map_.permute(0, 3, 1, 2)
    return map_


def _main(output: Any) -> Any:
    if isinstance(output, (tuple, list)):
        return next((each for each in map(_main, output) if isinstance(each, torch.Tensor)), None)
    if isinstance(output, torch.Tensor) or output is None:
        return output
    named = output if isinstance(output, Mapping) else getattr(output, "__dict__", {})
    name = next((name for name in _LOGITS if isinstance(named.get(name), torch.Tensor)), None)
    if name is not None:
        return named[name]
    maps = [value for value in named.values() if isinstance(value, torch.Tensor) and value.ndim == 4]
    return maps[0] if len(maps) == 1 else None


def _proportional(shape: tuple[int, int], size: tuple[int, int]) -> bool:
    """Return whether a map of that height and width may be one of the image, at some stride."""
    height, width = (length / side for length, side in zip(shape, size, strict=True))
    # A side is rounded to a whole number of cells, and padding may add another.
    slack = min(2 / min(shape), 0.25)
    return abs(height / width - 1) <= slack
