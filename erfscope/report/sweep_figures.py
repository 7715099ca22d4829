"""Draws a sweep: measured against predicted field of view, mIoU by base rate, and what training moves."""

from collections.abc import Sequence
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from erfscope.records.sweep import SweepRow

# Of Okabe and Ito's colors for all readers.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
_GRAY = "#666666"
_SIZE = (5.6, 4.4)  # inches


def draw_center_to_center(rows: Sequence[SweepRow]) -> Figure:
    """Draw measured against predicted center-to-center distance, with the line on which they are equal.

    Stars that don't fit the map are open: their outermost ring was not seen.
    """
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes: Axes = figure.subplots()
    points = [row for row in rows if row.predicted_center_to_center_px and row.measured_center_to_center_px]
    if points:
        largest = max(row.predicted_center_to_center_px or 0 for row in points)
        axes.plot([0, 1.05 * largest], [0, 1.05 * largest], color=_GRAY, linewidth=1, label="equal")
    for color, (stride, group) in zip(COLORS, _by_stride(points), strict=False):
        for fits, marker in ((True, "full"), (False, "none")):
            chosen = [row for row in group if (row.relative_error is not None) is fits]
            if chosen:
                axes.errorbar(
                    [row.predicted_center_to_center_px or 0 for row in chosen],
                    [row.measured_center_to_center_px or 0 for row in chosen],
                    yerr=[1.96 * (row.measured_stderr_px or 0) for row in chosen],
                    fmt="o",
                    color=color,
                    fillstyle=marker,
                    label=f"output stride {stride}" + ("" if fits else ", beyond the map"),
                )
    axes.set(xlabel="predicted, center to center (px)", ylabel="measured, center to center (px)")
    axes.set_title("Field of view of ASPP, predicted and measured")
    _finish(axes, "no star was both predicted and measured")
    return figure


def draw_miou(rows: Sequence[SweepRow]) -> Figure:
    """Draw mIoU against the base rate, by output stride, with r* and the baseline's mIoU as lines."""
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes: Axes = figure.subplots()
    scored = [row for row in rows if row.miou is not None]
    for color, (stride, group) in zip(COLORS, _by_stride(scored), strict=False):
        swept = [row for row in group if row.base_rate is not None]
        axes.errorbar(
            [row.base_rate or 0 for row in swept],
            [100 * (row.miou or 0) for row in swept],
            yerr=[100 * (row.miou_stderr or 0) for row in swept],
            fmt="o-",
            color=color,
            capsize=3,
            label=f"output stride {stride}",
        )
        for row in group:
            if row.base_rate is None:
                label = "without an atrous head"
                axes.axhline(100 * (row.miou or 0), color=color, linestyle=":", label=label)
        _mark_recommended(axes, swept, color)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="base rate", ylabel="mIoU (%)")
    axes.set_title("mIoU by base rate, ± one standard error")
    _finish(axes, "nothing was scored")
    return figure


def draw_training(rows: Sequence[SweepRow]) -> Figure:
    """Draw what training moves, by base rate: the side that holds 95 % of the map, the outer ring's share.

    Open marks are the networks before training.
    """
    figure = Figure(figsize=(2 * _SIZE[0], _SIZE[1]), layout="constrained")
    sides, shares = figure.subplots(1, 2)
    swept = [row for row in rows if row.base_rate is not None and row.untrained]
    for color, (stride, group) in zip(COLORS, _by_stride(swept), strict=False):
        label = f"output stride {stride}"
        _pairs(sides, [(r.base_rate, r.untrained["side95_px"], r.side95_px) for r in group], color, label)
        outer = [
            (r.base_rate, _outermost(r.untrained["ring_mass_shares"]), _outermost(r.ring_mass_shares))
            for r in group
        ]
        _pairs(shares, outer, color, label)
    for axes in (sides, shares):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="base rate")
        axes.set_ylim(bottom=0)
        _finish(axes, "nothing was measured before and after training")
    sides.set(ylabel="side of the square (px)", title="95 % of the map, before (open) and after training")
    shares.set(ylabel="share of the map (%)", title="Outermost ring, before (open) and after training")
    return figure


def _pairs(
    axes: Axes, points: Sequence[tuple[int | None, float | None, float | None]], color: str, label: str
) -> None:
    """Join before and after at each base rate, as far as both are known."""
    known = [point for point in points if None not in point]
    if not known:
        return
    rates, before, after = zip(*known, strict=True)
    axes.vlines(rates, before, after, color=color, linewidth=1)
    axes.plot(rates, before, "o", color=color, fillstyle="none")
    axes.plot(rates, after, "o", color=color, label=label)


def _outermost(shares: Sequence[float]) -> float | None:
    return 100 * shares[-1] if shares else None


def _mark_recommended(axes: Axes, rows: Sequence[SweepRow], color: str) -> None:
    """Mark r*, by both strides where they differ."""
    if not rows or rows[0].recommended_rate is None:
        return
    own, deepest = rows[0].recommended_rate, rows[0].recommended_rate_at_output_stride
    axes.axvline(own, color=color, linestyle="--", linewidth=1, label=f"r* = {own:.2f}")
    if deepest is not None and abs(deepest - own) > 0.01 * own:
        label = f"r* by the deepest stride = {deepest:.2f}"
        axes.axvline(deepest, color=color, linestyle="-.", linewidth=1, label=label)


def _by_stride(rows: Sequence[SweepRow]) -> list[tuple[int | None, list[SweepRow]]]:
    ordered = sorted(rows, key=lambda row: (row.output_stride or 0, row.base_rate or 0))
    return [(stride, list(group)) for stride, group in groupby(ordered, lambda row: row.output_stride)]


def _finish(axes: Axes, empty: str) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small")
    else:
        axes.text(0.5, 0.5, empty, ha="center", transform=axes.transAxes, color=_GRAY)
    axes.grid(alpha=0.25)
