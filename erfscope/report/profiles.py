"""Cuts through a map's center, and its mean over rings around it."""

import numpy as np
from matplotlib.axes import Axes

from erfscope.records.arrays import FloatArray
from erfscope.report.map_view import MapView

BAND_SHARE = 64  # the map's short side by this is the width over which a cut is the mean
DECADES = 4
# Of Okabe and Ito's colors for all readers; the cuts are told apart by their lines as well.
HORIZONTAL, VERTICAL, RADIAL, FITTED = "#0072b2", "#d55e00", "#0072b2", "#333333"


def cut_width(size: tuple[int, int]) -> int:
    """Width in px of the band over which a cut is the mean: odd, about 1/64 of the short side."""
    return 2 * round(min(size) / (2 * BAND_SHARE)) + 1


def cut_step(width: int) -> int:
    """Along a cut of that width, over how many px each of its values is the mean."""
    return max(1, width // 3)


def axis_cut(image: FloatArray, center: tuple[float, float], axis: int) -> tuple[FloatArray, FloatArray]:
    """Cut a map along an axis through a center.

    Parameters
    ----------
    image
        (H, W), axes (y, x).
    center
        (y, x) in px.
    axis
        Along which to go: 1 for the horizontal cut, 0 for the vertical one.

    Returns
    -------
    positions, values
        px from the center; means over `cut_width` px across and `cut_step` px along.
    """
    width = cut_width((image.shape[0], image.shape[1]))
    across = 1 - axis
    middle = int(np.clip(round(center[across]), 0, image.shape[across] - 1))
    band = np.arange(max(0, middle - width // 2), min(image.shape[across], middle + width // 2 + 1))
    values = image.take(band, axis=across).mean(axis=across)
    positions = np.arange(image.shape[axis]) - np.float64(center[axis])
    step = cut_step(width)
    return _means(positions, step), _means(values, step)


def _means(values: FloatArray, step: int) -> FloatArray:
    """Means over `step` values each, the last perhaps over fewer."""
    starts = np.arange(0, len(values), step)
    counts = np.diff([*starts, len(values)])
    means: FloatArray = np.add.reduceat(values, starts) / counts
    return means


def radial_profile(image: FloatArray, center: tuple[float, float]) -> tuple[FloatArray, FloatArray]:
    """Average over rings 1 px wide around a center, as far as they lie in the map.

    Parameters
    ----------
    image
        (H, W), axes (y, x).
    center
        (y, x) in px.

    Returns
    -------
    radii, means
        Radii in px of the rings that hold a pixel; their means in the units of `image`.
    """
    y, x = (np.arange(length) - at for length, at in zip(image.shape, center, strict=True))
    ring = np.rint(np.hypot(y[:, None], x[None, :])).astype(np.intp).ravel()
    counts = np.bincount(ring)
    held = np.flatnonzero(counts)
    sums = np.bincount(ring, weights=image.ravel())
    return held.astype(np.float64), sums[held] / counts[held]


def draw_cuts(axes: Axes, view: MapView) -> None:
    """Draw the horizontal and the vertical cut, and the fitted Gaussian's."""
    curves = (("horizontal", 1, HORIZONTAL, "-"), ("vertical", 0, VERTICAL, "-"))
    drawn = []
    for name, axis, color, style in curves:
        positions, values = axis_cut(view.image, view.erf.projected_center, axis)
        axes.plot(positions, values, style, color=color, linewidth=1.1, label=f"{name} cut")
        drawn.append(values)
    fitted = _fitted(view)
    if fitted is not None:
        for (name, axis, color, _), dashes in zip(curves, ((5, 2), (1.5, 1.5)), strict=True):
            positions, values = axis_cut(fitted, view.erf.projected_center, axis)
            axes.plot(positions, values, dashes=dashes, color=color, linewidth=1.6, label=f"Gaussian, {name}")
    width = cut_width(view.erf.size)
    window = f"mean over {width} px across, {cut_step(width)} px along"
    _finish(axes, view, np.concatenate(drawn), f"distance from the projected center (px)\n{window}")
    _mark_rings(axes, view, both_sides=True)
    _legend(axes)


def draw_radial(axes: Axes, view: MapView) -> None:
    """Draw the radial profile, and the fitted Gaussian's."""
    radii, means = radial_profile(view.image, view.erf.projected_center)
    axes.plot(radii, means, color=RADIAL, linewidth=1.1, label="mean at that distance")
    fitted = _fitted(view)
    if fitted is not None:
        axes.plot(
            *radial_profile(fitted, view.erf.projected_center),
            dashes=(5, 2),
            color=FITTED,
            linewidth=1.4,
            label="Gaussian",
        )
    _finish(axes, view, means, "distance from the projected center (px)")
    _mark_rings(axes, view, both_sides=False)
    _legend(axes)


def _fitted(view: MapView) -> FloatArray | None:
    """(H, W) the fitted Gaussian, per image."""
    residual = view.findings.residual
    return None if residual is None else view.image - view.per_image(residual)


def _mark_rings(axes: Axes, view: MapView, *, both_sides: bool) -> None:
    star = view.findings.star
    if star is None or "star" not in view.show:
        return
    distances = [ring.distance_px for ring in star.rings]
    places = [*(-far for far in distances), *distances] if both_sides else distances
    for number, place in enumerate(places):
        label = "measured ring distances" if number == 0 else None
        axes.axvline(place, color="0.45", linewidth=0.9, linestyle=":", zorder=0, label=label)


def _finish(axes: Axes, view: MapView, values: FloatArray, where: str) -> None:
    """Label the axes and choose the range by the map's own values, not by the Gaussian's far tail."""
    high = float(values.max())
    if view.scale == "log":
        positive = values[values > 0]
        low = max(float(positive.min(initial=high)), high * 10.0**-DECADES)
        axes.set_yscale("log")
        axes.set_ylim(low / 1.3, high * 1.3)
    else:
        axes.set_ylim(min(0.0, 1.1 * float(values.min())), high * 1.1)
    scale = "log scale" if view.scale == "log" else "linear scale"
    axes.set(xlabel=where, ylabel=f"{view.quantity}\n({scale})")
    axes.margins(x=0)
    axes.grid(color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(axes: Axes) -> None:
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize="small", frameon=False)
