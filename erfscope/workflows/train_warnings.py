"""Warnings and notes before a network is trained."""

from collections.abc import Iterator

from erfscope.errors import ComputeError
from erfscope.records.flags import Flag
from erfscope.system.process_group import ProcessGroup
from erfscope.train.training_setup import TrainingSetup
from erfscope.workflows.predict_fov import predict_fov

# Share of the middle one of the nine taps of an atrous convolution; shares are rounded.
_CENTER_TAP = 1 / 9 + 1e-9


def find_warnings(setup: TrainingSetup, processes: ProcessGroup) -> Iterator[Flag]:
    """Yield what may spoil the training: rates, weights, schedule, validation images, batch norm."""
    recipe = setup.recipe
    yield from _rate_warnings(setup)
    if setup.pretrained is None:
        yield Flag(
            "random_weights",
            f"the backbone starts from random weights (seed {recipe.run.seed}); --pretrained FILE gives it"
            " those of a classifier",
        )
    elif setup.pretrained.missing:
        missing = setup.pretrained.missing
        yield Flag(
            "missing_weights",
            f"{len(missing)} tensors of the backbone are not in {setup.pretrained.source} and start random:"
            f" {', '.join(missing[:3])}, …",
        )
    lr, floor = recipe.optimizer.lr, recipe.schedule.min_lr
    if recipe.schedule.policy == "poly" and lr <= floor:
        message = f"the learning rate stays {lr:g}: schedule.min_lr is {floor:g}; lower it by --set"
        yield Flag("constant_learning_rate", message)
    if recipe.data.train_split == recipe.data.val_split and setup.validation is not None:
        message = f"validation sees the images that are trained on: both splits are {recipe.data.val_split}"
        yield Flag("validated_on_training_images", message)
    size = processes.size
    if size > 1 and not recipe.run.sync_batch_norm and recipe.network.batch_norm == "trained":
        message = f"each of {size} processes normalizes over its own images: run.sync_batch_norm is off"
        yield Flag("separate_batch_norm", message)


def find_notes(setup: TrainingSetup, processes: ProcessGroup) -> Iterator[str]:
    """Yield what is worth knowing: which weights were read, and what a step consists of."""
    recipe, run, report = setup.recipe, setup.recipe.run, setup.pretrained
    if report is not None:
        yield f"backbone: {len(report.matched)} tensors from {report.source}, {report.left_out} left out"
    parts = [f"{run.batch_size} images"]
    parts += [f"{run.accumulate} passes"] if run.accumulate > 1 else []
    parts += [f"{processes.size} processes"] if processes.size > 1 else []
    together = run.batch_size * run.accumulate * processes.size
    yield (
        f"{together} images a step ({' × '.join(parts)}), {recipe.schedule.iterations} steps; "
        f"{len(setup.training)} images of {recipe.data.name}"
    )
    synchronized = run.sync_batch_norm and recipe.network.batch_norm == "trained"
    if processes.size > 1 and synchronized and processes.device.type == "cpu":
        yield "batch norm spans the processes by plain operations: torch's SyncBatchNorm needs CUDA"


def _rate_warnings(setup: TrainingSetup) -> Iterator[Flag]:
    """Say which rates the feature map is too small for, from the network's own graph."""
    if setup.network.rates is None:
        return
    height, width = setup.recipe.data.size
    try:
        fov = predict_fov(setup.network, (height, width))
    except ComputeError:  # without a graph nothing is known of the network
        return
    advice = "" if fov.recommended_rate is None else f"; r* for this crop is {fov.recommended_rate:.2f}"
    for rate, central, mean in zip(
        fov.rates, fov.valid_tap_fraction, fov.valid_tap_fraction_map, strict=False
    ):
        crop = f"crops of {height}×{width} px"
        if mean <= _CENTER_TAP:
            yield Flag(
                "rate_too_large",
                f"rate {rate} doesn't fit {crop}: its outer taps read only padding, which makes it a 1×1"
                f" convolution{advice}",
            )
        elif central <= _CENTER_TAP:
            yield Flag(
                "rate_large",
                f"rate {rate} is large for {crop}: at the center its outer taps read only padding, and of all"
                f" taps {1 - mean:.0%} do{advice}",
            )
