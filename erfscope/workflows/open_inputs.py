"""Opens a network by its name on the command line, and fits the images to it."""

from collections.abc import Callable, Mapping
from typing import Any

from erfscope.checkpoints.load import load_model
from erfscope.datasets import ImageDataset, PluggedDataset, with_preprocessing
from erfscope.model.network import Network
from erfscope.records.model_info import TrainingFacts, WeightsReport
from erfscope.zoo.catalog.entries import CATALOG


def open_network(network: Mapping[str, Any], images: ImageDataset | PluggedDataset, seed: int) -> Network:
    """Load a network, from the arguments of `load_model`.

    One of the catalog without weights gets the dataset's number of classes.
    """
    network = dict(network)
    if network["spec"] in CATALOG and network["num_classes"] is None and network["checkpoint"] is None:
        network["num_classes"] = len(images.classes) or None
    return load_model(**network, seed=seed)


def preprocess_as_trained(
    images: ImageDataset | PluggedDataset, training: TrainingFacts, *, keep_size: bool
) -> ImageDataset | PluggedDataset:
    """Normalize and crop images as the network was trained on them, as far as its checkpoint tells."""
    normalized = training.mean is not None and training.std is not None
    return with_preprocessing(
        images,
        mean=training.mean if normalized else None,
        std=training.std if normalized else None,
        channel_order=training.channel_order,
        size=None if keep_size else training.crop_size,
    )


def select(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return some of the options."""
    return {name: options[name] for name in names}


def warn_about_weights(weights: WeightsReport, model: str, warn: Callable[[str], None]) -> None:
    """Warn of random, partial or broken weights."""
    if weights.source == "random":
        warn(f"{model} has random weights (seed {weights.seed}); --checkpoint FILE gives it trained ones")
    elif weights.missing:
        first = ", ".join(weights.missing[:3])
        warn(f"{len(weights.missing)} tensors are not in {weights.source} and stay random: {first}, …")
    if weights.not_finite:
        values, tensors = sum(weights.not_finite.values()), len(weights.not_finite)
        warn(
            f"{values} values in {tensors} tensors of {weights.source} "
            "are NaN or infinite: the training diverged, or the file is damaged; take an earlier checkpoint"
        )
