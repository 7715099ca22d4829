"""Fits a lattice of blobs to the squared map."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erfscope.measure.lattice.cells import WEIGHT_POWER, cut_cells, reach
from erfscope.measure.lattice.lattice_model import Crossings, LatticeModel, ParameterLayout, crossings
from erfscope.measure.lattice.nonnegative import non_negative
from erfscope.records.arrays import FloatArray

CELLS_PER_SIGMA = 2.5
MAX_COUNT = 60  # cells from the center to the side of the square
MARGIN = 3.0  # σ beyond the outermost ring
SMOOTHING = 0.6  # of σ, for the weights only
# Priors for the little that the data may leave open: a ring's blobs are alike to 30 %, and borders absorb
# four tenths, as they do in untrained ResNets and MobileNets.
HEIGHT_SPREAD = 0.3
BORDER_ABSORPTION, BORDER_ABSORPTION_SPREAD = 0.4, 0.2
PRIOR_WEIGHT = 0.13  # against the root of the summed squares of all cells
MAX_STEPS = 40
TOLERANCE = 1e-5
REPLICATE_STEPS = 3
FIRST_DAMPING, LAST_DAMPING = 1e-3, 1e6


@dataclass(frozen=True)
class LatticeFit:
    """A fitted lattice. Lengths in px, heights of E² relative to its highest cell.

    `fitter` made the fit, in the cells of its region. `center` is (y, x) in the image, `parameters` the
    model's vector, `misfit` the weighted sum of squares of what is left after smoothing, which the noise of
    single cells doesn't hide.
    """

    fitter: "LatticeFitter"
    center: tuple[float, float]
    distances: FloatArray
    sigma: float
    border_absorption: float
    places: Crossings
    heights: FloatArray
    background: FloatArray
    misfit: float
    parameters: FloatArray


class Region:
    """E² in cells about a center, with the weight of each: lattices are fitted to it.

    Parameters
    ----------
    erf_squared
        (H, W): E², of any scale.
    center
        (y, x) in px of the lattice's expected center.
    outermost
        Distance of the outermost ring, px.
    sigma
        σ of the blobs in E², px.
    """

    def __init__(
        self, erf_squared: FloatArray, center: tuple[float, float], outermost: float, sigma: float
    ) -> None:
        half = min(reach(erf_squared.shape, center), outermost + MARGIN * sigma)
        wanted = int(np.clip(np.ceil(half * CELLS_PER_SIGMA / sigma), 16, MAX_COUNT))
        self.cells = cut_cells(
            erf_squared, center, half, min(wanted, int(np.ceil(half)))
        )  # of at least a pixel
        self.center, self.size, self.sigma = center, erf_squared.shape, sigma
        self.smoothing = self.cells.smoothing(SMOOTHING * sigma)
        self.scale = float(self.smooth(self.cells.values).max())
        self.values = self.cells.values / self.scale
        self.weight = self.weigh(self.values)

    def smooth(self, values: FloatArray) -> FloatArray:
        """Smooth (rows, columns) values by some tenths of a blob."""
        rows, columns = self.smoothing
        smooth: FloatArray = rows @ values @ columns.T
        return smooth

    def weigh(self, values: FloatArray) -> FloatArray:
        """Return the weight of each cell's misfit: what is bright is less sure."""
        smooth = self.smooth(values)
        floor = 0.05 * np.quantile(smooth, 0.3) + 1e-6 * smooth.max()
        weight = (smooth + floor) ** -WEIGHT_POWER
        weighed: FloatArray = weight / np.sqrt(((values * weight) ** 2).sum())
        return weighed


class LatticeFitter:
    """Fits one kind of lattice to a region.

    Parameters
    ----------
    region
        The cells.
    distances
        Distances of the lines, px, ascending: starting values, each right to about a σ.
    sigma
        σ of the blobs in E², px: a starting value.
    pattern
        "star" or "grid".
    """

    def __init__(self, region: Region, distances: FloatArray, sigma: float, pattern: str = "star") -> None:
        self.region, self.center = region, region.center
        self.values, self.weight = region.values, region.weight
        self.start, self.sigma = np.maximum(distances, sigma), sigma
        self.places = crossings(distances, pattern, region.center, region.size)
        top_bottom, left_right = (
            (-0.5 - at, size - 0.5 - at) for at, size in zip(region.center, region.size, strict=True)
        )
        self.model = LatticeModel(
            region.cells, self.places, len(distances), (top_bottom, left_right), region.sigma
        )
        self._prior_weight = PRIOR_WEIGHT / np.sqrt(self.values.size)

    def fit(self) -> LatticeFit:
        """Fit, from a guess of all heights by non-negative least squares."""
        return self._descend(self._guess(), self.values, self.weight, MAX_STEPS)

    def is_at_bound(self, fitted: LatticeFit) -> bool:
        """Tell whether a ring moved as far from its start as it may: it may lie farther still."""
        moved = np.abs(fitted.distances - self.start)
        return bool((moved > 0.99 * self.sigma).any())

    def refit(self, fitted: LatticeFit, values: FloatArray) -> LatticeFit:
        """Fit nearly equal values of the same cells, as those without a group of images are.

        Parameters
        ----------
        values
            (rows, columns) means of E² on the scale of the region's `values`.
        """
        return self._descend(fitted.parameters, values, self.region.weigh(values), REPLICATE_STEPS)

    def _descend(self, start: FloatArray, values: FloatArray, weight: FloatArray, steps: int) -> LatticeFit:
        """Levenberg and Marquardt's steps within bounds, through the normal equations.

        There are some forty parameters and ten thousand cells: solvers that decompose the whole Jacobian
        take five times as long.
        """
        low, high = self._bounds()
        priors, wanted = self._priors(start)
        now = np.clip(start, low, high)
        misfit = self._misfit(now, values, weight)
        cost = float((misfit**2).sum() + ((wanted - priors @ now) ** 2).sum())
        damping = FIRST_DAMPING
        for _ in range(steps):
            slopes = (self.model.jacobian(now) * weight).reshape(len(now), -1)
            normal = slopes @ slopes.T + priors.T @ priors
            pull = slopes @ misfit + priors.T @ (wanted - priors @ now)
            free = ~((now <= low) & (pull < 0) | (now >= high) & (pull > 0))
            before = cost
            while damping < LAST_DAMPING:
                step = _damped(normal, pull, free, damping)
                there = np.clip(now + step, low, high)
                left = self._misfit(there, values, weight)
                there_cost = float((left**2).sum() + ((wanted - priors @ there) ** 2).sum())
                if there_cost < cost:
                    now, misfit, cost, damping = there, left, there_cost, max(damping / 5, 1e-9)
                    break
                damping *= 5
            if before - cost < TOLERANCE * before:
                break
        return self._result(now, values, weight)

    def _misfit(self, parameters: FloatArray, values: FloatArray, weight: FloatArray) -> FloatArray:
        misfit: FloatArray = ((values - self.model(parameters)) * weight).ravel()
        return misfit

    def heights_at(self, fitted: LatticeFit) -> FloatArray:
        """Return (blobs,) heights, each for itself, with the lines, σ and κ of a fit of another pattern."""
        at, known = self.model.layout, ParameterLayout(len(fitted.distances), len(fitted.heights))
        parameters = np.zeros(at.total)
        parameters[: at.heights.start] = fitted.parameters[: known.heights.start]
        shapes = self.model.jacobian(parameters)
        columns = np.concatenate([shapes[at.heights], shapes[at.background]]) * self.weight
        _, heights = non_negative(columns.reshape(len(columns), -1), (self.values * self.weight).ravel())
        return np.asarray(heights[: len(self.places)])

    def _result(self, parameters: FloatArray, values: FloatArray, weight: FloatArray) -> LatticeFit:
        at = self.model.layout
        left = self.region.smooth(values - self.model(parameters)) * weight
        y, x = (float(base + off) for base, off in zip(self.center, parameters[:2], strict=True))
        return LatticeFit(
            fitter=self,
            center=(y, x),
            distances=parameters[at.distances],
            sigma=float(np.exp(parameters[at.sigma])),
            border_absorption=float(parameters[at.border_absorption]),
            places=self.places,
            heights=parameters[at.heights],
            background=parameters[at.background],
            misfit=float((left**2).sum()),
            parameters=parameters,
        )

    def _guess(self) -> FloatArray:
        at = self.model.layout
        guess = np.zeros(at.total)
        guess[at.distances], guess[at.sigma], guess[at.border_absorption] = (
            self.start,
            np.log(self.sigma),
            BORDER_ABSORPTION,
        )
        shapes = self.model.jacobian(guess)
        rings = np.unique(self.places.ring)
        by_shape = [shapes[at.heights][self.places.ring == ring].sum(0) for ring in rings]
        columns = np.array([*by_shape, *shapes[at.background]]) * self.weight
        _, heights = non_negative(columns.reshape(len(columns), -1), (self.values * self.weight).ravel())
        by_ring = dict(zip(rings, np.maximum(heights[: len(rings)], 1e-4), strict=True))
        guess[at.heights] = [by_ring[ring] for ring in self.places.ring]
        guess[at.background] = np.maximum(heights[len(rings) :], 1e-6)
        return guess

    def _bounds(self) -> tuple[FloatArray, FloatArray]:
        at = self.model.layout
        low, high = np.full(at.total, -np.inf), np.full(at.total, np.inf)
        low[:2], high[:2] = -2 * self.sigma, 2 * self.sigma
        low[at.distances] = np.maximum(self.start - self.sigma, 0.5 * self.sigma)
        high[at.distances] = self.start + self.sigma
        low[at.sigma], high[at.sigma] = np.log(self.sigma / 4), np.log(self.sigma * 3)
        low[at.border_absorption], high[at.border_absorption] = -0.2, 1.0
        low[at.heights.start :] = 0.0
        return low, high

    def _priors(self, guess: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Rows and right sides: blobs near their ring's mean, κ near what borders usually do."""
        at, ring = self.model.layout, self.places.ring
        same = ring[:, None] == ring
        means = same / same.sum(1, keepdims=True)
        ring_heights = np.maximum(means @ guess[at.heights], 1e-6)
        rows = np.zeros((len(ring) + 1, at.total))
        rows[:-1, at.heights] = (np.eye(len(ring)) - means) / ring_heights[:, None] / HEIGHT_SPREAD
        rows[-1, at.border_absorption] = 1 / BORDER_ABSORPTION_SPREAD
        wanted = np.zeros(len(rows))
        wanted[-1] = BORDER_ABSORPTION / BORDER_ABSORPTION_SPREAD
        return rows * self._prior_weight, wanted * self._prior_weight


def _damped(normal: FloatArray, pull: FloatArray, free: NDArray[np.bool_], damping: float) -> FloatArray:
    """Solve the normal equations of the free parameters, their diagonal enlarged."""
    own = normal[np.ix_(free, free)]
    own[np.diag_indices_from(own)] *= 1 + damping
    own[np.diag_indices_from(own)] += 1e-14 * own.max()
    step = np.zeros_like(pull)
    step[free] = np.linalg.solve(own, pull[free])
    return step
