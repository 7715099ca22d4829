"""From plain values, of a TOML file say, to frozen dataclasses, by their type hints, and back."""

import difflib
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from erfscope.errors import TrainError

T = TypeVar("T")


@dataclass(frozen=True)
class Bounds:
    """Limits of a number, for `Annotated`."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def broken_by(self, number: float) -> str:
        """Say which limit a number breaks; "" if none."""
        limits = (
            (self.least, number >= (self.least or 0), "at least"),
            (self.above, number > (self.above or 0), "more than"),
            (self.most, number <= (self.most or 0), "at most"),
            (self.below, number < (self.below or 0), "less than"),
        )
        return next(
            (f"{word} {limit:g}" for limit, kept, word in limits if limit is not None and not kept), ""
        )


class _WrongError(ValueError):
    """What was expected."""


def build(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """Make a dataclass of plain values; nested dataclasses are nested mappings.

    Raises
    ------
    TrainError
        A field that isn't known, or a value that isn't what the field takes.
    """
    hints = get_type_hints(kind, include_extras=True)
    for name in values:
        if name not in hints:
            raise TrainError(f"{where} has no {name!r}; {_suggestion(name, list(hints))}")
    read = {}
    for name, value in values.items():
        try:
            read[name] = _read(hints[name], value, f"{where}: {name}")
        except _WrongError as error:
            raise TrainError(f"{where}: {name} = {value!r}; expected {error}") from None
    return kind(**read)


def plain(value: Any) -> dict[str, Any]:
    """Return a dataclass as TOML and JSON can say it, without the fields that are None."""
    return {f.name: _plain(v) for f in fields(value) if (v := getattr(value, f.name)) is not None}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return plain(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _suggestion(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"


def _read(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise _WrongError("a table")
        return build(hint, value, where)  # type: ignore[arg-type]
    if origin is Annotated:
        return _bounded(_read(arguments[0], value, where), arguments[1])
    if origin in (Union, types.UnionType):
        return None if value is None else _read(arguments[0], value, where)
    if origin is Literal:
        if value not in arguments:
            raise _WrongError(f"one of {', '.join(arguments)}")
        return value
    if origin is tuple:
        return _read_tuple(arguments, value, where)
    if hint is Any or (
        isinstance(value, Mapping if origin else hint) and isinstance(value, bool) <= (hint is bool)
    ):
        return dict(value) if isinstance(value, Mapping) else value
    if hint is float and type(value) is int:
        return float(value)
    raise _WrongError(_WORDS.get(hint, "a table"))


_WORDS = {int: "a whole number", float: "a number", str: "a word", bool: "true or false"}


def _read_tuple(hints: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    several = hints[-1] is Ellipsis
    if not isinstance(value, (list, tuple)):
        # One number stands for a pair of the same.
        value = [value] * (1 if several else len(hints))
    each = [hints[0]] * len(value) if several else hints
    if len(value) != len(each):
        raise _WrongError(f"{len(each)} values")
    return tuple(_read(hint, item, where) for hint, item in zip(each, value, strict=True))


def _bounded(number: Any, bounds: Bounds) -> Any:
    broken = bounds.broken_by(number) if number == number else "a number"
    if broken:
        raise _WrongError(broken)
    return number
