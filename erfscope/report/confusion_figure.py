"""Draws a confusion matrix: what the pixels of each class are predicted to be."""

from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from erfscope.records.arrays import FloatArray
from erfscope.records.scores import Evaluation
from erfscope.report.colorbar import add_color_bar
from erfscope.report.map_figure import lay_out
from erfscope.report.words import NOTHING

COLORS = "Blues"  # one hue, from white: an empty cell is paper
POWER = 0.5  # so that a confusion of 1 % is seen beside 99 %
NO_PIXELS = "0.85"  # gray
DARK = 0.6  # of the colors' range, from which numbers are white
# Cells in inches; numbers in cells with up to so many classes, with decimals in fewer.
SMALLEST_CELL, LARGEST_CELL, MATRIX = 0.135, 1.1, 8.0
MOST_NUMBERED, MOST_DECIMALS = 40, 8
POINTS, LETTERS_PER_INCH = 72, 13  # those of 10 points
LARGEST_LETTERS, NAME_SHARE, NUMBER_SHARE = 11.0, 0.72, 0.36
TITLE_LETTERS = (10, 18)
IOU_LETTERS, LETTER_WIDTH = 6, 0.6  # beside a name; of a letter's size
LEAST_WIDTH, BAR_WIDTH, TITLE_HEIGHT = 7.5, 2.0, 1.4


def draw_confusion(evaluation: Evaluation) -> Figure:
    """Draw the confusion matrix of an evaluation, each row as shares of its class's pixels.

    Rows are the true classes, each with its IoU, columns the predicted ones. A class without pixels has a
    gray row.

    Returns
    -------
    Figure
        A matplotlib figure of its own, outside pyplot.
    """
    classes = evaluation.scores.classes
    cell = min(LARGEST_CELL, max(SMALLEST_CELL, MATRIX / len(classes)))
    letters = min(LARGEST_LETTERS, cell * POINTS * NAME_SHARE)
    names = (max(map(len, classes)) + IOU_LETTERS) * letters * LETTER_WIDTH / POINTS
    side = len(classes) * cell
    width = max(LEAST_WIDTH, side + names + BAR_WIDTH)
    figure = Figure(figsize=(width, side + names + TITLE_HEIGHT), layout="constrained")
    axes = figure.subplots()
    title_letters = float(np.clip(width, *TITLE_LETTERS))
    shares = _shares(evaluation.confusion.astype(np.float64))
    _draw_shares(axes, shares)
    _name(axes, evaluation, letters, title_letters)
    if len(classes) <= MOST_NUMBERED:
        _write_numbers(axes, shares, min(LARGEST_LETTERS, cell * POINTS * NUMBER_SHARE))
    lines = (fill(line, int(width * LETTERS_PER_INCH * 10 / title_letters)) for line in _title(evaluation))
    # A name may hold dollar signs, which are no formula.
    figure.suptitle("\n".join(lines), fontsize=title_letters, parse_math=False)
    lay_out(figure)
    return figure


def _shares(confusion: FloatArray) -> FloatArray:
    totals = confusion.sum(1, keepdims=True)
    shares: FloatArray = np.full(confusion.shape, np.nan)
    np.divide(confusion, totals, out=shares, where=totals > 0)
    return shares


def _draw_shares(axes: Axes, shares: FloatArray) -> None:
    axes.set_facecolor(NO_PIXELS)
    norm = PowerNorm(POWER, 0.0, 1.0)
    drawn = axes.imshow(shares, cmap=COLORS, norm=norm, interpolation="nearest", gid="confusion")
    label = "share of the true class's pixels\n(square-root scale)"
    add_color_bar(axes, drawn, label, below=False, above=False)


def _name(axes: Axes, evaluation: Evaluation, letters: float, label_letters: float) -> None:
    scores = evaluation.scores
    places = np.arange(len(scores.classes))
    rows = [f"{name}  {_rounded(iou)}" for name, iou in zip(scores.classes, scores.iou, strict=True)]
    axes.set_xticks(places, scores.classes, fontsize=letters, rotation=90)
    axes.set_yticks(places, rows, fontsize=letters)
    gray = "\n(gray: no pixel is truly of the class)" if scores.never_occurring else ""
    axes.set_xlabel(f"predicted class{gray}", fontsize=label_letters)
    axes.set_ylabel("true class, its IoU (%)", fontsize=label_letters)
    axes.tick_params(length=0)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)


def _rounded(share: float) -> str:
    return NOTHING if np.isnan(share) else f"{100 * share:.1f}"


def _write_numbers(axes: Axes, shares: FloatArray, letters: float) -> None:
    """Write percentages into the cells; those that would round to 0 stay empty."""
    places = 1 if len(shares) <= MOST_DECIMALS else 0
    for row, column in zip(*np.nonzero(np.nan_to_num(shares) >= 0.5 * 10.0 ** (-2 - places)), strict=True):
        share = float(shares[row, column])
        color = "white" if share**POWER > DARK else "black"
        text = f"{100 * share:.{places}f}"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=letters)


def _title(evaluation: Evaluation) -> list[str]:
    scores = evaluation.scores
    stderr = "" if scores.miou_stderr is None else f" ± {100 * scores.miou_stderr:.2f}"
    lines = (
        [evaluation.network_label, evaluation.weights_label],
        [evaluation.data_label, f"{evaluation.images} images", evaluation.inference_label],
        [f"mIoU {100 * scores.miou:.2f}{stderr} %", f"pixel accuracy {100 * scores.pixel_accuracy:.2f} %"],
    )
    return [" · ".join(line) for line in lines]
