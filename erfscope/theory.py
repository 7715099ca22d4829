"""Formulas of the study (arXiv 2307.14179): center-to-center distance and recommended atrous rates."""

from dataclasses import dataclass

from erfscope.errors import ComputeError

END_TO_END_MARGIN_PX = 32.0
"""The study's end-to-end distance is the center-to-center distance plus these pixels, at any stride."""
RATE_MULTIPLES = (1, 2, 3)
"""ASPP usually has the rates r, 2r, 3r."""


@dataclass(frozen=True)
class Recommendation:
    """The atrous rates that the study's guideline recommends for one crop.

    Attributes
    ----------
    size, stride
        Side of the crop, px, and stride of the feature map that ASPP reads, px.
    rate, rate_rounded
        The base rate r*: exact, and to the nearest whole number.
    rates
        All rates of ASPP for the rounded one.
    """

    size: int
    stride: int
    rate: float
    rate_rounded: int
    rates: tuple[int, ...]


def star_center_to_center(rates: tuple[int, ...], stride: int) -> float:
    """Return the distance between the outermost blobs of one side of a star, px: 2 · max(rates) · stride.

    Parameters
    ----------
    rates
        Atrous rates of parallel 3×3 convolutions.
    stride
        Stride of the feature map that they read, px of the image.
    """
    return 2.0 * max(rates) * stride


def grid_center_to_center(rates: tuple[int, ...], stride: int) -> float:
    """Return the distance between the outermost blobs of one side of a grid, px: 2 · sum(rates) · stride.

    Parameters
    ----------
    rates
        Atrous rates of 3×3 convolutions in a row, (6, 6) for FCN-D6.
    stride
        Stride of the feature map that the first one reads, px of the image.
    """
    return 2.0 * sum(rates) * stride


def fit_rates(rates: tuple[int, ...], center_to_center: float, size: int) -> tuple[float, tuple[int, ...]]:
    """Scale a head's atrous rates so that its star or grid just covers the crop, end to end.

    Parameters
    ----------
    rates
        The head's rates. Their proportions are kept; the smallest is the base rate.
    center_to_center
        Center-to-center distance of these rates, px.
    size
        Side of the crop (the network's input), px.

    Returns
    -------
    rate : float
        The exact base rate: r* = (size − 32) / (6 s) for rates r, 2r, 3r at stride s.
    rates : tuple of int
        All rates for the rounded base rate; empty if the crop is too small for any.
    """
    base = min(rates)
    rate = (size - END_TO_END_MARGIN_PX) / (center_to_center / base)
    rounded = int(rate + 0.5)
    if rounded < 1:
        return rate, ()
    multiples = [r // base for r in rates]
    if any(r % base for r in rates):
        return rate, tuple(max(1, int(rate * r / base + 0.5)) for r in rates)
    return rate, tuple(multiple * rounded for multiple in multiples)


def recommend_rate(size: int, stride: int) -> Recommendation:
    """Recommend the atrous rates of ASPP whose star just covers the crop: r* = (size − 32) / (6 · stride).

    This is Eq. 3 of arXiv 2307.14179, for the rates r, 2r, 3r.

    Parameters
    ----------
    size
        Side of the crop (the network's input), px.
    stride
        Stride of the feature map that ASPP reads, px of the image.

    Returns
    -------
    Recommendation
        `rate` is r*, `rate_rounded` the nearest whole number, `rates` the three rates for that.

    Raises
    ------
    ComputeError
        A stride below 1, or a crop too small for any atrous rate.

    Examples
    --------
    >>> import erfscope
    >>> found = erfscope.recommend_rate(size=769, stride=8)
    >>> round(found.rate, 2), found.rates
    (15.35, (15, 30, 45))
    """
    if stride < 1:
        raise ComputeError(f"a stride of {stride} px is not possible; give 1 or more")
    rate, rates = fit_rates(RATE_MULTIPLES, star_center_to_center(RATE_MULTIPLES, stride), size)
    if not rates:
        raise ComputeError(
            f"a crop of {size} px at stride {stride} is too small for a star: r* = {rate:.2f}; use a smaller "
            "stride or a larger crop"
        )
    return Recommendation(size, stride, rate, rates[0], rates)
