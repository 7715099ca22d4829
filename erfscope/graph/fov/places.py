"""Where in the image the cells of a feature map lie."""

from dataclasses import dataclass

import numpy as np
from torch.fx import Node

from erfscope.graph.access import (
    AccessByAxis,
    AccessMap,
    AxisAccess,
    FullAccess,
    IdentityAccess,
    WindowAccess,
    reshape_uniform,
)
from erfscope.graph.access_graph import AccessGraph
from erfscope.records.arrays import FloatArray


@dataclass(frozen=True)
class Places:
    """Centers of a tensor's elements, in px of the image.

    Attributes
    ----------
    y, x
        Arrays that broadcast to the tensor's shape; the place doesn't change along an axis of length 1.
    deepest
        The largest stride, in px, of the maps on the path from the image.
    """

    y: FloatArray
    x: FloatArray
    deepest: float

    @property
    def axes(self) -> frozenset[int]:
        """The axes along which the place changes."""
        shape = np.maximum(self.y.shape, self.x.shape)
        return frozenset(int(axis) for axis in np.flatnonzero(shape > 1))

    @property
    def stride(self) -> float:
        """Distance of neighboring cells, px; 0 of a map of one cell."""
        steps = [np.diff(np.unique(array)) for array in (self.y, self.x)]
        return max((float(np.median(step)) for step in steps if len(step)), default=0.0)


def place_cells(graph: AccessGraph, *, coarsest: bool = True) -> dict[Node, Places]:
    """Find the places of every tensor that has some; a tensor that is pooled over the whole map has none.

    Parameters
    ----------
    coarsest
        Where several operands meet, take the places from the one over the map of the largest stride, which
        spreads the unit's field most; else of the smallest, to which the others are resized.
    """
    choose = max if coarsest else min
    *_, height, width = graph.image.meta["val"].shape
    y = np.arange(float(height)).reshape(1, 1, -1, 1)
    places = {graph.image: Places(y, np.arange(float(width)).reshape(1, 1, 1, -1), 1.0)}
    for node, reads in graph.reads.items():
        rank = len(node.meta["val"].shape)
        carried = [
            _carry(read.access, places[read.operand], rank)
            for read in reads
            if read.access is not None and read.operand in places
        ]
        found = [candidate for candidate in carried if candidate is not None]
        if found:
            places[node] = choose(found, key=lambda candidate: candidate.deepest)
    return places


def _carry(access: AccessMap, places: Places, rank: int) -> Places | None:
    if not isinstance(access, AccessByAxis):
        y, x = (reshape_uniform(array, access.shape, access.out) for array in (places.y, places.x))
        return Places(y, x, places.deepest)
    y, x = (_carry_array(access, array, rank) for array in (places.y, places.x))
    if y is None or x is None:
        return None
    moved = Places(y, x, places.deepest)
    return Places(y, x, max(places.deepest, moved.stride))


def _carry_array(access: AccessByAxis, array: FloatArray, rank: int) -> FloatArray | None:
    """Return the places along the output's axes; None if an axis of places is read whole or at one point."""
    lengths, outs = [1] * rank, []
    for axis, along in enumerate(access.axes):
        if array.shape[axis] == 1:
            continue
        out = own_axis(along)
        if out is None:
            return None
        if isinstance(along, WindowAccess):
            array = _at(array, axis, along.centers)
        lengths[out] = array.shape[axis]
        outs.append(out)
    varying = array.squeeze(tuple(i for i, size in enumerate(array.shape) if size == 1))
    if varying.ndim == len(outs):
        varying = varying.transpose(np.argsort(outs))
    return varying.reshape(lengths)


def own_axis(along: AxisAccess) -> int | None:
    """Return the output axis that has the places of this operand axis, None if none has."""
    if isinstance(along, IdentityAccess) or (isinstance(along, WindowAccess) and not along.grows):
        return along.out
    return along.out if isinstance(along, FullAccess) and along.own else None


def _at(array: FloatArray, axis: int, centers: FloatArray) -> FloatArray:
    """Interpolate an array linearly along an axis, and extrapolate beyond its ends."""
    low = np.clip(np.floor(centers).astype(np.int64), 0, array.shape[axis] - 2)
    share = (centers - low).reshape([-1 if i == axis else 1 for i in range(array.ndim)])
    first, second = array.take(low, axis), array.take(low + 1, axis)
    return first + share * (second - first)
