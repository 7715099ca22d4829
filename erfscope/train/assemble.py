"""From a recipe to everything that its loop needs: datasets, network, optimizer, batches."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from erfscope.datasets import ImageDataset, open_dataset
from erfscope.errors import TrainError
from erfscope.records.model_info import WeightsReport
from erfscope.train.crops.augment import Cutter
from erfscope.train.crops.crop_order import Order, Share
from erfscope.train.crops.feed import Crops, Normalizer, batches, places_of
from erfscope.train.distributed import World, synchronize_norms
from erfscope.train.losses import Loss
from erfscope.train.network.auxiliary import TrainedNetwork, make_auxiliary
from erfscope.train.network.average import Average
from erfscope.train.network.pretrained import load_pretrained
from erfscope.train.optimizer import freeze, freeze_unread, make_optimizer, set_dropout
from erfscope.train.recipes.recipe import Recipe
from erfscope.train.train_state import Parts
from erfscope.train.trainer import Batches, Stepper
from erfscope.zoo.build import build_network
from erfscope.zoo.catalog.entries import describe_network
from erfscope.zoo.description import NetworkDescription
from erfscope.zoo.segmentor import Segmentor

_MB = 1_000_000


@dataclass(frozen=True)
class Subject:
    """What is trained on what.

    Attributes
    ----------
    validation
        None if the recipe validates never.
    pretrained
        What of the backbone came from a file; None for random weights.
    """

    description: NetworkDescription
    network: Segmentor
    training: ImageDataset
    validation: ImageDataset | None
    pretrained: WeightsReport | None


def open_subject(recipe: Recipe) -> Subject:
    """Open the datasets and build the network, on the CPU.

    Raises
    ------
    DatasetError, NetworkError, CheckpointError, TrainError
        What the recipe names isn't there, or can't be.
    """
    training = open_images(recipe, recipe.data.train_split, recipe.data.images)
    validation = None
    if recipe.validation.every:
        validation = open_images(recipe, recipe.data.val_split, recipe.data.val_images)
    chosen = recipe.network
    description = describe_network(
        chosen.model,
        backbone=chosen.backbone,
        output_stride=chosen.output_stride,
        rates=chosen.rates,
        num_classes=len(training.classes),
        align_corners=chosen.align_corners,
        **chosen.options,
    )
    network = build_network(description, seed=recipe.run.seed)
    report = None if chosen.pretrained is None else load_pretrained(network, Path(chosen.pretrained))
    return Subject(description, network, training, validation, report)


def open_images(recipe: Recipe, split: str, images: int | None) -> ImageDataset:
    """Open one split; `TrainError` for a dataset without classes, or a plug-in's."""
    data = recipe.data
    dataset = open_dataset(
        data.name,
        root=data.root,
        split=split,
        size=_scene_size(recipe),
        fit="resize" if recipe.augment.fit == "resize" else "center-crop",
        images=images,
        seed=data.seed,
        mean=data.mean,
        std=data.std,
        options=data.options or None,
    )
    if not isinstance(dataset, ImageDataset):
        raise TrainError(f"{data.name} is a plug-in, which crops by itself; train on a dataset of files")
    if not dataset.classes:
        raise TrainError(f"{data.name} has no classes, hence no labels to train on; choose another --data")
    return dataset


def _scene_size(recipe: Recipe) -> tuple[int, int]:
    """Return (H, W) at which scenes are drawn: the crops' if they are seen whole."""
    scale = recipe.data.scene_scale if recipe.augment.fit == "crop" else 1
    # Sides of 8 k + 1 px, which fit aligned corners, stay such.
    height, width = (1 + round(scale * (side - 1)) for side in recipe.data.size)
    return height, width


def make_stepper(recipe: Recipe, subject: Subject, world: World) -> Stepper:
    """Bring the network to the device, with its auxiliary head, optimizer and average."""
    classes, run = len(subject.training.classes), recipe.run
    dtype = torch.float64 if run.precision == "float64" else torch.float32
    auxiliary = make_auxiliary(subject.network, recipe.network, classes, run.seed)
    model = TrainedNetwork(subject.network, auxiliary)
    set_dropout(model, recipe.network.dropout)
    layout = torch.channels_last if run.channels_last else torch.contiguous_format
    model.to(device=world.device, dtype=dtype)
    model.to(memory_format=layout)  # type: ignore[call-overload]
    average = None
    if run.ema:
        copy = build_network(subject.description).to(device=world.device, dtype=dtype)
        average = Average(copy, run.ema)
    if run.sync_batch_norm and recipe.network.batch_norm == "trained":
        synchronize_norms(model, world)
    freeze(model, recipe.network)
    if world.size > 1:
        freeze_unread(model, recipe.data.size)
    parts = Parts(model, make_optimizer(model, recipe.optimizer), average)
    loss = Loss.of(recipe.loss, classes, world.device, dtype)
    return Stepper(recipe, parts, world.parallel(model), loss, world)


def make_batches(recipe: Recipe, subject: Subject, world: World, workers: int) -> Callable[[int], Batches]:
    """Return what yields this process's batches, from an iteration on."""
    run, data = recipe.run, recipe.data
    places = places_of(subject.training, data.hard_classes, data.hard_times)
    red, green, blue = (round(255 * value) for value in data.mean)
    crops = Crops(
        subject.training,
        Order(places, run.seed),
        Cutter(recipe.augment, data.size, (red, green, blue)),
        recipe.loss.ignore_index,
        data.cache_mb * _MB // max(workers, 1),
    )
    share = Share(run.batch_size, run.accumulate, world.rank, world.size)
    dtype = torch.float64 if run.precision == "float64" else torch.float32
    normalize = Normalizer(data.mean, data.std, world.device, dtype, run.channels_last)

    def start(iteration: int) -> Batches:
        return batches(crops, share, (iteration, recipe.schedule.iterations), workers, normalize)

    return start
