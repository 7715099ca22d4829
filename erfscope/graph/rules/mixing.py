"""Rules of operators that mix whole axes and leave the others alone, or only change the axes' order."""

from collections.abc import Iterable

import numpy as np

from erfscope.graph.regions import Region
from erfscope.graph.rules.piece import Operation, Piece
from erfscope.graph.steps import Autograd


def linear(operation: Operation, wanted: Region) -> Piece | None:
    """aten.linear(x, weight, bias): the last axis."""
    if len(operation.operands) != 1:
        return None
    width, out = operation.operand_shapes[0][-1], operation.shape[-1]
    inputs = (*wanted[:-1], np.arange(width))
    return Piece((inputs,), (*wanted[:-1], np.arange(out)), lambda: Autograd(operation.call))


def layer_norm(operation: Operation, wanted: Region) -> Piece | None:
    """aten.layer_norm(x, normalized_shape, …): the last axes."""
    count = len(operation.arguments()[1])
    return _mixed(operation, wanted, range(len(wanted) - count, len(wanted)))


def group_norm(operation: Operation, wanted: Region) -> Piece | None:
    """aten.group_norm(x, …): all axes but the batch."""
    return _mixed(operation, wanted, range(1, len(wanted)))


def softmax(operation: Operation, wanted: Region) -> Piece | None:
    """aten.softmax(x, axis): that axis."""
    return _mixed(operation, wanted, [operation.arguments()[1] % len(wanted)])


def permute(operation: Operation, wanted: Region) -> Piece | None:
    """aten.permute(x, axes)."""
    return _reordered(operation, wanted, [axis % len(wanted) for axis in operation.arguments()[1]])


def transpose(operation: Operation, wanted: Region) -> Piece | None:
    """aten.transpose(x, axis, axis)."""
    first, second = (axis % len(wanted) for axis in operation.arguments()[1:3])
    order = list(range(len(wanted)))
    order[first], order[second] = second, first
    return _reordered(operation, wanted, order)


def _mixed(operation: Operation, wanted: Region, axes: Iterable[int]) -> Piece | None:
    if len(operation.operands) != 1:
        return None
    mixed = set(axes)
    region = tuple(
        np.arange(operation.shape[axis]) if axis in mixed else index for axis, index in enumerate(wanted)
    )
    return Piece((region,), region, lambda: Autograd(operation.call))


def _reordered(operation: Operation, wanted: Region, order: list[int]) -> Piece:
    """Make the piece of a result whose axis i is operand axis `order[i]`."""
    inputs = tuple(wanted[order.index(axis)] for axis in range(len(order)))
    return Piece((inputs,), wanted, lambda: Autograd(operation.call))
