"""Numbers as a table prints them: rounded, with their errors and units, a dash for what isn't known."""

from collections.abc import Iterable, Mapping
from typing import Any

NOTHING = "–"
SMALL_ERROR = 0.1  # px


def number(value: float | None, unit: str = "", *, places: int = 1) -> str:
    """`575.7 px`; whole numbers without decimals."""
    if value is None:
        return NOTHING
    text = f"{value:.{places}f}" if value != round(value) else f"{value:.0f}"
    return f"{text} {unit}".rstrip()


def with_error(value: float | None, stderr: float | None, unit: str) -> str:
    """`575.7 ± 0.9 px`: one decimal, two for a small error; without a unit four digits."""
    if value is None:
        return NOTHING
    if not unit:  # in the map's units, of any magnitude
        text = f"{value:.4g}" + ("" if stderr is None else f" ± {stderr:.2g}")
    else:
        places = 2 if stderr is not None and stderr < SMALL_ERROR else 1
        error = "" if stderr is None else f" ± {stderr:.{places}f}"
        text = f"{value:.{places}f}{error} {unit}"
    return text.replace("-", "−")


def percent(value: float | None, *, places: int = 2, sign: bool = True) -> str:
    """`−0.05 %`, with its sign."""
    if value is None:
        return NOTHING
    return f"{100 * value:{'+' if sign else ''}.{places}f} %".replace("-", "−")


def point(at: Mapping[str, float] | None, *, sign: bool = False) -> str:
    """`384.0, 383.7 px`."""
    if not at:
        return NOTHING
    form = "+.1f" if sign else ".1f"
    return f"{at['y_px']:{form}}, {at['x_px']:{form}} px".replace("-", "−")


def interval(ends: Iterable[float] | None) -> str:
    """`573.7 … 577.6 px`."""
    return NOTHING if ends is None else f"{' … '.join(f'{end:.1f}' for end in ends)} px"


def sides(lengths: Iterable[float] | None) -> str:
    """`512 × 1024 px`."""
    return NOTHING if lengths is None else f"{' × '.join(f'{length:g}' for length in lengths)} px"


def listed(values: Iterable[Any] | None) -> str:
    """`12, 24, 36`."""
    return ", ".join(map(str, values)) if values else NOTHING
