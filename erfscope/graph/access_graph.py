"""A captured graph together with the access maps of its operations."""

from dataclasses import dataclass

import torch
from torch.fx import Node

from erfscope.graph.access import AccessMap
from erfscope.graph.capture import Captured
from erfscope.graph.rules.op_plan import AccessMaps, Operation
from erfscope.graph.rules.rule_table import find_access_maps

# Operators that read nothing of their operand but its shape and type.
aten = torch.ops.aten
_READS_SHAPE_ONLY = {
    aten.full_like.default, aten.new_full.default, aten.new_ones.default, aten.new_zeros.default,
    aten.ones_like.default, aten.zeros_like.default,
}  # fmt: skip


@dataclass(frozen=True)
class OperandAccess:
    """One operand of an operation and its access map, None where no rule tells it."""

    operand: Node
    access: AccessMap | None


@dataclass(frozen=True)
class AccessGraph:
    """What depends on the image, and how; in an order in which it can be run.

    Attributes
    ----------
    operations
        The calls that depend on the image.
    access_maps
        Of each call, the access maps of all its tensor arguments; None where no rule tells them.
    reads
        Of each call, the arguments that depend on the image, with their access maps.
    """

    captured: Captured
    operations: dict[Node, Operation]
    access_maps: dict[Node, AccessMaps | None]
    reads: dict[Node, tuple[OperandAccess, ...]]

    @property
    def image(self) -> Node:
        """The node of the image."""
        return self.captured.image

    @property
    def device(self) -> torch.device:
        """The device of the tensors."""
        device: torch.device = self.image.meta["val"].device
        return device

    @property
    def output(self) -> Node:
        """The node of the map in which the unit lies."""
        return self.captured.output


def build_access_graph(captured: Captured) -> AccessGraph:
    """Find the access maps of every operation between the image and the output.

    Raises
    ------
    ValueError
        An operation has several results: no rule knows those.
    """
    constants = _evaluate_constants(captured)
    device = captured.image.meta["val"].device
    operations = {
        node: Operation.of(node, constants, device) for node in captured.calls if node not in constants
    }
    for node in operations:
        if not isinstance(node.meta["val"], torch.Tensor):
            raise ValueError(f"{node.target} has several results")
    access_maps = {node: find_access_maps(operation) for node, operation in operations.items()}
    reads = {node: _pick_operands(operations[node], found) for node, found in access_maps.items()}
    return AccessGraph(captured, operations, access_maps, reads)


def _pick_operands(operation: Operation, access_maps: AccessMaps | None) -> tuple[OperandAccess, ...]:
    return tuple(
        OperandAccess(tensor, None if access_maps is None else access_maps[i])
        for i, tensor in enumerate(operation.tensors)
        if tensor not in operation.constants
    )


@torch.no_grad()
def _evaluate_constants(captured: Captured) -> dict[Node, torch.Tensor]:
    """Return the values of all nodes that don't depend on the content of the image."""
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
        if known or node.target in _READS_SHAPE_ONLY:
            args, kwargs = torch.fx.node.map_arg((node.args, dict(node.kwargs)), value)
            constants[node] = node.target(*args, **kwargs)  # type: ignore[operator]
    return constants
