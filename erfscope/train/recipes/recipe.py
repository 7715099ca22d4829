"""A recipe: which network is trained on which images and how; every field has a name and a default."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

Count = Annotated[int, Meta(ge=1)]
Natural = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
Weight = Annotated[float, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
#: (H, W) or (long side, short side), px; one number stands for both.
Sides = tuple[Count, Count]


@dataclass(frozen=True)
class NetworkRecipe:
    """[network]: the network that is trained.

    Attributes
    ----------
    model, backbone, output_stride, rates, align_corners
        As `erfscope models` lists them; None takes the network's default.
    options
        Any other option of the network.
    dropout
        Probability of all dropout layers, in 0 to 1; None keeps each layer's own.
    pretrained
        File of weights of the backbone, from ImageNet say; None starts from random weights.
    freeze_backbone
        Don't train the backbone, nor update the statistics of its batch norms.
    batch_norm
        "frozen" keeps the statistics and weights of all batch norms.
    auxiliary_weight
        Weight of the loss of an auxiliary FCN head on one of the backbone's maps; 0 for no such head.
    auxiliary_map, auxiliary_channels
        Index of the map that this head reads, in the order in which the backbone returns them, and the number
        of the head's channels: None for a quarter of the map's, at most 256.
    """

    model: str = "deeplabv3"
    backbone: str | None = None
    output_stride: Count | None = None
    rates: tuple[Count, ...] | None = None
    align_corners: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    dropout: Fraction | None = None
    pretrained: str | None = None
    freeze_backbone: bool = False
    batch_norm: Literal["trained", "frozen"] = "trained"
    auxiliary_weight: Weight = 0.0
    auxiliary_map: int = 2
    auxiliary_channels: Count | None = None


@dataclass(frozen=True)
class DataRecipe:
    """[data]: the images that it is trained on.

    Attributes
    ----------
    name, root, options
        The dataset, its folder (None: that in $ERFSCOPE_DATA), and options of a synthetic dataset.
    train_split, val_split
        Names of the splits for training and validation.
    size
        (H, W) of the crops that the network sees, px.
    scene_scale
        Side of synthetic scenes in units of the crop's side, at least 1.
    images, val_images
        How many images to train and validate on, a seeded subset; None for all.
    seed
        Seed of subsets and of synthetic scenes, which differ between the two splits.
    mean, std
        (R, G, B) in 0 to 1, by which images are normalized.
    hard_classes, hard_times
        Names of classes; images in which one of them occurs come `hard_times` times an epoch.
    cache_mb
        Memory for decoded images, MB per process.
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
    """[augment]: how an image becomes a crop; see `crops.augment.Cutter`.

    Attributes
    ----------
    fit
        "crop" scales and crops at random; "resize" brings the whole image to the crop's size.
    frame
        (long, short) side in px that an image is brought into, keeping its aspect ratio, before the random
        scale; None leaves it as it is.
    scale
        Least and greatest random scale factor.
    category_ratio
        Largest share of a crop's pixels that one class may fill, in 0 to 1; after ten trials the last crop is
        taken. 1 takes the first crop.
    flip
        Probability of the horizontal flip.
    photometric
        Distort brightness, contrast, saturation and hue.
    """

    fit: Literal["crop", "resize"] = "crop"
    frame: Sides | None = None
    scale: tuple[Positive, Positive] = (1.0, 1.0)
    category_ratio: Annotated[float, Meta(gt=0, le=1)] = 1.0
    flip: Fraction = 0.0
    photometric: bool = False


@dataclass(frozen=True)
class LossRecipe:
    """[loss]: a weighted sum; see `losses.Loss`.

    Attributes
    ----------
    cross_entropy, dice
        Weights of the two losses; 0 leaves one out.
    class_weights
        One weight for each class, in cross-entropy and Dice; empty for equal weights.
    ohem
        Online hard example mining: cross-entropy of hard pixels only, those whose class has a probability
        below `ohem_probability`, and in any case the `ohem_kept` hardest per image.
    supervise
        "logits": enlarge the logits to the labels; "labels": reduce the labels to the size of the logits.
    ignore_index
        Class whose pixels are ignored, like those without a class.
    """

    cross_entropy: Weight = 1.0
    dice: Weight = 0.0
    class_weights: tuple[Weight, ...] = ()
    ohem: bool = False
    ohem_probability: Fraction = 0.7
    ohem_kept: Count = 100_000
    supervise: Literal["logits", "labels"] = "logits"
    ignore_index: Annotated[int, Meta(ge=0, le=255)] = 255


@dataclass(frozen=True)
class OptimizerRecipe:
    """[optimizer]: how weights are updated; the defaults are mmsegmentation's.

    Attributes
    ----------
    name, lr, momentum, weight_decay
        Name, learning rate, momentum (SGD only) and weight decay (decoupled with AdamW).
    decay_norms
        Apply weight decay also to the weights of norms and to biases.
    head_lr_factor
        Factor on the learning rate of all parameters outside the backbone.
    clip_norm
        Largest L2 norm of all gradients together; None doesn't clip.
    """

    name: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: Positive = 0.01
    momentum: Fraction = 0.9
    weight_decay: Weight = 5e-4
    decay_norms: bool = True
    head_lr_factor: Positive = 1.0
    clip_norm: Positive | None = None


@dataclass(frozen=True)
class ScheduleRecipe:
    """[schedule]: length of the training and its learning rate; see `optimizer.learning_rate`.

    Attributes
    ----------
    iterations
        Steps of the optimizer.
    policy, power, min_lr
        "poly" falls to `min_lr` with this power, "constant" stays, "step" is multiplied by `step_factor` at
        each iteration of `steps`.
    warmup, warmup_ratio
        Iterations of linear warm-up, and the share of the learning rate that it starts from.
    """

    iterations: Count = 1000
    policy: Literal["poly", "constant", "step"] = "poly"
    power: Positive = 0.9
    min_lr: Weight = 1e-4
    steps: tuple[Count, ...] = ()
    step_factor: Positive = 0.1
    warmup: Natural = 0
    warmup_ratio: Fraction = 1e-6


@dataclass(frozen=True)
class RunRecipe:
    """[run]: batches, precision, processes and files.

    Attributes
    ----------
    batch_size, accumulate
        Images per process and pass; passes whose gradients are added up for one step.
    seed
        Seed of initial weights, order of images, augmentation and dropout.
    precision
        Precision of weights and operations; "bfloat16" is mixed: weights stay float32. "tf32" is for CUDA.
    ema
        Decay of the running average of the weights, in 0 to 1; 0 keeps none. Validation and the exported
        weights use the average.
    sync_batch_norm
        Let batch norms normalize over the images of all processes.
    channels_last, deterministic
        Memory format of images and weights; use only algorithms that repeat their bits, slower on CUDA.
    workers
        Processes that read images, as far as there are cores; None chooses.
    save_every, log_every
        Iterations between checkpoints, and between rows of the log.
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
        Iterations between validations; the last iteration is always followed by one. 0 for none.
    mode, stride
        "whole": each image in one piece; "slide": a window of the crop's size in steps of `stride` px, None
        for two thirds of its side.
    """

    every: Natural = 0
    mode: Literal["whole", "slide"] = "whole"
    stride: Count | None = None


@dataclass(frozen=True)
class Recipe:
    """A recipe: its sections, and a title of one line."""

    title: str = ""
    network: NetworkRecipe = NetworkRecipe()
    data: DataRecipe = DataRecipe()
    augment: AugmentRecipe = AugmentRecipe()
    loss: LossRecipe = LossRecipe()
    optimizer: OptimizerRecipe = OptimizerRecipe()
    schedule: ScheduleRecipe = ScheduleRecipe()
    run: RunRecipe = RunRecipe()
    validation: ValidationRecipe = ValidationRecipe()
