"""From a map to its file and its figure."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from erfscope.records.erf_map import ErfMap
from erfscope.store.exchange import map_from_array, read_array
from erfscope.store.read import read_map
from erfscope.store.write import write_map

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def load_erf(path: str | Path) -> ErfMap:
    """Read a map file; see `store.read.read_map`."""
    return read_map(Path(path))


def save_erf(erf: ErfMap, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a map file, whole or not at all; `MapError` if it exists and `overwrite` is False."""
    write_map(erf, Path(path), overwrite=overwrite)


def plot_erf(
    erf: ErfMap,
    path: str | Path | None = None,
    *,
    scale: str = "log",
    show: Collection[str] = ("star",),
    overwrite: bool = True,
) -> "Figure":
    """Draw the map on a "log", "linear" or "power" scale; with `path` also write it (PNG, PDF, SVG).

    `show` names overlays and panels, see `report.figures.draw_map`; what they need is measured.
    """
    # matplotlib only where it is wanted
    from erfscope.report.map_figure import check_target, save_figure
    from erfscope.workflows.map_report import draw_erf

    if path is not None:
        check_target(Path(path), overwrite=overwrite)
    figure = draw_erf(erf, scale=scale, show=show)
    if path is not None:
        save_figure(figure, Path(path), overwrite=overwrite)
    return figure


def import_array(array: Path, out: Path, *, unit: tuple[int, int] | None, overwrite: bool) -> ErfMap:
    """Make the map file `out` of a `.npy` array; see `store.exchange.map_from_array`."""
    erf = map_from_array(read_array(array), unit, str(array))
    write_map(erf, out, overwrite=overwrite)
    return erf
