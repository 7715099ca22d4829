"""Reads a map that `write` wrote."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from erfscope.errors import MapError
from erfscope.records.erf_map import ErfMap, ImageRecord
from erfscope.records.unit import Unit
from erfscope.store.write import SCHEMA_VERSION


def read_map(path: Path) -> ErfMap:
    """Read a map file whole.

    Raises
    ------
    MapError
        There is no such file, it is no map of erfscope's, or it is damaged.
    """
    if not path.is_file():
        raise MapError(f"map {path} does not exist; make one with 'erfscope compute' or name another file")
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path)
    except MapError:
        raise
    # h5py raises whatever the damaged bytes lead it to; the file is at fault, not the program.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MapError(
            f"{path} is not a readable map ({reason}); make it again, or import its array"
        ) from error


def _read(file: h5py.File, path: Path) -> ErfMap:
    attributes = file.attrs
    version = attributes.get("schema_version")
    if version is None or "erf" not in file:
        raise MapError(f"{path} is HDF5 but not a map of erfscope's; 'erfscope import' takes arrays (.npy)")
    if version > SCHEMA_VERSION:
        raise MapError(f"{path} has schema version {version}, newer than {SCHEMA_VERSION}; update erfscope")
    provenance = file.get("provenance", {})
    images = attributes.get("images")
    return ErfMap(
        erf=file["erf"][()].astype(np.float64),
        unit=Unit(int(attributes["unit_y"]), int(attributes["unit_x"]), attributes.get("unit_layer")),
        origin=(float(attributes["origin_y"]), float(attributes["origin_x"])),
        formula=str(attributes["formula"]),
        target=str(attributes["target"]),
        images=None if images is None else int(images),
        signed=file["signed"][()] if "signed" in file else None,
        square=file["square"][()] if "square" in file else None,
        replicates=file["replicates"][()] if "replicates" in file else None,
        records=_read_records(provenance),
        provenance=_read_provenance(provenance),
    )


def _read_provenance(group: Mapping[str, Any]) -> dict[str, Any]:
    return {key: json.loads(value[()]) for key, value in group.items() if isinstance(value, h5py.Dataset)}


def _read_records(group: Mapping[str, Any]) -> tuple[ImageRecord, ...]:
    if "images" not in group:
        return ()
    images = group["images"]
    columns = (images["name"].asstr()[()], images["group"][()], images["status"].asstr()[()])
    rest = (images["reason"].asstr()[()], images["gradient_mass"][()])
    return tuple(
        ImageRecord(name, int(number), status, reason, None if np.isnan(mass) else float(mass))
        for name, number, status, reason, mass in zip(*columns, *rest, strict=True)
    )
