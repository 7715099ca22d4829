"""Measures how much a star's size depends on the random weights of an untrained network."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from erfscope.datasets import ImageDataset, PluggedDataset, open_dataset
from erfscope.datasets.layout_catalog import LAYOUTS
from erfscope.engine.accumulation import ProgressCallback
from erfscope.engine.image_source import open_source
from erfscope.errors import MapError
from erfscope.records.erf_map import ErfMap
from erfscope.records.model_info import ModelInfo, WeightsReport
from erfscope.store.read import read_map
from erfscope.store.write import write_map
from erfscope.workflows.compute.job import ComputeJob
from erfscope.workflows.compute.options import ComputeOptions
from erfscope.workflows.compute.runner import run_job
from erfscope.workflows.measurements import measure_star
from erfscope.zoo.build import build_network
from erfscope.zoo.description import NetworkDescription
from erfscope.zoo.segmentor import Segmentor

# Arguments of `open_dataset` that a map's provenance keeps.
_OPENING = (
    "name", "root", "split", "size", "fit", "seed", "images", "mean", "std", "channel_order", "options",
)  # fmt: skip

# All else is at its default: the maps are computed on this machine, of all images.
_SAME_OPTIONS = (
    "formula", "target", "unit", "resize", "precision", "batch_size", "replicates", "seed",
)  # fmt: skip

OpenProgress = Callable[[str, int], AbstractContextManager[ProgressCallback]]


def measure_over_weights(file: Path, count: int, progress: OpenProgress) -> dict[str, Any]:
    """Measure the star of an untrained network under `count` more draws of its random weights.

    The maps are those of the same images and unit. They lie beside the file, `erf.h5` → `erf.seed1.h5`,
    and one that is there already is not computed again.

    Parameters
    ----------
    file
        A map of `erfscope compute` with random weights; its own seed counts as one draw.
    progress
        Opens a display from a label and a number of images.

    Returns
    -------
    dict
        seeds, files and center_to_center_px of each draw (None: no star); mean_px, spread_px (standard
        deviation of one draw) and stderr_px (of the mean), None with fewer than two stars.

    Raises
    ------
    MapError
        The network isn't one of random weights that erfscope built, or a file beside it is another map.
    """
    own = read_map(file)
    first = _weight_seed(own, file)
    seeds, files, maps = [first], [file], [own]
    for seed in range(first + 1, first + 1 + count):
        beside = file.with_name(f"{file.stem}.seed{seed}{file.suffix}")
        maps.append(_read_drawn(own, beside) if beside.exists() else _draw(own, seed, beside, progress))
        seeds.append(seed)
        files.append(beside)
    distances = [measure_star(erf).center_to_center_px for erf in maps]
    found = np.array([distance for distance in distances if distance is not None])
    spread = float(found.std(ddof=1)) if len(found) > 1 else None
    return {
        "seeds": seeds,
        "files": [str(each) for each in files],
        "center_to_center_px": distances,
        "mean_px": None if spread is None else float(found.mean()),
        "spread_px": spread,
        "stderr_px": None if spread is None else spread / len(found) ** 0.5,
    }


def _weight_seed(erf: ErfMap, file: Path) -> int:
    weights, network = (erf.provenance.get(part) or {} for part in ("weights", "network"))
    if weights.get("source") != "random" or not network.get("parts"):
        raise MapError(
            f"{file}: --weight-seeds draws new random weights, and this map is of {erf.weights_label}; "
            "it takes a map of an untrained network that erfscope built"
        )
    return int(weights["seed"])


def _draw(own: ErfMap, seed: int, out: Path, progress: OpenProgress) -> ErfMap:
    images, recorded = _images(own, out), own.provenance["options"]
    options = ComputeOptions.from_summary({name: recorded[name] for name in _SAME_OPTIONS})
    with progress(f"weights {seed}", len(images)) as show:
        erf = run_job(ComputeJob(_rebuild(own, seed), open_source(images), options), show)
    write_map(erf, out, overwrite=False)
    return erf


def _images(own: ErfMap, out: Path) -> ImageDataset | PluggedDataset:
    dataset = own.provenance["dataset"]
    if dataset["name"] not in LAYOUTS:
        raise MapError(f"the images of this map were handed over in Python; compute {out} there too")
    arguments = {name: dataset[name] for name in _OPENING if dataset.get(name) is not None}
    return open_dataset(**arguments, labels=False)


def _rebuild(own: ErfMap, seed: int) -> Segmentor:
    network = own.provenance["network"]
    model = build_network(NetworkDescription(**network["parts"]), seed=seed)
    report = WeightsReport("random", seed=seed, missing=tuple(own.provenance["weights"]["missing_names"]))
    model.info = ModelInfo(network["name"], network["options"], report, parts=network["parts"])
    return model


def _read_drawn(own: ErfMap, beside: Path) -> ErfMap:
    erf = read_map(beside)
    if _apart_from_weights(erf) != _apart_from_weights(own):
        raise MapError(f"{beside} is the map of another network or other images; move it out of the way")
    return erf


def _apart_from_weights(erf: ErfMap) -> tuple[Any, ...]:
    """Return what maps of one network under several weights have in common."""
    network: Mapping[str, Any] = erf.provenance.get("network") or {}
    names = [record.name for record in erf.records]
    return network.get("parts"), erf.unit, erf.formula, erf.target, erf.size, names
