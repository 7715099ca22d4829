"""From names on the command line to a map file."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from erfscope.checkpoints.load import load_model
from erfscope.datasets import ImageDataset, PluggedDataset, open_dataset
from erfscope.engine.run import Progress
from erfscope.records.erf_map import ErfMap
from erfscope.records.network import TrainingFacts, WeightsReport
from erfscope.store.replace import prepare_target
from erfscope.store.write import bytes_for, write_map
from erfscope.workflows.compute import compute_erf
from erfscope.zoo.catalog.table import CATALOG


def compute_to_file(
    *,
    network: Mapping[str, Any],
    data: str,
    out: Path,
    overwrite: bool,
    warn: Callable[[str], None],
    progress: Callable[[str, int], AbstractContextManager[Progress]],
    **options: Any,
) -> ErfMap:
    """Do what `erfscope compute` says: check the target file, open everything, compute, write.

    Images are cropped and normalized as the network's checkpoint says, if it does; a size that is asked
    for goes before its.

    Parameters
    ----------
    network
        Arguments of `load_model`.
    warn
        Is told what must not pass silently.
    progress
        Opens a display from a label and the number of images.
    **options
        Those of the command line, by name: of `open_dataset` and `compute_erf`.
    """
    asked = _pick(options, "root", "split", "size", "fit", "images", "seed")
    images = open_dataset(data, labels=False, **asked)
    prepare_target(out, overwrite=overwrite)
    network = dict(network)
    if network["spec"] in CATALOG and network["num_classes"] is None and network["checkpoint"] is None:
        network["num_classes"] = len(images.classes) or None
    model = load_model(**network, seed=options["seed"])
    _warn_of(model.origin.weights, network["spec"], warn)
    images = _as_trained(images, model.origin.training, data, asked)
    prepare_target(out, overwrite=overwrite, bytes_needed=bytes_for(images.size, options["replicates"]))
    choices = _pick(options, "formula", "target", "precision", "device", "batch_size", "workers", "engine")
    limits = _pick(options, "replicates", "max_skipped", "seed")
    with progress(model.origin.name, len(images)) as shown:
        erf = compute_erf(model, images, at=options["unit"], progress=shown, **choices, **limits)
    write_map(erf, out, overwrite=overwrite)
    return erf


def _warn_of(weights: WeightsReport, model: str, warn: Callable[[str], None]) -> None:
    if weights.source == "random":
        warn(
            f"{model} stands on random weights (seed {weights.seed}); --checkpoint FILE gives it trained ones"
        )
    elif weights.missing:
        first = ", ".join(weights.missing[:3])
        warn(f"{len(weights.missing)} tensors are not in {weights.source} and stay random: {first}, …")
    if weights.not_finite:
        values, tensors = sum(weights.not_finite.values()), len(weights.not_finite)
        warn(
            f"{values} values in {tensors} tensors of {weights.source} "
            "are NaN or infinite: the training diverged, or the file is damaged; take an earlier checkpoint"
        )


def _as_trained(
    images: ImageDataset | PluggedDataset, training: TrainingFacts, data: str, asked: Mapping[str, Any]
) -> ImageDataset | PluggedDataset:
    """Open the images again as the network was trained on them, as far as its checkpoint tells."""
    told: dict[str, Any] = {"channel_order": training.channel_order}
    if training.mean is not None and training.std is not None:
        told |= {"mean": training.mean, "std": training.std}
    if asked["size"] is None and training.crop_size is not None:
        told["size"] = training.crop_size
    if told == {"channel_order": images.channel_order}:
        return images
    return open_dataset(data, labels=False, **{**asked, **told})


def _pick(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names}
