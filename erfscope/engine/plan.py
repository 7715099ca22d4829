"""From a network and what is asked of it to the plan of a run and its engine, as one line.

Facts of the network → unit and target → captured graph → field of view → pruned program.
"""

from contextlib import nullcontext
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import nn

from erfscope.engine.engine_plan import EnginePlan
from erfscope.engine.engines import DETACHED, DenseEngine, Engine, GraphEngine
from erfscope.engine.facts import find_facts
from erfscope.engine.flops import FlopCount
from erfscope.engine.formulas import FORMULAS, IMAGE_CHANNELS
from erfscope.engine.target import Target, check_target
from erfscope.errors import ComputeError, one_line
from erfscope.graph.access_graph import AccessGraph, build_access_graph
from erfscope.graph.capture import capture
from erfscope.graph.fold import fold_batch_norms
from erfscope.graph.fov.fov_of_unit import predict_fov_of_unit
from erfscope.graph.program import Program
from erfscope.graph.prune import prune
from erfscope.graph.regions import whole
from erfscope.model.frozen_eval import frozen_eval
from erfscope.model.network import name_of
from erfscope.model.shape_run import shapes_alone
from erfscope.model.unit_map import UnitMap
from erfscope.records.unit import Unit
from erfscope.system.devices import choose_device
from erfscope.system.precision import PRECISIONS
from erfscope.system.threads import share_cores

_LARGEST_BATCH = 64
_SMALL_RUN = 2e10  # operations, less than a second's on one core
_MEMORY_SHARE = 0.8  # of the free memory: kernels need workspaces that one image doesn't show


def plan_engine(
    model: nn.Module,
    size: tuple[int, int],
    *,
    formula: str,
    target: Target,
    unit: tuple[int, int] | str | None,
    resize: bool,
    precision: str,
    device: str,
    batch_size: int | Literal["auto"],
    workers: int | None,
    engine: str,
) -> tuple[EnginePlan, Engine]:
    """Decide how to compute a map, and make the engine that does it.

    Parameters
    ----------
    size
        (H, W) of the images.
    unit
        The unit: (y, x) in the output map, a layer's name (its central feature), or None for the
        center (H // 2, W // 2) of the output.
    batch_size
        "auto" takes as many images at once as fit into a CUDA device's free memory. On the CPU it is 1: a
        batch gains nothing there, one image keeps all cores busy.
    workers
        Loader processes, as far as there are cores; None chooses.
    engine
        "auto", or "dense" for plain autograd over the whole network.

    Returns
    -------
    plan, engine
        "auto" tries the graph first; where it can't be had, `plan.reason` says why.

    Raises
    ------
    ComputeError
        Anything that can't be: target, unit, layer, device, a precision there; or a unit that doesn't depend
        on the image. `formula`, `precision`, `batch_size` and `engine` are as `ComputeOptions` checked them.
    """
    chosen = choose_device(device)
    if precision == "tf32" and chosen.type != "cuda":
        raise ComputeError("tf32 is how CUDA devices multiply; on the CPU take float32 or bfloat16")
    loaders, threads = share_cores(chosen, workers)
    unit_map = UnitMap(model, unit if isinstance(unit, str) else None, resize=resize)
    dtype = PRECISIONS[precision]
    with frozen_eval(unit_map, chosen, dtype):
        facts = find_facts(unit_map, torch.zeros(1, IMAGE_CHANNELS, *size, device=chosen, dtype=dtype))
        check_target(target, facts.shape[0], layer=unit_map.layer)
        plan = EnginePlan(
            mode="dense",
            reason=facts.hindrance or "plain autograd over the whole network",
            size=size,
            unit=place_unit(unit, facts.shape),
            unit_map_shape=facts.shape,
            formula=formula,
            target=target,
            resize=resize,
            precision=precision,
            device=str(chosen),
            batch_size=1 if batch_size == "auto" else batch_size,
            workers=loaders,
            threads=threads,
            flops_needed=facts.flops,
            flops_dense=facts.flops,
            graph_allowed=facts.hindrance is None,
            model=name_of(model),
        )
        planned = _choose_engine(unit_map, plan, engine)
    if batch_size == "auto" and chosen.type == "cuda":
        taken = _memory_of_one_image(*planned)
        del planned  # its weights leave the device before the free memory is asked for
        plan = replace(plan, batch_size=_fit_batch(chosen, taken))
        with frozen_eval(unit_map, chosen, dtype):
            planned = _choose_engine(unit_map, plan, engine)
    return planned


def place_unit(unit: tuple[int, int] | str | None, shape: tuple[int, int, int]) -> Unit:
    """Return the unit that is asked for as in `plan_engine`, in a map of that shape, (K, h, w).

    Raises
    ------
    ComputeError
        It lies outside.
    """
    _, height, width = shape
    if unit is None or isinstance(unit, str):
        return Unit(height // 2, width // 2, unit)
    y, x = unit
    if not (0 <= y < height and 0 <= x < width):
        raise ComputeError(
            f"unit {y},{x} lies outside the output; rows 0 to {height - 1}, columns 0 to {width - 1}"
        )
    return Unit(y, x)


def capture_unit_map(unit_map: UnitMap, image: torch.Tensor) -> AccessGraph:
    """Capture a frozen network as a graph, and find what its operations read.

    Batch norms are folded into convolutions.

    Parameters
    ----------
    image
        (N, 3, H, W) zeros, in the precision and on the device of the network; the graph holds for this
        shape only.

    Raises
    ------
    Exception
        Whatever torch raises for a module that can't be captured; a rule may meet arguments that it
        doesn't know.
    """
    captured = capture(unit_map, image)
    fold_batch_norms(captured)
    return build_access_graph(captured)


def _choose_engine(unit_map: UnitMap, plan: EnginePlan, wanted: str) -> tuple[EnginePlan, Engine]:
    """Take the pruned graph where it can be had, and fill in the choice and its reason."""
    dense = DenseEngine(unit_map, plan)
    use_graph = wanted != "dense" and plan.graph_allowed
    try:
        graph = capture_unit_map(unit_map, _blank_images(plan))
    except ComputeError:
        raise
    except Exception as error:
        return _fall_back(plan, "the network can't be captured", error) if use_graph else plan, dense
    if graph.output not in {graph.image, *graph.operations}:
        raise ComputeError(DETACHED)
    # Also for plain autograd: offsets in the map count from the unit's projected center.
    prediction = predict_fov_of_unit(graph, plan.unit, plan.model, receptive_fields=False)
    plan = replace(plan, prediction=prediction)
    if not use_graph:
        return plan, dense
    try:
        program = _prune_to_unit(graph, plan)
        engine = GraphEngine(program, plan)
        flops = _count_flops(engine, plan)
    except Exception as error:
        return _fall_back(plan, "the graph can't be pruned", error), dense
    return replace(plan, mode="graph", reason=_describe_program(program), flops_needed=flops), engine


def _fall_back(plan: EnginePlan, what: str, error: Exception) -> EnginePlan:
    return replace(plan, reason=f"{what} ({one_line(error)})"[:200])


def _prune_to_unit(graph: AccessGraph, plan: EnginePlan) -> Program:
    batch, values, _, _ = whole(graph.output.meta["val"].shape)
    unit = (np.array([plan.unit.y]), np.array([plan.unit.x]))
    return prune(graph, (batch, values, *unit), channel_sum=not FORMULAS[plan.formula].clip_channels)


def _count_flops(engine: GraphEngine, plan: EnginePlan) -> int:
    """Count operations an image in a run, which also proves that the shapes fit.

    Where nothing is computed, torch still takes seconds for the shapes of a thousand small operations; a
    small image is computed in less.
    """
    is_small = plan.flops_dense is not None and plan.flops_dense * plan.batch_size < _SMALL_RUN
    device = torch.device(plan.device)
    drawing = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(drawing), nullcontext() if is_small else shapes_alone(), FlopCount() as count:
        engine.gradients(_blank_images(plan))
    return int(count.total) // plan.batch_size


def _describe_program(program: Program) -> str:
    height, width = (len(index) for index in program.image_region[2:])
    unruled = ", ".join(f"{name} ×{count}" for name, count in program.without_rule.items())
    return f"reads {height}×{width} px of the image" + (f"; no rule for {unruled}" if unruled else "")


def _blank_images(plan: EnginePlan) -> torch.Tensor:
    device, dtype = torch.device(plan.device), PRECISIONS[plan.precision]
    return torch.zeros(plan.batch_size, IMAGE_CHANNELS, *plan.size, device=device, dtype=dtype)


def _memory_of_one_image(plan: EnginePlan, engine: Engine) -> int:
    """Return how many bytes of a CUDA device one image takes."""
    device = torch.device(plan.device)
    image = torch.zeros(1, IMAGE_CHANNELS, *plan.size, device=device, dtype=PRECISIONS[plan.precision])
    with engine.ready() as gradients:
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        gradients(image)
        return torch.cuda.max_memory_allocated(device) - before


def _fit_batch(device: torch.device, taken: int) -> int:
    """Return how many images, of so many bytes each, fit into a CUDA device's free memory."""
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(_LARGEST_BATCH, int(_MEMORY_SHARE * free / max(taken, 1))))
