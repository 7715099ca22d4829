"""Writes a map as HDF5."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from erfscope.records.erf_map import ErfMap
from erfscope.store.replace import prepare_target, replacing

SCHEMA_VERSION = 1
_BYTES_BESIDE_ARRAYS = 1_000_000


def write_map(erf: ErfMap, path: Path, *, overwrite: bool = False) -> None:
    """Write `erf` to `path`, whole or not at all.

    The root holds `erf`, `signed`, `square` (y, x) and `replicates` (g, y, x) with dimension scales `y`
    and `x` in pixels from the map's origin; group `plot` is a NeXus plot that links to them; group
    `provenance` holds one JSON text a key, and the list of images with what became of each.

    Raises
    ------
    MapError
        The file exists and `overwrite` is False, or it can't be written.
    """
    prepare_target(path, overwrite=overwrite, bytes_needed=map_bytes(erf))
    # Built in memory, for HDF5 on a disk that fills up fails once more, and otherwise, when it is closed.
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        _write_root(file, erf)
        _write_plot(file)
        _write_provenance(file.create_group("provenance"), erf)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def map_bytes(erf: ErfMap) -> int:
    """Return about how many bytes the file of `erf` takes."""
    return bytes_for(erf.size, 0 if erf.replicates is None else len(erf.replicates))


def bytes_for(size: tuple[int, int], replicates: int) -> int:
    """Return about how many bytes a file of (H, W) maps with that many replicates takes."""
    return size[0] * size[1] * (3 * 8 + 4 * replicates) + _BYTES_BESIDE_ARRAYS


def _write_root(file: h5py.File, erf: ErfMap) -> None:
    attributes = {
        "NX_class": "NXroot",
        "default": "plot",
        "schema_version": SCHEMA_VERSION,
        "units": "px",
        "formula": erf.formula,
        "target": erf.target,
        "unit_y": erf.unit.y,
        "unit_x": erf.unit.x,
        "unit_layer": erf.unit.layer,
        "origin_y": erf.origin[0],
        "origin_x": erf.origin[1],
        "images": erf.images,
        "images_skipped": len(erf.skipped),
    }
    file.attrs.update({name: value for name, value in attributes.items() if value is not None})

    axes = {"y": np.arange(erf.size[0]) - erf.origin[0], "x": np.arange(erf.size[1]) - erf.origin[1]}
    if erf.replicates is not None:
        axes["g"] = np.arange(len(erf.replicates), dtype=np.int32)
    for name, values in axes.items():
        file[name] = values
        file[name].make_scale(name)
    for name in ("y", "x"):
        file[name].attrs.update({"units": "px", "long_name": f"{name} from the unit's projected center (px)"})
    if erf.replicates is not None:
        file["g"].attrs["long_name"] = "image group"

    _write_array(file, "erf", erf.erf, "yx", "effective receptive field, sum of clipped gradients")
    _write_array(file, "signed", erf.signed, "yx", "sum of unclipped gradients")
    _write_array(file, "square", erf.square, "yx", "sum of squared unclipped gradients")
    _write_array(file, "replicates", erf.replicates, "gyx", "sums of clipped gradients by image group")


def _write_array(file: h5py.File, name: str, values: Any, axes: str, long_name: str) -> None:
    if values is None:
        return
    dataset = file.create_dataset(name, data=values)
    dataset.attrs["long_name"] = long_name
    for dimension, axis in zip(dataset.dims, axes, strict=True):
        dimension.attach_scale(file[axis])


def _write_plot(file: h5py.File) -> None:
    plot = file.create_group("plot")
    style = json.dumps({"signal_scale_type": "log"})
    plot.attrs.update({"NX_class": "NXdata", "signal": "erf", "axes": ["y", "x"], "SILX_style": style})
    for name in ("erf", "y", "x"):
        plot[name] = h5py.SoftLink(f"/{name}")


def _write_provenance(group: h5py.Group, erf: ErfMap) -> None:
    for key, value in erf.provenance.items():
        # A dataset, since an attribute holds no more than 64 KB.
        group[key] = json.dumps(value)
    records = erf.records
    if not records:
        return
    text = h5py.string_dtype()
    names = [record.name for record in records]
    images = group.create_group("images")
    images.attrs["sha256"] = image_list_sha256(names)
    images.create_dataset("name", data=names, dtype=text)
    images.create_dataset("status", data=[record.status for record in records], dtype=text)
    images.create_dataset("reason", data=[record.reason for record in records], dtype=text)
    images["group"] = np.array([record.group for record in records], dtype=np.int32)
    masses = [np.nan if record.mass is None else record.mass for record in records]
    images["gradient_mass"] = np.array(masses)


def image_list_sha256(names: list[str]) -> str:
    """SHA-256 of the image names, in order, one a line."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()
