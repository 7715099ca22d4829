"""Rules of operators that mix whole axes and leave the others alone."""

from collections.abc import Collection

from erfscope.graph.access import AxisReading, ByAxis, Everything, Same
from erfscope.graph.rules.op_plan import Operation, Readings
from erfscope.graph.rules.pointwise import broadcast_axes


def linear(operation: Operation) -> Readings | None:
    """aten.linear(x, weight, bias): the last axis."""
    shape = operation.shapes[0]
    last = len(shape) - 1
    axes: list[AxisReading] = [*(Same(i) for i in range(last)), Everything(last)]
    return ByAxis(tuple(axes), shape), *_constants(operation)


def layer_norm(operation: Operation) -> Readings | None:
    """aten.layer_norm(x, normalized_shape, …): the last axes."""
    rank = len(operation.shape)
    return _normalized(operation, range(rank - len(operation.arguments()[1]), rank))


def group_norm(operation: Operation) -> Readings | None:
    """aten.group_norm(x, …): all axes but the batch."""
    return _normalized(operation, range(1, len(operation.shape)))


def instance_norm(operation: Operation) -> Readings | None:
    """aten.instance_norm(x, …): the map; its weights go by channel, so all of these."""
    return _normalized(operation, range(1, len(operation.shape)))


def softmax(operation: Operation) -> Readings | None:
    """aten.softmax(x, axis): that axis."""
    return _normalized(operation, [operation.arguments()[1] % len(operation.shape)])


def unit_norm(operation: Operation) -> Readings | None:
    """aten.linalg_vector_norm(x, order, axes, keepdim): those axes."""
    _, _, axes, keep = operation.arguments(None, 2, None, False)
    return _reduced(operation, axes, keep=keep)


def reduction(operation: Operation) -> Readings | None:
    """aten.mean(x, axes, keepdim) and its like; no axes mean all."""
    _, axes, keep = operation.arguments(None, None, False)
    return _reduced(operation, axes, keep=keep)


def matmul(operation: Operation) -> Readings | None:
    """aten.matmul(x, y) of two tensors of two axes or more: the axis that they share."""
    if len(operation.shapes) != 2 or min(len(shape) for shape in operation.shapes) < 2:
        return None
    first, second = operation.shapes
    rank = len(operation.shape)
    left = (*broadcast_axes(first[:-2], operation.shape[:-2]), Same(rank - 2), Everything())
    right = (*broadcast_axes(second[:-2], operation.shape[:-2]), Everything(), Same(rank - 1))
    return ByAxis(left, first), ByAxis(right, second)


def attention(operation: Operation) -> Readings | None:
    """aten.scaled_dot_product_attention(q, k, v, mask, …): a query's own position, all keys and values."""
    _, _, _, _, dropout, causal = operation.arguments(None, None, None, None, 0.0, False)
    if dropout or causal:
        return None
    out = operation.shape
    rank = len(out)
    query, key, value, *mask = operation.shapes
    if any(len(shape) != rank for shape in (query, key, value)):
        return None
    readings = [
        ByAxis((*broadcast_axes(query[:-2], out[:-2]), Same(rank - 2), Everything()), query),
        ByAxis((*broadcast_axes(key[:-2], out[:-2]), Everything(), Everything()), key),
        ByAxis((*broadcast_axes(value[:-2], out[:-2]), Everything(), Everything(rank - 1)), value),
    ]
    for shape in mask:
        axes = (*broadcast_axes(shape[:-1], out[:-1]), Everything())
        readings.append(ByAxis(axes, shape))
    return tuple(readings)


def _constants(operation: Operation) -> Readings:
    return (None,) * (len(operation.tensors) - 1)


def _normalized(operation: Operation, mixed: Collection[int]) -> Readings:
    shape = operation.shape
    axes = tuple(Everything(i, own=True) if i in mixed else Same(i) for i in range(len(shape)))
    return ByAxis(axes, shape), *_constants(operation)


def _reduced(operation: Operation, axes: Collection[int] | int | None, *, keep: bool) -> Readings:
    (shape,) = operation.shapes
    chosen = [axes] if isinstance(axes, int) else list(axes or range(len(shape)))
    chosen = [axis % len(shape) for axis in chosen]
    outs = iter(range(len(operation.shape)))
    found: list[Same | Everything] = []
    for axis in range(len(shape)):
        if axis not in chosen:
            found.append(Same(next(outs)))
            continue
        found.append(Everything())
        if keep:
            next(outs)
    return (ByAxis(tuple(found), shape),)
