"""Map files and figures of them, for Python and the command line."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from erfscope.records.erf_map import ErfMap
from erfscope.store.exchange import map_from_array, read_array
from erfscope.store.merge import merge_files
from erfscope.store.read import read_map
from erfscope.store.write import write_map
from erfscope.system.atomic_files import prepare_target
from erfscope.system.file_lock import locked

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def load_erf(path: str | Path) -> ErfMap:
    """Read a map file that `ErfMap.save` or `erfscope compute` wrote.

    Parameters
    ----------
    path
        The HDF5 file.

    Returns
    -------
    ErfMap
        With arrays, records and provenance as they were written: `erf` is (H, W) float64, axes (y, x).

    Raises
    ------
    MapError
        There is no such file, it is not a map of this version's format, or it is damaged.

    Examples
    --------
    >>> import torch
    >>> import erfscope
    >>> model = torch.nn.Conv2d(3, 2, kernel_size=5, padding=2)
    >>> erf = erfscope.compute_erf(model, [torch.ones(3, 33, 41)])
    >>> erf.save("conv.h5")
    >>> again = erfscope.load_erf("conv.h5")
    >>> bool((again.erf == erf.erf).all())
    True
    """
    return read_map(Path(path))


def plot_erf(
    erf: ErfMap,
    path: str | Path | None,
    *,
    scale: str,
    show: Collection[str],
    overwrite: bool,
) -> "Figure":
    """Measure what `show` names, draw it with the map, and write the figure to `path`; see `ErfMap.plot`."""
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
    """Write the map file `out` from an array in a `.npy` file; see `store.exchange.map_from_array`."""
    erf = map_from_array(read_array(array), unit, str(array))
    write_map(erf, out, overwrite=overwrite)
    return erf


def merge_to_file(
    files: Sequence[Path], out: Path, *, partial: bool, overwrite: bool, note: Callable[[str], None]
) -> ErfMap:
    """Merge map files into `out`; see `store.merge.merge_maps`.

    Raises
    ------
    MapError
        `out` exists and `overwrite` is False, another process writes it, or the maps don't make one.
    """
    prepare_target(out, overwrite=overwrite)
    with locked(out, note):
        erf = merge_files(files, partial=partial)
        write_map(erf, out, overwrite=overwrite)
    return erf
