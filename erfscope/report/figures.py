"""Draws a map. Every figure names its weights, its data and its scale."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from matplotlib.colors import LogNorm, Normalize, PowerNorm
from matplotlib.figure import Figure

from erfscope.errors import MapError
from erfscope.records.arrays import FloatArray
from erfscope.records.erf_map import ErfMap
from erfscope.store.replace import prepare_target, replacing

FORMATS = (".png", ".pdf", ".svg")
LOG_DECADES = 4
POWER = 0.5
COLORS = "magma"  # perceptually uniform, safe for color-blind readers, readable in grey


def _linear(image: FloatArray) -> tuple[float, Normalize]:
    low = min(0.0, float(image.min()))
    return low, Normalize(low, image.max())


def _log(image: FloatArray) -> tuple[float, Normalize]:
    positive = image[image > 0]
    if not positive.size:
        raise MapError("the map has no positive value, so no logarithm; draw it with --scale linear")
    low = max(float(positive.min()), float(image.max()) * 10.0**-LOG_DECADES)
    return low, LogNorm(low, image.max())


def _power(image: FloatArray) -> tuple[float, Normalize]:
    return 0.0, PowerNorm(POWER, 0.0, image.max())


SCALES: Mapping[str, Callable[[FloatArray], tuple[float, Normalize]]] = MappingProxyType(
    {"log": _log, "linear": _linear, "power": _power}
)


def draw_map(erf: ErfMap, *, scale: str = "log") -> Figure:
    """Draw the mean map (per image, if their number is known) with axes in input pixels, y down.

    Parameters
    ----------
    scale
        "log" (four decades below the peak at most), "linear", or "power" (square root).

    Returns
    -------
    Figure
        A matplotlib figure of its own, outside pyplot; notebooks show it.

    Raises
    ------
    MapError
        An unknown scale, or a logarithm of a map without positive values.
    """
    if scale not in SCALES:
        raise MapError(f"no scale is called {scale!r}; expected {', '.join(SCALES)}")
    image = erf.erf / (erf.images or 1)
    low, norm = SCALES[scale](image)
    height, width = erf.size
    figure = Figure(figsize=(7.2, 0.9 + 6.0 * max(0.35, min(1.6, height / width))), layout="constrained")
    axes = figure.add_subplot()
    # Values under a logarithm's range get its lowest color, and the bar's arrow says so.
    drawn = axes.imshow(np.maximum(image, low), cmap=COLORS, norm=norm, interpolation="nearest")
    y, x = erf.origin
    axes.scatter(x, y, s=120, facecolors="none", edgecolors="cyan", label=f"center (y {y:g}, x {x:g})")
    axes.legend(loc="lower right", fontsize="small", framealpha=0.8)
    axes.set(xlabel="x (px)", ylabel="y (px)", title=_title(erf))
    axes.title.set_fontsize("medium")
    quantity = "mean contribution per image" if erf.images else "contribution, of any scale"
    below = "min" if bool((image < low).any()) else "neither"
    bar = figure.colorbar(drawn, ax=axes, extend=below, shrink=0.85)
    bar.set_label(f"{quantity}\n({'square-root' if scale == 'power' else scale} scale)")
    return figure


def save_figure(figure: Figure, path: Path, *, overwrite: bool = False) -> None:
    """Write a figure to `path` as PNG, PDF or SVG, whole or not at all.

    Raises
    ------
    MapError
        Another suffix, the file exists and `overwrite` is False, or it can't be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise MapError(f"can't draw to {path.name!r}; expected one of {', '.join(FORMATS)}")
    prepare_target(path, overwrite=overwrite)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lower()[1:], dpi=150)


def _title(erf: ErfMap) -> str:
    origin = [erf.network_label, erf.weights_label]
    where = f"unit of {erf.unit.layer}" if erf.unit.layer else ""
    count = f"{erf.images} images" if erf.images else ""
    facts = [erf.data_label, count, f"{erf.formula} formula, {erf.target}", where]
    return "\n".join(" · ".join(part for part in line if part) for line in (origin, facts))
