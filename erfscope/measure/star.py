"""The star that ASPP leaves in a map, by plain peak finding along its eight arms.

It serves where blobs stand apart. Blobs that overlap so far that they have no peaks of their own are
missed, and `flags` says what to doubt.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from erfscope.measure.jackknife import jackknife_stderr
from erfscope.records.arrays import FloatArray
from erfscope.records.star import Arm, Ring, StarMeasurement

#: Direction → sign of its (y, x) offset, y down.
DIRECTIONS = {
    "E": (0, 1), "NE": (-1, 1), "N": (-1, 0), "NW": (-1, -1),
    "W": (0, -1), "SW": (1, -1), "S": (1, 0), "SE": (1, 1),
}  # fmt: skip

CONVENTION_MARGIN_PX = 32.0
MIN_ARMS_OUTER = 6  # noise peaks meet at one distance on six of eight rays in less than 1 map of 1000
MIN_ARMS_INNER = 4  # inner blobs of the straight arms often melt into their neighbors
MIN_PROMINENCE = 0.1  # of the logarithm: a peak rises 10 % above the saddle to the next
MIN_KNIGHT_PEAKS = 6  # of the eight knight's moves, where a 5×5 grid has blobs and a star has none
FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))

_Guess = tuple[float, float]


def measure_star(
    erf: FloatArray, center: tuple[float, float], replicates: NDArray[np.float32] | None = None
) -> StarMeasurement:
    """Find the star's rings and measure their distances.

    Parameters
    ----------
    erf
        (H, W) map, axes (y, x), of any scale.
    center
        (y, x) in px of the unit's projected center.
    replicates
        (G, H, W) partial sums over image groups; 8 or more filled ones give standard errors.

    Returns
    -------
    StarMeasurement
        `pattern` is "star", "grid" (two atrous convolutions in a row) or "none". A ring's distance is
        that of its N blob; center to center is twice the outermost ring's. All lengths in px.
    """
    scale = max(1.5, min(erf.shape) / 64)
    logarithm = _log_smooth(erf, scale)
    rings = _find_rings(logarithm, center, scale)
    if not rings:
        return StarMeasurement("none", center, flags=("no ring of peaks on at least six of eight arms",))
    guesses = {
        (name, ring): (center[0] + sy * rings[ring], center[1] + sx * rings[ring])
        for ring in range(len(rings))
        for name, (sy, sx) in DIRECTIONS.items()
    }
    found = {key: peak for key, guess in guesses.items() if (peak := _refine(logarithm, guess, scale))}
    middle, distances = _lattice(found, len(rings))

    def outer_distances(array: FloatArray) -> FloatArray:
        refined = _log_smooth(array, scale)
        again = {key: _refine(refined, guesses[key], scale) or found[key] for key in found}
        return _lattice(again, len(rings))[1]

    errors = jackknife_stderr(outer_distances, replicates)
    fwhm = _blob_fwhm([peak[2] for (_, ring), peak in found.items() if ring == len(rings) - 1], scale)
    is_grid = _knight_peaks(logarithm, middle, distances, scale) >= MIN_KNIGHT_PEAKS
    stderrs = [None] * len(rings) if errors is None else [float(error) for error in errors]
    center_to_center = 2 * float(distances[-1])
    return StarMeasurement(
        pattern="grid" if is_grid else "star",
        center=middle,
        center_to_center_px=center_to_center,
        center_to_center_stderr_px=None if stderrs[-1] is None else 2 * stderrs[-1],
        end_to_end_convention_px=center_to_center + CONVENTION_MARGIN_PX,
        end_to_end_measured_px=None if fwhm is None else center_to_center + fwhm,
        blob_fwhm_px=fwhm,
        rings=tuple(Ring(float(d), e) for d, e in zip(distances, stderrs, strict=True)),
        arms=tuple(
            Arm(name, ring, y, x, max(abs(y - middle[0]), abs(x - middle[1])))
            for (name, ring), (y, x, _) in found.items()
        ),
        score=sum(ring == len(rings) - 1 for _, ring in found) / len(DIRECTIONS),
        flags=_flags(distances, fwhm),
    )


def _log_smooth(erf: FloatArray, scale: float) -> FloatArray:
    smooth = ndimage.gaussian_filter(np.maximum(erf, 0.0), scale, mode="nearest")
    logarithm: FloatArray = np.log(np.maximum(smooth, smooth.max() * 1e-12))
    return logarithm


def _find_rings(logarithm: FloatArray, center: _Guess, scale: float) -> list[float]:
    """Distances at which enough rays have a peak, ascending, none beyond the best supported outer one."""
    peaks = [_ray_peaks(logarithm, center, signs) for signs in DIRECTIONS.values()]
    candidates = np.sort(np.concatenate(peaks))
    rings: list[tuple[int, float]] = []
    while len(candidates):
        support = [_support(peaks, d, scale) for d in candidates]
        best = int(np.argmax([len(found) for found in support]))
        if len(support[best]) < MIN_ARMS_INNER:
            break
        distance = float(np.median(support[best]))
        rings.append((len(support[best]), distance))
        candidates = candidates[np.abs(candidates - distance) > 2 * scale]
    outer = max((distance for arms, distance in rings if arms >= MIN_ARMS_OUTER), default=0.0)
    return sorted(distance for _, distance in rings if distance <= outer)


def _ray_peaks(logarithm: FloatArray, center: _Guess, signs: tuple[int, int]) -> FloatArray:
    """Distances in px of the peaks on one ray from the center."""
    limits = [
        (size - 1 - at if sign > 0 else at) / abs(sign)
        for size, at, sign in zip(logarithm.shape, center, signs, strict=True)
        if sign
    ]
    distances = np.arange(int(min(limits)) + 1)
    ray = [at + sign * distances for at, sign in zip(center, signs, strict=True)]
    profile = ndimage.map_coordinates(logarithm, ray, order=1, mode="nearest")
    found, _ = signal.find_peaks(profile, prominence=MIN_PROMINENCE)
    return distances[found].astype(np.float64)


def _support(peaks: list[FloatArray], distance: float, scale: float) -> list[float]:
    """On each ray that has one, the peak nearest to `distance`, if it is near enough."""
    near = []
    for ray in peaks:
        if len(ray):
            nearest = ray[np.argmin(np.abs(ray - distance))]
            if abs(nearest - distance) <= max(2.0, 0.75 * scale):
                near.append(float(nearest))
    return near


def _refine(logarithm: FloatArray, guess: _Guess, scale: float) -> tuple[float, float, float] | None:
    """Sub-pixel (y, x) of the peak near `guess` and its σ in px, by a paraboloid; None if there is none.

    The logarithm of a Gaussian is a paraboloid, so within one smoothing scale the fit has no bias.
    """
    reach = int(np.ceil(2 * scale))
    y, x = (round(at) for at in guess)
    for _ in range(3):  # climb to the window's highest pixel, then fit around it
        rows, columns = (slice(max(0, at - reach), at + reach + 1) for at in (y, x))
        window = logarithm[rows, columns]
        if window.size == 0:
            return None
        top = np.unravel_index(np.argmax(window), window.shape)
        y, x = rows.start + int(top[0]), columns.start + int(top[1])
    if min(y, x) < reach or y >= logarithm.shape[0] - reach or x >= logarithm.shape[1] - reach:
        return None
    if max(abs(y - guess[0]), abs(x - guess[1])) > 2 * reach:
        return None
    offset = np.arange(-reach, reach + 1.0)
    dy, dx = np.meshgrid(offset, offset, indexing="ij")
    terms = np.stack([np.ones_like(dy), dy, dx, dy**2, dx * dy, dx**2], axis=-1).reshape(-1, 6)
    values = logarithm[y - reach : y + reach + 1, x - reach : x + reach + 1].ravel()
    _, by, bx, cyy, cxy, cxx = np.linalg.lstsq(terms, values, rcond=None)[0]
    hessian = np.array([[2 * cyy, cxy], [cxy, 2 * cxx]])
    if np.linalg.eigvalsh(hessian).max() >= 0:
        return None
    sy, sx = np.linalg.solve(hessian, [-by, -bx])
    if max(abs(sy), abs(sx)) > reach:
        return None
    return y + float(sy), x + float(sx), float(np.linalg.det(hessian) ** -0.25)


def _lattice(
    found: dict[tuple[str, int], tuple[float, float, float]], count: int
) -> tuple[tuple[float, float], FloatArray]:
    """Least-squares center (y, x) and ring distances of all located blobs."""
    rows, values = [], []
    for (name, ring), (y, x, _) in found.items():
        for axis, value in enumerate((y, x)):
            row = np.zeros(2 + count)
            row[axis], row[2 + ring] = 1.0, DIRECTIONS[name][axis]
            rows.append(row)
            values.append(value)
    y0, x0, *distances = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
    return (float(y0), float(x0)), np.array(distances)


def _blob_fwhm(sigmas: list[float], scale: float) -> float | None:
    """Full width at half maximum of the blobs, the smoothing taken out."""
    excess = float(np.median(sigmas)) ** 2 - scale**2 if sigmas else 0.0
    return float(FWHM_PER_SIGMA * np.sqrt(excess)) if excess > 0 else None


def _knight_peaks(
    logarithm: FloatArray, middle: tuple[float, float], distances: FloatArray, scale: float
) -> int:
    """How many of the blobs of a 5×5 grid that a star lacks are there."""
    outer = distances[-1]
    moves = [(sy * a, sx * (3 - a)) for a in (1, 2) for sy in (-1, 1) for sx in (-1, 1)]
    guesses = [(middle[0] + dy * outer / 2, middle[1] + dx * outer / 2) for dy, dx in moves]
    peaks = [_refine(logarithm, guess, scale) for guess in guesses]
    near = 2 * scale
    return sum(
        peak is not None and max(abs(peak[0] - guess[0]), abs(peak[1] - guess[1])) < near
        for peak, guess in zip(peaks, guesses, strict=True)
    )


def _flags(distances: FloatArray, fwhm: float | None) -> tuple[str, ...]:
    flags = ["systematic error unknown: peaks were located, no blob model was fitted"]
    gaps = np.diff(np.concatenate([[0.0], distances]))
    if fwhm is None:
        flags.append("blob width not measurable")
    elif gaps.min() < fwhm:
        flags.append("neighboring blobs overlap: inner rings may be missing or shifted")
    return tuple(flags)
