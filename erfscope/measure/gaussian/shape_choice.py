"""Choice among fitted shapes, by how well each predicts the groups of images left out of its fit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from erfscope.measure.gaussian.bins import Bins
from erfscope.measure.gaussian.least_squares import Fitted, Fitter, Protocol
from erfscope.measure.gaussian.surface import Gaussian, surface
from erfscope.measure.replicate_groups import sums_without_each
from erfscope.records.arrays import FloatArray
from erfscope.records.gaussian import Prediction


@dataclass(frozen=True)
class JackknifeFit:
    """A protocol's fit to the whole map, and to the map without each group of images.

    `errors` is (G,): the share of each group's sum of squares that the fit to the others leaves over.
    """

    protocol: Protocol
    fitted: Fitted
    left_out: tuple[Fitted, ...]
    errors: FloatArray


def measure_left_out(
    fitter: Fitter, fine: Fitted, whole: FloatArray, parts: FloatArray, shares: FloatArray
) -> JackknifeFit:
    """Fit again without each group, and see how well that predicts the group.

    Parameters
    ----------
    fitter
        Fits the shape over coarse bins.
    fine
        The shape's fit to the whole map over fine bins, from which the fits without a group keep the
        distance that they have from the whole map's fit over coarse bins.
    whole
        (rows, columns) means of the whole map over the fitter's bins.
    parts
        (G, rows, columns) the same of each group's partial sum, of any common scale; G may be 0.
    shares
        (G,) each group's share of the images.
    """
    coarse = fitter.fit(whole, fine.gaussian)
    fitted = replace(fine, stderr=coarse.stderr)  # which hold more of what correlates between pixels
    if not len(parts):
        return JackknifeFit(fitter.protocol, fitted, (), np.empty(0))
    total = parts.sum(0)
    pixels = fitter.bins.pixels
    # The map may be a mean although the groups are sums.
    unit = (pixels * whole).sum() / (float((pixels * total).sum()) or 1.0)
    fits = [
        fitter.fit(others * unit / (1 - share), coarse.gaussian)
        for others, share in zip(sums_without_each(parts), shares, strict=True)
    ]
    errors = [_prediction_error(fitter.bins, fit, part) for fit, part in zip(fits, parts, strict=True)]
    left_out = tuple(_moved(fit, coarse.gaussian, fine.gaussian) for fit in fits)
    return JackknifeFit(fitter.protocol, fitted, left_out, np.array(errors))


def choose(measured: Sequence[JackknifeFit]) -> tuple[JackknifeFit, dict[str, Prediction]]:
    """Return the smallest shape that no larger one beats at predicting groups of images it hasn't seen.

    A larger shape is taken if the mean of the paired differences of the squared errors exceeds their
    standard error. `measured` goes from the smallest shape to the largest.
    """
    best = measured[0]
    predictions = {best.protocol.shape: Prediction(float(best.errors.mean()))}
    for larger in measured[1:]:
        gains = best.errors - larger.errors
        gain, stderr = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))
        against = best.protocol.shape
        predictions[larger.protocol.shape] = Prediction(float(larger.errors.mean()), against, gain, stderr)
        if gain > stderr:
            best = larger
    return best, predictions


def _moved(fit: Fitted, start: Gaussian, end: Gaussian) -> Fitted:
    """Move a fit by the difference of two Gaussians, the axes of all three named alike."""
    steps = np.subtract(end.turned_near(start.theta), start)
    return replace(fit, gaussian=Gaussian(*np.add(fit.gaussian.turned_near(start.theta), steps).tolist()))


def _prediction_error(bins: Bins, fit: Fitted, part: FloatArray) -> float:
    """Share of a group's sum of squares that the fit leaves over at its best scale: groups differ in mass."""
    predicted = surface(fit.gaussian, bins.y, bins.x, bins.broadening)
    overlap, energy = (float((bins.pixels * predicted * other).sum()) for other in (part, predicted))
    scale = overlap / energy if energy > 0 else 0.0
    left_over = float((bins.pixels * (part - scale * predicted) ** 2).sum())
    return left_over / float((bins.pixels * part**2).sum())
