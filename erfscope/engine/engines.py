"""The two ways to a gradient: the pruned graph, and plain autograd over the whole network.

They give the same numbers. The graph is tried first; what can't be captured runs dense, with the reason
recorded in the plan.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from erfscope.engine.flops import FlopCount
from erfscope.engine.formulas import FORMULAS
from erfscope.engine.plan import EnginePlan
from erfscope.engine.target import unit_map
from erfscope.errors import ComputeError, one_line
from erfscope.graph.access_graph import AccessGraph, build_access_graph
from erfscope.graph.capture import capture
from erfscope.graph.fold import fold_batch_norms
from erfscope.graph.fov.fov_of_unit import predict
from erfscope.graph.program import Program
from erfscope.graph.prune import prune
from erfscope.graph.regions import whole
from erfscope.model.frozen_eval import frozen_eval
from erfscope.system.precision import PRECISIONS, arithmetic

ENGINES = ("auto", "dense")
DETACHED = (
    "the unit does not depend on the image: the graph is detached (no_grad, detach or argmax in the "
    "network's forward?), or the layer does not see the image"
)

#: From images (N, 3, H, W) to the target's values (N,) and their gradients (N, C, H, W): C is 3, or 1 for
#: their sum over the channels where the formula needs no more.
GradientFunction = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


class Engine(Protocol):
    """Something that is made ready for a run and then computes one batch after another."""

    @contextmanager
    def ready(self) -> Iterator[GradientFunction]:
        """Hold what the run needs until the block ends, and yield the function."""


def choose_engine(model: nn.Module, plan: EnginePlan, wanted: str = "auto") -> tuple[EnginePlan, Engine]:
    """Return the engine for a plan, and the plan with the choice and its reason filled in.

    Parameters
    ----------
    wanted
        "auto", or "dense" for plain autograd.

    Raises
    ------
    ComputeError
        No engine of that name.
    """
    if wanted not in ENGINES:
        raise ComputeError(f"no engine is called {wanted!r}; expected {', '.join(ENGINES)}")
    dense = DenseEngine(model, plan)
    use_graph = wanted != "dense" and plan.graph_allowed
    # Torch raises anything for what it can't capture, and a rule may meet arguments that it doesn't know.
    try:
        graph = trace_unit_map(model, plan)
    except ComputeError:
        raise
    except Exception as error:
        return _fall_back(plan, "the network can't be captured", error) if use_graph else plan, dense
    if graph.output not in {graph.image, *graph.operations}:
        raise ComputeError(DETACHED)
    # Also for plain autograd: offsets in the map count from the unit's projected center.
    plan = replace(plan, prediction=predict(graph, plan.unit, plan.model, receptive_fields=False))
    if not use_graph:
        return plan, dense
    try:
        program = _prune(graph, plan)
        flops = _count(program, plan)
    except Exception as error:
        return _fall_back(plan, "the graph can't be pruned", error), dense
    unruled = ", ".join(f"{name} ×{count}" for name, count in program.without_rule.items())
    height, width = (len(index) for index in program.image_region[2:])
    reason = f"reads {height}×{width} px of the image" + (f"; no rule for {unruled}" if unruled else "")
    return replace(plan, mode="graph", reason=reason, flops_needed=flops), GraphEngine(program, plan)


class DenseEngine:
    """Plain autograd over the whole network."""

    def __init__(self, model: nn.Module, plan: EnginePlan) -> None:
        self.model, self.plan = model, plan

    @contextmanager
    def ready(self) -> Iterator[GradientFunction]:
        """Borrow the model for the run."""
        with frozen_eval(self.model, torch.device(self.plan.device), PRECISIONS[self.plan.precision]):
            yield self._gradients

    def _gradients(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        plan, images = self.plan, images.requires_grad_()
        with arithmetic(plan.precision):
            output = unit_map(self.model, images, plan.unit.layer, resize=plan.resize)
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
        """Yield the program: it holds its own, folded weights."""
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


class _UnitMap(nn.Module):
    """The network up to the map in which the unit lies."""

    def __init__(self, model: nn.Module, plan: EnginePlan) -> None:
        super().__init__()
        self.model, self.layer, self.resize = model, plan.unit.layer, plan.resize

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return unit_map(self.model, images, self.layer, resize=self.resize)


def _fall_back(plan: EnginePlan, what: str, error: Exception) -> EnginePlan:
    return replace(plan, reason=f"{what} ({one_line(error)})"[:200])


def trace_unit_map(model: nn.Module, plan: EnginePlan) -> AccessGraph:
    """Capture the network up to the map in which the unit lies, and find what its operations read.

    Batch norms are folded into convolutions.

    Raises
    ------
    Exception
        Whatever torch raises for a module that can't be captured.
    """
    device, dtype = torch.device(plan.device), PRECISIONS[plan.precision]
    with frozen_eval(model, device, dtype):
        image = torch.zeros(plan.batch_size, 3, *plan.size, device=device, dtype=dtype)
        captured = capture(_UnitMap(model, plan).eval(), image)
        fold_batch_norms(captured)
    return build_access_graph(captured)


def _prune(graph: AccessGraph, plan: EnginePlan) -> Program:
    batch, values, _, _ = whole(graph.output.meta["val"].shape)
    unit = (np.array([plan.unit.y]), np.array([plan.unit.x]))
    return prune(graph, (batch, values, *unit), channel_sum=not FORMULAS[plan.formula].clip_channels)


def _count(program: Program, plan: EnginePlan) -> int:
    """Operations an image, counted in a run on fake tensors, which also proves that the shapes fit."""
    device, dtype = torch.device(plan.device), PRECISIONS[plan.precision]
    with FakeTensorMode(allow_non_fake_inputs=True), FlopCount() as count:
        images = torch.zeros(plan.batch_size, 3, *plan.size, device=device, dtype=dtype)
        GraphEngine(program, plan).gradients(images)
    return int(count.total) // plan.batch_size


def _scalars(plan: EnginePlan, values: torch.Tensor) -> torch.Tensor:
    return plan.target.scalar(values, relu=FORMULAS[plan.formula].relu_activation)
