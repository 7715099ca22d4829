"""Write a map as HDF5."""

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from erfscope.records.erf_map import ErfMap
from erfscope.store.checksum import seal
from erfscope.system.atomic_files import prepare_target, replacing

SCHEMA_VERSION = 2
_BYTES_BESIDE_ARRAYS, _BYTES_AN_IMAGE = 100_000, 200


def write_map(erf: ErfMap, path: Path, *, overwrite: bool = False) -> None:
    """Write `erf` to `path`, whole or not at all.

    The root holds `erf`, `gradient_sum` and `gradient_square_sum`, each (y, x) float64, and `replicates`,
    (g, y, x), with dimension scales `y` and `x` in pixels from the unit's projected center. The group `plot`
    is a NeXus plot that links to them. The group `provenance` holds one JSON text for each key, and the list
    of images with their status.

    Raises
    ------
    MapError
        The file exists and `overwrite` is False, or it can't be written.
    """
    prepare_target(path, overwrite=overwrite, bytes_needed=_map_bytes(erf))
    # It is built in memory, because HDF5 on a full disk fails a second time, with other errors, on closing.
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        _write_root(file, erf)
        _write_plot(file)
        _write_provenance(file.create_group("provenance"), erf)
    content = buffer.getbuffer()
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.write(seal(content))


def bytes_for(size: tuple[int, int], replicates: int, images: int) -> int:
    """Return about how many bytes an unfinished (H, W) map takes; a finished one takes fewer."""
    return size[0] * size[1] * 8 * (3 + replicates) + _BYTES_BESIDE_ARRAYS + _BYTES_AN_IMAGE * images


def _map_bytes(erf: ErfMap) -> int:
    arrays = (erf.erf, erf.gradient_sum, erf.gradient_square_sum, erf.replicates)
    held = sum(array.nbytes for array in arrays if array is not None)
    return held + _BYTES_BESIDE_ARRAYS + _BYTES_AN_IMAGE * len(erf.records)


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
        "projected_center_y": erf.projected_center[0],
        "projected_center_x": erf.projected_center[1],
        "images": erf.images,
        "images_skipped": len(erf.skipped),
        "images_total": erf.images_total,
        "shard_index": erf.shard.index,
        "shard_count": erf.shard.count,
        "finished": erf.finished,
    }
    file.attrs.update({name: value for name, value in attributes.items() if value is not None})

    axes = {
        "y": np.arange(erf.size[0]) - erf.projected_center[0],
        "x": np.arange(erf.size[1]) - erf.projected_center[1],
    }
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
    _write_array(file, "gradient_sum", erf.gradient_sum, "yx", "sum of unclipped gradients")
    _write_array(
        file, "gradient_square_sum", erf.gradient_square_sum, "yx", "sum of squared unclipped gradients"
    )
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
        # A dataset, because an attribute holds at most 64 KB; of fixed length, like all texts here, because
        # reading a damaged heap of variable-length strings may never end.
        group[key] = np.bytes_(json.dumps(value).encode())
    records = erf.records
    if not records:
        return
    names = [record.name for record in records]
    images = group.create_group("images")
    images.attrs["sha256"] = image_list_sha256(names)
    _write_texts(images, "name", names)
    _write_texts(images, "status", [record.status for record in records])
    _write_texts(images, "reason", [record.reason for record in records])
    images["group"] = np.array([record.group for record in records], dtype=np.int32)
    images["index"] = np.array([record.index for record in records], dtype=np.int64)
    masses = [np.nan if record.mass is None else record.mass for record in records]
    images["gradient_mass"] = np.array(masses)


def _write_texts(group: h5py.Group, name: str, texts: Sequence[str]) -> None:
    encoded = [text.encode() for text in texts]
    longest = max(1, *map(len, encoded))
    group.create_dataset(name, data=encoded, dtype=h5py.string_dtype("utf-8", longest))


def image_list_sha256(names: Iterable[str]) -> str:
    """Return the SHA-256 of the image names in order, one a line."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()
