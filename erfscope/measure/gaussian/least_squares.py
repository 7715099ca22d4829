"""One Gaussian fitted to a map by lmfit, with analytic derivatives."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import lmfit
import numpy as np

from erfscope.measure.gaussian.bins import Bins, bins_around
from erfscope.measure.gaussian.surface import Gaussian, derivatives, surface
from erfscope.records.arrays import FloatArray

FREE = {"symmetric": 4, "axis-aligned": 5, "rotated": 6}  # parameters, without the offset
MAX_EVALUATIONS = 150  # a fit that ends takes 5 to 50
MIN_SIGMA, MAX_SIDES = 0.25, 10.0  # limits of a sigma, in px and in sides of the map
MAX_AMPLITUDE = 1e4  # of a map whose values are near one: the center is then some 4 sigmas outside
MAX_ROUNDS = 5  # in which bins and Gaussian come to suit each other


@dataclass(frozen=True)
class Protocol:
    """What is fitted: a shape of `GAUSSIAN_SHAPES`, with a free offset or with none."""

    shape: str
    with_offset: bool

    @property
    def parameters(self) -> int:
        """How many parameters are free."""
        return FREE[self.shape] + self.with_offset


@dataclass(frozen=True)
class Fitted:
    """A Gaussian and the fit's own standard errors: in its units, None for what wasn't free or determined.

    `squares` is the sum over the map's pixels of the squared residual that the bins can see.
    """

    gaussian: Gaussian
    stderr: tuple[float | None, ...]
    squares: float
    converged: bool


class Fitter:
    """Fits one protocol to maps that are given as the means over the same bins."""

    def __init__(self, bins: Bins, protocol: Protocol) -> None:
        self.bins, self.protocol = bins, protocol
        self.weights = np.sqrt(bins.pixels)
        self.template = lmfit.Parameters()  # made once, for it costs as much as a short fit
        for name, (low, high) in _limits(bins.shape).items():
            self.template.add(name, 1.0, min=low, max=high)
        self.template["theta"].set(vary=protocol.shape == "rotated")
        self.template["offset"].set(vary=protocol.with_offset)
        if protocol.shape == "symmetric":
            self.template["sigma_y"].set(expr="sigma_x")

    def fit(self, means: FloatArray, start: Gaussian) -> Fitted:
        """Fit to (rows, columns) means, from `start`, of which only what is free counts."""
        parameters = self._parameters(start)
        try:
            result = lmfit.minimize(
                self._residual,
                parameters,
                args=(means,),
                Dfun=self._derivatives,
                col_deriv=1,
                max_nfev=MAX_EVALUATIONS,
            )
        except ValueError:  # where no derivative is left, as between two pixels, MINPACK steps to NaN
            return Fitted(Gaussian(**parameters.valuesdict()), (None,) * len(start), np.inf, False)
        gaussian = Gaussian(**result.params.valuesdict())
        stderr = [_finite(result.params[name].stderr) for name in Gaussian._fields]
        upright = gaussian.turned_near(0.0)
        if upright.sigma_x != gaussian.sigma_x:
            stderr[2:4] = stderr[3], stderr[2]
        return Fitted(upright, tuple(stderr), float(result.chisqr), bool(result.success))

    def _parameters(self, start: Gaussian) -> lmfit.Parameters:
        fixed = start._replace(
            theta=start.theta if self.protocol.shape == "rotated" else 0.0,
            offset=start.offset if self.protocol.with_offset else 0.0,
            amplitude=max(start.amplitude, 1e-3),  # at its bound it would have no derivative
        )
        for name, value in fixed._asdict().items():
            if not self.template[name].expr:
                self.template[name].value = value
        return self.template

    def _residual(self, parameters: lmfit.Parameters, means: FloatArray) -> FloatArray:
        gaussian = Gaussian(**parameters.valuesdict())
        model = surface(gaussian, self.bins.y, self.bins.x, self.bins.broadening)
        return np.asarray(self.weights * (model - means)).ravel()

    def _derivatives(self, parameters: lmfit.Parameters, means: FloatArray) -> FloatArray:
        """(free parameters, bins), in lmfit's order; lmfit itself scales those that have bounds."""
        gaussian = Gaussian(**parameters.valuesdict())
        columns = derivatives(gaussian, self.bins.y, self.bins.x, self.bins.broadening) * self.weights
        if self.protocol.shape == "symmetric":
            columns[2] += columns[3]  # σy follows σx
        free = [place for place, name in enumerate(Gaussian._fields) if parameters[name].vary]
        return columns[free].reshape(len(free), -1)


def best_fit(data: FloatArray, protocol: Protocol, candidates: Iterable[Gaussian]) -> Fitted:
    """Fit to an (H, W) map from each start, and return the fit with the smallest sum of squares."""
    energy = float((data**2).sum())
    fits = [_settle(data, energy, protocol, start) for start in candidates]
    return min(fits, key=lambda fit: fit.squares)


def _settle(data: FloatArray, energy: float, protocol: Protocol, start: Gaussian) -> Fitted:
    """Fit, and fit again with bins made for what was found, until they suit it."""
    for _ in range(MAX_ROUNDS):
        bins = bins_around(data.shape, [start])
        means = bins.means(data)
        fit = Fitter(bins, protocol).fit(means, start)
        if bins.suit(fit.gaussian):
            break
        start = fit.gaussian
    # What scatters within the bins is left over, too: sums of squares by different bins compare.
    return replace(fit, squares=fit.squares + energy - float((bins.pixels * means**2).sum()))


def _limits(shape: tuple[int, int]) -> dict[str, tuple[float, float]]:
    """Return how far each parameter may go: a map without a Gaussian would drive it to overflow."""
    height, width = shape
    sigmas = MIN_SIGMA, MAX_SIDES * max(shape)
    return {
        "x0": (-2 * width, 3 * width),
        "y0": (-2 * height, 3 * height),
        "sigma_x": sigmas,
        "sigma_y": sigmas,
        "theta": (-np.inf, np.inf),
        "amplitude": (0.0, MAX_AMPLITUDE),
        "offset": (-np.inf, np.inf),
    }


def _finite(value: float | None) -> float | None:
    """Lmfit gives no error, or none above zero, or not a finite one, for what isn't determined."""
    return None if value is None or not np.isfinite(value) or value <= 0 else float(value)
