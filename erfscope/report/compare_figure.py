"""Draws maps side by side on one scale, and below each but the first what tells it from the first."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from erfscope.records.arrays import FloatArray
from erfscope.records.comparison import BlockComparison, Comparison, PairComparison
from erfscope.records.erf_map import ErfMap
from erfscope.report.colorbar import add_color_bar
from erfscope.report.map_figure import COLORS, LETTERS_PER_INCH, LOG_DECADES, RESIDUAL_COLORS
from erfscope.report.map_view import MapView
from erfscope.report.overlays import CENTER_COLOR

# Inches.
PANEL_WIDTH, BAR_WIDTH, TEXT_HEIGHT = 4.2, 1.4, 1.2
LETTERS = int(0.9 * PANEL_WIDTH * LETTERS_PER_INCH)
LARGEST_RATIO = 3.0  # in powers of two: eight times as much
NOT_COMPARED = "0.85"  # gray


def draw_comparison(erfs: Sequence[ErfMap], names: Sequence[str], comparison: Comparison) -> Figure:
    """Draw each map as shares of its sum, on one logarithmic scale, and the differences from the first.

    A difference is drawn in the blocks that were tested, as the logarithm to base 2 of the two shares'
    ratio, with a dot in each block where it is significant.

    Parameters
    ----------
    erfs, names
        The maps, and what the figure calls them.
    comparison
        Of these maps.

    Returns
    -------
    Figure
        A matplotlib figure of its own, outside pyplot.
    """
    shares = [erf.erf / erf.erf.sum() for erf in erfs]
    tallest = max(min(1.6, max(0.35, erf.size[0] / erf.size[1])) for erf in erfs)
    columns = len(erfs)
    size = (columns * PANEL_WIDTH + BAR_WIDTH, 2 * (PANEL_WIDTH * 0.85 * tallest + TEXT_HEIGHT))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(2, columns, squeeze=False)
    _draw_maps(panels[0].tolist(), erfs, names, shares)
    _explain(panels[1, 0], comparison, names[0])
    blocks = {pair.second: pair.blocks for pair in comparison.pairs if pair.blocks is not None}
    limit = _ratio_limit(list(blocks.values()))
    for pair in comparison.pairs:
        axes = panels[1, pair.second]
        if pair.blocks is None:
            axes.set_axis_off()
            axes.text(0.5, 0.5, fill(f"not drawn: {_reason(pair)}", LETTERS), ha="center", va="center")
            continue
        drawn = _draw_difference(axes, pair.blocks, erfs[0], limit)
        axes.set_title(_verdict(pair, pair.blocks, names), fontsize="small", parse_math=False)
        if pair.second == max(blocks):
            _add_ratio_bar(axes, drawn, list(blocks.values()), limit)
    return figure


def _reason(pair: PairComparison) -> str:
    """Say why two maps have no blocks in common."""
    return next(flag.message for flag in pair.flags if flag.code in ("sizes_differ", "little_overlap"))


def _draw_maps(
    panels: Sequence[Axes], erfs: Sequence[ErfMap], names: Sequence[str], shares: Sequence[FloatArray]
) -> None:
    high = max(float(share.max()) for share in shares)
    low = max(min(float(share[share > 0].min()) for share in shares), high * 10.0**-LOG_DECADES)
    below = any(bool((share < low).any()) for share in shares)
    for axes, erf, name, share in zip(panels, erfs, names, shares, strict=True):
        norm = LogNorm(low, high)
        drawn = axes.imshow(np.maximum(share, low), cmap=COLORS, norm=norm, interpolation="nearest")
        _mark_center(axes, erf)
        lines = [name, *MapView(erf, "log").title.split("\n")]
        wrapped = (fill(line, LETTERS) for line in lines)
        # A name may hold dollar signs, which are no formula.
        axes.set_title("\n".join(wrapped), fontsize="small", parse_math=False)
        axes.set(xlabel="x (px)", ylabel="y (px)")
    label = "share of the map's sum\nper pixel (log scale)"
    add_color_bar(panels[-1], drawn, label, below=below, above=False)


def _mark_center(axes: Axes, erf: ErfMap) -> None:
    axes.autoscale(False)
    y, x = erf.projected_center
    axes.scatter(x, y, s=80, facecolors="none", edgecolors=CENTER_COLOR, gid="center")


def _ratio_limit(blocks: Sequence[BlockComparison]) -> float:
    """One limit for all differences: nine of ten blocks lie within, if they are within a factor of eight."""
    ratios = np.concatenate([np.abs(_ratio(each)).ravel() for each in blocks] or [np.zeros(1)])
    finite = ratios[np.isfinite(ratios)]
    return float(np.clip(np.percentile(finite, 90), 0.1, LARGEST_RATIO)) if finite.size else LARGEST_RATIO


def _ratio(blocks: BlockComparison) -> FloatArray:
    """Logarithm to base 2 of second / first: infinite where one is zero, NaN where both are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: FloatArray = np.log2(np.maximum(blocks.second, 0)) - np.log2(np.maximum(blocks.first, 0))
    return ratio


def _draw_difference(axes: Axes, blocks: BlockComparison, erf: ErfMap, limit: float) -> AxesImage:
    ratio = _ratio(blocks)
    top, left = blocks.corners[0]
    height, width = (count * blocks.block_px for count in ratio.shape)
    axes.set_facecolor(NOT_COMPARED)
    drawn = axes.imshow(
        np.clip(ratio, -limit, limit),
        cmap=RESIDUAL_COLORS,
        vmin=-limit,
        vmax=limit,
        extent=(left - 0.5, left + width - 0.5, top + height - 0.5, top - 0.5),
        interpolation="nearest",
        gid="difference",
    )
    rows, columns = np.nonzero(blocks.significant)
    middle = (blocks.block_px - 1) / 2
    y, x = top + rows * blocks.block_px + middle, left + columns * blocks.block_px + middle
    axes.scatter(x, y, s=4.0, color="0.5", linewidths=0, gid="significant")
    _mark_center(axes, erf)
    axes.set(xlim=(-0.5, erf.size[1] - 0.5), ylim=(erf.size[0] - 0.5, -0.5), xlabel="x (px)", ylabel="y (px)")
    return drawn


def _add_ratio_bar(axes: Axes, drawn: AxesImage, blocks: Sequence[BlockComparison], limit: float) -> None:
    ratios = [_ratio(each) for each in blocks]
    below, above = (any(bool((sign * ratio > limit).any()) for ratio in ratios) for sign in (-1, 1))
    label = "log₂ of this map / the first\n(+1: twice as much)"
    add_color_bar(axes, drawn, label, below=below, above=above)


def _verdict(pair: PairComparison, blocks: BlockComparison, names: Sequence[str]) -> str:
    share = blocks.share_significant
    tested = int(np.isfinite(blocks.t).sum())
    found = "no significance known" if share is None else f"{share:.0%} of {tested} blocks differ"
    against = fill(f"{names[pair.second]} against {names[pair.first]}", LETTERS)
    return f"{against}\n{found}, overlap {blocks.overlap:.1%}"


def _explain(axes: Axes, comparison: Comparison, first: str) -> None:
    axes.set_axis_off()
    blocks = next((pair.blocks for pair in comparison.pairs if pair.blocks is not None), None)
    if blocks is None:
        return
    lines = (
        f"Each map against {first}, as shares of the maps' sums in blocks of {blocks.block_px} px.",
        "A dot: the block differs by more than the sampling of images (t-test by the jackknife over groups "
        f"of images, false-discovery rate {blocks.false_discovery_rate:.0%}).",
        "Grey: not compared, or empty in both. A color means the same in all panels of a row.",
    )
    text = "\n\n".join(fill(line, LETTERS) for line in lines)
    drawn = axes.text(0.02, 0.95, text, ha="left", va="top", fontsize="small", parse_math=False)
    drawn.set_in_layout(False)
