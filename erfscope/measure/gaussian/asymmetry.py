"""Whether a fitted Gaussian lies below the projected center, and whether it is wider than high."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from erfscope.measure.gaussian.surface import Gaussian
from erfscope.measure.replicate_groups import delete_a_group_stderr, student_factor
from erfscope.records.arrays import FloatArray
from erfscope.records.gaussian import Asymmetry


class _TestedDifference(NamedTuple):
    """A difference in px, its standard error if known, and whether it exceeds chance at 95 %."""

    value: float
    stderr: float | None
    significant: bool | None


def judge_asymmetry(
    placed: Sequence[Gaussian], wide: Sequence[Gaussian], widths_shape: str, shares: FloatArray, center: float
) -> Asymmetry:
    """Compare y0 with the projected center, and σx with σy.

    Parameters
    ----------
    placed
        The fit that gives y0 and σy: to the whole map, then to the map without each group of images, if
        there are enough groups.
    wide
        The same for the fit that gives both sigmas.
    widths_shape
        The shape of that fit, which may not be "symmetric".
    shares
        (G,) each group's share of the images.
    center
        y of the projected center in px.
    """
    shift = _difference([one.y0 - center for one in placed], shares)
    widths = _difference([one.sigma_x - one.sigma_y for one in wide], shares)
    shift_effect = shift.value / placed[0].sigma_y
    widths_effect = widths.value / ((wide[0].sigma_x + wide[0].sigma_y) / 2)
    return Asymmetry(
        vertical=_name(shift, "below", "above", "level"),
        shift_px=shift.value,
        shift_stderr_px=shift.stderr,
        shift_effect=shift_effect,
        widths=_name(widths, "x wider", "y wider", "equal"),
        difference_px=widths.value,
        difference_stderr_px=widths.stderr,
        difference_effect=widths_effect,
        widths_shape=widths_shape,
        verdict=f"{_shift_in_words(shift, shift_effect)}; {_widths_in_words(widths, widths_effect)}",
    )


def _difference(values: Sequence[float], shares: FloatArray) -> _TestedDifference:
    """From the whole map's value and those without each group."""
    if len(values) == 1:
        return _TestedDifference(values[0], None, None)
    full, left_out = np.array(values[:1]), np.array(values[1:])[:, None]
    stderr = float(delete_a_group_stderr(full, left_out, shares)[0])
    return _TestedDifference(values[0], stderr, abs(values[0]) > student_factor(len(shares)) * stderr)


def _name(difference: _TestedDifference, positive: str, negative: str, neither: str) -> str:
    if difference.significant is None:
        return "unknown"
    if not difference.significant:
        return neither
    return positive if difference.value > 0 else negative


def _shift_in_words(shift: _TestedDifference, effect: float) -> str:
    where = "below" if shift.value > 0 else "above"
    return f"y0 lies {_px(shift)} {where} the projected center ({_weight(shift)}{abs(effect):.2f} σy)"


def _widths_in_words(widths: _TestedDifference, effect: float) -> str:
    larger, smaller = ("σx", "σy") if widths.value > 0 else ("σy", "σx")
    return f"{larger} exceeds {smaller} by {_px(widths)} ({_weight(widths)}{100 * abs(effect):.0f} %)"


def _px(difference: _TestedDifference) -> str:
    stderr = "" if difference.stderr is None else f" ± {difference.stderr:.1f}"
    return f"{abs(difference.value):.1f}{stderr} px"


def _weight(difference: _TestedDifference) -> str:
    """How the difference compares with chance."""
    if difference.stderr is None:
        return "standard error unknown, "
    if difference.stderr == 0:
        return ""
    ratio = abs(difference.value) / difference.stderr
    multiple = f"{ratio:.{0 if ratio >= 9.95 else 1}f} standard errors, "
    return multiple if difference.significant else f"{multiple}no more than chance, "
