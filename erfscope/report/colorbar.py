"""A color bar that stays beside its map, however the figure is laid out."""

from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter, ScalarFormatter


def add_color_bar(axes: Axes, drawn: AxesImage, label: str, *, below: bool, above: bool) -> None:
    """Add it to the right of `axes`; its arrows tell that values lie `below` or `above` its range."""
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get((below, above), "neither")
    # matplotlib's own place depends on the cell, not on the map, which keeps its shape in the cell.
    place = axes.inset_axes((1.03, 0.06, 0.045, 0.88))
    figure = axes.get_figure(root=True)
    assert figure is not None
    bar = figure.colorbar(drawn, cax=place, extend=extend)
    bar.set_label(label)
    if isinstance(bar.formatter, ScalarFormatter):
        bar.formatter = FuncFormatter(_plain)


def _plain(value: float, position: int | None) -> str:
    """Write a number in full: a power of ten above the bar would lie on its arrow."""
    return f"{value:g}".replace("-", "−")
