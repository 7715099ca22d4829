"""Draws how a training went: loss and learning rate over the iterations, and mIoU."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from erfscope.records.arrays import FloatArray

# Of Okabe and Ito's colors for all readers.
LOSS, RATE, MIOU = "#0072b2", "#999999", "#d55e00"
_WIDTH, _HEIGHT = 5.2, 3.6  # inches a panel
_SMOOTHED_OVER = 25  # of the log's rows, at least twice as many


def draw_curves(rows: Sequence[Mapping[str, Any]], *, title: str) -> Figure:
    """Draw the rows of a log.

    Parameters
    ----------
    rows
        Each with `iteration`; with `loss` and `lr`, or with `miou`, in 0 to 1.
    title
        Of the figure.

    Returns
    -------
    Figure
        Loss with the learning rate, and, if there was a validation, mIoU with the best one marked.
    """
    scored = [row for row in rows if row.get("miou") is not None]
    panels = 2 if scored else 1
    figure = Figure(figsize=(_WIDTH * panels, _HEIGHT), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    _draw_loss(axes[0], [row for row in rows if row.get("loss") is not None])
    if scored:
        _draw_miou(axes[1], scored)
    return figure


def running_mean(values: FloatArray, width: int) -> FloatArray:
    """Return the mean of each value and the ones before it, `width` together; at the beginning of fewer."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - width, 0)
    means: FloatArray = (sums[ends] - sums[starts]) / (ends - starts)
    return means


def _draw_loss(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    iterations, losses = (np.array([row[name] for row in rows], float) for name in ("iteration", "loss"))
    smooth = len(losses) >= 2 * _SMOOTHED_OVER
    axes.plot(iterations, losses, color=LOSS, alpha=0.35 if smooth else 1.0, linewidth=1.0, label="loss")
    if smooth:
        mean = running_mean(losses, _SMOOTHED_OVER)
        axes.plot(iterations, mean, color=LOSS, label=f"loss, mean of {_SMOOTHED_OVER} rows")
    axes.set(xlabel="iteration", ylabel="loss")
    if losses.size and losses.min() > 0 and losses.max() > 10 * losses.min():
        axes.set_yscale("log")
    beside = axes.twinx()
    beside.plot(iterations, [row["lr"] for row in rows], color=RATE, linestyle="--", label="learning rate")
    beside.set_ylabel("learning rate", color=RATE)
    beside.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
    lines = [*axes.get_lines(), *beside.get_lines()]
    axes.legend(lines, [str(line.get_label()) for line in lines], loc="upper right", fontsize="small")


def _draw_miou(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    iterations, scores = [row["iteration"] for row in rows], [100 * row["miou"] for row in rows]
    axes.plot(iterations, scores, color=MIOU, marker="o", markersize=4)
    best = int(np.argmax(scores))
    axes.plot(iterations[best], scores[best], color=MIOU, marker="*", markersize=14, linestyle="")
    axes.annotate(
        f"best {scores[best]:.2f} % at {iterations[best]}",
        (iterations[best], scores[best]),
        xytext=(0.97, 0.05),
        textcoords="axes fraction",
        ha="right",
    )
    axes.set(xlabel="iteration", ylabel="mIoU on validation images, %")
    axes.margins(y=0.15)
