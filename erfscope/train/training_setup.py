"""From a recipe to what a trainer needs: datasets, network, optimizer, batches."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from erfscope.datasets import ImageDataset, open_dataset
from erfscope.errors import TrainError
from erfscope.records.model_info import WeightsReport
from erfscope.system.environment import make_cublas_repeatable
from erfscope.system.process_group import ProcessGroup
from erfscope.train.crops.augment import Cutter
from erfscope.train.crops.crop_batches import Batch, Crops, Normalizer, epoch_places, load_batches
from erfscope.train.crops.crop_order import CropOrder, ProcessShare
from erfscope.train.network.auxiliary import TrainedNetwork, make_auxiliary
from erfscope.train.network.average import Average
from erfscope.train.network.pretrained import load_pretrained
from erfscope.train.network.sync_norm import synchronize_norms
from erfscope.train.optimizer import freeze, freeze_unread, make_optimizer, set_dropout
from erfscope.train.recipes.recipe import Recipe
from erfscope.train.train_state import TrainState
from erfscope.zoo.build import build_network
from erfscope.zoo.catalog.entries import describe_network
from erfscope.zoo.description import NetworkDescription
from erfscope.zoo.segmentor import Segmentor

_MB = 1_000_000


@dataclass(frozen=True)
class TrainingSetup:
    """What is trained, and on which images.

    Attributes
    ----------
    recipe
        How it is trained.
    description, network
        The network, on the CPU, with the weights that it starts from.
    training, validation
        Labeled images; `validation` is None if the recipe never validates.
    pretrained
        Which of the backbone's weights came from a file; None for random weights.
    """

    recipe: Recipe
    description: NetworkDescription
    network: Segmentor
    training: ImageDataset
    validation: ImageDataset | None
    pretrained: WeightsReport | None

    @property
    def dtype(self) -> torch.dtype:
        """Type of weights and images; with "bfloat16" only the operations in between are of that type."""
        return torch.float64 if self.recipe.run.precision == "float64" else torch.float32


def open_setup(recipe: Recipe) -> TrainingSetup:
    """Open the datasets and build the network, on the CPU.

    Raises
    ------
    DatasetError, NetworkError, CheckpointError, TrainError
        Something that the recipe names is missing or doesn't fit.
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
    return TrainingSetup(recipe, description, network, training, validation, report)


def open_images(recipe: Recipe, split: str, images: int | None) -> ImageDataset:
    """Open one split of the recipe's dataset.

    Parameters
    ----------
    split
        Name of the split, such as "train".
    images
        How many images to take, a seeded subset; None for all.

    Raises
    ------
    DatasetError
        There is no such dataset, folder or split.
    TrainError
        The dataset has no classes, or belongs to a plug-in.
    """
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
    """Return the (H, W) of synthetic scenes, px: the crops' size if crops are whole images."""
    scale = recipe.data.scene_scale if recipe.augment.fit == "crop" else 1
    # A side of 8 k + 1 px, which aligned corners need, stays one.
    height, width = (1 + round(scale * (side - 1)) for side in recipe.data.size)
    return height, width


def make_state(setup: TrainingSetup, processes: ProcessGroup) -> TrainState:
    """Move the network to the device and give it its auxiliary head, optimizer and average.

    Raises
    ------
    TrainError
        No parameter is left to train, or the auxiliary head can't read its map.
    """
    recipe, run, device = setup.recipe, setup.recipe.run, processes.device
    auxiliary = make_auxiliary(setup.network, recipe.network, len(setup.training.classes), run.seed)
    model = TrainedNetwork(setup.network, auxiliary)
    set_dropout(model, recipe.network.dropout)
    layout = torch.channels_last if run.channels_last else torch.contiguous_format
    model.to(device=device, dtype=setup.dtype)
    model.to(memory_format=layout)  # type: ignore[call-overload]
    average = None
    if run.ema:
        average = Average(build_network(setup.description).to(device=device, dtype=setup.dtype), run.ema)
    if run.sync_batch_norm and recipe.network.batch_norm == "trained":
        synchronize_norms(model, processes)
    freeze(model, recipe.network)
    if processes.size > 1:
        freeze_unread(model, recipe.data.size)
    return TrainState(model, make_optimizer(model, recipe.optimizer), average)


def make_batches(
    setup: TrainingSetup, processes: ProcessGroup, workers: int, iteration: int = 0
) -> Iterator[Batch]:
    """Return an iterator over this process's batches, from an iteration to the recipe's last one.

    Raises
    ------
    TrainError
        Images without labels, or a hard class that the dataset doesn't have.
    """
    recipe, run, data = setup.recipe, setup.recipe.run, setup.recipe.data
    places = epoch_places(setup.training, data.hard_classes, data.hard_times)
    red, green, blue = (round(255 * value) for value in data.mean)
    crops = Crops(
        setup.training,
        CropOrder(places, run.seed),
        Cutter(recipe.augment, data.size, (red, green, blue)),
        recipe.loss.ignore_index,
        data.cache_mb * _MB // max(workers, 1),
    )
    share = ProcessShare(run.batch_size, run.accumulate, processes.rank, processes.size)
    normalize = Normalizer(data.mean, data.std, processes.device, setup.dtype, run.channels_last)
    return load_batches(crops, share, (iteration, recipe.schedule.iterations), workers, normalize)


@contextmanager
def repeatable(recipe: Recipe, processes: ProcessGroup) -> Iterator[None]:
    """Within the block random numbers are the run's own, and algorithms repeat bits if the recipe says so.

    On the CPU they always do, with the same number of threads. Otherwise cuDNN tries its algorithms and
    takes the fastest, for all crops have one size. Torch's settings are restored afterwards.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    devices = [processes.device] if processes.device.type == "cuda" else []
    try:
        if recipe.run.deterministic:
            make_cublas_repeatable()
            torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = not recipe.run.deterministic
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
