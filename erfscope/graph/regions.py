"""Regions of tensors: the product of one set of indices for each axis.

An index set is a sorted int64 array without repeats; a region is a tuple of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

Index = npt.NDArray[np.int64]
Region = tuple[Index, ...]


def whole(shape: Sequence[int]) -> Region:
    """Return the region that holds everything."""
    return tuple(np.arange(size) for size in shape)


def union(first: Region | None, second: Region) -> Region:
    """Return the smallest product that holds both regions."""
    if first is None:
        return second
    return tuple(a if np.array_equal(a, b) else np.union1d(a, b) for a, b in zip(first, second, strict=True))


def shape_of(region: Region) -> tuple[int, ...]:
    """Return the shape of a tensor that holds just the region."""
    return tuple(len(index) for index in region)


def is_range(index: Index) -> bool:
    """Tell whether the indices follow each other without a gap."""
    return len(index) > 0 and int(index[-1]) - int(index[0]) + 1 == len(index)


def hull(index: Index) -> Index:
    """Return the range from the first to the last index."""
    return np.arange(index[0], index[-1] + 1)


@dataclass(frozen=True)
class Selection:
    """How to cut one region out of a tensor that holds a larger one, and how to add a gradient back.

    Attributes
    ----------
    held
        Shape of the tensor.
    ranges, gathers
        The axes that are cut: (axis, start, length) to a range, (axis, positions) to other positions.
    """

    held: tuple[int, ...]
    ranges: tuple[tuple[int, int, int], ...]
    gathers: tuple[tuple[int, torch.Tensor], ...]

    @property
    def is_all(self) -> bool:
        """Whether nothing is cut."""
        return not self.ranges and not self.gathers

    def cut(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the wanted part of `tensor`; a view where ranges suffice."""
        for axis, start, length in self.ranges:
            tensor = tensor.narrow(axis, start, length)
        for axis, positions in self.gathers:
            tensor = tensor.index_select(axis, positions)
        return tensor

    def add_to(self, total: torch.Tensor, part: torch.Tensor) -> None:
        """Add the gradient of the part to that of the held tensor, in place."""
        for axis, start, length in self.ranges:
            total = total.narrow(axis, start, length)
        if not self.gathers:
            total += part
            return
        # One index for each axis between the first and the last gathered one keeps the axes' order, and
        # touches only what is selected.
        gathered = dict(self.gathers)
        first, last = min(gathered), max(gathered)
        indices = [
            gathered.get(axis, torch.arange(total.shape[axis], device=total.device)).view(
                [-1] + [1] * (last - axis)
            )
            for axis in range(first, last + 1)
        ]
        total[(slice(None),) * first + tuple(indices)] += part


def select(held: Region, wanted: Region, device: torch.device) -> Selection:
    """Plan the cut of `wanted` out of a tensor that holds `held`, which must contain it."""
    ranges, gathers = [], []
    for axis, (have, want) in enumerate(zip(held, wanted, strict=True)):
        if len(have) == len(want):
            continue
        at = np.searchsorted(have, want)
        if is_range(at):
            ranges.append((axis, int(at[0]), len(at)))
        else:
            gathers.append((axis, torch.from_numpy(at).to(device)))
    return Selection(shape_of(held), tuple(ranges), tuple(gathers))
