"""Everything that a run decides, decided before it starts, frozen and printable."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import nn

from erfscope.engine.formulas import FORMULAS
from erfscope.engine.probe import probe
from erfscope.engine.target import Target, check_target, find_layer
from erfscope.errors import ComputeError
from erfscope.records.fov_prediction import FovPrediction
from erfscope.records.model_info import ModelInfo
from erfscope.records.unit import Unit
from erfscope.system.devices import choose_device
from erfscope.system.precision import PRECISIONS
from erfscope.system.threads import share_cores


@dataclass(frozen=True)
class EnginePlan:
    """How every image of a run is computed.

    Attributes
    ----------
    mode, reason
        "graph" computes what the unit needs, "dense" the whole network forward and backward; `reason`
        says why, or how much of the image is read.
    size
        (H, W) of the images.
    unit_map_shape
        (K, h, w) of the map in which the unit lies.
    flops_needed, flops_dense
        Floating-point operations an image (a multiply-add is two): of this mode, and of plain
        autograd over the whole network. None where they can't be counted.
    graph_allowed
        Whether a captured graph would have the network's own gradient; `reason` says why not.
    model
        The network's name.
    prediction
        What its graph tells of the unit: its projected center and the lattice; None if there is no graph.
    """

    mode: str
    reason: str
    size: tuple[int, int]
    unit: Unit
    unit_map_shape: tuple[int, int, int]
    formula: str
    target: Target
    resize: bool
    precision: str
    device: str
    batch_size: int
    workers: int
    threads: int
    flops_needed: int | None
    flops_dense: int | None
    graph_allowed: bool
    model: str
    prediction: FovPrediction | None = None

    def summary(self) -> dict[str, Any]:
        """Return the JSON form: how it is computed, without what is predicted."""
        facts = asdict(replace(self, prediction=None))
        del facts["prediction"]
        return facts


def make_plan(
    model: nn.Module,
    size: tuple[int, int],
    *,
    formula: str,
    target: Target,
    unit: tuple[int, int] | str | None,
    resize: bool,
    precision: str,
    device: str,
    batch_size: int,
    workers: int | None,
) -> EnginePlan:
    """Check what is asked for against the network and decide how to compute it.

    Parameters
    ----------
    size
        (H, W) of the images.
    unit
        The unit: (y, x) in the output map, a layer's name (its central feature), or None for the
        center (H // 2, W // 2) of the output.
    workers
        Loader processes, as far as there are cores; None chooses.

    Raises
    ------
    ComputeError
        Anything that can't be: formula, target, unit, layer, precision, device, batch size.
    """
    if formula not in FORMULAS:
        raise ComputeError(f"no formula is called {formula!r}; expected {', '.join(FORMULAS)}")
    if precision not in PRECISIONS:
        raise ComputeError(f"no precision is called {precision!r}; expected {', '.join(PRECISIONS)}")
    if batch_size < 1:
        raise ComputeError(f"a batch holds at least one image, not {batch_size}")
    chosen = choose_device(device)
    if precision == "tf32" and chosen.type != "cuda":
        raise ComputeError("tf32 is how CUDA devices multiply; on the CPU take float32 or bfloat16")
    loaders, threads = share_cores(chosen, workers)
    layer = unit if isinstance(unit, str) else None
    if layer is not None:
        find_layer(model, layer)
    facts = probe(model, size, layer, resize=resize, device=chosen)
    check_target(target, facts.shape[0], layer=layer)
    return EnginePlan(
        mode="dense",
        reason=facts.hindrance or "plain autograd over the whole network",
        size=size,
        unit=_resolve_unit(unit, facts.shape),
        unit_map_shape=facts.shape,
        formula=formula,
        target=target,
        resize=resize,
        precision=precision,
        device=str(chosen),
        batch_size=batch_size,
        workers=loaders,
        threads=threads,
        flops_needed=facts.flops,
        flops_dense=facts.flops,
        graph_allowed=facts.hindrance is None,
        model=name_of(model),
    )


def name_of(model: nn.Module) -> str:
    """Return the name under which a network was loaded, else that of its class."""
    info = getattr(model, "info", None)
    return info.name if isinstance(info, ModelInfo) else type(model).__name__


def _resolve_unit(unit: tuple[int, int] | str | None, shape: tuple[int, int, int]) -> Unit:
    _, height, width = shape
    if unit is None or isinstance(unit, str):
        return Unit(height // 2, width // 2, unit)
    y, x = unit
    if not (0 <= y < height and 0 <= x < width):
        raise ComputeError(
            f"unit {y},{x} lies outside the output; rows 0 to {height - 1}, columns 0 to {width - 1}"
        )
    return Unit(y, x)
