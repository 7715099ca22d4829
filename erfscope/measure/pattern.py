"""Classifies a map by the measurements of its star, its patches and its Gaussian."""

from math import pi

from erfscope.measure.patches import THRESHOLD as MIN_PATCHES_SCORE
from erfscope.measure.replicate_groups import MIN_GROUPS
from erfscope.measure.star import MIN_SCORE as MIN_STAR_SCORE
from erfscope.records.flags import Flag
from erfscope.records.gaussian import GaussianFit
from erfscope.records.patches import Patches
from erfscope.records.pattern import Pattern
from erfscope.records.star import StarMeasurement

MIN_SHARE = 0.3  # of the map's sum that the Gaussian must hold above its offset, or the map is diffuse
MIN_R_SQUARED = 0.5  # of the smoothed map
LOCAL_WIDTH = 0.2  # 4σ of a local map is below this share of the map's shorter side
MIN_EFFECT = 0.05  # an asymmetry that is certain but smaller than this is none
CLOSE = 0.1  # of a threshold: the verdict is flagged


def classify(
    star: StarMeasurement, patches: Patches, fit: GaussianFit, size: tuple[int, ...], total: float
) -> Pattern:
    """Give the map one name, and every name a score for itself.

    Looked for in this order: *star* and *grid* by the score of their rings; *patch-partitioned* by the
    score of its patches; *diffuse* if less than three tenths of the sum stand above the Gaussian's
    offset, or the Gaussian fits badly (R² of the smoothed map below one half); *local* if four σ are
    less than a fifth of the shorter side; *asymmetric-gaussian* if y0 lies off the projected center or
    σx differs from σy, by a t-test at 95 % and by 5 % or more; else *gaussian*.

    Parameters
    ----------
    size, total
        (H, W) and sum of the map.
    """
    held = (
        min(1.0, max(0.0, 2 * pi * fit.amplitude * fit.sigma_x_px * fit.sigma_y_px / total)) if total else 0.0
    )
    width = 2 * (fit.sigma_x_px + fit.sigma_y_px) / min(size)
    fits = max(0.0, fit.r_squared_smoothed)
    asymmetry = _asymmetry(fit)
    scores = {
        "star": star.score if star.pattern != "grid" else 0.0,
        "grid": star.score if star.pattern == "grid" else 0.0,
        "patch-partitioned": patches.score,
        "local": fits * max(0.0, 1 - width / (2 * LOCAL_WIDTH)),
        "asymmetric-gaussian": fits * held * asymmetry,
        "gaussian": fits * held * (1 - asymmetry),
        "diffuse": 1 - fits * held,
    }
    if star.pattern != "none":
        verdict = star.pattern
    elif patches.score >= MIN_PATCHES_SCORE:
        verdict = "patch-partitioned"
    elif held < MIN_SHARE or fits < MIN_R_SQUARED:
        verdict = "diffuse"
    elif width < LOCAL_WIDTH:
        verdict = "local"
    else:
        verdict = "asymmetric-gaussian" if asymmetry > 0.5 else "gaussian"
    return Pattern(verdict, scores, patches.size_px, _flags(star, patches, held, fits, width, fit))


def _asymmetry(fit: GaussianFit) -> float:
    """0 for a map that is even or not known to be otherwise; above one half from an effect of 5 % on."""
    told = fit.asymmetry
    effects = [
        abs(told.shift_effect) if told.vertical in ("above", "below") else 0.0,
        abs(told.difference_effect) if told.widths in ("x wider", "y wider") else 0.0,
    ]
    return max(effects) / (max(effects) + MIN_EFFECT)


def _flags(
    star: StarMeasurement, patches: Patches, held: float, fits: float, width: float, fit: GaussianFit
) -> tuple[Flag, ...]:
    near = {
        "star": (star.score, MIN_STAR_SCORE),
        "patches": (patches.score, MIN_PATCHES_SCORE),
        "mass above the offset": (held, MIN_SHARE),
        "Gaussian's R²": (fits, MIN_R_SQUARED),
        "width": (width, LOCAL_WIDTH),
    }
    flags = [
        Flag("close_verdict", f"a close verdict: {name} {value:.2f}, threshold {threshold:g}")
        for name, (value, threshold) in near.items()
        if abs(value - threshold) < CLOSE * threshold
    ]
    if "unknown" in (fit.asymmetry.vertical, fit.asymmetry.widths):
        message = f"asymmetry unknown: it takes {MIN_GROUPS} or more groups of images"
        flags.append(Flag("asymmetry_unknown", message))
    return tuple(flags)
