"""The facts of a network that a plan needs, found without computing anything."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.autograd.function import BackwardCFunction
from torch.overrides import TorchFunctionMode

from erfscope.engine.flops import FlopCount
from erfscope.errors import ComputeError, one_line
from erfscope.model.frozen_eval import restored_caches
from erfscope.model.shape_run import shapes_alone
from erfscope.model.unit_map import UnitMap


@dataclass(frozen=True)
class NetworkFacts:
    """What a network does with an image of some size.

    Attributes
    ----------
    shape
        (K, h, w) of the map in which the unit lies.
    flops
        Operations of plain autograd over one image, None if they can't be counted.
    hindrance
        Why there is no graph, or one with another gradient than the network itself, None if neither:
        a capture sees neither `no_grad` nor a custom function's own backward.
    """

    shape: tuple[int, int, int]
    flops: int | None
    hindrance: str | None


def find_facts(unit_map: UnitMap, image: torch.Tensor) -> NetworkFacts:
    """Run a network on fake tensors, which carry shapes only.

    A network that can't run on them (its control flow depends on values, say) runs once on zeros, and its
    operations stay uncounted.

    Parameters
    ----------
    unit_map
        The network up to the map in which the unit lies, frozen.
    image
        (1, 3, H, W) zeros, in the precision and on the device of the network.

    Raises
    ------
    ComputeError
        The network doesn't run on images of that size, or has no such output.
    """
    torchscript = _torchscript(unit_map)
    try:
        with restored_caches(unit_map), _quiet(), shapes_alone():
            fake = torch.zeros(image.shape, device=image.device, dtype=image.dtype, requires_grad=True)
            with FlopCount() as count:
                with _GradientWatch() as watch:
                    output = unit_map(fake)
                hindrance = _custom_function(output) or watch.found
                output.sum().backward()
        return NetworkFacts(_map_shape(output), count.total, torchscript or hindrance)
    except ComputeError:
        raise
    except Exception:
        # A network may raise anything on fake tensors; whether it runs on real ones decides.
        shape = _shape_of_real_run(unit_map, image)
        return NetworkFacts(shape, None, torchscript or "the network does not run on fake tensors")


def _torchscript(model: nn.Module) -> str | None:
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        return "the network is TorchScript, of which no graph can be captured"
    return None


def _shape_of_real_run(unit_map: UnitMap, image: torch.Tensor) -> tuple[int, int, int]:
    try:
        with restored_caches(unit_map), torch.no_grad():
            return _map_shape(unit_map(image))
    except ComputeError:
        raise
    except Exception as error:  # whatever a network raises at a size it does not take
        one_input = isinstance(error, TypeError)
        remedy = "wrap it in a module that takes images alone" if one_input else "try another size"
        height, width = image.shape[-2:]
        raise ComputeError(
            f"the network does not run on an image of {height}×{width} px ({one_line(error)}); {remedy}"
        ) from error


class _GradientWatch(TorchFunctionMode):
    """Notes whether anything that depends on the image is computed without gradient, or has hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.found: str | None = None

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if function is torch.Tensor.register_hook:
            self.found = "the network hooks into its own gradients"
        elif not torch.is_grad_enabled() and isinstance(result, torch.Tensor) and _depends(args):
            self.found = "the network turns gradients off within"
        return result


def _depends(values: Any) -> bool:
    if isinstance(values, torch.Tensor):
        return values.requires_grad
    return isinstance(values, (tuple, list)) and any(_depends(value) for value in values)


def _custom_function(output: torch.Tensor) -> str | None:
    """Name a custom autograd function on the way from the image to the output."""
    waiting, seen = [output.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, BackwardCFunction):
            return f"the network has a backward of its own ({type(node).__name__.removesuffix('Backward')})"
        waiting += [parent for parent, _ in node.next_functions]
    return None


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
