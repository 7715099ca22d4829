"""Where a Gaussian's fit may start: moments, the brightest spot, and a search over places and widths.

A least-squares fit only finds the nearest minimum. Moments are good for a lone blob, and far off for heavy
tails, a center beyond the border or a blob of a few px; each start here is right where another isn't.
"""

import numpy as np

from erfscope.measure.gaussian.bins import Bins, even_bins
from erfscope.measure.gaussian.surface import Gaussian, surface
from erfscope.records.arrays import FloatArray

SEARCH_BINS = 48  # along each axis: the search then costs some 10 ms, whatever the map's size
SEARCH_STEP = 1.6  # between tried sigmas, from which the fit finds the rest
NARROWEST, WIDEST = 0.7, 1.5  # sigmas that are tried: from so many bins to so many times the map's side
MOST_OBLONG = 4.5  # ratio of the two sigmas
LEAST_SIGMA = 0.5  # px


def starts(data: FloatArray, *, with_offset: bool) -> list[Gaussian]:
    """Return starting values for the fit of an axis-aligned Gaussian to an (H, W) map."""
    y_edges, x_edges = (
        np.unique(np.linspace(0, size, min(size, SEARCH_BINS) + 1).astype(np.intp)) for size in data.shape
    )
    bins = Bins(y_edges, x_edges, block=1)
    means = bins.means(data)
    found = search(bins, means, with_offset=with_offset)
    return [moments(bins, means), brightest_spot(data), *([] if found is None else [found])]


def moments(bins: Bins, means: FloatArray) -> Gaussian:
    """Middle and widths of what stands above the map's median."""
    floor = float(np.median(means))
    mass = np.maximum(means - floor, 0.0) * bins.pixels
    if not mass.any():
        mass = bins.pixels
    total = float(mass.sum())
    y0, x0 = float((mass * bins.y).sum() / total), float((mass * bins.x).sum() / total)
    sigma_y = float(np.sqrt((mass * (bins.y - y0) ** 2).sum() / total))
    sigma_x = float(np.sqrt((mass * (bins.x - x0) ** 2).sum() / total))
    top = float(np.percentile(means, 99.5))
    return Gaussian(x0, y0, max(sigma_x, LEAST_SIGMA), max(sigma_y, LEAST_SIGMA), 0.0, top - floor, floor)


def brightest_spot(data: FloatArray) -> Gaussian:
    """Place of the brightest block of 3 × 3 px; its width from the area above half of its height."""
    bins = even_bins(data.shape, 3)
    means = bins.means(data)
    row, column = np.unravel_index(np.argmax(means), means.shape)
    floor, top = float(np.median(means)), float(means[row, column])
    area = float(bins.pixels[means > (floor + top) / 2].sum())
    # A Gaussian stands above its half on 2π ln 2 · σ² px.
    sigma = max(LEAST_SIGMA, float(np.sqrt(area / (2 * np.pi * np.log(2)))))
    return Gaussian(bins.x[0, column], bins.y[row, 0], sigma, sigma, 0.0, top - floor, floor)


def search(bins: Bins, means: FloatArray, *, with_offset: bool) -> Gaussian | None:
    """Best of a grid of places, also half a map beyond each border, and of pairs of sigmas.

    For each, amplitude and offset follow in closed form, and the drop in the sum of squares with them.
    None if no Gaussian with a positive amplitude makes it drop.
    """
    level = float(means.mean()) if with_offset else 0.0
    y_trials, x_trials = _trials(bins.y.ravel()), _trials(bins.x.ravel())
    best: tuple[float, Gaussian] | None = None
    for sigma_y, y_places, by_y in y_trials:
        rows = by_y @ (means - level)
        for sigma_x, x_places, by_x in x_trials:
            if not 1 / MOST_OBLONG < sigma_x / sigma_y < MOST_OBLONG:
                continue
            overlap = rows @ by_x.T
            energy = np.outer((by_y**2).sum(1), (by_x**2).sum(1))
            bell = np.outer(by_y.sum(1), by_x.sum(1)) / means.size
            if with_offset:
                energy -= bell**2 * means.size
            drop = np.where((overlap > 0) & (energy > 1e-6), overlap, 0.0) ** 2 / np.maximum(energy, 1e-6)
            i, j = np.unravel_index(np.argmax(drop), drop.shape)
            if drop[i, j] > (best[0] if best else 0.0):
                amplitude = float(overlap[i, j] / energy[i, j])
                offset = level - amplitude * float(bell[i, j]) if with_offset else 0.0
                place = float(x_places[j]), float(y_places[i])
                best = float(drop[i, j]), Gaussian(*place, sigma_x, sigma_y, 0.0, amplitude, offset)
    return None if best is None else best[1]


def turned_start(bins: Bins, means: FloatArray, upright: Gaussian) -> Gaussian:
    """Start for a rotated fit: the axis-aligned Gaussian, turned as its residual asks for.

    One step of Gauss and Newton for the covariance of x and y, which the other parameters hardly touch.
    Where the residual asks for no turn, a small one: at σx = σy the angle has no derivative.
    """
    model = surface(upright, bins.y, bins.x, bins.broadening)
    lean = (model - upright.offset) * (bins.x - upright.x0) * (bins.y - upright.y0)
    lean /= upright.sigma_x**2 * upright.sigma_y**2
    energy = float((bins.pixels * lean**2).sum())
    step = float((bins.pixels * lean * (means - model)).sum()) / energy if energy > 0 else 0.0
    most = 0.8 * upright.sigma_x * upright.sigma_y
    covariance = float(np.clip(step, -most, most)) or 0.01 * most
    widths, axes = np.linalg.eigh([[upright.sigma_x**2, covariance], [covariance, upright.sigma_y**2]])
    # eigh sorts ascending: the second axis is the long one.
    theta = float(np.arctan2(axes[1, 1], axes[0, 1]))
    long, short = (float(np.sqrt(widths[place])) for place in (1, 0))
    return upright._replace(sigma_x=long, sigma_y=short, theta=theta).turned_near(0.0)


def _trials(middles: FloatArray) -> list[tuple[float, FloatArray, FloatArray]]:
    """For each tried σ along one axis: σ in px, places (P,) in px, profiles (P, bins)."""
    step = (middles[-1] - middles[0]) / max(1, len(middles) - 1) or 1.0
    side = step * len(middles)
    places = np.arange(middles[0] - side / 2, middles[-1] + side / 2, step)
    count = 1 + int(np.log(side * WIDEST / (step * NARROWEST)) / np.log(SEARCH_STEP))
    sigmas = step * NARROWEST * SEARCH_STEP ** np.arange(count)
    distance = places[:, None] - middles
    return [(float(sigma), places, np.exp(-((distance / sigma) ** 2) / 2)) for sigma in sigmas]
