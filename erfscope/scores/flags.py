"""What must not be trusted about scores."""

import re
from collections.abc import Iterator, Mapping, Sequence

from erfscope.records.flags import Flag
from erfscope.records.model_info import ModelInfo
from erfscope.records.scores import Scores
from erfscope.scores.inference import Predictor
from erfscope.scores.sampling import MIN_IMAGES

LISTED = 6  # names that a flag holds


def weight_flags(info: ModelInfo, classes: Sequence[str]) -> Iterator[Flag]:
    """Tell of random, partial or broken weights, and of classes that the checkpoint names otherwise."""
    weights = info.weights
    if weights.source == "random":
        yield Flag(
            "random_weights",
            f"random weights (seed {weights.seed}): these are the scores of an untrained network; "
            "--checkpoint FILE gives it trained ones",
        )
    elif weights.missing:
        message = f"{len(weights.missing)} tensors are not in {weights.source} and stayed random"
        yield Flag("missing_weights", message)
    if weights.not_finite:
        message = f"{sum(weights.not_finite.values())} values of the weights are NaN or infinite"
        yield Flag("non_finite_weights", message)
    told = info.training.classes
    if len(told) == len(classes):
        other = [
            (k, mine, theirs)
            for k, (mine, theirs) in enumerate(zip(classes, told, strict=True))
            if _letters(mine) != _letters(theirs)
        ]
        if other:
            k, mine, theirs = other[0]
            yield Flag(
                "class_names_differ",
                f"{len(other)} of {len(classes)} classes are named otherwise in the checkpoint (class {k} is "
                f"{theirs!r} there, {mine!r} in the dataset): in another order, the scores are wrong",
            )


def inference_flags(predictor: Predictor, *, fitted: bool) -> Iterator[Flag]:
    """Tell what was done to the images that published scores don't do."""
    if fitted:
        message = "images were fitted to one size: the scores are not those of whole images"
        yield Flag("images_fitted", message)
    if predictor.multiple > 1:
        yield Flag(
            "images_padded",
            f"the network refuses some sizes: images were padded to multiples of {predictor.multiple} px, at "
            "the right and at the bottom",
        )


def score_flags(scores: Scores, images: int, available: int | None) -> Iterator[Flag]:
    """Tell of few images (of those `available`, None for synthetic ones) and of classes that never occur."""
    if available is not None and images < available:
        yield Flag("subset_scored", f"scored on {images} of {available} images")
    if images < MIN_IMAGES:
        message = f"{images} images are too few for an error of the mIoU; give {MIN_IMAGES} or more"
        yield Flag("few_images", message)
    if scores.never_occurring:
        predicted = int((scores.iou[scores.pixels == 0] == 0).sum())
        absent = len(scores.never_occurring) - predicted
        yield Flag(
            "absent_classes",
            f"{_classes(scores.never_occurring)} without a labeled pixel: {predicted} predicted all the "
            f"same, which counts as an IoU of 0, {absent} left out of the means",
        )


def mean_flags(scores: Scores) -> Iterator[Flag]:
    """Tell of classes that the mean F1 and precision leave out; the mIoU counts them."""
    if scores.never_right:
        precision, f1 = (scores.mean_with_zeros(score) for score in ("precision", "f1"))
        yield Flag(
            "classes_never_right",
            f"{_classes(scores.never_right)} of which no pixel is predicted rightly: not in the mean F1 nor, "
            f"if never predicted, in the mean precision, which with zeros are {f1:.4f} and {precision:.4f}",
        )


def trimap_flags(trimap: Mapping[float, Scores]) -> Iterator[Flag]:
    """Tell of bands without a pixel."""
    empty = [f"{width:g}" for width, scores in trimap.items() if not scores.pixels.any()]
    if empty:
        yield Flag(
            "empty_trimap",
            f"no labeled pixel within {', '.join(empty)} px of another class: where ignored pixels part the "
            "classes, as in VOC, --trimap-void counts them as boundaries",
        )


def _classes(names: Sequence[str]) -> str:
    more = f", … ({len(names) - LISTED} more)" if len(names) > LISTED else ""
    return f"{len(names)} class{'' if len(names) == 1 else 'es'} ({', '.join(names[:LISTED])}{more})"


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
