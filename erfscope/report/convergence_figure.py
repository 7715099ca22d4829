"""How the sampling error of a map falls with its images: as a figure, and in a sentence."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from erfscope.records.convergence import ErrorCheck
from erfscope.report.words import percent

# Of Okabe and Ito's colors for all readers; the series are told apart by their marks as well.
MAP, ARMS, UNTIL = "#0072b2", "#d55e00", "#333333"
GOAL = 0.01  # up to which the line is drawn,
FARTHEST = 1000.0  # if that isn't more than so many times the images there are
_WIDTH, _HEIGHT = 7.2, 4.2  # inches
_MARGIN = 1.25  # on logarithmic axes


def draw_convergence(checks: Sequence[ErrorCheck], *, until: float | None, title: str) -> Figure:
    """Draw relative standard errors against the number of images, on logarithmic axes.

    Parameters
    ----------
    checks
        One or more, in the order of their images; the last one is that of the map as it is, and its map
        error, not zero, is where the line n^-1/2 starts.
    until
        The error at which the run was to stop, None if it wasn't.
    title
        Of the figure.
    """
    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    figure.suptitle(title, fontsize="medium", parse_math=False)
    axes = figure.subplots()
    axes.set(xscale="log", yscale="log", xlabel="images", ylabel="relative standard error")
    _draw_series(axes, checks, "map_error", "the smoothed map", MAP, "o")
    _draw_series(axes, checks, "arm_error", "distance of the ring that is known worst", ARMS, "s")
    _draw_line(axes, checks[-1])
    if until is not None:
        axes.axhline(until, color=UNTIL, linestyle=":", linewidth=1.2, label=f"--until {until:g}")
    _finish(axes)
    return figure


def say_images(images: int, error: float, needed: int) -> str:
    """Say how well a map of so many images is known, and with how many it would be (or was) known to 1 %."""
    known = f"With {images:,} images the map is known to {percent(error, sign=False)}"
    return f"{known}; {_percent(GOAL)} takes about {_rounded(needed):,} images like these."


def _rounded(count: int) -> int:
    """To two digits: the error of an error from 16 groups is no smaller."""
    return int(float(f"{count:.1e}"))


def _draw_series(
    axes: Axes, checks: Sequence[ErrorCheck], name: str, label: str, color: str, mark: str
) -> None:
    known = [(check.images, getattr(check, name)) for check in checks if getattr(check, name)]
    if known:
        axes.plot(*zip(*known, strict=True), mark, color=color, markersize=5, label=label)


def _draw_line(axes: Axes, last: ErrorCheck) -> None:
    """From the last check on, and back to the first, the error that n^-1/2 gives."""
    assert last.map_error
    goal = min(last.images * (last.map_error / GOAL) ** 2, FARTHEST * last.images)
    low, _ = axes.get_xlim()
    images = np.array([min(low, goal, last.images / 2), max(goal, last.images) * _MARGIN])
    errors = last.map_error * np.sqrt(last.images / images)
    label = "the same, as n$^{-1/2}$ goes on"
    axes.plot(images, errors, color=MAP, linestyle="--", linewidth=1.0, label=label)
    if goal < FARTHEST * last.images:
        axes.plot(goal, GOAL, "o", color=MAP, fillstyle="none", markersize=9, label=_percent(GOAL))


def _finish(axes: Axes) -> None:
    for axis, form in ((axes.xaxis, _count), (axes.yaxis, _percent)):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(form))
        axis.set_minor_locator(LogLocator(subs="auto"))
        axis.set_minor_formatter(FuncFormatter(lambda value, place: ""))
    axes.grid(color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize="small", frameon=False)


def _count(value: float, place: int | None = None) -> str:
    return f"{value:,.0f}"


def _percent(value: float, place: int | None = None) -> str:
    return f"{100 * value:.3g} %"
