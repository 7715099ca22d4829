"""From a map to its file, its figure and its measurements."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from erfscope.measure import extent, star
from erfscope.measure.gaussian import fit as gaussian
from erfscope.measure.masses import measure_masses
from erfscope.records.erf_map import ErfMap
from erfscope.records.extent import Extent
from erfscope.records.gaussian import GaussianFit
from erfscope.records.masses import MassStatistics
from erfscope.records.star import StarMeasurement
from erfscope.store.exchange import map_from_array, read_array
from erfscope.store.read import read_map
from erfscope.store.write import write_map

if TYPE_CHECKING:
    from matplotlib.figure import Figure


NO_STAR_FROM = 0.95  # R² of the smoothed map: a star's blobs would leave more
STAR_RESIDUALS = "the residual keeps the blobs of a star or grid: a Gaussian says little; see star-distance"


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
    from erfscope.report.figures import check_target, save_figure
    from erfscope.workflows.figures import draw_erf

    if path is not None:
        check_target(Path(path), overwrite=overwrite)
    figure = draw_erf(erf, scale=scale, show=show)
    if path is not None:
        save_figure(figure, Path(path), overwrite=overwrite)
    return figure


def measure_star(erf: ErfMap) -> StarMeasurement:
    """Find the star in a map and measure its arms; see `measure.star.measure_star`."""
    return star.measure_star(erf.erf, erf.origin, erf.replicates, images_per_group=images_per_group(erf))


def fit_gaussian(erf: ErfMap, model: str = "auto", *, with_offset: bool = True) -> GaussianFit:
    """Fit a 2D Gaussian to a map; see `measure.gaussian.fit`.

    A fit that leaves much of a star is flagged: where it explains the smoothed map well, none is looked for.
    """
    sizes = images_per_group(erf)
    fit = gaussian.fit_gaussian(
        erf.erf, erf.origin, model, erf.replicates, with_offset=with_offset, images_per_group=sizes
    )
    if fit.r_squared_smoothed < NO_STAR_FROM and star.measure_star(erf.erf, erf.origin).pattern != "none":
        return replace(fit, flags=(*fit.flags, STAR_RESIDUALS))
    return fit


def measure_extent(erf: ErfMap) -> Extent:
    """Measure how far a map reaches, and how evenly its images share it; see `measure.extent`."""
    found = extent.measure_extent(
        erf.erf, erf.origin, erf.replicates, images=erf.images, images_per_group=images_per_group(erf)
    )
    return replace(found, images=mass_statistics(erf), flags=(*found.flags, *mass_flags(erf)))


def mass_statistics(erf: ErfMap) -> MassStatistics | None:
    """Measure how evenly the images share a map; None for an imported one."""
    known = [(record.name, record.mass) for record in erf.records if record.mass is not None]
    return measure_masses([name for name, _ in known], [mass for _, mass in known])


def mass_flags(erf: ErfMap) -> tuple[str, ...]:
    """Say in words if one image has more than 10 % of the gradient mass."""
    statistics = mass_statistics(erf)
    return () if statistics is None else statistics.flags


def images_per_group(erf: ErfMap) -> list[int] | None:
    """Count the images of each group; None if unknown."""
    if erf.replicates is None or not erf.records:
        return None
    done = [record.group for record in erf.records if record.status == "done"]
    return [done.count(group) for group in range(len(erf.replicates))]


def import_array(array: Path, out: Path, *, unit: tuple[int, int] | None, overwrite: bool) -> ErfMap:
    """Make the map file `out` of a `.npy` array; see `store.exchange.map_from_array`."""
    erf = map_from_array(read_array(array), unit, str(array))
    write_map(erf, out, overwrite=overwrite)
    return erf
