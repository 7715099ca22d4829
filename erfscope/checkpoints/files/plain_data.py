"""Copies plain data out of files: plain values alone, none of them shared, and not without end."""

import math
from typing import Any

MAX_DEPTH = 64
MAX_VALUES = 300_000

_SCALARS = (type(None), bool, int, float, str)


class NotPlainError(ValueError):
    """A value is no plain data, or is nested too deep or too widely to be a description of anything."""


def plain_copy(value: Any) -> Any:
    """Copy nested dicts, lists, tuples and sets of None, bool, int, float and str.

    What is shared in `value` is apart in the copy. As sharing lets a short file describe a huge or an
    endless value, the copy is bounded by `MAX_DEPTH` and `MAX_VALUES`.

    Raises
    ------
    NotPlainError
        Another type is met, or a bound.
    """
    return _Copy().of(value, 0)


def plain_entries(mapping: dict[Any, Any]) -> dict[str, Any]:
    """Copy those entries of a dict that are plain data under a name, and leave the others out.

    Where an entry is a dict with other things in it, its plain entries are copied likewise.
    """
    return _plain_entries(mapping, _Copy(), inner=True)


def as_json(value: Any) -> Any:
    """Turn plain data into what JSON can say: names for keys, lists, and words for NaN and the infinities."""
    if isinstance(value, dict):
        return {str(key): as_json(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [as_json(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _plain_entries(mapping: dict[Any, Any], copy: "_Copy", *, inner: bool) -> dict[str, Any]:
    entries = {}
    for name, value in dict.items(mapping):
        try:
            if type(name) is str:
                entries[name] = copy.of(value, 0)
        except NotPlainError:
            if inner and isinstance(value, dict):
                entries[name] = _plain_entries(value, copy, inner=False)
    return entries


class _Copy:
    """Counts over all that it copies, so that nothing gets past the bound in parts."""

    def __init__(self) -> None:
        self.values = 0

    def of(self, value: Any, depth: int) -> Any:
        self.values += 1
        if self.values > MAX_VALUES:
            raise NotPlainError(f"more than {MAX_VALUES} values")
        if type(value) in _SCALARS:
            return value
        if depth == MAX_DEPTH:
            raise NotPlainError(f"values nested more than {MAX_DEPTH} deep, or within themselves")
        if isinstance(value, dict):
            return {self.of(key, depth + 1): self.of(entry, depth + 1) for key, entry in dict.items(value)}
        if type(value) in (list, tuple, set):
            return type(value)([self.of(entry, depth + 1) for entry in value])
        raise NotPlainError(f"a {type(value).__name__}")
