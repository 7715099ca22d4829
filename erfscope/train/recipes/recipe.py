"""A recipe: what network is trained on what and how, as data; every field has a name and a default."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

Count = Annotated[int, Meta(ge=1)]
Natural = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
Weight = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
#: (H, W) or (long side, short side), px; one number stands for both.
Sides = tuple[Count, Count]


@dataclass(frozen=True)
class NetworkRecipe:
    """[network]: what is trained.

    Attributes
    ----------
    model, backbone, output_stride, rates, align_corners
        As `erfscope models` lists them; None takes the network's own.
    options
        Any other option that the network has.
    dropout
        Of all its dropout layers; None leaves each its own.
    pretrained
        File of the backbone's weights, from ImageNet say; None starts from random ones.
    freeze_backbone
        Keep the backbone as it is, its batch norms' statistics too.
    batch_norm
        "frozen" keeps statistics and weights of all batch norms.
    auxiliary_weight
        Of the loss of an FCN head on another of the backbone's maps; 0 for no such head.
    auxiliary_map, auxiliary_channels
        Which map that head reads, counted as the backbone gives them, and its width: None for a quarter
        of the map's, at most 256.
    """

    model: str = "deeplabv3"
    backbone: str | None = None
    output_stride: Count | None = None
    rates: tuple[Count, ...] | None = None
    align_corners: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    dropout: Share | None = None
    pretrained: str | None = None
    freeze_backbone: bool = False
    batch_norm: Literal["trained", "frozen"] = "trained"
    auxiliary_weight: Weight = 0.0
    auxiliary_map: int = 2
    auxiliary_channels: Count | None = None


@dataclass(frozen=True)
class DataRecipe:
    """[data]: on which images.

    Attributes
    ----------
    name, root, options
        Of the dataset; `root` None is the folder in $ERFSCOPE_DATA, `options` are a synthetic one's.
    train_split, val_split
        Which of its parts.
    size
        (H, W) of the crops that the network sees, px.
    scene_scale
        Synthetic scenes are drawn so many times as large as crops are, at least once.
    images, val_images
        How many to use, a seeded subset; None for all.
    seed
        Of subsets and synthetic scenes, of which those of the two splits differ.
    mean, std
        Of R, G, B in 0 to 1, with which the images are normalized.
    hard_classes, hard_times
        Images in which one of these classes occurs come so many times an epoch.
    cache_mb
        Keep decoded images in memory up to so much, MB a process.
    """

    name: str = "synthetic-leaves"
    root: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    train_split: str = "train"
    val_split: str = "val"
    size: Sides = (512, 512)
    scene_scale: Annotated[float, Meta(ge=1)] = 1.0
    images: Count | None = None
    val_images: Count | None = None
    seed: Natural = 0
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)
    hard_classes: tuple[str, ...] = ()
    hard_times: Count = 2
    cache_mb: Natural = 512


@dataclass(frozen=True)
class AugmentRecipe:
    """[augment]: how an image becomes a crop; see `augment.cut`.

    Attributes
    ----------
    fit
        "crop" scales and crops at random; "resize" brings the whole image to the crop's size.
    frame
        (long, short) side in px that an image is brought into, keeping its aspect ratio, before the random
        scale; None leaves it as it is.
    scale
        Limits of the random scale.
    category_ratio
        No class may fill more of a crop; after ten trials the last one is taken. 1 takes the first.
    flip
        Probability of the horizontal flip.
    photometric
        Distort brightness, contrast, saturation and hue.
    """

    fit: Literal["crop", "resize"] = "crop"
    frame: Sides | None = None
    scale: tuple[Positive, Positive] = (1.0, 1.0)
    category_ratio: Annotated[float, Meta(gt=0, le=1)] = 1.0
    flip: Share = 0.0
    photometric: bool = False


@dataclass(frozen=True)
class LossRecipe:
    """[loss]: a weighted sum; see `losses.Loss`.

    Attributes
    ----------
    cross_entropy, dice
        Weights of the two; 0 leaves one out.
    class_weights
        One for each class, in cross-entropy and Dice; empty for ones.
    ohem
        Cross-entropy of hard pixels alone: those whose class has less than `ohem_probability`, and the
        `ohem_kept` hardest an image in any case.
    supervise
        "logits" are enlarged to the labels, or the "labels" reduced to the head's logits.
    ignore_index
        A class that isn't trained, beside the pixels without a class.
    """

    cross_entropy: Weight = 1.0
    dice: Weight = 0.0
    class_weights: tuple[Weight, ...] = ()
    ohem: bool = False
    ohem_probability: Share = 0.7
    ohem_kept: Count = 100_000
    supervise: Literal["logits", "labels"] = "logits"
    ignore_index: Annotated[int, Meta(ge=0, le=255)] = 255


@dataclass(frozen=True)
class OptimizerRecipe:
    """[optimizer]: how weights move; the defaults are mmsegmentation's.

    Attributes
    ----------
    name, lr, momentum, weight_decay
        `momentum` is SGD's; AdamW's weight decay is decoupled.
    decay_norms
        Whether weight decay acts on norms' weights and on biases.
    head_lr_factor
        Of the learning rate outside the backbone.
    clip_norm
        Largest norm of all gradients together; None doesn't clip.
    """

    name: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: Positive = 0.01
    momentum: Share = 0.9
    weight_decay: Weight = 5e-4
    decay_norms: bool = True
    head_lr_factor: Positive = 1.0
    clip_norm: Positive | None = None


@dataclass(frozen=True)
class ScheduleRecipe:
    """[schedule]: how long, and the learning rate over it; see `schedule.learning_rate`.

    Attributes
    ----------
    iterations
        Steps of the optimizer.
    policy, power, min_lr
        "poly" falls to `min_lr`, "constant" doesn't, "step" falls by `step_factor` at each of `steps`.
    warmup, warmup_ratio
        Iterations of linear warm-up, and the share of the learning rate that it begins with.
    """

    iterations: Count = 1000
    policy: Literal["poly", "constant", "step"] = "poly"
    power: Positive = 0.9
    min_lr: Weight = 1e-4
    steps: tuple[Count, ...] = ()
    step_factor: Positive = 0.1
    warmup: Natural = 0
    warmup_ratio: Share = 1e-6


@dataclass(frozen=True)
class RunRecipe:
    """[run]: the machinery.

    Attributes
    ----------
    batch_size, accumulate
        Images a process and pass; passes whose gradients are added to one step.
    seed
        Of weights, order, augmentation and dropout.
    precision
        "bfloat16" is mixed: weights stay float32.
    ema
        Decay of the running average of the weights; 0 keeps none. Validation and the files of weights
        take the average.
    sync_batch_norm
        Normalize over the images of all processes.
    channels_last, deterministic
        Memory format; algorithms that give the same bits each time, slower on CUDA.
    workers
        Processes that read images, as far as there are cores; None chooses.
    save_every, log_every
        Iterations between checkpoints, and between lines of the log.
    """

    batch_size: Count = 4
    accumulate: Count = 1
    seed: Natural = 0
    precision: Literal["float32", "float64", "bfloat16", "tf32"] = "float32"
    ema: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    sync_batch_norm: bool = True
    channels_last: bool = True
    deterministic: bool = False
    workers: Natural | None = None
    save_every: Count = 500
    log_every: Count = 10


@dataclass(frozen=True)
class ValidationRecipe:
    """[validation]: when and how mIoU is measured.

    Attributes
    ----------
    every
        Iterations between; the last is always followed by one. 0: never.
    mode, stride
        "whole" images at once, or "slide" a window of the crop's size by `stride` px (None: two thirds).
    """

    every: Natural = 0
    mode: Literal["whole", "slide"] = "whole"
    stride: Count | None = None


@dataclass(frozen=True)
class Recipe:
    """All sections. `title` says in one line what it is of."""

    title: str = ""
    network: NetworkRecipe = NetworkRecipe()
    data: DataRecipe = DataRecipe()
    augment: AugmentRecipe = AugmentRecipe()
    loss: LossRecipe = LossRecipe()
    optimizer: OptimizerRecipe = OptimizerRecipe()
    schedule: ScheduleRecipe = ScheduleRecipe()
    run: RunRecipe = RunRecipe()
    validation: ValidationRecipe = ValidationRecipe()
