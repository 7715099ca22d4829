"""Finds the network's tensors in a checkpoint, and removes what wrappers add to their names."""

from typing import Any

import torch

StateDict = dict[str, torch.Tensor]

# In order of preference. Averaged weights are what timm (`state_dict_ema`, `model_ema`) evaluates; mmengine's
# EMAHook swaps them into `state_dict` before it saves and leaves the last step's in `ema_state_dict`, so the
# latter counts only where it is alone.
_OUTER_KEYS = (
    "state_dict_ema",
    "model_ema",
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "module",
    "weights",
    "network_weights",
    "ema_state_dict",
    "ema",
)
_MAX_NESTING = 4
# DataParallel, DDP and averaged models; Lightning modules.
_PREFIXES = ("module.", "model.")
# torch.compile, FSDP, activation checkpoints: they wrap parts of a network as well.
_WRAPPERS = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
# Steps that averaged models of mmengine and torch count beside their `module.`.
_COUNTERS = ("steps", "n_averaged")


def entries(content: Any) -> dict[Any, Any]:
    """Copy the entries of a dict; none of anything else.

    By dict's own method: a file can give its OrderedDicts attributes, such as an `items` of its own.
    """
    return dict(dict.items(content)) if isinstance(content, dict) else {}


def find_state_dict(content: dict[Any, Any]) -> tuple[StateDict, str]:
    """Find the tensors, and the names that lead to them, joined by dots."""
    trail: list[str] = []
    while len(trail) < _MAX_NESTING:
        inner = {key: entries(content.get(key)) for key in _OUTER_KEYS}
        key = next((key for key, values in inner.items() if _may_hold_tensors(values)), None)
        if key is None:
            break
        content = inner[key]
        trail.append(key)
    return named_tensors(content), ".".join(trail)


def named_tensors(content: dict[Any, Any]) -> StateDict:
    """Return those entries that are tensors under a name."""
    return {
        name: tensor
        for name, tensor in content.items()
        if isinstance(name, str) and isinstance(tensor, torch.Tensor)
    }


def without_wrappers(state: StateDict) -> StateDict:
    """Remove what wrappers add to names, in any nesting, and the tensors that they keep for themselves."""
    state = _without_averages(state)
    parts = {name: ".".join(part for part in name.split(".") if part not in _WRAPPERS) for name in state}
    if len(set(parts.values())) == len(parts) and all(parts.values()):
        state = {parts[name]: tensor for name, tensor in state.items()}
    while prefix := next((p for p in _PREFIXES if state and all(name.startswith(p) for name in state)), ""):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _may_hold_tensors(values: dict[Any, Any]) -> bool:
    return any(isinstance(value, torch.Tensor) for value in values.values()) or any(
        isinstance(values.get(key), dict) for key in _OUTER_KEYS
    )


def _without_averages(state: StateDict) -> StateDict:
    """Leave out what mmcv's EMAHook and averaged models keep beside a network's own tensors."""
    shadows = {f"ema_{name.replace('.', '_')}" for name in state}
    averaged = any(name.startswith("module.") for name in state)
    return {
        name: tensor
        for name, tensor in state.items()
        if name not in shadows and not (averaged and name in _COUNTERS)
    }
