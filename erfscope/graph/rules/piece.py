"""An operation of the graph, as rules see it, and what a rule returns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Node
from torch.fx.node import map_arg

from erfscope.graph.regions import Region
from erfscope.graph.steps import Step


@dataclass(frozen=True)
class Operation:
    """One call of the graph.

    Attributes
    ----------
    node
        The call itself.
    operands
        Its tensor operands that depend on the image, in order of appearance; a tensor that is read
        twice appears twice.
    constants
        Value of every node that doesn't depend on the image.
    device
        Where tensors live.
    """

    node: Node
    operands: tuple[Node, ...]
    constants: Mapping[Node, torch.Tensor]
    device: torch.device

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole result."""
        return tuple(self.node.meta["val"].shape)

    @property
    def operand_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the whole operands."""
        return [tuple(operand.meta["val"].shape) for operand in self.operands]

    def arguments(self, *defaults: Any) -> list[Any]:
        """Positional arguments, constants as tensors, filled up from `defaults` at the end."""
        given = list(map_arg(self.node.args, lambda node: self.constants.get(node, node)))
        missing = len(defaults) - len(given)
        return given + list(defaults[len(defaults) - missing :]) if missing > 0 else given

    def call(self, *operands: torch.Tensor) -> torch.Tensor:
        """Run the operator itself with these tensors as its operands."""
        left = iter(operands)
        args, kwargs = map_arg(
            (self.node.args, dict(self.node.kwargs)),
            lambda node: self.constants[node] if node in self.constants else next(left),
        )
        result: torch.Tensor = self.node.target(*args, **kwargs)  # type: ignore[operator]
        return result


@dataclass(frozen=True)
class Piece:
    """How to compute one region of an operation's result.

    Attributes
    ----------
    inputs
        The region that is read of each operand.
    result
        The region that comes out; it contains what was wanted.
    step
        Makes the step that computes it.
    """

    inputs: tuple[Region, ...]
    result: Region
    step: Callable[[], Step]


def pair(value: Sequence[int]) -> tuple[int, int]:
    """Expand a single number for height and width, as ATen does."""
    return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])


Rule = Callable[[Operation, Region], Piece | None]
