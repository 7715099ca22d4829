"""Read a map file, or how far it is."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from erfscope.errors import MapError
from erfscope.records.arrays import FloatArray
from erfscope.records.erf_map import ErfMap, ImageRecord
from erfscope.records.shard import Shard
from erfscope.records.unit import Unit
from erfscope.store.checksum import check_seal
from erfscope.store.write import SCHEMA_VERSION


@dataclass(frozen=True)
class MapProgress:
    """How far a map file is.

    Attributes
    ----------
    done, skipped
        Number of images in the map, and of those that couldn't be used.
    images_total
        Number of images of all shards; None if unknown.
    shard
        The map's shard.
    finished
        Whether all images of the shard are done or skipped.
    """

    done: int
    skipped: int
    images_total: int | None
    shard: Shard
    finished: bool

    @property
    def total(self) -> int | None:
        """Number of images of the map's own shard; None if unknown."""
        if self.images_total is None:
            return None
        return len(range(self.shard.index, self.images_total, self.shard.count))


def read_map(path: Path) -> ErfMap:
    """Read a map file.

    Raises
    ------
    MapError
        There is no such file, it isn't a map of erfscope or has another schema version, or it is damaged.
    """
    if not path.is_file():
        raise MapError(f"map {path} does not exist; make one with 'erfscope compute' or name another file")
    with _opened(path, checked=True) as file:
        return _read(file, path)


def read_progress(path: Path) -> MapProgress | None:
    """Read how far a map is, but none of its arrays; None if there is no file.

    Raises
    ------
    MapError
        It isn't a map of erfscope or has another schema version, or it is damaged.
    """
    if not path.exists():
        return None
    with _opened(path) as file:
        attributes = file.attrs
        _check_version(file, path)
        done, skipped, images_total = (attributes.get(f"images{part}") for part in ("", "_skipped", "_total"))
        return MapProgress(
            done=int(done or 0),
            skipped=int(skipped or 0),
            images_total=None if images_total is None else int(images_total),
            shard=_read_shard(attributes),
            finished=bool(attributes.get("finished", True)),
        )


@contextmanager
def _opened(path: Path, *, checked: bool = False) -> Iterator[h5py.File]:
    """Open a file without the locks of HDF5, which some file systems lack: maps are replaced whole."""
    try:
        if checked:  # before HDF5 reads it
            check_seal(path)
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except MapError:
        raise
    # Damaged bytes make h5py raise anything; the file is at fault, not the program.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MapError(
            f"{path} is not a readable map ({reason}); make it again, or import its array"
        ) from error


def _check_version(file: h5py.File, path: Path) -> None:
    version = file.attrs.get("schema_version")
    if version is None or "erf" not in file:
        raise MapError(f"{path} is HDF5 but not a map of erfscope's; 'erfscope import' takes arrays (.npy)")
    if version > SCHEMA_VERSION:
        raise MapError(f"{path} has schema version {version}, newer than {SCHEMA_VERSION}; update erfscope")
    if version < SCHEMA_VERSION:
        raise MapError(
            f"{path} has schema version {version}, older than {SCHEMA_VERSION}; compute the map again"
        )


def _read(file: h5py.File, path: Path) -> ErfMap:
    attributes = file.attrs
    _check_version(file, path)
    provenance = file.get("provenance", {})
    images, images_total = attributes.get("images"), attributes.get("images_total")
    erf = file["erf"][()].astype(np.float64)
    return ErfMap(
        erf=erf,
        unit=Unit(int(attributes["unit_y"]), int(attributes["unit_x"]), attributes.get("unit_layer")),
        projected_center=(float(attributes["projected_center_y"]), float(attributes["projected_center_x"])),
        formula=str(attributes["formula"]),
        target=str(attributes["target"]),
        images=None if images is None else int(images),
        **_read_others(file, erf),
        records=_read_records(provenance),
        provenance=_read_provenance(provenance),
        images_total=None if images_total is None else int(images_total),
        shard=_read_shard(attributes),
        finished=bool(attributes.get("finished", True)),
    )


def _read_others(file: h5py.File, erf: FloatArray) -> dict[str, NDArray[Any]]:
    """Read the other arrays; refuse those that don't fit `erf`: another program may have changed them."""
    arrays = {
        name: file[name][()] for name in ("gradient_sum", "gradient_square_sum", "replicates") if name in file
    }
    for name, array in {"erf": erf, **arrays}.items():
        wanted = array.shape[:1] + erf.shape if name == "replicates" else erf.shape
        if erf.ndim != 2 or array.shape != wanted or array.dtype.kind != "f":
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")
    return arrays


def _read_shard(attributes: Mapping[str, Any]) -> Shard:
    return Shard(int(attributes.get("shard_index", 0)), int(attributes.get("shard_count", 1)))


def _read_provenance(group: Mapping[str, Any]) -> dict[str, Any]:
    return {key: json.loads(value[()]) for key, value in group.items() if isinstance(value, h5py.Dataset)}


def _read_records(group: Mapping[str, Any]) -> tuple[ImageRecord, ...]:
    if "images" not in group:
        return ()
    images = group["images"]
    columns = (images["name"].asstr()[()], images["group"][()], images["status"].asstr()[()])
    indices = images["index"][()] if "index" in images else range(len(columns[0]))
    rest = (images["reason"].asstr()[()], images["gradient_mass"][()], indices)
    return tuple(
        ImageRecord(name, int(number), status, reason, None if np.isnan(mass) else float(mass), int(index))
        for name, number, status, reason, mass, index in zip(*columns, *rest, strict=True)
    )
