"""Closed forms of the study (arXiv 2307.14179): field of view, guideline, recommended rates. No torch."""

from dataclasses import dataclass

from erfscope.errors import ComputeError

END_TO_END_MARGIN_PX = 32.0
"""What the study adds to a star's center-to-center distance for the size of its blobs, at any stride."""
RATE_MULTIPLES = (1, 2, 3)
"""The usual ASPP has the rates r, 2r, 3r."""


@dataclass(frozen=True)
class Recommendation:
    """The guideline's answer for one crop: `rate` is r*, exact; `rates` are those of the rounded one."""

    size: int
    stride: int
    rate: float
    rate_rounded: int
    rates: tuple[int, ...]


def star_center_to_center(rates: tuple[int, ...], stride: int) -> float:
    """Return the distance in px of the outermost blobs of one side of a star: 2 · max(rates) · stride.

    Parameters
    ----------
    rates
        Atrous rates of parallel 3×3 convolutions.
    stride
        Of the feature map that they read, in px of the image.
    """
    return 2.0 * max(rates) * stride


def grid_center_to_center(rates: tuple[int, ...], stride: int) -> float:
    """Return the distance in px of the outermost blobs of one side of a grid: 2 · sum(rates) · stride.

    Parameters
    ----------
    rates
        Atrous rates of 3×3 convolutions in a row, (6, 6) for FCN-D6.
    stride
        Of the feature map that they read, in px of the image.
    """
    return 2.0 * sum(rates) * stride


def fit_rates(rates: tuple[int, ...], center_to_center: float, size: int) -> tuple[float, tuple[int, ...]]:
    """Scale a head's atrous rates so that its star or grid just covers the crop, end to end.

    Parameters
    ----------
    rates
        The head's own; their proportions are kept, the smallest is the base rate.
    center_to_center
        What these rates give, px.
    size
        Side of the network's input (the crop), px.

    Returns
    -------
    rate, rates
        The exact base rate, r* = (size − 32) / (6 s) for rates r, 2r, 3r at stride s, and all rates for
        the rounded one; none where the crop is too small for any.
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
    """Return the base rate whose star just covers the crop: r* = (size − 32) / (6 · stride), Eq. 3.

    Parameters
    ----------
    size
        Side of the network's input (the crop), px.
    stride
        Of the feature map that the atrous convolutions read, in px of the image.

    Raises
    ------
    ComputeError
        A stride below 1, or a crop too small for any atrous rate.
    """
    if stride < 1:
        raise ComputeError(f"stride {stride} can't be; give 1 or more")
    rate, rates = fit_rates(RATE_MULTIPLES, star_center_to_center(RATE_MULTIPLES, stride), size)
    if not rates:
        raise ComputeError(
            f"a crop of {size} px at stride {stride} is too small for a star: r* = {rate:.2f}; use a smaller "
            "stride or a larger crop"
        )
    return Recommendation(size, stride, rate, rates[0], rates)
