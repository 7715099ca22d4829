"""From a map to its measurements."""

from dataclasses import replace

from erfscope.errors import MapError
from erfscope.measure import extent, sampling_error, star
from erfscope.measure.gaussian import gaussian_fit
from erfscope.measure.masses import measure_masses
from erfscope.records.convergence import Convergence, ErrorCheck
from erfscope.records.erf_map import ErfMap
from erfscope.records.extent import Extent
from erfscope.records.gaussian import GaussianFit
from erfscope.records.masses import MassStatistics
from erfscope.records.star import StarMeasurement

NO_STAR_FROM = 0.95  # R² of the smoothed map: a star's blobs would leave more
STAR_RESIDUALS = "the residual keeps the blobs of a star or grid: a Gaussian says little; see star-distance"


def measure_star(erf: ErfMap) -> StarMeasurement:
    """Find the star in a map and measure its arms; see `measure.star.measure_star`."""
    found = star.measure_star(
        erf.erf, erf.projected_center, erf.replicates, images_per_group=images_per_group(erf)
    )
    return replace(found, flags=(*erf.flags, *found.flags))


def fit_gaussian(erf: ErfMap, model: str = "auto", *, with_offset: bool = True) -> GaussianFit:
    """Fit a 2D Gaussian to a map; see `measure.gaussian.fit`.

    A fit that leaves much of a star is flagged: where it explains the smoothed map well, none is looked for.
    """
    sizes = images_per_group(erf)
    fit = gaussian_fit.fit_gaussian(
        erf.erf, erf.projected_center, model, erf.replicates, with_offset=with_offset, images_per_group=sizes
    )
    flags = (*erf.flags, *fit.flags)
    if (
        fit.r_squared_smoothed < NO_STAR_FROM
        and star.measure_star(erf.erf, erf.projected_center).pattern != "none"
    ):
        flags = (*flags, STAR_RESIDUALS)
    return replace(fit, flags=flags)


def measure_extent(erf: ErfMap) -> Extent:
    """Measure how far a map reaches, and how evenly its images share it; see `measure.extent`."""
    found = extent.measure_extent(
        erf.erf,
        erf.projected_center,
        erf.replicates,
        images=erf.images,
        images_per_group=images_per_group(erf),
    )
    flags = (*erf.flags, *found.flags, *mass_flags(erf))
    return replace(found, images=mass_statistics(erf), flags=flags)


def mass_statistics(erf: ErfMap) -> MassStatistics | None:
    """Measure how evenly the images share a map; None for an imported one."""
    known = [(record.name, record.mass) for record in erf.records if record.mass is not None]
    return measure_masses([name for name, _ in known], [mass for _, mass in known])


def mass_flags(erf: ErfMap) -> tuple[str, ...]:
    """Say in words if one image has more than 10 % of the gradient mass."""
    statistics = mass_statistics(erf)
    return () if statistics is None else statistics.flags


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
    except (KeyError, TypeError) as error:
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
    done = [record.group for record in erf.records if record.status == "done"]
    return [done.count(group) for group in range(len(erf.replicates))]
