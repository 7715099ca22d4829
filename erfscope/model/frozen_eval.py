"""Freezes a model for evaluation and gives it back exactly as it was, also after an error."""

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import _lru_cache_wrapper
from types import CellType, FunctionType
from typing import Any

import torch
from torch import nn

_CONTAINERS = (dict, list, set)
_FUNCTIONS = (FunctionType, staticmethod, classmethod, _lru_cache_wrapper)


@contextmanager
def frozen_eval(model: nn.Module, device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Hold `model` in eval mode, frozen, and on `device` in `dtype` within the block.

    Modes, `requires_grad`, the very storage of every parameter and buffer, and what the network caches come
    back afterwards. Frozen parameters save autograd from keeping the activations that only weight gradients
    need.
    """
    tensors = [*model.parameters(), *model.buffers()]
    before = [(tensor, tensor.data, tensor.requires_grad) for tensor in tensors]
    with restored_caches(model):
        try:
            model.eval()
            for tensor in tensors:
                tensor.requires_grad_(False)
                tensor.data = tensor.data.to(device, dtype if tensor.is_floating_point() else tensor.dtype)
            yield
        finally:
            for tensor, data, requires_grad in before:
                tensor.data = data
                tensor.requires_grad_(requires_grad)


@contextmanager
def restored_caches(model: nn.Module) -> Iterator[None]:
    """Forget afterwards what the network cached within the block, as fake tensors or in another precision.

    All attributes of its modules come back as they were; what its methods and the functions beside its
    classes cache by `functools.lru_cache` is forgotten.
    """
    attributes = [(module, _remember(module)) for module in model.modules()]
    caches = _function_caches(model)
    try:
        yield
    finally:
        for cache in caches:
            cache.cache_clear()
        for module, remembered in attributes:
            _restore(module, remembered)


def _remember(module: nn.Module) -> dict[str, tuple[Any, Any]]:
    """Return each attribute, with a copy of a container's content: hook handles refer to the container."""
    return {
        name: (value, copy.copy(value) if isinstance(value, _CONTAINERS) else None)
        for name, value in vars(module).items()
    }


def _restore(module: nn.Module, remembered: dict[str, tuple[Any, Any]]) -> None:
    vars(module).clear()
    for name, (value, content) in remembered.items():
        if isinstance(value, list):
            value[:] = content
        elif content is not None:
            value.clear()
            value.update(content)
        vars(module)[name] = value


def _function_caches(model: nn.Module) -> "list[_lru_cache_wrapper[Any]]":
    """Find the caches of all methods, and of the functions in the Python modules that define the classes."""
    classes = {cls for module in model.modules() for cls in type(module).__mro__ if cls is not nn.Module}
    homes = {home for cls in classes if (home := sys.modules.get(cls.__module__)) is not None}
    members = [member for scope in (*classes, *homes) for member in vars(scope).values()]
    return [cache for member in members if isinstance(member, _FUNCTIONS) for cache in _caches_of(member)]


def _caches_of(member: Any) -> "list[_lru_cache_wrapper[Any]]":
    """Find the cache of a function; a wrapper around one holds it in its closure."""
    function = getattr(member, "__func__", member)  # of a static or class method
    cells = getattr(function, "__closure__", None) or ()
    candidates = [function, *(cell.cell_contents for cell in cells if cell != CellType())]
    return [candidate for candidate in candidates if isinstance(candidate, _lru_cache_wrapper)]
