"""2D Gaussians fitted to a map with lmfit: symmetric, axis-aligned or rotated."""

from dataclasses import replace

import lmfit
import numpy as np
from scipy import ndimage

from erfscope.errors import MapError
from erfscope.records.arrays import FloatArray
from erfscope.records.gaussian import GaussianFit

SHAPES = ("symmetric", "axis-aligned", "rotated")
FIT_SIDE = 256  # larger maps are averaged in blocks down to about this side, which a Gaussian survives
POOR_FIT = 0.5
MIN_PIXELS = 16

_PARAMETERS = ("x0", "y0", "sigma_x", "sigma_y", "theta", "amplitude", "offset")


def fit_gaussian(erf: FloatArray, center: tuple[float, float], shape: str = "axis-aligned") -> GaussianFit:
    """Fit A·exp(−u²/2σx² − v²/2σy²) + offset, with (u, v) the axes rotated by θ about (x0, y0).

    Parameters
    ----------
    erf
        (H, W) map, axes (y, x), of any scale.
    center
        (y, x) in px of the unit's projected center, to which the fit's shift refers.
    shape
        "symmetric" (σx = σy), "axis-aligned" (θ = 0) or "rotated".

    Returns
    -------
    GaussianFit
        Lengths in px, θ in degrees from +x toward +y, in (−45, 45]. Its `study` is the fit by the
        study's protocol (Table 7): axis-aligned, no offset.

    Raises
    ------
    MapError
        An unknown shape, or a map of fewer than 16 px.
    """
    if shape not in SHAPES:
        raise MapError(f"no Gaussian is called {shape!r}; expected {', '.join(SHAPES)}")
    if erf.size < MIN_PIXELS:
        raise MapError(f"{erf.shape[0]}×{erf.shape[1]} px are too few for a Gaussian; measure a larger map")
    fit = _fit(erf, center, shape, with_offset=True)
    return replace(fit, study=_fit(erf, center, "axis-aligned", with_offset=False))


def gaussian(
    y: FloatArray, x: FloatArray, *, x0: float, y0: float, sigma_x: float, sigma_y: float,
    theta: float, amplitude: float, offset: float,
) -> FloatArray:  # fmt: skip
    """Value at (y, x) in px; `theta` in radians from +x toward +y."""
    cos, sin = np.cos(theta), np.sin(theta)
    u = (x - x0) * cos + (y - y0) * sin
    v = (y - y0) * cos - (x - x0) * sin
    value: FloatArray = amplitude * np.exp(-0.5 * (u / sigma_x) ** 2 - 0.5 * (v / sigma_y) ** 2) + offset
    return value


def _fit(erf: FloatArray, center: tuple[float, float], shape: str, *, with_offset: bool) -> GaussianFit:
    block = max(1, min(erf.shape) // FIT_SIDE)
    small, y, x = _block_means(erf, block)
    scale = float(np.abs(small).max())  # so that the fit sees numbers near one, whatever the map's
    values = small / scale

    def residual(parameters: lmfit.Parameters) -> FloatArray:
        difference: FloatArray = gaussian(y, x, **parameters.valuesdict()) - values
        return difference.ravel()

    result = lmfit.minimize(residual, _guess(values, y, x, shape, with_offset=with_offset))
    best = dict(result.params.valuesdict())
    stderr = {name: _finite(result.params[name].stderr) for name in _PARAMETERS if result.params[name].vary}
    best, stderr = _canonical(best, stderr)
    rows, columns = (np.asarray(axis, np.float64) for axis in np.indices(erf.shape))
    model, data = gaussian(rows, columns, **best), erf / scale
    smoothed = ndimage.gaussian_filter(data, max(1.5, min(erf.shape) / 64), mode="nearest")
    for name in ("amplitude", "offset"):
        best[name] *= scale
        error = stderr.get(name)
        stderr[name] = None if error is None else error * scale
    return GaussianFit(
        model=shape,
        x0_px=best["x0"],
        y0_px=best["y0"],
        sigma_x_px=best["sigma_x"],
        sigma_y_px=best["sigma_y"],
        theta_deg=float(np.degrees(best["theta"])),
        amplitude=best["amplitude"],
        offset=best["offset"],
        stderr=_public_names(stderr),
        r_squared=_r_squared(data, model),
        r_squared_smoothed=_r_squared(smoothed, model),
        shift_from_projected_center=(best["y0"] - center[0], best["x0"] - center[1]),
        flags=_flags(best, erf.shape, _r_squared(smoothed, model), converged=bool(result.success)),
    )


def _block_means(erf: FloatArray, block: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Means of block × block px, and the (y, x) of each block's middle; a ragged edge is left out."""
    height, width = (size // block * block for size in erf.shape)
    blocks = erf[:height, :width].reshape(height // block, block, width // block, block)
    y, x = np.indices((height // block, width // block), dtype=np.float64) * block + (block - 1) / 2
    return blocks.mean((1, 3)), y, x


def _guess(
    values: FloatArray, y: FloatArray, x: FloatArray, shape: str, *, with_offset: bool
) -> lmfit.Parameters:
    """Moments of what stands above the median."""
    floor = float(np.median(values))
    weights = np.maximum(values - floor, 0.0)
    weights = weights if weights.any() else np.ones_like(values)
    total = weights.sum()
    x0, y0 = (weights * x).sum() / total, (weights * y).sum() / total
    sigma_x = max(1.0, np.sqrt((weights * (x - x0) ** 2).sum() / total))
    sigma_y = max(1.0, np.sqrt((weights * (y - y0) ** 2).sum() / total))
    top = float(np.percentile(values, 99.5))
    parameters = lmfit.Parameters()
    parameters.add("x0", x0)
    parameters.add("y0", y0)
    parameters.add("sigma_x", sigma_x, min=1e-3)
    if shape == "symmetric":
        parameters.add("sigma_y", expr="sigma_x")
    else:
        parameters.add("sigma_y", sigma_y, min=1e-3)
    # Off zero, for at θ = 0 and σx = σy the angle has no derivative.
    parameters.add("theta", 0.1 if shape == "rotated" else 0.0, vary=shape == "rotated")
    parameters.add("amplitude", max(top - floor, 1e-3), min=0)
    parameters.add("offset", floor if with_offset else 0.0, vary=with_offset)
    return parameters


def _canonical(
    best: dict[str, float], stderr: dict[str, float | None]
) -> tuple[dict[str, float], dict[str, float | None]]:
    """Bring θ into (−45°, 45°] by swapping the axes where needed: σx stays the one nearest to +x."""
    quarter_turns = int(np.ceil(best["theta"] / (np.pi / 2) - 0.5))
    best = {**best, "theta": best["theta"] - quarter_turns * np.pi / 2}
    if quarter_turns % 2:
        best["sigma_x"], best["sigma_y"] = best["sigma_y"], best["sigma_x"]
        stderr = {**stderr, "sigma_x": stderr.get("sigma_y"), "sigma_y": stderr.get("sigma_x")}
    return best, stderr


def _public_names(stderr: dict[str, float | None]) -> dict[str, float | None]:
    units = {"x0": "x0_px", "y0": "y0_px", "sigma_x": "sigma_x_px", "sigma_y": "sigma_y_px"}
    named = {units.get(name, name): value for name, value in stderr.items() if name != "theta"}
    angle = stderr.get("theta")
    named["theta_deg"] = None if angle is None else float(np.degrees(angle))
    return named


def _r_squared(data: FloatArray, model: FloatArray) -> float:
    spread = ((data - data.mean()) ** 2).sum()
    return float(1 - ((data - model) ** 2).sum() / spread) if spread > 0 else 0.0


def _finite(value: float | None) -> float | None:
    """Lmfit gives no error, or not a finite one, where a parameter is not determined."""
    return None if value is None or not np.isfinite(value) else float(value)


def _flags(
    best: dict[str, float], shape: tuple[int, ...], r_squared: float, *, converged: bool
) -> tuple[str, ...]:
    height, width = shape
    checks = {
        "the fit did not converge": not converged,
        "the center lies outside the map": not (0 <= best["y0"] < height and 0 <= best["x0"] < width),
        "a sigma exceeds the map": best["sigma_x"] > width or best["sigma_y"] > height,
        f"poor fit: R² of the smoothed map below {POOR_FIT}": r_squared < POOR_FIT,
    }
    always = "standard errors are the fit's own, too small where neighboring pixels are correlated"
    return (*(text for text, raised in checks.items() if raised), always)
