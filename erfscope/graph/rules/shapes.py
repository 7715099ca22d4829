"""Rules of operators that compute nothing: they reorder, cut, join, pad or repeat."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from erfscope.graph.access import (
    AccessByAxis,
    AxisAccess,
    FixedAccess,
    IdentityAccess,
    ReshapeAccess,
    WindowAccess,
)
from erfscope.graph.regions import Index, Region, is_range, shape_of
from erfscope.graph.rules.op_plan import AccessMaps, Operation, OpPlan, Rule, call_on_parts, operand_regions
from erfscope.graph.rules.pointwise import broadcast_axes
from erfscope.graph.steps.basic import Autograd, Concatenate, Step


def permute(operation: Operation) -> AccessMaps | None:
    """aten.permute(x, axes)."""
    return _reordered(operation, operation.arguments()[1])


def transpose(operation: Operation) -> AccessMaps | None:
    """aten.transpose(x, axis, axis)."""
    order = list(range(len(operation.shape)))
    first, second = operation.arguments()[1:3]
    order[first], order[second] = order[second], order[first]
    return _reordered(operation, order)


def swap_last(operation: Operation) -> AccessMaps | None:
    """aten.mT(x), aten.t(x): the last two axes."""
    rank = len(operation.shape)
    return _reordered(operation, [*range(rank - 2), rank - 1, rank - 2])


def _reordered(operation: Operation, order: Sequence[int]) -> AccessMaps:
    """Return the access map of a result whose axis i is operand axis `order[i]`."""
    ((*shape,),) = operation.shapes
    source = [axis % len(shape) for axis in order]
    axes = tuple(IdentityAccess(source.index(axis)) for axis in range(len(shape)))
    return (AccessByAxis(axes, tuple(shape)),)


def reshape(operation: Operation) -> AccessMaps | None:
    """aten.view, reshape, flatten, squeeze, unsqueeze, …: the same elements in the same order."""
    return (ReshapeAccess(operation.shapes[0], operation.shape),)


def _plan_reshape(operation: Operation, access_maps: AccessMaps, wanted: Region) -> OpPlan:
    (access,) = access_maps
    assert access is not None
    result = access.widen(wanted, operation.shape)
    shape = shape_of(result)
    return OpPlan((access.region(wanted),), result, lambda: Autograd(lambda x: x.reshape(shape)))


def expand(operation: Operation) -> AccessMaps | None:
    """aten.expand(x, shape): axes of one position are repeated."""
    shape = operation.shapes[0]
    return (AccessByAxis(broadcast_axes(shape, operation.shape), shape),)


def _plan_expand(operation: Operation, access_maps: AccessMaps, wanted: Region) -> OpPlan:
    (access,) = access_maps
    assert access is not None
    shape = shape_of(wanted)
    return OpPlan((access.region(wanted),), wanted, lambda: Autograd(lambda x: x.expand(shape)))


def slice_(operation: Operation) -> AccessMaps | None:
    """aten.slice(x, axis, start, end, step)."""
    _, axis, start, _, step = operation.arguments(None, 0, None, None, 1)
    (shape,) = operation.shapes
    axis, start = axis % len(shape), start or 0
    start = max(start + shape[axis], 0) if start < 0 else min(start, shape[axis])
    return _moved(operation, {axis: start + step * np.arange(operation.shape[axis])})


def roll(operation: Operation) -> AccessMaps | None:
    """aten.roll(x, shifts, axes)."""
    _, shifts, axes = operation.arguments(None, None, [])
    if not axes:
        return None
    moves = {}
    for shift, axis in zip(shifts, axes, strict=True):
        size = operation.shape[axis]
        moves[axis % len(operation.shape)] = (np.arange(size) - shift) % size
    return _moved(operation, moves)


def flip(operation: Operation) -> AccessMaps | None:
    """aten.flip(x, axes)."""
    axes = [axis % len(operation.shape) for axis in operation.arguments()[1]]
    return _moved(operation, {axis: np.arange(operation.shape[axis])[::-1] for axis in axes})


def index_select(operation: Operation) -> AccessMaps | None:
    """aten.index_select(x, axis, index) by constant positions."""
    _, axis, index = operation.arguments()
    if not isinstance(index, torch.Tensor):
        return None
    access_maps = _moved(operation, {axis % len(operation.shape): index.cpu().numpy()}, operation.shapes[0])
    return *access_maps, None


def pad(operation: Operation) -> AccessMaps | None:
    """aten.pad(x, margins, …), aten.constant_pad_nd(x, margins, …): margins from the last axis on."""
    margins, mode, _ = _padding(operation)
    if mode not in _PADDINGS:
        return None
    rank, moves = len(operation.shape), {}
    for i in range(len(margins) // 2):
        axis = rank - 1 - i
        at = np.arange(operation.shape[axis]) - margins[2 * i]
        moves[axis] = _PADDINGS[mode](at, operation.shapes[0][axis])
    return _moved(operation, moves, operation.shapes[0])


_PADDINGS = {
    "constant": lambda at, size: at,
    "replicate": lambda at, size: np.clip(at, 0, size - 1),
    "reflect": lambda at, size: size - 1 - abs(size - 1 - abs(at)),
    "circular": lambda at, size: at % size,
}


def _moved(
    operation: Operation, moves: Mapping[int, Index], shape: tuple[int, ...] | None = None
) -> tuple[AccessByAxis]:
    """Return the access map of a result that reads other positions of the operand along some axes."""
    axes: list[AxisAccess] = [
        WindowAccess(i, moves[i][:, None]) if i in moves else IdentityAccess(i)
        for i in range(len(operation.shape))
    ]
    return (AccessByAxis(tuple(axes), shape or operation.shapes[0]),)


def _plan_move(operation: Operation, access_maps: AccessMaps, wanted: Region) -> OpPlan:
    access, *_ = access_maps
    assert isinstance(access, AccessByAxis)
    region = access.region(wanted)
    value = _padding(operation)[2]
    moves = []
    for i, axis in enumerate(access.axes):
        if isinstance(axis, WindowAccess):
            taps = axis.positions[wanted[i], 0]
            at = np.minimum(np.searchsorted(region[i], taps), len(region[i]) - 1)
            inside = region[i][at] == taps
            if not (inside.all() and is_range(at) and len(at) == len(region[i])):
                moves.append((i, at, inside))

    def step() -> Step:
        device = operation.device
        placed = [(i, torch.from_numpy(at).to(device)) for i, at, _ in moves]
        outside = {i: torch.from_numpy(~inside).to(device) for i, _, inside in moves if not inside.all()}

        def move(x: torch.Tensor) -> torch.Tensor:
            for i, at in placed:
                x = x.index_select(i, at)
                if i in outside:
                    x = x.masked_fill(outside[i].view([-1 if j == i else 1 for j in range(x.ndim)]), value)
            return x

        return Autograd(move)

    return OpPlan((region,), wanted, step)


def _padding(operation: Operation) -> tuple[Sequence[int], str, float]:
    """Return margins, mode and value of a padding; no margins for other operators."""
    if operation.node.target is torch.ops.aten.constant_pad_nd.default:
        _, margins, value = operation.arguments(None, None, 0.0)
        return margins, "constant", value
    if operation.node.target is torch.ops.aten.pad.default:
        _, margins, mode, value = operation.arguments(None, None, "constant", None)
        return margins, mode, value or 0.0
    return (), "", 0.0


def select(operation: Operation) -> AccessMaps | None:
    """aten.select(x, axis, position)."""
    _, axis, position = operation.arguments()
    (shape,) = operation.shapes
    axis %= len(shape)
    axes = [IdentityAccess(i if i < axis else i - 1) for i in range(len(shape))]
    chosen = [FixedAccess(position % shape[axis]) if i == axis else same for i, same in enumerate(axes)]
    return (AccessByAxis(tuple(chosen), shape),)


def _plan_select(operation: Operation, access_maps: AccessMaps, wanted: Region) -> OpPlan:
    (access,) = access_maps
    assert access is not None
    axis = operation.arguments()[1] % len(operation.shapes[0])
    return OpPlan((access.region(wanted),), wanted, lambda: Autograd(lambda x: x.select(axis, 0)))


def concatenate(operation: Operation) -> AccessMaps | None:
    """aten.cat(tensors, axis)."""
    _, axis = operation.arguments(None, 0)
    rank, first, access_maps = len(operation.shape), 0, []
    axis %= rank
    if any(len(shape) != rank for shape in operation.shapes):
        return None  # an empty tensor, which cat still takes
    for shape in operation.shapes:
        taps = WindowAccess(axis, np.arange(operation.shape[axis])[:, None] - first)
        axes = tuple(taps if i == axis else IdentityAccess(i) for i in range(rank))
        access_maps.append(AccessByAxis(axes, shape))
        first += shape[axis]
    return tuple(access_maps)


def _plan_concatenate(operation: Operation, access_maps: AccessMaps, wanted: Region) -> OpPlan:
    """Join the wanted part of each tensor; one position where nothing of it is wanted."""
    _, axis = operation.arguments(None, 0)
    axis %= len(operation.shape)
    regions = [access.region(wanted) for access in access_maps if access]
    sizes = [shape[axis] for shape in operation.shapes]
    firsts = np.cumsum([0, *sizes[:-1]])
    joined = [first + region[axis] for first, region in zip(firsts, regions, strict=True)]
    result = (*wanted[:axis], np.concatenate(joined), *wanted[axis + 1 :])
    if len(operation.operands) < len(operation.tensors):
        return call_on_parts(operation, access_maps, result)
    return OpPlan(operand_regions(operation, regions), result, lambda: Concatenate(axis))


def stack(operation: Operation) -> AccessMaps | None:
    """aten.stack(tensors, axis)."""
    _, axis = operation.arguments(None, 0)
    axis %= len(operation.shape)
    axes = tuple(IdentityAccess(i if i < axis else i + 1) for i in range(len(operation.shape) - 1))
    return tuple(AccessByAxis(axes, shape) for shape in operation.shapes)


def _plan_stack(operation: Operation, access_maps: AccessMaps, wanted: Region) -> OpPlan:
    axis = operation.arguments(None, 0)[1] % len(operation.shape)
    result = (*wanted[:axis], np.arange(operation.shape[axis]), *wanted[axis + 1 :])
    return call_on_parts(operation, access_maps, result)


PERMUTE, TRANSPOSE = Rule(permute), Rule(transpose)
RESHAPE = Rule(reshape, _plan_reshape)
EXPAND = Rule(expand, _plan_expand)
SELECT = Rule(select, _plan_select)
SLICE, ROLL, FLIP, PAD, INDEX_SELECT = (
    Rule(read, _plan_move) for read in (slice_, roll, flip, pad, index_select)
)
CONCATENATE = Rule(concatenate, _plan_concatenate)
STACK = Rule(stack, _plan_stack)
