"""From plain values, of a TOML file say, to frozen dataclasses, by their type hints, and back."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from erfscope.errors import TrainError, suggest

T = TypeVar("T")
# What msgspec calls the types of a TOML file.
_WORDS = {
    "`int`": "a whole number", "`float`": "a number", "`str`": "text", "`bool`": "true or false",
    "`object`": "a table", "`array`": "a list",
}  # fmt: skip


def build(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """Make a dataclass of plain values; a nested dataclass is a nested mapping.

    Limits of numbers are `Annotated` by `msgspec.Meta`. One value stands for a tuple of the same.

    Parameters
    ----------
    where
        Names the file and section in errors.

    Raises
    ------
    TrainError
        A field that the class doesn't have, or a value that the field doesn't take.
    """
    hints = get_type_hints(kind, include_extras=True)
    for name in values:
        if name not in hints:
            raise TrainError(f"{where} has no {name!r}; {suggest(name, hints)}")
    return kind(**{name: _build_field(hints[name], value, where, name) for name, value in values.items()})


def plain(value: Any) -> dict[str, Any]:
    """Return a dataclass as TOML and JSON can say it, without the fields that are None."""
    values: dict[str, Any] = _plain(msgspec.to_builtins(value))
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items() if item is not None}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _build_field(hint: Any, value: Any, where: str, name: str) -> Any:
    if get_origin(hint) in (Union, UnionType) and value is not None:
        hint = get_args(hint)[0]  # the other one is None
    if is_dataclass(hint) and isinstance(value, Mapping):
        return build(hint, value, f"{where}: {name}")  # type: ignore[arg-type]
    try:
        return msgspec.convert(_as_tuple(hint, value), hint)
    except msgspec.ValidationError as error:
        raise TrainError(f"{where}: {name} = {value!r}; expected {_expected(str(error), hint)}") from None


def _as_tuple(hint: Any, value: Any) -> Any:
    if get_origin(hint) is not tuple or isinstance(value, (list, tuple)):
        return value
    arguments = get_args(hint)
    return [value] * (1 if arguments[-1] is Ellipsis else len(arguments))


def _expected(message: str, hint: Any) -> str:
    """Return what a field takes; msgspec's message is "Expected `int` >= 1, got `str` - at `$[0]`"."""
    choices = hint if get_origin(hint) is Literal else next(iter(get_args(hint)), None)
    if get_origin(choices) is Literal:
        return f"one of {', '.join(get_args(choices))}"
    text = message.removeprefix("Expected ").partition(", got ")[0].partition(" - at ")[0]
    for theirs, ours in _WORDS.items():
        text = text.replace(theirs, ours)
    return text
