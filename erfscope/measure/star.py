"""The star or grid that atrous convolutions leave in a map: found without knowing the rates, and measured."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from erfscope.measure.lattice.blobs import blob_places, ring_mass_shares
from erfscope.measure.lattice.cells import reach
from erfscope.measure.lattice.grid import MIN_OFF_ARM_SHARE, find_grid, off_arm_share
from erfscope.measure.lattice.lattice_fit import LatticeFit
from erfscope.measure.lattice.ring_search import RingCandidate, search_rings
from erfscope.measure.lattice.rings import MIN_EVEN, fit_star, ring_evenness
from erfscope.measure.replicate_groups import filled_groups
from erfscope.measure.star_errors import StarErrors, measure_errors, systematic_bound
from erfscope.records.arrays import FloatArray
from erfscope.records.flags import Flag
from erfscope.records.star import Arm, Ring, StarMeasurement
from erfscope.theory import END_TO_END_MARGIN_PX

#: Direction → sign of its (y, x) offset, y down.
DIRECTIONS = {
    "E": (0, 1), "NE": (-1, 1), "N": (-1, 0), "NW": (-1, -1),
    "W": (0, -1), "SW": (1, -1), "S": (1, 0), "SE": (1, 1),
}  # fmt: skip

# Maps without atrous branches stay below these, see tests/oracles/test_star_verdicts.py.
MIN_SCORE = 0.75
# Below this a star needs two rings of like blobs, and nothing between its arms.
CERTAIN_SCORE = 0.85
SMALLEST_SIDE = 16
ALONE_GAP = 1.0  # of a blob's FWHM: an atrous 3×3 convolution of a backbone has eight neighbors nearer
ENOUGH = 0.5  # of what the most telling candidate tells
OBLONG = 0.75  # of the distance to the farthest border: the nearest is nearer
WITHIN = 1.05  # of the distance to the nearest border: a square searched that stays in the image
# Of a blob's FWHM. Rings less than half of it apart may be taken for fewer, which then seem farther apart.
LEAST_OVERLAP_GAP = 0.6
FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
SQUARED = np.sqrt(2.0)  # a blob of E is that much wider than of E²


def measure_star(
    erf: FloatArray,
    center: tuple[float, float],
    replicates: NDArray[np.floating] | None = None,
    *,
    images_per_group: Sequence[int] | None = None,
) -> StarMeasurement:
    """Find the star's rings and measure their distances.

    Shapes without arms are fitted to the folded square of the map, with and without rings of eight blobs
    at all distances; where the rings explain most of what is left, a lattice of equal blobs on a
    background is fitted to the whole.

    Parameters
    ----------
    erf
        (H, W) map, axes (y, x), of any scale.
    center
        (y, x) in px of the unit's projected center.
    replicates
        (G, H, W) partial sums over image groups; 8 or more filled ones give standard errors.
    images_per_group
        G numbers; without them the filled groups count as equal.

    Returns
    -------
    StarMeasurement
        `pattern` is "star", "grid" (two atrous convolutions in a row) or "none". A ring's distance is
        that of its N blob; center to center is twice the outermost ring's. All lengths in px.
    """
    # Threads for matrices this small wait for each other: on a busy machine that took eight times as long.
    with threadpool_limits(limits=1, user_api="blas"):
        return _measure(erf, center, replicates, images_per_group)


def _measure(
    erf: FloatArray,
    center: tuple[float, float],
    replicates: NDArray[np.floating] | None,
    images_per_group: Sequence[int] | None,
) -> StarMeasurement:
    positive = np.maximum(erf, 0.0)
    if min(erf.shape) < SMALLEST_SIDE or not positive.max() > 0:
        message = f"no map of at least {SMALLEST_SIDE}×{SMALLEST_SIDE} px with a positive value"
        return _none(center, 0.0, Flag("map_too_small", message))
    erf_squared = (positive / positive.max()) ** 2
    candidates = search_rings(erf_squared, center)
    best = _best(candidates, erf_squared.shape, center)
    if best is None or best.score < MIN_SCORE:
        return _none(center, best.score if best else 0.0)
    grid = find_grid(erf_squared, center, candidates)
    fit = grid or fit_star(erf_squared, center, best)
    if not len(fit.distances):
        message = "what looks like a ring is centered outside the map"
        return _none(center, best.score, Flag("ring_outside_map", message))
    if not grid and (doubt := _doubt(fit, best.score)):
        return _none(center, best.score, doubt)
    errors = measure_errors(positive, filled_groups(replicates, images_per_group), fit)
    return _measurement("grid" if grid else "star", positive, fit, errors, best.score)


def _doubt(fit: LatticeFit, score: float) -> Flag | None:
    """Say what speaks against a star, if anything does: a 3×3 convolution has eight neighbors as well."""
    nearest = float(fit.distances.min())
    if len(fit.distances) == 1 and nearest < ALONE_GAP * SQUARED * FWHM_PER_SIGMA * fit.sigma:
        message = f"a ring alone, {nearest:.0f} px away, counts from a blob's FWHM on"
        return Flag("close_single_ring", message)
    if score >= CERTAIN_SCORE:
        return None
    counts = f"counts from a score of {CERTAIN_SCORE} on"
    if len(fit.distances) == 1:
        return Flag("single_ring", f"a ring alone {counts}")
    if ring_evenness(fit).min() < MIN_EVEN:
        return Flag("uneven_ring", f"a ring of unlike blobs {counts}")
    if off_arm_share(fit) > MIN_OFF_ARM_SHARE:
        return Flag("blobs_between_arms", f"a star with blobs between its arms {counts}")
    return None


def _best(
    candidates: Sequence[RingCandidate], size: tuple[int, ...], center: tuple[float, float]
) -> RingCandidate | None:
    """Return the widest of the candidates that tell enough, for it sees all rings.

    Its score becomes that of the verdict: the geometric mean of its own and the most telling one's. In an
    oblong map, or about a unit far off the center, it is that of the candidates from within the image, if
    higher: a square far beyond the nearer borders folds blobs that a border took away onto whole ones.
    """
    nearest = min(min(at + 0.5, length - 0.5 - at) for at, length in zip(center, size, strict=True))
    with_rings = [candidate for candidate in candidates if candidate.rings]
    oblong = nearest < OBLONG * reach(size, center)
    within = [candidate for candidate in with_rings if oblong and candidate.half <= WITHIN * nearest]
    found = [_widest(each) for each in (with_rings, within) if each]
    return replace(found[0], score=max(each.score for each in found)) if found else None


def _widest(candidates: Sequence[RingCandidate]) -> RingCandidate:
    """Return the widest candidate that tells enough, its score averaged with the most telling one's."""

    def telling(candidate: RingCandidate) -> float:
        return float(candidate.score * candidate.unexplained**0.25)

    most = max(candidates, key=telling)
    enough = [candidate for candidate in candidates if telling(candidate) >= ENOUGH * telling(most)]
    widest = max(enough, key=lambda candidate: (candidate.half, telling(candidate)))
    return replace(widest, score=float(np.sqrt(widest.score * most.score)))


def _none(center: tuple[float, float], score: float, *flags: Flag) -> StarMeasurement:
    return StarMeasurement("none", center, score=max(score, 0.0), threshold=MIN_SCORE, flags=flags)


def _measurement(
    pattern: str,
    erf: FloatArray,
    fit: LatticeFit,
    errors: StarErrors,
    score: float,
) -> StarMeasurement:
    order = np.argsort(fit.distances)
    distances = fit.distances[order]
    _, shares = ring_mass_shares(fit, fit.fitter.region.cells.of(erf), float(erf.sum()))
    inside = [int((fit.places.ring == number + 1).sum()) for number in order]
    width = float(fit.sigma) * SQUARED * FWHM_PER_SIGMA
    across = 2 * float(distances[-1])
    return StarMeasurement(
        pattern=pattern,
        center=fit.center,
        center_to_center_px=across,
        center_to_center_stderr_px=errors.across,
        center_to_center_interval95_px=errors.interval(across),
        systematic_px=systematic_bound(distances, width, erf.shape, fit.center),
        end_to_end_convention_px=across + END_TO_END_MARGIN_PX,
        end_to_end_measured_px=across + width,
        end_to_end_measured_stderr_px=errors.end_to_end,
        blob_fwhm_px=width,
        blob_fwhm_stderr_px=errors.width,
        rings=tuple(
            Ring(float(distance), error, float(share), count)
            for distance, error, share, count in zip(
                distances, errors.rings, shares[order], inside, strict=True
            )
        ),
        arms=_arms(fit, order),
        score=score,
        threshold=MIN_SCORE,
        flags=_flags(pattern, erf.shape, distances, width, inside),
    )


def _arms(fit: LatticeFit, order: NDArray[np.intp]) -> tuple[Arm, ...]:
    """Return the blobs on the eight arms, the rings' numbers ascending with their distances."""
    names = {sign: name for name, sign in DIRECTIONS.items()}
    rank = {int(number) + 1: place for place, number in enumerate(order)}
    arms = []
    for row, column, (y, x) in zip(fit.places.row, fit.places.column, blob_places(fit), strict=True):
        on_an_arm = row == 0 or column == 0 or abs(row) == abs(column)
        if on_an_arm and (row or column):
            direction = names[int(np.sign(row)), int(np.sign(column))]
            away = max(abs(y - fit.center[0]), abs(x - fit.center[1]))
            arms.append(Arm(direction, rank[max(abs(row), abs(column))], float(y), float(x), float(away)))
    return tuple(sorted(arms, key=lambda arm: (arm.ring, list(DIRECTIONS).index(arm.direction))))


def _flags(
    pattern: str, size: tuple[int, ...], distances: FloatArray, width: float, inside: list[int]
) -> tuple[Flag, ...]:
    flags = []
    gap = float(np.diff([0.0, *distances]).min())
    if gap < LEAST_OVERLAP_GAP * width:
        message = (
            f"blobs overlap: rings lie {gap:.1f} px apart, at a blob's FWHM of {width:.1f} px;"
            " some may be missing or taken for one, and the verdict is not certain"
        )
        flags.append(Flag("blobs_overlap", message))
    if 2 * distances[-1] + width > min(size):
        message = f"the {pattern} doesn't fit: with a blob's width it is larger than the map's shorter side"
        flags.append(Flag("star_exceeds_map", message))
    for number, count in enumerate(inside, 1):
        whole = 8 if pattern == "star" else 8 * number
        if count < whole:
            where = f"the ring at {distances[number - 1]:.0f} px"
            message = f"{where}: {count} of its {whole} blobs are centered in the map"
            flags.append(Flag("blobs_outside_map", message))
    return tuple(flags)
