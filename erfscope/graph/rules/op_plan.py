"""An operation of the graph as rules see it, and the plan that a rule makes for it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Node
from torch.fx.node import map_arg

from erfscope.graph.access import AccessMap
from erfscope.graph.regions import Region, select, whole
from erfscope.graph.steps.basic import Autograd, Step


@dataclass(frozen=True)
class Operation:
    """One call of the graph.

    Attributes
    ----------
    node
        The call itself.
    tensors
        Its tensor arguments in order of appearance; one that is read twice appears twice.
    constants
        Values of the arguments that don't depend on the image.
    device
        The device of the tensors.
    """

    node: Node
    tensors: tuple[Node, ...]
    constants: Mapping[Node, torch.Tensor]
    device: torch.device

    @staticmethod
    def of(node: Node, constants: Mapping[Node, torch.Tensor], device: torch.device) -> "Operation":
        """Find the tensor arguments of a call."""
        found: list[Node] = []

        def note(tensor: Node) -> Node:
            found.append(tensor)
            return tensor

        map_arg((node.args, dict(node.kwargs)), note)
        # Only its own: what a step refers to lives as long as the program.
        own = {tensor: constants[tensor] for tensor in found if tensor in constants}
        return Operation(node, tuple(found), own, device)

    @property
    def operands(self) -> tuple[Node, ...]:
        """The tensor arguments that depend on the image."""
        return tuple(tensor for tensor in self.tensors if tensor not in self.constants)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole result."""
        return tuple(self.node.meta["val"].shape)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the whole tensor arguments."""
        return [tuple(tensor.meta["val"].shape) for tensor in self.tensors]

    def arguments(self, *defaults: Any) -> list[Any]:
        """Return the positional arguments, constants as tensors; `defaults` has those left out at the end."""
        given = list(map_arg(self.node.args, lambda node: self.constants.get(node, node)))
        missing = len(defaults) - len(given)
        return given + list(defaults[len(defaults) - missing :]) if missing > 0 else given

    def call(self, *tensors: torch.Tensor) -> torch.Tensor:
        """Run the operator itself with these as its tensor arguments."""
        left = iter(tensors)
        args, kwargs = map_arg((self.node.args, dict(self.node.kwargs)), lambda node: next(left))
        result: torch.Tensor = self.node.target(*args, **kwargs)  # type: ignore[operator]
        return result

    def with_constants(self, operands: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return all tensor arguments, given those that depend on the image."""
        left = iter(operands)
        return [self.constants[t] if t in self.constants else next(left) for t in self.tensors]


@dataclass(frozen=True)
class OpPlan:
    """How to compute one region of an operation's result.

    Attributes
    ----------
    inputs
        The region that is read of each operand.
    result
        The region that comes out; it contains the wanted one.
    step
        Makes the step that computes it.
    """

    inputs: tuple[Region, ...]
    result: Region
    step: Callable[[], Step]


#: One for each tensor argument; None for a constant that is needed as a whole, whatever is wanted.
AccessMaps = tuple[AccessMap | None, ...]


def call_on_parts(operation: Operation, access_maps: AccessMaps, wanted: Region) -> OpPlan:
    """Plan to run the operator itself on the parts that are read."""
    result = wanted
    for access in access_maps:
        if access is not None:
            result = access.widen(result, operation.shape)
    regions = [access.region(result) if access else None for access in access_maps]

    def step() -> Step:
        parts = {
            i: select(whole(shape), region, operation.device).cut(operation.constants[tensor])
            for i, (tensor, shape, region) in enumerate(
                zip(operation.tensors, operation.shapes, regions, strict=True)
            )
            if tensor in operation.constants and region is not None
        }

        def function(*operands: torch.Tensor) -> torch.Tensor:
            tensors = operation.with_constants(operands)
            return operation.call(*(parts.get(i, tensor) for i, tensor in enumerate(tensors)))

        return Autograd(function)

    return OpPlan(operand_regions(operation, regions), result, step)


def operand_regions(operation: Operation, regions: Sequence[Region | None]) -> tuple[Region, ...]:
    """Pick the regions of the arguments that depend on the image."""
    return tuple(
        region
        for tensor, region in zip(operation.tensors, regions, strict=True)
        if tensor not in operation.constants and region is not None
    )


@dataclass(frozen=True)
class Rule:
    """How one operator accesses its operands, and how a region of its result is computed.

    Attributes
    ----------
    access
        From an operation to its access maps; None where they aren't known.
    plan
        From an operation, its access maps and a wanted region to the plan that computes the region.
    """

    access: Callable[[Operation], AccessMaps | None]
    plan: Callable[[Operation, AccessMaps, Region], OpPlan] = call_on_parts


def pair(value: Sequence[int]) -> tuple[int, int]:
    """Expand a single number for height and width, as ATen does."""
    return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])
