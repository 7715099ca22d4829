"""Finds the prefix, such as `net.`, that a file's names of tensors have before those of a network."""

from collections import Counter

import torch

from erfscope.checkpoints.files.state_dict import StateDict


def fits(wanted: torch.Tensor, offered: torch.Tensor | None) -> bool:
    """Say whether a file's tensor can be a parameter: the same shape, and no (packed) integers for floats."""
    return (
        offered is not None
        and offered.shape == wanted.shape
        and offered.is_floating_point() == wanted.is_floating_point()
    )


def best_prefixes(state: StateDict, wanted: StateDict) -> list[str]:
    """Return the prefixes, "" or ending in a dot, under which most of the network's tensors stand.

    The empty one alone wherever no other gives more.
    """
    found: Counter[str] = Counter()
    for name, tensor in state.items():
        parts = name.split(".")
        for start in range(len(parts)):
            inner = wanted.get(".".join(parts[start:]))
            if inner is not None and fits(inner, tensor):
                found[".".join([*parts[:start], ""])] += 1
    most = max(found.values(), default=0)
    return [""] if found[""] == most else sorted(prefix for prefix, count in found.items() if count == most)


def split_by_prefix(state: StateDict, prefix: str) -> tuple[StateDict, StateDict]:
    """Return the tensors under a prefix, without it, and those beside it."""
    inside = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    return inside, {name: tensor for name, tensor in state.items() if not name.startswith(prefix)}


def under_own_names(state: StateDict, wanted: StateDict) -> StateDict:
    """Take the best prefix off, wherever it stands."""
    inside, beside = split_by_prefix(state, best_prefixes(state, wanted)[0])
    return beside | inside
