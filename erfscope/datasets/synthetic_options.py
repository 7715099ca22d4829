"""What a synthetic layout can be asked for: names and kinds of values, checked before anything is drawn."""

import difflib
import math
from collections.abc import Mapping
from typing import Any

from erfscope.datasets.layout import Layout
from erfscope.errors import DatasetError


def choose_options(layout: Layout, asked: Mapping[str, Any] | None, size: tuple[int, int]) -> dict[str, Any]:
    """Complete what is asked for by what the layout takes unless asked.

    Parameters
    ----------
    layout
        Whose options.
    asked
        Values by name; each must be of its default's kind: true or false, a whole number, a number, a word.
    size
        (H, W) of the images, px.

    Raises
    ------
    DatasetError
        If there is no such option, or a value is of another kind or out of its range.
    """
    options = dict(layout.options)
    for name, value in (asked or {}).items():
        if name not in options:
            raise DatasetError(_no_option(layout, name))
        options[name] = _as_kind_of(options[name], value, f"option {name} of {layout.name}")
    if layout.check:
        layout.check(size, options)
    return options


def _no_option(layout: Layout, name: str) -> str:
    if not layout.options:
        return f"{layout.name} has no options, and {name} is asked for; leave it out"
    near = difflib.get_close_matches(name, layout.options, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"{layout.name} has no option {name!r}{hint}; there are: {', '.join(layout.options)}"


def _as_kind_of(usual: Any, value: Any, what: str) -> Any:
    if isinstance(usual, bool):
        if isinstance(value, bool):
            return value
        raise DatasetError(f"{what} is {value!r}; expected true or false")
    if isinstance(usual, int):
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise DatasetError(f"{what} is {value!r}; expected a whole number such as {usual}")
    if isinstance(usual, float):
        return _number(usual, value, what)
    if isinstance(value, str):
        return value
    raise DatasetError(f"{what} is {value!r}; expected a word such as {usual}")


def _number(usual: float, value: Any, what: str) -> float:
    try:
        # The command line hands over 0.5 as a word.
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DatasetError(f"{what} is {value!r}; expected a number such as {usual}")
    return number
