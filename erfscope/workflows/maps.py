"""From a map to its file, its figure and its measurements."""

from pathlib import Path
from typing import TYPE_CHECKING

from erfscope.measure import gaussian, star
from erfscope.records.erf_map import ErfMap
from erfscope.records.gaussian import GaussianFit
from erfscope.records.star import StarMeasurement
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


def plot_erf(erf: ErfMap, path: str | Path | None = None, *, scale: str = "log") -> "Figure":
    """Draw the map on a "log", "linear" or "power" scale; with `path` also write it (PNG, PDF, SVG)."""
    from erfscope.report.figures import draw_map, save_figure  # matplotlib only where it is wanted

    figure = draw_map(erf, scale=scale)
    if path is not None:
        save_figure(figure, Path(path), overwrite=True)
    return figure


def measure_star(erf: ErfMap) -> StarMeasurement:
    """Find the star in a map and measure its arms; see `measure.star.measure_star`."""
    return star.measure_star(erf.erf, erf.origin, erf.replicates)


def compare_with_prediction(erf: ErfMap, star: StarMeasurement) -> dict[str, float | None]:
    """Hold a measured star against what the network's graph predicted when the map was computed.

    Returns
    -------
    dict
        predicted_center_to_center_px, and relative_error = (measured − predicted) / predicted.
    """
    predicted = (erf.provenance.get("prediction") or {}).get("center_to_center_px")
    measured = star.center_to_center_px
    error = (measured - predicted) / predicted if predicted and measured is not None else None
    return {"predicted_center_to_center_px": predicted, "relative_error": error}


def fit_gaussian(erf: ErfMap, shape: str = "axis-aligned") -> GaussianFit:
    """Fit a 2D Gaussian to a map; see `measure.gaussian.fit_gaussian`."""
    return gaussian.fit_gaussian(erf.erf, erf.origin, shape)


def import_array(array: Path, out: Path, *, unit: tuple[int, int] | None, overwrite: bool) -> ErfMap:
    """Make the map file `out` of a `.npy` array; see `store.exchange.map_from_array`."""
    erf = map_from_array(read_array(array), unit, str(array))
    write_map(erf, out, overwrite=overwrite)
    return erf
