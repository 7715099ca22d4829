"""The center of a unit's field of view, and the lattice of positions that it reads."""

from dataclasses import dataclass

import numpy as np
from torch.fx import Node

from erfscope.graph.access import Mask
from erfscope.graph.access_graph import AccessGraph
from erfscope.graph.fov.atrous import AtrousConvolution, AtrousHead
from erfscope.graph.fov.places import Places
from erfscope.graph.regions import Index
from erfscope.records.arrays import FloatArray

DECIMALS = 9  # of places, px


@dataclass(frozen=True)
class Lattice:
    """The positions at which the unit reads the feature map that the head's atrous convolutions read.

    Attributes
    ----------
    offsets
        (P, 2) int64 (dy, dx) in cells from the unit's own cell: one for each combination of atrous taps,
        without repeats. What other operators read around each position (interpolation between two cells, a
        3×3 convolution) is left out: it blurs, symmetrically.
    inside
        (P,) bool: whether each lies on the map.
    center
        (y, x) of the unit in cells of the map, with fractions where it lies between two.
    stride
        Stride of the map, px.
    fractions, map_fractions
        For each atrous convolution the share of its taps that lie inside the map: of the taps that the unit
        reads, and on average over all positions of the map.
    """

    offsets: Index
    inside: Mask
    center: tuple[float, float]
    stride: float
    fractions: tuple[float, ...]
    map_fractions: tuple[float, ...]


def locate_unit(
    graph: AccessGraph, places: dict[Node, Places], unit: tuple[int, int]
) -> tuple[float, float] | None:
    """Return the unit's projected center, (y, x) in px of the image; None if every path to it is global."""
    found = places.get(graph.output)
    return None if found is None else (_at_unit(found.y, unit), _at_unit(found.x, unit))


def _at_unit(array: FloatArray, unit: tuple[int, int]) -> float:
    y, x = (min(at, size - 1) for at, size in zip(unit, array.shape[-2:], strict=True))
    # Interpolation leaves rounding errors, which must not decide whether a cell is inside.
    return round(float(array[0, 0, y, x]), DECIMALS)


def find_lattice(
    graph: AccessGraph, head: AtrousHead, where: Places, projected: tuple[float, float]
) -> Lattice:
    """Combine the taps of the head's atrous convolutions on every path from the unit to the map they read.

    Parameters
    ----------
    where
        Places of that map's cells.
    projected
        The unit's projected center, (y, x) in px of the image.
    """
    convolutions = {convolution.node: convolution for convolution in head.convolutions}
    *_, height, width = head.source.meta["val"].shape
    stride = where.stride
    center = (
        round((projected[0] - float(where.y.min())) / stride, DECIMALS),
        round((projected[1] - float(where.x.min())) / stride, DECIMALS),
    )
    offsets = {graph.output: np.zeros((1, 2), np.int64)}
    fractions = {}
    for node, reads in reversed(graph.reads.items()):
        if node is head.source or node not in offsets:
            continue
        mine = offsets.pop(node)
        if node in convolutions:
            taps = (mine[:, None] + convolutions[node].taps).reshape(-1, 2)
            fractions[node] = float(_inside(taps, center, (height, width)).mean())
            mine = np.unique(taps, axis=0)
        for read in reads:
            before = offsets.get(read.operand)
            joined = mine if before is None else np.unique(np.concatenate([before, mine]), axis=0)
            offsets[read.operand] = joined
    found = offsets[head.source]
    return Lattice(
        offsets=found,
        inside=_inside(found, center, (height, width)),
        center=center,
        stride=stride,
        fractions=tuple(fractions.get(c.node, 0.0) for c in head.convolutions),
        map_fractions=tuple(_map_fraction(c, (height, width)) for c in head.convolutions),
    )


def _inside(offsets: Index, center: tuple[float, float], size: tuple[int, int]) -> Mask:
    """Return whether each position reads a cell of the map; one between two cells reads both."""
    at = np.asarray(center) + offsets
    found: Mask = np.all((at > -1) & (at < np.asarray(size)), axis=1)
    return found


def _map_fraction(convolution: AtrousConvolution, size: tuple[int, int]) -> float:
    """Return the share of taps inside the map, over all its positions: DeepLabV3's count of valid weights."""
    shares = np.clip(1 - abs(convolution.taps) / np.asarray(size), 0, None)
    return float(shares.prod(1).mean())
