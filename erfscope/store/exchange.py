"""Import arrays from other tools, and export maps to files for them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image

from erfscope.errors import MapError
from erfscope.records.arrays import FloatArray
from erfscope.records.erf_map import ErfMap
from erfscope.records.unit import Unit
from erfscope.system.atomic_files import prepare_target, replacing


def map_from_array(array: FloatArray, unit: tuple[int, int] | None = None, source: str = "") -> ErfMap:
    """Make a map from an effective receptive field that another tool computed.

    Parameters
    ----------
    array
        (H, W), or (G, H, W) partial sums over disjoint groups of images, which become the replicates.
    unit
        (y, x) of the unit in pixels; the center (H // 2, W // 2) by default.
    source
        Where the array comes from, for provenance and errors.

    Raises
    ------
    MapError
        The array has another number of axes, isn't real or finite, or is zero everywhere, or the unit lies
        outside.
    """
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise MapError(f"{source or 'the array'} has shape {array.shape}; expected (H, W) or (G, H, W)")
    if array.dtype.kind not in "fiub":
        raise MapError(f"{source or 'the array'} holds {array.dtype}; expected real numbers")
    values = array.astype(np.float64)
    if not np.isfinite(values).all():
        raise MapError(f"{source or 'the array'} holds NaN or infinity; replace them before the import")
    erf = values if array.ndim == 2 else values.sum(0)
    if not erf.any():
        raise MapError(f"{source or 'the array'} is zero everywhere; there is nothing to measure")
    height, width = erf.shape
    y, x = unit if unit is not None else (height // 2, width // 2)
    if not (0 <= y < height and 0 <= x < width):
        raise MapError(f"unit {y},{x} lies outside the {height}×{width} array; give --unit Y,X inside it")
    return ErfMap(
        erf=erf,
        unit=Unit(y, x),
        projected_center=(float(y), float(x)),
        formula="unknown",
        target="unknown",
        images=None,
        replicates=values.astype(np.float32) if array.ndim == 3 else None,
        provenance={"source": source},
    )


def read_array(path: Path) -> FloatArray:
    """Read a `.npy` file; nothing is unpickled.

    Raises
    ------
    MapError
        There is no such file, or it isn't a plain numeric array.
    """
    if not path.is_file():
        raise MapError(f"array {path} does not exist; give a .npy file")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise MapError(f"{path} is not a readable .npy array ({str(error).splitlines()[0]})") from error
    if not isinstance(array, np.ndarray):
        raise MapError(f"{path} holds several arrays; save the map alone with numpy.save")
    return array


def export_map(erf: ErfMap, path: Path, *, overwrite: bool = False) -> None:
    """Write the (H, W) map to `path`, in the format of its suffix.

    `.npy` (float64) and `.csv` (a line for each row) keep every digit; `.tiff` is float32; `.png` is 16-bit
    gray, linear from 0 to the map's highest value, which becomes 65535.

    Raises
    ------
    MapError
        The suffix is another, the file exists and `overwrite` is False, or it can't be written.
    """
    writer = EXPORTS.get(path.suffix.lower())
    if writer is None:
        raise MapError(f"can't export to {path.name!r}; expected one of {', '.join(EXPORTS)}")
    prepare_target(path, overwrite=overwrite)
    with replacing(path) as temporary:
        writer(temporary, erf.erf)


def _write_npy(path: Path, erf: FloatArray) -> None:
    with path.open("wb") as file:
        np.save(file, erf)


def _write_csv(path: Path, erf: FloatArray) -> None:
    np.savetxt(path, erf, fmt="%.17g", delimiter=",")


def _write_tiff(path: Path, erf: FloatArray) -> None:
    Image.fromarray(erf.astype(np.float32)).save(path, format="TIFF")


def _write_png(path: Path, erf: FloatArray) -> None:
    peak = erf.max()
    gray = np.round(np.clip(erf, 0, None) / (peak if peak > 0 else 1.0) * 65535)
    Image.fromarray(gray.astype(np.uint16)).save(path, format="PNG")


EXPORTS: Mapping[str, Callable[[Path, FloatArray], None]] = MappingProxyType(
    {".npy": _write_npy, ".csv": _write_csv, ".png": _write_png, ".tiff": _write_tiff, ".tif": _write_tiff}
)
