"""From two or more maps to what tells them apart."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from erfscope.errors import MapError
from erfscope.measure.map_differences import MapSample, compare, describe
from erfscope.records.comparison import Comparison
from erfscope.records.erf_map import ErfMap
from erfscope.store.read import read_map
from erfscope.workflows.measurements import images_per_group, mass_statistics


def compare_maps(erfs: Sequence[ErfMap]) -> Comparison:
    """Compare every map with the first: numbers and blocks of pixels, with their significance.

    Maps of one size are compared in the part that both have around their projected centers, moved by whole
    pixels; of maps of different sizes, only the numbers are.

    Parameters
    ----------
    erfs
        Two or more maps. Replicates, 8 or more filled groups in either of two maps, give the significance:
        Student's t by the delete-a-group jackknife, paired where both saw the same images in the same
        groups.

    Returns
    -------
    Comparison
        `maps`: the numbers of each, lengths in px; `pairs`: each but the first less the first, with standard
        error, t and p-value, and the blocks whose shares of the maps' sums differ at a false-discovery rate
        of 5 % (Benjamini and Hochberg 1995). What limits a comparison is in each pair's `flags`.

    Raises
    ------
    MapError
        Fewer than two maps, or one that sums to nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from erfscope.store.exchange import map_from_array
    >>> y, x = np.mgrid[:65, :65]
    >>> narrow, wide = (np.exp(-((y - 32) ** 2 + (x - 32) ** 2) / (2 * sigma**2)) for sigma in (4, 5))
    >>> (pair,) = compare_maps([map_from_array(narrow), map_from_array(wide)]).pairs
    >>> round(pair.scalars["effective_diameter_px"].difference, 1)  # 4 σ each
    4.0
    """
    if len(erfs) < 2:
        raise MapError(f"{len(erfs)} map given; it takes two or more to compare")
    maps = [_sample(erf) for erf in erfs]
    return Comparison(
        maps=tuple(describe(each) for each in maps),
        pairs=tuple(compare(maps, 0, other) for other in range(1, len(maps))),
    )


def compare_files(files: Sequence[Path], out: Path | None, *, overwrite: bool) -> dict[str, Any]:
    """Compare map files, and draw them to `out` if it isn't None.

    Returns
    -------
    dict
        JSON-able: maps (file, network, weights, data, numbers), pairs (each map against the first), out.

    Raises
    ------
    MapError
        As `compare_maps`; a file can't be read, or `out` not written.
    """
    # matplotlib only where it is wanted
    from erfscope.report.compare_figure import draw_comparison
    from erfscope.report.map_figure import check_target, save_figure

    if out is not None:
        check_target(out, overwrite=overwrite)
    erfs = [read_map(file) for file in files]
    comparison = compare_maps(erfs)
    if out is not None:
        figure = draw_comparison(erfs, [file.stem for file in files], comparison)
        save_figure(figure, out, overwrite=overwrite)
    document = comparison.summary()
    maps = [
        {"file": str(file), **_facts(erf), **numbers}
        for file, erf, numbers in zip(files, erfs, document["maps"], strict=True)
    ]
    return {"maps": maps, "pairs": document["pairs"], "out": None if out is None else str(out)}


def _facts(erf: ErfMap) -> dict[str, Any]:
    masses = mass_statistics(erf)
    return {
        "network": erf.network_label,
        "weights": erf.weights_label,
        "data": erf.data_label,
        "size": list(erf.size),
        "projected_center": {"y_px": erf.projected_center[0], "x_px": erf.projected_center[1]},
        "images": erf.images,
        "effective_images": None if masses is None else masses.effective,
    }


def _sample(erf: ErfMap) -> MapSample:
    return MapSample(
        erf=erf.erf,
        center=erf.projected_center,
        replicates=erf.replicates,
        images=erf.images,
        images_per_group=images_per_group(erf),
        image_groups=tuple((record.name, record.group) for record in erf.records if record.status == "done"),
    )
