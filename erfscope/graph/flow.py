"""A captured graph together with what each of its operations reads."""

from dataclasses import dataclass

import torch
from torch.fx import Node

from erfscope.graph.capture import Captured
from erfscope.graph.reading import Reading
from erfscope.graph.rules.piece import Operation
from erfscope.graph.rules.table import find_readings

# Operators that read of their operand nothing but its shape and type.
aten = torch.ops.aten
_OF_SHAPE = {
    aten.full_like.default, aten.new_full.default, aten.new_ones.default, aten.new_zeros.default,
    aten.ones_like.default, aten.zeros_like.default,
}  # fmt: skip


@dataclass(frozen=True)
class Read:
    """One operand of an operation, and what is read of it: None where no rule tells."""

    operand: Node
    reading: Reading | None


@dataclass(frozen=True)
class Flow:
    """What depends on the image, and how.

    Attributes
    ----------
    reads
        For each operation that depends on the image, in an order in which they can be run, its operands
        that do so too.
    """

    captured: Captured
    constants: dict[Node, torch.Tensor]
    reads: dict[Node, tuple[Read, ...]]

    @property
    def image(self) -> Node:
        """The node of the image."""
        return self.captured.image

    @property
    def output(self) -> Node:
        """The node of the map in which the unit lies."""
        return self.captured.output


def trace(captured: Captured) -> Flow:
    """Find what every operation between the image and the output reads."""
    constants = evaluate_constants(captured)
    reads = {}
    for node in captured.calls:
        if node in constants:
            continue
        operation = Operation.of(node, constants, captured.image.meta["val"].device)
        readings = find_readings(operation)
        reads[node] = tuple(
            Read(tensor, None if readings is None else readings[i])
            for i, tensor in enumerate(operation.tensors)
            if tensor not in constants
        )
    return Flow(captured, constants, reads)


@torch.no_grad()
def evaluate_constants(captured: Captured) -> dict[Node, torch.Tensor]:
    """Values of all nodes that don't depend on what is in the image."""
    constants = dict(captured.constants)

    def value(node: Node) -> torch.Tensor:
        if node in constants:
            return constants[node]
        like = node.meta["val"]  # only its shape is read: memory of one number stands for it
        return torch.empty((), dtype=like.dtype, device=like.device).expand(like.shape)

    for node in captured.calls:
        known = captured.image not in node.all_input_nodes and all(
            n in constants for n in node.all_input_nodes
        )
        if known or node.target in _OF_SHAPE:
            args, kwargs = torch.fx.node.map_arg((node.args, dict(node.kwargs)), value)
            constants[node] = node.target(*args, **kwargs)  # type: ignore[operator]
    return constants
