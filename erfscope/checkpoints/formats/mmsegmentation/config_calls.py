"""The calls that a config may hold: a few of Python's own, on plain values only."""

from collections.abc import Callable, Mapping
from typing import Any

_MAX_RANGE = 10**9  # of its ends, so that its length is a number that Python can give


class Inherited(dict[str, Any]):
    """A dict of a base config: `update` merges the dicts within it, as mmengine's own class does."""


def inherited(value: Any) -> Any:
    """Copy plain data with every dict of it an `Inherited`."""
    if isinstance(value, dict):
        return Inherited({name: inherited(entry) for name, entry in value.items()})
    return type(value)([inherited(entry) for entry in value]) if isinstance(value, list | tuple) else value


def checked_dict(value: Any) -> dict[Any, Any]:
    """Return `value`, a dict; raise TypeError for all else."""
    if not isinstance(value, dict):
        raise TypeError(f"expected a dict, got a {type(value).__name__}")
    return value


def checked_key(value: Any) -> Any:
    """Return `value`, a number, a string, None or a tuple of them; raise TypeError for all else.

    Python's hash of deeply nested tuples can overrun the stack of the process.
    """
    for part in value if isinstance(value, tuple) else (value,):
        if not isinstance(part, int | float | str | None):
            raise TypeError(f"a {type(part).__name__} can't be part of a key")
    return value


def length_of_range(*ends: int) -> int:
    """Return the length of a range; raise ValueError if its ends are far beyond any config's."""
    if any(abs(end) > _MAX_RANGE for end in ends):
        raise ValueError(f"a range to more than {_MAX_RANGE}")
    return len(range(*ends))


def _make_dict(*entries: Any, **named: Any) -> dict[Any, Any]:
    if len(entries) > 1:
        raise TypeError("dict() takes one mapping or sequence of pairs")
    result: dict[Any, Any] = {}
    _update(result, *entries, **named)
    return result


def _update(target: dict[Any, Any], /, *entries: Any, **named: Any) -> None:
    for given in (*entries, named):
        pairs = given.items() if isinstance(given, dict) else [(key, value) for key, value in given]
        for key, value in pairs:
            target[checked_key(key)] = value


def _pop(target: dict[Any, Any], key: Any, *default: Any) -> Any:
    return target.pop(checked_key(key), *default)


def _make_set(values: Any = ()) -> set[Any]:
    return {checked_key(value) for value in values}


def _numbers(*values: Any) -> list[int | float]:
    numbers = list(values[0]) if len(values) == 1 else list(values)
    if not all(isinstance(number, int | float) for number in numbers):
        raise TypeError("only numbers can be added up or compared")
    return numbers


def _to_number(kind: type[int] | type[float], value: Any = 0) -> int | float:
    if not isinstance(value, int | float | str):
        raise TypeError(f"a {type(value).__name__} is no number")
    return kind(value)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "dict": _make_dict,
    "OrderedDict": _make_dict,
    "list": list,
    "tuple": tuple,
    "set": _make_set,
    "range": lambda *ends: list(range(*ends)),
    "enumerate": lambda values: list(enumerate(values)),
    "zip": lambda *values: list(zip(*values, strict=False)),
    "len": len,
    "sum": lambda values: sum(_numbers(values)),
    "min": lambda *values: min(_numbers(*values)),
    "max": lambda *values: max(_numbers(*values)),
    "int": lambda *value: _to_number(int, *value),
    "float": lambda *value: _to_number(float, *value),
}

METHODS: Mapping[tuple[type, str], Callable[..., Any]] = {
    (dict, "update"): _update,
    (dict, "pop"): _pop,
    (dict, "copy"): lambda owner: type(owner)(owner),
    (dict, "keys"): list,
    (dict, "values"): lambda owner: list(owner.values()),
    (dict, "items"): lambda owner: list(owner.items()),
    (list, "append"): list.append,
    (list, "extend"): list.extend,
    (list, "pop"): list.pop,
    (list, "copy"): list.copy,
}
