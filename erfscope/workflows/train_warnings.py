"""What to say before a network is trained."""

from collections.abc import Iterator

from erfscope.errors import ComputeError
from erfscope.records.flags import Flag
from erfscope.train.assemble import Subject
from erfscope.train.distributed import World
from erfscope.train.recipes.recipe import Recipe
from erfscope.workflows.predict_fov import predict_fov

# Of the nine taps of an atrous convolution, the one in the middle; shares are rounded.
_CENTER_TAP = 1 / 9 + 1e-9


def warnings_of(recipe: Recipe, subject: Subject, world: World) -> Iterator[Flag]:
    """Yield what must not pass silently."""
    yield from _rate_warnings(recipe, subject)
    if subject.pretrained is None:
        yield Flag(
            "random_weights",
            f"the backbone starts from random weights (seed {recipe.run.seed}); --pretrained FILE gives it"
            " those of a classifier",
        )
    elif subject.pretrained.missing:
        missing = subject.pretrained.missing
        yield Flag(
            "missing_weights",
            f"{len(missing)} tensors of the backbone are not in {subject.pretrained.source} and start random:"
            f" {', '.join(missing[:3])}, …",
        )
    lr, floor = recipe.optimizer.lr, recipe.schedule.min_lr
    if recipe.schedule.policy == "poly" and lr <= floor:
        message = f"the learning rate stays {lr:g}: schedule.min_lr is {floor:g}; lower it by --set"
        yield Flag("constant_learning_rate", message)
    if recipe.data.train_split == recipe.data.val_split and subject.validation is not None:
        message = f"validation sees the images that are trained on: both splits are {recipe.data.val_split}"
        yield Flag("validated_on_training_images", message)
    if world.size > 1 and not recipe.run.sync_batch_norm and recipe.network.batch_norm == "trained":
        message = f"each of {world.size} processes normalizes over its own images: run.sync_batch_norm is off"
        yield Flag("separate_batch_norm", message)


def notes_of(recipe: Recipe, subject: Subject, world: World) -> Iterator[str]:
    """Yield what is worth knowing."""
    run, report = recipe.run, subject.pretrained
    if report is not None:
        yield f"backbone: {len(report.matched)} tensors from {report.source}, {report.left_out} left out"
    parts = [f"{run.batch_size} images"]
    parts += [f"{run.accumulate} passes"] if run.accumulate > 1 else []
    parts += [f"{world.size} processes"] if world.size > 1 else []
    together = run.batch_size * run.accumulate * world.size
    yield (
        f"{together} images a step ({' × '.join(parts)}), {recipe.schedule.iterations} steps; "
        f"{len(subject.training)} images of {recipe.data.name}"
    )
    synchronized = run.sync_batch_norm and recipe.network.batch_norm == "trained"
    if world.size > 1 and synchronized and world.device.type == "cpu":
        yield "batch norm spans the processes by plain operations: torch's SyncBatchNorm needs CUDA"


def _rate_warnings(recipe: Recipe, subject: Subject) -> Iterator[Flag]:
    """Say which rates the feature map is too small for, from the network's own graph."""
    if subject.network.rates is None:
        return
    height, width = recipe.data.size
    try:
        fov = predict_fov(subject.network, (height, width))
    except ComputeError:  # of a network without a graph nothing is known
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
