"""Runs operations for their shapes alone: nothing is computed, no memory is taken."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten


@contextmanager
def shapes_alone() -> Iterator[None]:
    """Make tensors fake within the block: they carry shapes, strides, dtypes and devices only."""
    with FakeTensorMode(allow_non_fake_inputs=True), NormShapes():  # type: ignore[no-untyped-call]
        yield


class NormShapes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Answers for norms of fake or meta tensors, whose shapes take torch longer than all others."""

    def __torch_dispatch__(
        self,
        function: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        answer = _ANSWERS.get(function)
        return function(*args, **(kwargs or {})) if answer is None or kwargs else answer(*args)


def _batch_norm(values: torch.Tensor, *others: Any) -> tuple[torch.Tensor, ...]:
    training = others[4]
    return _as_norms_write(values), *(values.new_empty(values.shape[1] if training else 0) for _ in range(2))


def _batch_norm_backward(
    gradient: torch.Tensor, values: torch.Tensor, weight: torch.Tensor | None, *others: Any
) -> tuple[torch.Tensor | None, ...]:
    return _gradients(_as_norms_write(values), values, values.shape[1:2], others[-1])


def _layer_norm(values: torch.Tensor, shape: list[int], *others: Any) -> tuple[torch.Tensor, ...]:
    outside = values.shape[: values.ndim - len(shape)]
    return values.new_empty(values.shape), *(
        values.new_empty([*outside, *[1] * len(shape)]) for _ in range(2)
    )


def _layer_norm_backward(
    gradient: torch.Tensor, values: torch.Tensor, shape: list[int], *others: Any
) -> tuple[torch.Tensor | None, ...]:
    return _gradients(values.new_empty(values.shape), values, shape, others[-1])


def _as_norms_write(values: torch.Tensor) -> torch.Tensor:
    """Return an output as batch norms lay it out: channels last where their input is, else contiguous."""
    is_last = values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last)
    is_last = is_last and not values.is_contiguous()
    return torch.empty_like(values, memory_format=torch.channels_last if is_last else torch.contiguous_format)


def _gradients(
    of_values: torch.Tensor, values: torch.Tensor, of_parameters: Iterable[int], wanted: list[bool]
) -> tuple[torch.Tensor | None, ...]:
    parameters = list(of_parameters)
    first, *others = wanted
    return of_values if first else None, *(values.new_empty(parameters) if each else None for each in others)


_ANSWERS: dict[Any, Callable[..., Any]] = {
    _aten.native_batch_norm.default: _batch_norm,
    _aten.native_batch_norm_backward.default: _batch_norm_backward,
    _aten.native_layer_norm.default: _layer_norm,
    _aten.native_layer_norm_backward.default: _layer_norm_backward,
}
