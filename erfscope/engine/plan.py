"""Everything that a run decides, decided before it starts, frozen and printable."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from erfscope.engine.borrow import borrowed
from erfscope.engine.device import PRECISIONS, choose_device, share_cores
from erfscope.engine.formulas import FORMULAS
from erfscope.engine.target import Target, check_target, find_layer, unit_map
from erfscope.errors import ComputeError
from erfscope.records import Unit


@dataclass(frozen=True)
class EnginePlan:
    """How every image of a run is computed.

    Attributes
    ----------
    mode, reason
        "dense" runs the whole network forward and backward; `reason` says why.
    size
        (H, W) of the images.
    unit_map_shape
        (K, h, w) of the map in which the unit lies.
    flops_needed, flops_dense
        Floating-point operations an image (a multiply-add is two): of this mode, and of plain
        autograd over the whole network. None where they can't be counted.
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

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


def make_plan(
    model: nn.Module,
    size: tuple[int, int],
    *,
    formula: str,
    target: Target,
    at: tuple[int, int] | str | None,
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
    at
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
    loaders, threads = share_cores(chosen, workers)
    layer = at if isinstance(at, str) else None
    if layer is not None:
        find_layer(model, layer)
    shape, flops = _probe(model, size, layer, resize=resize, device=chosen)
    check_target(target, shape[0], layer=layer)
    return EnginePlan(
        mode="dense",
        reason="plain autograd over the whole network",
        size=size,
        unit=_resolve_unit(at, shape),
        unit_map_shape=shape,
        formula=formula,
        target=target,
        resize=resize,
        precision=precision,
        device=str(chosen),
        batch_size=batch_size,
        workers=loaders,
        threads=threads,
        flops_needed=flops,
        flops_dense=flops,
    )


def _resolve_unit(at: tuple[int, int] | str | None, shape: tuple[int, int, int]) -> Unit:
    _, height, width = shape
    if at is None or isinstance(at, str):
        return Unit(height // 2, width // 2, at)
    y, x = at
    if not (0 <= y < height and 0 <= x < width):
        raise ComputeError(
            f"unit {y},{x} lies outside the output; rows 0 to {height - 1}, columns 0 to {width - 1}"
        )
    return Unit(y, x)


def _probe(
    model: nn.Module, size: tuple[int, int], layer: str | None, *, resize: bool, device: torch.device
) -> tuple[tuple[int, int, int], int | None]:
    """Shape of the unit's map and operations of one image, without computing anything.

    Fake tensors carry shapes only. A network that can't run on them (its control flow depends on
    values, say) runs once on zeros, and its operations stay uncounted.
    """
    with borrowed(model, device, torch.float32):
        try:
            with (
                _quiet(),
                FakeTensorMode(allow_non_fake_inputs=True),
                FlopCounterMode(display=False) as counter,
            ):
                image = torch.zeros(1, 3, *size, device=device, requires_grad=True)
                output = unit_map(model, image, layer, resize=resize)
                output.sum().backward()  # type: ignore[no-untyped-call]
            return _map_shape(output), counter.get_total_flops()
        except ComputeError:
            raise
        except Exception:
            # A network may raise anything on fake tensors; whether it runs on real ones decides.
            image = torch.zeros(1, 3, *size, device=device)
        try:
            with torch.no_grad():
                return _map_shape(unit_map(model, image, layer, resize=resize)), None
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise ComputeError(
                f"the network does not run on an image of {size[0]}×{size[1]} px ({reason}); try another size"
            ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch from logging a traceback where fake tensors fail; the error itself still comes."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def _map_shape(output: torch.Tensor) -> tuple[int, int, int]:
    _, values, height, width = output.shape
    return values, height, width
