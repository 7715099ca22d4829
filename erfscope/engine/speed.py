"""Times the engine against plain autograd as published scripts run it, in turn in one process."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import nn

from erfscope.engine.engines import GraphEngine
from erfscope.engine.plan import plan_engine
from erfscope.engine.target import Target
from erfscope.graph.steps.basic import Convolution
from erfscope.graph.steps.gathered import GatheredConvolution, GatheredProduct
from erfscope.graph.steps.image import ImageConvolution
from erfscope.model.unit_map import UnitMap
from erfscope.system.memory import kept_memory
from erfscope.system.precision import PRECISIONS
from erfscope.system.threads import limited_threads

# A convolution of a backbone's usual size; its rate stands for the machine's peak.
_PEAK_CHANNELS, _PEAK_SIDE = 512, 97
_CONVOLUTIONS = (Convolution, GatheredConvolution, GatheredProduct, ImageConvolution)


@dataclass(frozen=True)
class SpeedReport:
    """Seconds and operations of one image; a ratio above one means faster than plain autograd.

    Attributes
    ----------
    engine
        The plan's JSON form, with mode, reason, and operations needed and dense.
    plan_seconds
        Planning, which is done once a run.
    seconds, plain_seconds
        Medians of the engine and of plain autograd: eager, batch 1, channels first, float32.
    ratio
        plain_seconds / seconds.
    convolution_seconds
        The program's convolutions alone, forward and backward; None in dense mode.
    without_rule
        Operators without a rule, with the seconds of their own steps, forward and backward. They cost more
        than that: everything before them is computed on the whole map.
    peak_flops, share_of_peak
        The rate of one large convolution, operations a second, and the engine's share of it.
    """

    engine: dict[str, Any]
    plan_seconds: float
    seconds: float
    plain_seconds: float
    ratio: float
    convolution_seconds: float | None
    without_rule: dict[str, float]
    peak_flops: float
    share_of_peak: float | None


def measure_speed(
    model: nn.Module, size: tuple[int, int], *, repeats: int, precision: str, device: str
) -> SpeedReport:
    """Time the engine and plain autograd in turn on the same noise image.

    Parameters
    ----------
    size
        (H, W) of the image.
    repeats
        Number of timed runs of each, in turn, after one that isn't timed.
    """
    begun = time.perf_counter()
    plan, engine = plan_engine(
        model,
        size,
        formula="paper",
        target=Target("logits"),
        unit=None,
        resize=True,
        precision=precision,
        device=device,
        batch_size=1,
        workers=0,
        engine="auto",
    )
    planned = time.perf_counter() - begun
    target_device = torch.device(plan.device)
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    ready = image.to(target_device, PRECISIONS[precision])
    runs: tuple[list[float], list[float]] = ([], [])
    with limited_threads(plan.threads):
        plain = _plain(model, image, plan.unit.y, plan.unit.x, target_device)
        _seconds(plain, target_device)
        peaks = []  # measured again and again: another busy process must not lower it for the whole run
        for _ in range(repeats):
            with engine.ready() as gradients, kept_memory():
                gradients(ready.clone())  # as in a run, where the memory of the previous image is kept
                runs[0].append(_seconds(lambda: gradients(ready.clone()), target_device))
                peaks.append(_peak(target_device, PRECISIONS[precision]))
            runs[1].append(_seconds(plain, target_device))
        with kept_memory():
            alone = _convolutions_alone(engine, ready) if isinstance(engine, GraphEngine) else None
            unruled = _seconds_without_rule(engine, ready) if isinstance(engine, GraphEngine) else {}
            peaks.append(_peak(target_device, PRECISIONS[precision]))
    seconds, plain_seconds, peak = median(runs[0]), median(runs[1]), max(peaks)
    return SpeedReport(
        engine=plan.summary(),
        plan_seconds=planned,
        seconds=seconds,
        plain_seconds=plain_seconds,
        ratio=plain_seconds / seconds,
        convolution_seconds=alone,
        without_rule=unruled,
        peak_flops=peak,
        share_of_peak=None if plan.flops_needed is None else plan.flops_needed / seconds / peak,
    )


def _seconds(function: Callable[[], Any], device: torch.device) -> float:
    begun = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begun


def _plain(
    model: nn.Module, image: torch.Tensor, y: int, x: int, device: torch.device
) -> Callable[[], torch.Tensor]:
    """Return what a published script does: `model.eval()`, then `autograd.grad(central unit, image)`."""
    model = model.to(device).eval()
    logits = UnitMap(model, None, resize=True)
    leaf = image.to(device).requires_grad_()

    def run() -> torch.Tensor:
        central = logits(leaf)[:, :, y, x].sum()
        return torch.autograd.grad(central, leaf)[0]

    return run


@torch.no_grad()
def _convolutions_alone(engine: GraphEngine, image: torch.Tensor) -> float:
    """Time every convolution of the program, forward and backward, on noise."""
    engine.gradients(image.clone())  # after this each step knows its operand's shape
    total = 0.0
    for program_step in engine.program.steps:
        step = program_step.step
        if not isinstance(step, _CONVOLUTIONS):
            continue
        x = torch.randn(step.shape, dtype=image.dtype, device=image.device)
        x = x.to(memory_format=torch.channels_last)
        forward: Callable[..., torch.Tensor] = step.forward
        backward: Callable[..., Any] = partial(step.backward, owned=False)
        if isinstance(step, Convolution):  # without the padding of a crop
            forward, backward = step.convolve, step.input_gradient
        gradient = torch.randn_like(forward(x))
        both = partial(_forward_and_backward, forward, backward, x, gradient)
        total += min(_seconds(both, image.device) for _ in range(2))
    return total


def _forward_and_backward(
    forward: Callable[[torch.Tensor], Any],
    backward: Callable[[torch.Tensor], Any],
    x: torch.Tensor,
    gradient: torch.Tensor,
) -> None:
    forward(x)
    backward(gradient)


def _seconds_without_rule(engine: GraphEngine, image: torch.Tensor) -> dict[str, float]:
    """Time the steps of operators without a rule in one more run."""
    seconds: dict[str, float] = {}

    def timed(operator: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            results: list[Any] = []
            taken = _seconds(lambda: results.append(function(*args, **kwargs)), image.device)
            seconds[operator] = seconds.get(operator, 0.0) + taken
            return results[0]

        return run

    steps = [(str(i.node.target), i.step) for i in engine.program.steps if not i.ruled]
    for operator, step in steps:
        vars(step).update(forward=timed(operator, step.forward), backward=timed(operator, step.backward))
    if steps:
        engine.gradients(image.clone())
    for _, step in steps:
        del step.forward, step.backward  # the instance's own; those of its class show again
    return seconds


@torch.no_grad()
def _peak(device: torch.device, dtype: torch.dtype) -> float:
    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=device, dtype=dtype).to(memory_format=torch.channels_last)

    weight = noise(_PEAK_CHANNELS, _PEAK_CHANNELS, 3, 3)
    x = noise(1, _PEAK_CHANNELS, _PEAK_SIDE, _PEAK_SIDE)
    operations = 2 * weight.numel() * _PEAK_SIDE**2
    return operations / min(_seconds(lambda: torch.conv2d(x, weight, padding=1), device) for _ in range(5))
