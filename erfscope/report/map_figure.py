"""Draws a map and what was measured in it. Every figure names its weights, its data and its scale."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize, PowerNorm
from matplotlib.figure import Figure

from erfscope.errors import MapError
from erfscope.records.arrays import FloatArray
from erfscope.records.erf_map import ErfMap
from erfscope.report.colorbar import add_color_bar
from erfscope.report.map_view import SHOWABLE, Findings, MapView
from erfscope.report.overlays import draw_overlays
from erfscope.report.profiles import draw_cuts, draw_radial
from erfscope.system.atomic_files import prepare_target, replacing

FORMATS = (".png", ".pdf", ".svg")
SCREEN_DPI, PRINT_DPI = 150, 300  # in PDF and SVG of the map's image only; the rest are vectors
LOG_DECADES = 4
POWER = 0.5
COLORS = "magma"  # perceptually uniform, safe for color-blind readers, readable in gray

RESIDUAL_COLORS = "PuOr_r"  # purple below zero, orange above: safe for color-blind readers
RESIDUAL_PERCENTILE = 99.8  # lest a few bright pixels pale all others

PROFILES = ("cuts", "radial")
# Inches.
MAP_WIDTH, BAR_WIDTH, LEGEND_HEIGHT, TITLE_HEIGHT = 5.5, 2.2, 1.0, 0.5
PROFILE_WIDTH, PROFILE_HEIGHT = 5.2, 3.8
LETTERS_PER_INCH = 13


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


def draw_map(
    erf: ErfMap, *, scale: str = "log", show: Collection[str] = (), findings: Findings | None = None
) -> Figure:
    """Draw the mean map (per image, if their number is known) with axes in input pixels, y down.

    Parameters
    ----------
    scale
        "log" (four decades below the peak at most), "linear", or "power" (square root).
    show
        Overlays and panels, of `SHOWABLE`: "star" (a circle at every blob on the arms, a square through
        each ring), "gaussian" (ellipses at 1σ and 2σ), "prediction" (crosses where the unit reads the
        map before the atrous convolutions), "profiles" (cuts and radial profile below the map),
        "residual" (map less Gaussian, beside it).
    findings
        What was measured, as far as it is to be shown.

    Returns
    -------
    Figure
        A matplotlib figure of its own, outside pyplot; notebooks show it.

    Raises
    ------
    MapError
        An unknown scale or name in `show`, or a logarithm of a map without positive values.
    """
    rows = [["map", "residual"] if "residual" in show else ["map"]]
    if "profiles" in show:
        rows.append(["cuts", "radial"])
    return draw_panels(rows, erf, scale=scale, show=show, findings=findings)


def draw_panels(
    rows: Sequence[Sequence[str]],
    erf: ErfMap,
    *,
    scale: str,
    show: Collection[str] = (),
    findings: Findings | None = None,
) -> Figure:
    """Draw rows of `PANELS`, one or two panels a row, under the map's title; see `draw_map`.

    Each panel's axes are labeled by its name.
    """
    _check(scale, show)
    view = MapView(erf, scale, frozenset(show), findings or Findings())
    columns = max(map(len, rows))
    mosaic: list[Any] = [[row[column * len(row) // columns] for column in range(columns)] for row in rows]
    heights = [_height(row, erf.size) for row in rows]
    width = max(map(_width, rows))
    figure = Figure(figsize=(width, TITLE_HEIGHT + sum(heights)), layout="constrained")
    axes = figure.subplot_mosaic(mosaic, height_ratios=heights)
    for name, panel in axes.items():
        PANELS[name](panel, view)
    lines = (fill(line, int(width * LETTERS_PER_INCH)) for line in view.title.split("\n"))
    # A name may hold dollar signs, which are no formula.
    figure.suptitle("\n".join(lines), fontsize="medium", parse_math=False)
    lay_out(figure)
    return figure


def save_figure(figure: Figure, path: Path, *, overwrite: bool = False) -> None:
    """Write a figure to `path` as PNG, PDF or SVG, whole or not at all.

    Raises
    ------
    MapError
        Another suffix, the file exists and `overwrite` is False, or it can't be written.
    """
    check_target(path, overwrite=overwrite)
    suffix = path.suffix.lower()
    dpi = SCREEN_DPI if suffix == ".png" else PRINT_DPI
    # Text stays text, to be searched, edited and set in a publication's fonts.
    with replacing(path) as temporary, mpl.rc_context({"svg.fonttype": "none", "pdf.fonttype": 42}):
        figure.savefig(temporary, format=suffix[1:], dpi=dpi)


def check_target(path: Path, *, overwrite: bool) -> None:
    """Raise `MapError` as `save_figure` would, before anything is measured or drawn."""
    if path.suffix.lower() not in FORMATS:
        raise MapError(f"can't draw to {path.name!r}; expected one of {', '.join(FORMATS)}")
    prepare_target(path, overwrite=overwrite)


def lay_out(figure: Figure) -> None:
    """Run one round of the layout; drawing runs the next, in which color bars inside axes find their room."""
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.execute(figure)


def _check(scale: str, show: Collection[str]) -> None:
    if scale not in SCALES:
        raise MapError(f"no scale is called {scale!r}; expected {', '.join(SCALES)}")
    unknown = [name for name in show if name not in SHOWABLE]
    if unknown:
        raise MapError(f"can't show {', '.join(unknown)}; expected some of {', '.join(SHOWABLE)}")


def _height(row: Sequence[str], size: tuple[int, int]) -> float:
    """Height of a row of panels in inches; maps keep their shape, within reason."""
    if row[0] in PROFILES:
        return PROFILE_HEIGHT
    height, width = size
    return LEGEND_HEIGHT + MAP_WIDTH * max(0.35, min(1.6, height / width))


def _width(row: Sequence[str]) -> float:
    """Width of a row of panels in inches, with their labels and color bars."""
    return len(row) * (PROFILE_WIDTH if row[0] in PROFILES else MAP_WIDTH + BAR_WIDTH)


def _draw_map(axes: Axes, view: MapView) -> None:
    low, norm = SCALES[view.scale](view.image)
    # Values under a logarithm's range get its lowest color, and the bar's arrow says so.
    drawn = axes.imshow(np.maximum(view.image, low), cmap=COLORS, norm=norm, interpolation="nearest")
    marks = draw_overlays(axes, view)
    # Above the map, lest it cover any of it.
    place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
    axes.legend(handles=marks, ncols=2, fontsize="small", frameon=False, **place)
    axes.set(xlabel="x (px)", ylabel="y (px)")
    label = f"{view.quantity}\n({view.scale_label})"
    add_color_bar(axes, drawn, label, below=bool((view.image < low).any()), above=False)


def _draw_residual(axes: Axes, view: MapView) -> None:
    """Draw map less Gaussian on colors with zero in their middle; the bar's arrows show what lies beyond."""
    residual = view.findings.residual
    if residual is None:
        axes.set_axis_off()
        return
    values = view.per_image(residual)
    limit = float(np.percentile(np.abs(values), RESIDUAL_PERCENTILE)) or 1.0
    drawn = axes.imshow(
        values, cmap=RESIDUAL_COLORS, vmin=-limit, vmax=limit, interpolation="nearest", gid="residual"
    )
    axes.set(xlabel="x (px)", ylabel="y (px)")
    within = f"{(np.abs(values) <= limit).mean():.1%} of the pixels within"
    label = f"map − Gaussian{', per image' if view.erf.images else ''}\n(linear scale, {within})"
    below, above = bool((values < -limit).any()), bool((values > limit).any())
    add_color_bar(axes, drawn, label, below=below, above=above)


PANELS: Mapping[str, Callable[[Axes, MapView], None]] = MappingProxyType(
    {"map": _draw_map, "residual": _draw_residual, "cuts": draw_cuts, "radial": draw_radial}
)
