"""From a map to its measurements."""

from dataclasses import replace

import numpy as np

from erfscope.errors import MapError
from erfscope.measure import extent, pattern, sampling_error, star
from erfscope.measure.gaussian import gaussian_fit
from erfscope.measure.masses import measure_masses
from erfscope.measure.patches import measure_patches
from erfscope.measure.replicate_groups import count_images
from erfscope.records.convergence import Convergence, ErrorCheck
from erfscope.records.erf_map import ErfMap
from erfscope.records.extent import Extent
from erfscope.records.flags import Flag
from erfscope.records.gaussian import GaussianFit
from erfscope.records.masses import MassStatistics
from erfscope.records.pattern import Pattern
from erfscope.records.star import StarMeasurement

NO_STAR_FROM = 0.95  # R² of the smoothed map: a star's blobs would leave more


def measure_star(erf: ErfMap) -> StarMeasurement:
    """Find the star or grid that atrous convolutions leave in a map, and measure its distances.

    Neither the rates nor the network's graph are used: what is measured can be compared with what
    `predict_fov` predicts.

    Parameters
    ----------
    erf
        A map of any scale. Its replicates, 8 or more filled groups, give standard errors by the
        delete-a-group jackknife.

    Returns
    -------
    StarMeasurement
        `pattern` is "star", "grid" or "none". `center_to_center_px` is twice the distance of the outermost
        ring, between its bottom-left and bottom-right blobs, and `end_to_end_convention_px` the same plus
        32 px, both as in the study (arXiv 2307.14179). Lengths in px; None where there is nothing to
        measure. A map that is too small or empty, or a star in doubt, is not an error: see `flags`.

    Examples
    --------
    >>> import numpy as np
    >>> from erfscope.store.exchange import map_from_array
    >>> y, x = np.mgrid[:65, :65]
    >>> blobs = [(32 + dy, 32 + dx) for dy in (-16, 0, 16) for dx in (-16, 0, 16)]
    >>> erf = map_from_array(sum(np.exp(-((y - i) ** 2 + (x - j) ** 2) / 12) for i, j in blobs))
    >>> star = measure_star(erf)
    >>> star.pattern, round(star.center_to_center_px), len(star.arms)
    ('star', 32, 8)
    """
    found = star.measure_star(
        erf.erf, erf.projected_center, erf.replicates, images_per_group=images_per_group(erf)
    )
    return replace(found, flags=(*erf.flags, *found.flags))


def fit_gaussian(erf: ErfMap, shape: str = "auto", *, with_offset: bool = True) -> GaussianFit:
    """Fit a 2D Gaussian to a map by least squares.

    A fit that leaves much of a star is flagged: where it explains the smoothed map well, none is looked for.

    Parameters
    ----------
    erf
        A map of any scale. Its replicates, 8 or more filled groups, give standard errors by the
        delete-a-group jackknife.
    shape
        "symmetric" (σx = σy), "axis-aligned" (θ = 0), "rotated", or "auto": the smallest shape that no
        larger one beats at predicting groups of images left out of the fit; without replicates
        axis-aligned.
    with_offset
        Whether a constant is fitted below the Gaussian; else it is zero.

    Returns
    -------
    GaussianFit
        Lengths in px, θ in degrees from +x toward +y, in (−45, 45]; amplitude and offset in the map's
        units. `study` is the fit by the study's protocol (arXiv 2307.14179, Table 7): axis-aligned, no
        offset.

    Raises
    ------
    MapError
        An unknown shape, a map of fewer than 16 px, or values that aren't finite.

    Examples
    --------
    >>> import numpy as np
    >>> from erfscope.store.exchange import map_from_array
    >>> y, x = np.mgrid[:48, :64]
    >>> erf = map_from_array(1 + 5 * np.exp(-((y - 20) ** 2) / (2 * 4**2) - (x - 30) ** 2 / (2 * 6**2)))
    >>> fit = fit_gaussian(erf, "axis-aligned")
    >>> [round(length, 2) for length in (fit.x0_px, fit.y0_px, fit.sigma_x_px, fit.sigma_y_px)]
    [30.0, 20.0, 6.0, 4.0]
    """
    sizes = images_per_group(erf)
    fit = gaussian_fit.fit_gaussian(
        erf.erf, erf.projected_center, shape, erf.replicates, with_offset=with_offset, images_per_group=sizes
    )
    flags = (*erf.flags, *fit.flags)
    if (
        fit.r_squared_smoothed < NO_STAR_FROM
        and star.measure_star(erf.erf, erf.projected_center).pattern != "none"
    ):
        message = "the residual keeps the blobs of a star or grid: a Gaussian says little; see star-distance"
        flags = (*flags, Flag("star_in_residual", message))
    return replace(fit, flags=flags)


def measure_extent(erf: ErfMap) -> Extent:
    """Measure how far a map reaches from its projected center, and how evenly its images share it.

    Parameters
    ----------
    erf
        A map; where its number of images is unknown it stands for their mean. Its replicates, 8 or more
        filled groups, give standard errors by the delete-a-group jackknife.

    Returns
    -------
    Extent
        Lengths in px: sides and areas of the square boxes that hold 20, 30, 50 and 99 % of the mean map
        (`raw`) and of log10(1 + mean map) (`log`), the high-contribution area ratio of RepLKNet (Ding et al.
        2022, arXiv 2203.06717); the effective diameter, of the circle with the area (Σ E)² / Σ E²; the box
        that holds 95 % of what stands above the background; the radial profile; and how evenly the images
        contribute. None, and a flag, where there is nothing to measure.

    Examples
    --------
    >>> import numpy as np
    >>> from erfscope.store.exchange import map_from_array
    >>> y, x = np.mgrid[:65, :65]
    >>> erf = map_from_array(np.exp(-((y - 32) ** 2 + (x - 32) ** 2) / (2 * 5**2)))
    >>> found = measure_extent(erf)
    >>> round(found.effective_diameter_px, 1), found.raw.side_px["0.5"]  # 4 σ; an odd side
    (20.0, 11.0)
    """
    found = extent.measure_extent(
        erf.erf,
        erf.projected_center,
        erf.replicates,
        images=erf.images,
        images_per_group=images_per_group(erf),
    )
    masses = mass_statistics(erf)
    flags = (*erf.flags, *found.flags, *(masses.flags if masses else ()))
    return replace(found, images=masses, flags=flags)


def classify_pattern(erf: ErfMap) -> Pattern:
    """Give a map one name, by the measurements of its star, its patches and its Gaussian.

    Parameters
    ----------
    erf
        A map of any scale. Without replicates an asymmetry can't be told.

    Returns
    -------
    Pattern
        `pattern` is one of "star", "grid", "patch-partitioned", "local", "asymmetric-gaussian", "gaussian"
        and "diffuse", by the thresholds of `erfscope.measure.pattern.classify`; `scores` holds a number
        from 0 to 1 for each. `patch_size_px` is the side of a patch, None where the map has none.

    Raises
    ------
    MapError
        A map of fewer than 16 px, or values that aren't finite.

    Examples
    --------
    >>> import numpy as np
    >>> from erfscope.store.exchange import map_from_array
    >>> y, x = np.mgrid[:65, :65]
    >>> erf = map_from_array(np.exp(-((y - 32) ** 2 + (x - 32) ** 2) / (2 * 2**2)))
    >>> classify_pattern(erf).pattern
    'local'
    """
    total = float(np.maximum(erf.erf, 0).sum())
    found = pattern.classify(measure_star(erf), measure_patches(erf.erf), fit_gaussian(erf), erf.size, total)
    return replace(found, flags=(*erf.flags, *found.flags))


def mass_statistics(erf: ErfMap) -> MassStatistics | None:
    """Measure how evenly the images share a map; None for an imported one."""
    known = [(record.name, record.mass) for record in erf.records if record.mass is not None]
    return measure_masses([name for name, _ in known], [mass for _, mass in known])


def recorded_convergence(erf: ErfMap) -> Convergence | None:
    """Return what a run with `--until` recorded; None of any other map.

    Raises
    ------
    MapError
        The record is damaged.
    """
    recorded = erf.provenance.get("convergence")
    if recorded is None:
        return None
    try:
        return Convergence.from_summary(recorded)
    except (KeyError, TypeError, ValueError) as error:
        raise MapError(
            f"the map's record of its convergence is damaged ({error!r}); compute the map again"
        ) from error


def error_checks(erf: ErfMap, star: StarMeasurement) -> tuple[ErrorCheck, ...]:
    """Return how well a map was known at each recorded check, and, measured anew, as it is.

    Empty without groups of images to tell it.

    Parameters
    ----------
    star
        Of this map.
    """
    recorded = recorded_convergence(erf)
    checks = () if recorded is None else recorded.checks
    if erf.images and erf.replicates is not None:
        sizes = images_per_group(erf)
        now = sampling_error.check(
            erf.erf, erf.projected_center, erf.replicates, sizes, erf.images, star=star
        )
        checks = (*(check for check in checks if check.images < erf.images), now)
    return tuple(check for check in checks if check.map_error)


def images_per_group(erf: ErfMap) -> list[int] | None:
    """Count the images of each group; None if unknown."""
    if erf.replicates is None or not erf.records:
        return None
    return count_images(erf.records, len(erf.replicates))
