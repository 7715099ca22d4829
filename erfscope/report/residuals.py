"""What a fitted Gaussian leaves of a map."""

import numpy as np
from matplotlib.axes import Axes

from erfscope.report.colorbar import add_color_bar
from erfscope.report.map_view import Scene

COLORS = "PuOr_r"  # purple below zero, orange above: safe for color-blind readers
RANGE_PERCENTILE = 99.8  # lest a few bright pixels pale all others


def draw_residual(axes: Axes, scene: Scene) -> None:
    """Draw map less Gaussian on colors with zero in their middle; the bar's arrows show what lies beyond."""
    residual = scene.findings.residual
    if residual is None:
        axes.set_axis_off()
        return
    values = scene.per_image(residual)
    limit = float(np.percentile(np.abs(values), RANGE_PERCENTILE)) or 1.0
    drawn = axes.imshow(values, cmap=COLORS, vmin=-limit, vmax=limit, interpolation="nearest", gid="residual")
    axes.set(xlabel="x (px)", ylabel="y (px)")
    within = f"{(np.abs(values) <= limit).mean():.1%} of the pixels within"
    label = f"map − Gaussian{', per image' if scene.erf.images else ''}\n(linear scale, {within})"
    below, above = bool((values < -limit).any()), bool((values > limit).any())
    add_color_bar(axes, drawn, label, below=below, above=above)
