"""Rules of operators that mix all positions along some axes, and none along the others."""

from collections.abc import Collection

from erfscope.graph.access import AccessByAxis, AxisAccess, FullAccess, IdentityAccess
from erfscope.graph.rules.op_plan import AccessMaps, Operation
from erfscope.graph.rules.pointwise import broadcast_axes


def linear(operation: Operation) -> AccessMaps | None:
    """aten.linear(x, weight, bias): the last axis."""
    shape = operation.shapes[0]
    last = len(shape) - 1
    axes: list[AxisAccess] = [*(IdentityAccess(i) for i in range(last)), FullAccess(last)]
    return AccessByAxis(tuple(axes), shape), *_constants(operation)


def layer_norm(operation: Operation) -> AccessMaps | None:
    """aten.layer_norm(x, normalized_shape, …): the last axes."""
    rank = len(operation.shape)
    return _normalized(operation, range(rank - len(operation.arguments()[1]), rank))


def group_norm(operation: Operation) -> AccessMaps | None:
    """aten.group_norm(x, …): all axes but the batch."""
    return _normalized(operation, range(1, len(operation.shape)))


def instance_norm(operation: Operation) -> AccessMaps | None:
    """aten.instance_norm(x, …): height and width; its weights are by channel, so all channels too."""
    return _normalized(operation, range(1, len(operation.shape)))


def softmax(operation: Operation) -> AccessMaps | None:
    """aten.softmax(x, axis): that axis."""
    return _normalized(operation, [operation.arguments()[1] % len(operation.shape)])


def unit_norm(operation: Operation) -> AccessMaps | None:
    """aten.linalg_vector_norm(x, order, axes, keepdim): those axes."""
    _, _, axes, keep = operation.arguments(None, 2, None, False)
    return _reduced(operation, axes, keep=keep)


def reduction(operation: Operation) -> AccessMaps | None:
    """aten.mean(x, axes, keepdim) and its like; no axes mean all."""
    _, axes, keep = operation.arguments(None, None, False)
    return _reduced(operation, axes, keep=keep)


def matmul(operation: Operation) -> AccessMaps | None:
    """aten.matmul(x, y) of two tensors of two axes or more: the axis that they share."""
    if len(operation.shapes) != 2 or min(len(shape) for shape in operation.shapes) < 2:
        return None
    first, second = operation.shapes
    rank = len(operation.shape)
    left = (*broadcast_axes(first[:-2], operation.shape[:-2]), IdentityAccess(rank - 2), FullAccess())
    right = (*broadcast_axes(second[:-2], operation.shape[:-2]), FullAccess(), IdentityAccess(rank - 1))
    return AccessByAxis(left, first), AccessByAxis(right, second)


def attention(operation: Operation) -> AccessMaps | None:
    """aten.scaled_dot_product_attention(q, k, v, mask, …): a query's own position, all keys and values."""
    _, _, _, _, dropout, causal = operation.arguments(None, None, None, None, 0.0, False)
    if dropout or causal:
        return None
    out = operation.shape
    rank = len(out)
    query, key, value, *mask = operation.shapes
    if any(len(shape) != rank for shape in (query, key, value)):
        return None
    access_maps = [
        AccessByAxis((*broadcast_axes(query[:-2], out[:-2]), IdentityAccess(rank - 2), FullAccess()), query),
        AccessByAxis((*broadcast_axes(key[:-2], out[:-2]), FullAccess(), FullAccess()), key),
        AccessByAxis((*broadcast_axes(value[:-2], out[:-2]), FullAccess(), FullAccess(rank - 1)), value),
    ]
    for shape in mask:
        axes = (*broadcast_axes(shape[:-1], out[:-1]), FullAccess())
        access_maps.append(AccessByAxis(axes, shape))
    return tuple(access_maps)


def _constants(operation: Operation) -> AccessMaps:
    return (None,) * (len(operation.tensors) - 1)


def _normalized(operation: Operation, mixed: Collection[int]) -> AccessMaps:
    shape = operation.shape
    axes = tuple(FullAccess(i, own=True) if i in mixed else IdentityAccess(i) for i in range(len(shape)))
    return AccessByAxis(axes, shape), *_constants(operation)


def _reduced(operation: Operation, axes: Collection[int] | int | None, *, keep: bool) -> AccessMaps:
    (shape,) = operation.shapes
    chosen = [axes] if isinstance(axes, int) else list(axes or range(len(shape)))
    chosen = [axis % len(shape) for axis in chosen]
    outs = iter(range(len(operation.shape)))
    found: list[IdentityAccess | FullAccess] = []
    for axis in range(len(shape)):
        if axis not in chosen:
            found.append(IdentityAccess(next(outs)))
            continue
        found.append(FullAccess())
        if keep:
            next(outs)
    return (AccessByAxis(tuple(found), shape),)
