"""The two ways to a gradient: the pruned graph, and plain autograd over the whole network.

They give the same numbers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch

from erfscope.engine.engine_plan import EnginePlan
from erfscope.engine.formulas import FORMULAS
from erfscope.errors import ComputeError
from erfscope.graph.program import Program
from erfscope.model.frozen_eval import frozen_eval
from erfscope.model.unit_map import UnitMap
from erfscope.system.precision import PRECISIONS, arithmetic

DETACHED = (
    "the unit does not depend on the image: the graph is detached (no_grad, detach or argmax in the "
    "network's forward?), or the layer does not see the image"
)

#: From images (N, 3, H, W) to the target's values (N,) and their gradients (N, C, H, W). C is 3, or 1 where
#: the formula needs only the sum over the channels.
GradientFunction = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


class Engine(Protocol):
    """Computes the target's values and gradients of one batch after another."""

    @contextmanager
    def ready(self) -> Iterator[GradientFunction]:
        """Hold what a run needs within the block, and yield the function."""


class DenseEngine:
    """Plain autograd over the whole network."""

    def __init__(self, unit_map: UnitMap, plan: EnginePlan) -> None:
        self.unit_map, self.plan = unit_map, plan

    @contextmanager
    def ready(self) -> Iterator[GradientFunction]:
        """Freeze the network for the run."""
        with frozen_eval(self.unit_map, torch.device(self.plan.device), PRECISIONS[self.plan.precision]):
            yield self._gradients

    def _gradients(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        plan, images = self.plan, images.requires_grad_()
        with arithmetic(plan.precision):
            output = self.unit_map(images)
            scalars = _scalars(plan, output[:, :, plan.unit.y, plan.unit.x])
            if not scalars.requires_grad:
                raise ComputeError(DETACHED)
            (gradient,) = torch.autograd.grad(
                scalars.sum(), images, allow_unused=True, materialize_grads=True
            )
        return scalars.detach(), gradient


class GraphEngine:
    """The part of the captured graph that the unit depends on."""

    def __init__(self, program: Program, plan: EnginePlan) -> None:
        self.program, self.plan = program, plan

    @contextmanager
    def ready(self) -> Iterator[GradientFunction]:
        """Yield the function; the program holds folded weights of its own."""
        yield self.gradients

    def gradients(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the target's values (N,) and their gradients of images (N, 3, H, W).

        Where the formula needs just the sum over the channels, the gradients are (N, 1, H, W).
        """
        images = images.to(memory_format=torch.channels_last)
        with arithmetic(self.plan.precision):
            scalars, gradient = self.program.gradient(images, lambda v: _scalars(self.plan, v[:, :, 0, 0]))
        if gradient is None:
            raise ComputeError(DETACHED)
        return scalars, gradient


def _scalars(plan: EnginePlan, values: torch.Tensor) -> torch.Tensor:
    return plan.target.scalar(values, relu=FORMULAS[plan.formula].relu_activation)
