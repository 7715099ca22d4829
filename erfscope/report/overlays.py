"""Marks over a map, in absolute pixels: what was measured, and what the network's graph predicts."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, Rectangle
from matplotlib.patheffects import AbstractPathEffect, withStroke

from erfscope.records.gaussian import GaussianFit
from erfscope.records.star import StarMeasurement
from erfscope.report.map_view import MapView

# Marks are told apart by their shapes. Their colors stand out from all of magma; a dark rim helps on its
# light end.
CENTER_COLOR = STAR_COLOR = "#40e0ff"
GAUSSIAN_COLOR = "#ffffff"
PREDICTION_COLOR = "#9dff57"
Dashes = tuple[float, tuple[float, ...]]
SOLID: Dashes = (0.0, ())
DASHED: Dashes = (0.0, (4.0, 3.0))
CROWD = 200  # marks; more than these are drawn smaller


def draw_overlays(axes: Axes, view: MapView) -> list[Artist]:
    """Mark the projected center, and what the view shows, as far as it was found.

    Returns
    -------
    list
        Handles of a legend. The axes' limits stay.
    """
    axes.autoscale(False)
    y, x = view.erf.projected_center
    label = f"projected center (y {y:g}, x {x:g})"
    center = axes.scatter(x, y, s=120, facecolors="none", edgecolors=CENTER_COLOR, label=label, gid="center")
    handles: list[Artist] = [center]
    for name, draw in OVERLAYS.items():
        if name in view.show:
            handles += draw(axes, view)
    return handles


def _gaussian(axes: Axes, view: MapView) -> list[Artist]:
    fit = view.findings.gaussian
    if fit is None:
        return []
    handles: list[Artist] = []
    for sigmas, style in ((1, SOLID), (2, DASHED)):
        ellipse = axes.add_patch(_ellipse(fit, sigmas))
        ellipse.set(linestyle=style, gid=f"gaussian-{sigmas}-sigma")
        handles.append(_line(GAUSSIAN_COLOR, f"Gaussian, {sigmas}σ", 1.2, style))
    return handles


def _ellipse(fit: GaussianFit, sigmas: float) -> Ellipse:
    # The angle counts from +x toward +y in data coordinates, whichever way the axes are drawn.
    return Ellipse(
        (fit.x0_px, fit.y0_px),
        2 * sigmas * fit.sigma_x_px,
        2 * sigmas * fit.sigma_y_px,
        angle=fit.theta_deg,
        fill=False,
        edgecolor=GAUSSIAN_COLOR,
        linewidth=1.2,
        path_effects=_rim(1.2),
    )


def _star(axes: Axes, view: MapView) -> list[Artist]:
    star = view.findings.star
    if star is None or star.pattern == "none":
        return []
    _rings(axes, star)
    blobs = axes.scatter(
        [arm.x_px for arm in star.arms],
        [arm.y_px for arm in star.arms],
        s=_mark_area(len(star.arms)),
        facecolors="none",
        edgecolors=STAR_COLOR,
        linewidths=1.0,
        path_effects=_rim(1.0),
        label=f"measured {star.pattern}: blobs on its arms",
        gid="star-blobs",
    )
    return [blobs, _line(STAR_COLOR, "its rings", 0.6)]


def _rings(axes: Axes, star: StarMeasurement) -> None:
    """One square a ring, through its eight blobs."""
    y, x = star.center
    for number, ring in enumerate(star.rings, 1):
        half = ring.distance_px
        square = Rectangle((x - half, y - half), 2 * half, 2 * half, fill=False, gid=f"ring-{number}")
        square.set(edgecolor=STAR_COLOR, linewidth=0.6, alpha=0.7)
        axes.add_patch(square)


def _prediction(axes: Axes, view: MapView) -> list[Artist]:
    predicted = view.findings.prediction
    center, lattice = predicted.get("projected_center"), predicted.get("lattice")
    if not center or not lattice:
        return []
    positions = axes.scatter(
        [center["x_px"] + dx for _, dx in lattice],
        [center["y_px"] + dy for dy, _ in lattice],
        s=_mark_area(len(lattice)) / 2,
        marker="x",
        color=PREDICTION_COLOR,
        linewidths=1.1,
        path_effects=_rim(1.1),
        label="predicted positions",
        gid="predicted-lattice",
    )
    return [positions]


def _line(color: str, label: str, width: float, style: Dashes = SOLID) -> Line2D:
    """Make the legend's handle of an outline; a patch's own would be a small rectangle."""
    line = Line2D([], [], color=color, label=label, linewidth=width, linestyle=style)
    line.set_path_effects(_rim(width))
    return line


def _mark_area(count: int) -> float:
    """Return the area of one mark, in square points."""
    return 60.0 * min(1.0, CROWD / max(count, 1))


def _rim(width: float) -> list[AbstractPathEffect]:
    return [withStroke(linewidth=width + 1.2, foreground="#000000b0")]


#: Back to front.
OVERLAYS: Mapping[str, Callable[[Axes, MapView], list[Artist]]] = MappingProxyType(
    {"gaussian": _gaussian, "star": _star, "prediction": _prediction}
)
