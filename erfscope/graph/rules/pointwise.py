"""Rules of operators that read of each operand just the positions they write: pointwise ones, and joins."""

from collections.abc import Callable

import numpy as np
import torch
from torch.fx import Node
from torch.fx.node import map_arg

from erfscope.graph.regions import Region, whole
from erfscope.graph.rules.piece import Operation, Piece
from erfscope.graph.steps import Add, Autograd, Concatenate, Relu


def unary(operation: Operation, wanted: Region) -> Piece | None:
    """One operand and no shape among the arguments: gelu, sigmoid, a copy."""
    return Piece((wanted,), wanted, lambda: Autograd(operation.call))


def relu(operation: Operation, wanted: Region) -> Piece | None:
    """aten.relu(x)."""
    return Piece((wanted,), wanted, Relu)


def broadcast(operation: Operation, wanted: Region) -> Piece | None:
    """Several operands, constants among them, of shapes that broadcast to the result's."""
    inputs = tuple(_broadcast_region(shape, wanted) for shape in operation.operand_shapes)
    return Piece(inputs, wanted, lambda: Autograd(_cut_constants(operation, wanted)))


def add(operation: Operation, wanted: Region) -> Piece | None:
    """aten.add(x, y, alpha), written out for two operands of the result's shape."""
    same = [shape == operation.shape for shape in operation.operand_shapes]
    if same == [True, True] and not operation.node.kwargs and len(set(operation.operands)) == 2:
        return Piece((wanted, wanted), wanted, Add)
    return broadcast(operation, wanted)


def channel_affine(operation: Operation, wanted: Region) -> Piece | None:
    """`fold.channel_affine(x, scale, shift)`: all channels of the wanted positions."""
    region = (wanted[0], whole(operation.shape)[1], *wanted[2:])
    return Piece((region,), region, lambda: Autograd(operation.call))


def concatenate(operation: Operation, wanted: Region) -> Piece | None:
    """aten.cat(tensors, axis), all of the joined axis, of operands that all depend on the image."""
    tensors, axis = operation.arguments(None, 0)
    if len(tensors) != len(operation.operands):
        return None
    axis %= len(operation.shape)
    inputs = tuple(
        (*wanted[:axis], np.arange(shape[axis]), *wanted[axis + 1 :]) for shape in operation.operand_shapes
    )
    result = (*wanted[:axis], np.arange(operation.shape[axis]), *wanted[axis + 1 :])
    return Piece(inputs, result, lambda: Concatenate(axis))


def _broadcast_region(shape: tuple[int, ...], wanted: Region) -> Region:
    """Region of an operand: aligned at the right, and 0 where it has a single position."""
    aligned = wanted[len(wanted) - len(shape) :]
    return tuple(
        index if size > 1 else np.zeros(1, np.int64) for size, index in zip(shape, aligned, strict=True)
    )


def _cut_constants(operation: Operation, wanted: Region) -> Callable[..., torch.Tensor]:
    """Return the operator with its constant tensors cut to what the wanted region reads of them."""

    def cut(constant: torch.Tensor) -> torch.Tensor:
        for axis, index in enumerate(_broadcast_region(tuple(constant.shape), wanted)):
            if len(index) != constant.shape[axis]:
                constant = constant.index_select(axis, torch.from_numpy(index).to(constant.device))
        return constant

    constants = {
        node: cut(operation.constants[node])
        for node in operation.node.all_input_nodes
        if node in operation.constants
    }

    def function(*operands: torch.Tensor) -> torch.Tensor:
        left = iter(operands)

        def tensor(node: Node) -> torch.Tensor:
            return constants[node] if node in constants else next(left)

        args, kwargs = map_arg((operation.node.args, dict(operation.node.kwargs)), tensor)
        result: torch.Tensor = operation.node.target(*args, **kwargs)  # type: ignore[operator]
        return result

    return function
