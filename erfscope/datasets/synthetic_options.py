"""Options of synthetic datasets: names and types of values are checked before an image is drawn."""

import math
from collections.abc import Mapping
from typing import Any

from erfscope.datasets.layout import DatasetLayout
from erfscope.errors import DatasetError, suggest


def choose_options(
    layout: DatasetLayout, asked: Mapping[str, Any] | None, size: tuple[int, int]
) -> dict[str, Any]:
    """Check the options of a synthetic dataset, and complete them by their defaults.

    Parameters
    ----------
    layout
        The dataset.
    asked
        Values by name; each must have the type of its default: bool, int, float or str.
    size
        (H, W) of the images, px.

    Raises
    ------
    DatasetError
        If there is no such option, or a value has another type or is out of its range.
    """
    options = dict(layout.options)
    for name, value in (asked or {}).items():
        if name not in options:
            raise DatasetError(_no_option(layout, name))
        options[name] = _as_type_of(options[name], value, f"option {name} of {layout.name}")
    if layout.check:
        layout.check(size, options)
    return options


def _no_option(layout: DatasetLayout, name: str) -> str:
    if not layout.options:
        return f"{layout.name} has no options; leave {name} out"
    return f"{layout.name} has no option {name!r}; {suggest(name, layout.options)}"


def _as_type_of(default: Any, value: Any, what: str) -> Any:
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
        raise DatasetError(f"{what} is {value!r}; expected true or false")
    if isinstance(default, int):
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise DatasetError(f"{what} is {value!r}; expected a whole number such as {default}")
    if isinstance(default, float):
        return _number(default, value, what)
    if isinstance(value, str):
        return value
    raise DatasetError(f"{what} is {value!r}; expected a word such as {default}")


def _number(default: float, value: Any, what: str) -> float:
    try:
        # The command line passes 0.5 as a str.
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DatasetError(f"{what} is {value!r}; expected a number such as {default}")
    return number
