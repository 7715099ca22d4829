"""Finds the atrous convolutions of the head: parallel ones make a star, ones in a row a grid.

A dilated backbone makes neither. The tree of modules (the backbone is the part that reads the image first)
and residual blocks tell which convolutions belong to the backbone; no name is ever looked at.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch.fx import Node

from erfscope.graph.access import AccessByAxis, WindowAccess
from erfscope.graph.access_graph import AccessGraph
from erfscope.graph.fov.places import Places
from erfscope.graph.regions import Index

aten = torch.ops.aten
_CONVOLUTIONS = (aten.conv2d.default, aten.conv2d.padding)
_ADD = aten.add.Tensor
_RESIDUAL = 1  # at most so many convolutions on a residual block's shortcut: one that fits the channels


@dataclass(frozen=True)
class AtrousConvolution:
    """A convolution of the head.

    Attributes
    ----------
    rate
        Atrous rate, the larger one of the two axes.
    taps
        (T, 2) int64 offsets (dy, dx) of its taps in cells.
    """

    node: Node
    rate: int
    taps: Index


@dataclass(frozen=True)
class AtrousHead:
    """The atrous convolutions of a head.

    Attributes
    ----------
    source
        The feature map that they read: the last one on every path from the image to them.
    convolutions
        In the order of the graph.
    in_a_row
        Whether one of them reads another's result.
    """

    source: Node
    convolutions: tuple[AtrousConvolution, ...]
    in_a_row: bool


def find_atrous_head(graph: AccessGraph, places: Mapping[Node, Places]) -> AtrousHead | None:
    """Find the head's atrous convolutions, and the plain 3×3 ones that stand beside them as rate 1.

    `places` has the places of all tensors that have some.
    """
    above = _ancestors(graph)
    needed = above[graph.output] | {graph.output}
    windows = {
        node: found
        for node in graph.reads
        if node in needed and node.target in _CONVOLUTIONS and (found := _window(graph, node)) is not None
    }
    convolutions = [node for node in graph.reads if node.target in _CONVOLUTIONS]
    behind_backbone = _behind_backbone(graph, convolutions, places)
    chosen = [
        node
        for node, found in windows.items()
        if found.rate > 1 and node in behind_backbone and not _is_residual(graph, node, above)
    ]
    if not chosen:
        return None
    source = _common_source(graph, chosen)
    chosen += [
        node
        for node, found in windows.items()
        if found.rate == 1
        and source in above[node]
        and not any(node in above[other] or other in above[node] for other in chosen)
    ]
    ordered = [node for node in graph.reads if node in chosen]
    in_a_row = any(first in above[second] for second in ordered for first in ordered)
    return AtrousHead(source, tuple(windows[node] for node in ordered), in_a_row)


def _window(graph: AccessGraph, node: Node) -> AtrousConvolution | None:
    """Return rate and taps; None for a 1×1 convolution, one with a stride, or weights made from the image."""
    read, *others = graph.reads[node]
    if others or not isinstance(read.access, AccessByAxis):
        return None
    taps = [axis.positions for axis in read.access.axes[2:] if isinstance(axis, WindowAccess)]
    if len(taps) != 2 or max(tap.shape[1] for tap in taps) == 1:
        return None
    if any(len(tap) > 1 and tap[1, 0] - tap[0, 0] != 1 for tap in taps):
        return None
    # Offsets from the window's middle, so that a kernel of any size and padding is centered.
    offsets = [tap[0] - (tap[0, 0] + tap[0, -1]) // 2 for tap in taps]
    rate = max(int(tap[0, 1] - tap[0, 0]) if tap.shape[1] > 1 else 1 for tap in taps)
    grid = np.stack(np.meshgrid(*offsets, indexing="ij"), -1).reshape(-1, 2)
    return AtrousConvolution(node, rate, grid)


def _ancestors(graph: AccessGraph) -> dict[Node, set[Node]]:
    above: dict[Node, set[Node]] = {graph.image: set()}
    for node, reads in graph.reads.items():
        above[node] = set().union(*({read.operand} | above[read.operand] for read in reads))
    return above


def _module_path(node: Node) -> tuple[str, ...]:
    stack = node.meta.get("nn_module_stack") or {}
    paths = [path for path, _ in stack.values()]
    return tuple(paths[-1].split(".")) if paths else ()


def _behind_backbone(
    graph: AccessGraph, convolutions: list[Node], places: Mapping[Node, Places]
) -> set[Node]:
    """Return the convolutions behind the backbone, and behind a neck between backbone and head.

    The parts of a network are the first modules into which its convolutions divide; the backbone is the
    first part. A neck is a part in the middle, followed by one that gathers context itself: by atrous
    convolutions, or by pooling the map or summing over it.
    """
    paths = {node: _module_path(node) for node in convolutions}
    depth = 0
    while len({path[: depth + 1] for path in paths.values()}) == 1 and all(
        len(path) > depth for path in paths.values()
    ):
        depth += 1
    parts: dict[tuple[str, ...], list[Node]] = {}
    for node, path in paths.items():
        parts.setdefault(path[: depth + 1], []).append(node)
    others = list(parts)[1:]
    # A part of one convolution is no module of its own: such a network has no such modules.
    contexts = [
        i for i, p in enumerate(others) if len(parts[p]) > 1 and _gathers_context(graph, p, depth, places)
    ]
    last_context = max(contexts, default=0)
    return {node for part in others[last_context:] for node in parts[part]}


def _gathers_context(
    graph: AccessGraph, part: tuple[str, ...], depth: int, places: Mapping[Node, Places]
) -> bool:
    for node, reads in graph.reads.items():
        if _module_path(node)[: depth + 1] != part:
            continue
        window = _window(graph, node) if node.target in _CONVOLUTIONS else None
        if window is not None and window.rate > 1:
            return True
        if node not in places and any(read.operand in places for read in reads):
            return True
        for read in reads:
            axes = read.access.axes if isinstance(read.access, AccessByAxis) else ()
            if any(isinstance(axis, WindowAccess) and axis.grows for axis in axes):
                return True
    return False


def _is_residual(graph: AccessGraph, node: Node, above: dict[Node, set[Node]]) -> bool:
    """Return whether a sum at the same resolution adds the convolution's result to its source.

    A sum of parallel branches doesn't: its other terms come from windows over the same map.
    """
    shape = node.meta["val"].shape[-2:]
    for total in graph.reads:
        if total.target is not _ADD or node not in above[total] or total.meta["val"].shape[-2:] != shape:
            continue
        if any(user.target is _ADD for user in total.users):
            continue  # a sum in the middle of a longer one
        around = [term for term in _terms(graph, total) if term is not node and node not in above[term]]
        ways = [0 if t in above[node] else _convolutions_between(graph, t, above[node]) for t in around]
        if ways and max(ways) <= _RESIDUAL:
            return True
    return False


def _terms(graph: AccessGraph, total: Node) -> list[Node]:
    """Return all terms of a sum of sums."""
    if total.target is not _ADD:
        return [total]
    return [term for read in graph.reads[total] for term in _terms(graph, read.operand)]


def _convolutions_between(graph: AccessGraph, node: Node, sources: set[Node]) -> float:
    """Count the 1×1 convolutions on an unbranched path up to one of the sources; ∞ for any other path."""
    count = 0
    while node not in sources:
        reads = graph.reads.get(node, ())
        if len(reads) != 1:
            return np.inf
        if node.target in _CONVOLUTIONS:
            count += 1
            if max(cast("Node", node.args[1]).meta["val"].shape[2:]) > 1:
                return np.inf
        node = reads[0].operand
    return count


def _common_source(graph: AccessGraph, nodes: Iterable[Node]) -> Node:
    """Return the last node on every path from the image to each of the nodes."""
    through: dict[Node, frozenset[Node]] = {graph.image: frozenset([graph.image])}
    for node, reads in graph.reads.items():
        ways = [through[read.operand] for read in reads]
        through[node] = frozenset.intersection(*ways) | {node} if ways else frozenset([node])
    sources = frozenset.intersection(*(through[graph.reads[node][0].operand] for node in nodes))
    order = {node: i for i, node in enumerate((graph.image, *graph.reads))}
    return max(sources, key=order.__getitem__)
