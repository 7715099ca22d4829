"""Score a network on labeled images."""

import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from erfscope.datasets import ImageDataset, PluggedDataset, Sample, SkippedImage, stream
from erfscope.errors import ScoreError
from erfscope.model.frozen_eval import frozen_eval
from erfscope.records.model_info import ModelInfo, WeightsReport
from erfscope.records.scores import Evaluation
from erfscope.scores.flags import inference_flags, mean_flags, score_flags, trimap_flags, weight_flags
from erfscope.scores.inference import Inference, Predictor, SizePx, usual_stride
from erfscope.scores.native import at_native_size
from erfscope.scores.scoring import Scoring
from erfscope.system.devices import choose_device
from erfscope.system.memory import kept_memory, translate_out_of_memory
from erfscope.system.threads import limited_threads, share_cores

MAX_SKIPPED = 0.01
Labeled = ImageDataset | PluggedDataset
Progress = Callable[[int, int], None]


def evaluate(
    model: nn.Module,
    dataset: Labeled,
    *,
    fitted: bool = False,
    mode: str = "whole",
    crop: SizePx | None = None,
    stride: SizePx | None = None,
    scales: Sequence[float] = (1.0,),
    short_side: int | None = None,
    flip: bool = False,
    threshold: float = 0.5,
    trimap_widths: Sequence[float] = (),
    trimap_void: bool = False,
    device: str = "auto",
    batch_size: int = 1,
    workers: int | None = None,
    max_skipped: float = MAX_SKIPPED,
    progress: Progress = lambda done, skipped: None,
) -> Evaluation:
    """Score a network's predictions against the labels of a dataset.

    The same images and weights give the same scores on one machine.

    Parameters
    ----------
    model
        Maps normalized images (N, 3, H, W) to logits (N, K, h, w) of the dataset's K classes, or to one logit
        for two classes; logits are resized bilinearly to the image. It runs in eval mode, in its own
        precision, and comes back exactly as it was.
    dataset
        Labeled images, normalized as the network expects.
    fitted
        Score the images as the dataset fits them to its size, rather than at their own size. Images of a
        plug-in stay as they are.
    mode
        "whole": each image in one piece; "slide": window by window, the logits averaged where they overlap.
    crop, stride
        (height, width) of the window and of its steps, px, with "slide". By default the crop is the one that
        the checkpoint was trained on, and the stride two thirds of its sides.
    scales
        Factors on the image's size; probabilities are averaged over all of them.
    short_side
        What the image's shorter side is scaled to before that, px; None keeps it.
    flip
        Average also over the image mirrored left to right.
    threshold
        Probability above which a network of one logit predicts class 1.
    trimap_widths
        Widths of bands about the labels' class boundaries that are scored, too, px.
    trimap_void
        Whether pixels without a class bound the others, as in DeepLab's bands on VOC.
    device
        "auto", "cpu", "cuda" or "cuda:N".
    batch_size
        Windows that go through the network at once, with "slide".
    workers
        Processes that read images, as far as there are cores; None chooses.
    max_skipped
        Largest share of images, in 0 to 1, that may be skipped: those that can't be read, have no label, or
        make the network's output non-finite.
    progress
        Called with the numbers of images done and skipped after each image.

    Returns
    -------
    Evaluation
        `scores` (each in 0 to 1, by class and on average), `confusion` (K, K) int64 px with rows the truth,
        `trimap` by width in px, and `flags`.

    Raises
    ------
    ScoreError
        The dataset has no labels, classes don't match, a window or scale can't be, or too many images had to
        be skipped.
    ComputeError
        There is no such device, or memory ran out.

    Notes
    -----
    Inference and scores follow mmsegmentation (`SegTTAModel`, `IoUMetric`), the bands DeepLab (arXiv
    1606.00915). The standard error of the mIoU is that of the sampling of images, a jackknife.

    Examples
    --------
    >>> import erfscope
    >>> images = erfscope.open_dataset("synthetic-leaves", size=33, images=2)
    >>> model = erfscope.load_model("fcn", backbone="resnet18", num_classes=len(images.classes), seed=0)
    >>> evaluation = erfscope.evaluate(model, images)
    >>> evaluation.confusion.shape, int(evaluation.confusion.sum())
    ((5, 5), 2178)
    >>> 0 <= evaluation.scores.miou < 0.5
    True
    >>> evaluation.flags[0].code
    'random_weights'
    """
    require_classes(dataset)
    if not all(width > 0 for width in trimap_widths):
        raise ScoreError(f"bands of {list(trimap_widths)} px: expected widths above 0")
    info = _info(model)
    crop, stride = _window(mode, crop, stride, info)
    sizes = tuple(map(float, scales)), short_side
    inference = Inference(mode, crop, stride, *sizes, flip, threshold, batch_size)
    place = choose_device(device)
    workers, threads = share_cores(place, workers if isinstance(dataset, ImageDataset) else 0)
    scoring = Scoring(
        dataset.classes,
        widths=trimap_widths,
        void_is_boundary=trimap_void,
        total=len(dataset),
        max_skipped=max_skipped,
    )
    predictor, clock = Predictor(model, inference), time.perf_counter()
    precision = next((each.dtype for each in model.parameters() if each.is_floating_point()), torch.float32)
    memory = translate_out_of_memory("scoring", "--mode slide, or a smaller --size")
    with (
        memory,
        frozen_eval(model, place, precision),
        limited_threads(threads),
        kept_memory(),
        torch.no_grad(),
    ):
        for item in _items(dataset, fitted, workers):
            _score(item, scoring, predictor, place, precision)
            progress(scoring.done, len(scoring.skipped))
            if scoring.too_many_skipped:
                break
    scoring.check()
    scores, bands = scoring.scores(), scoring.trimap()
    available = len(dataset.source.names) if isinstance(dataset, ImageDataset) and dataset.root else None
    return Evaluation(
        scores=scores,
        trimap=bands,
        confusion=scoring.whole.matrix,
        images=scoring.done,
        skipped=tuple(scoring.skipped),
        inference={**inference.summary(), "padded_to_multiples_of": predictor.multiple, "fitted": fitted},
        provenance=_provenance(info, dataset, fitted, place, time.perf_counter() - clock),
        flags=(
            *weight_flags(info, dataset.classes),
            *inference_flags(predictor, fitted=fitted and available is not None),
            *score_flags(scores, scoring.done, available),
            *mean_flags(scores),
            *trimap_flags(bands),
        ),
    )


def require_classes(dataset: Labeled) -> None:
    """Raise `ScoreError` for a dataset without labels."""
    if not dataset.classes:
        raise ScoreError(
            f"{dataset.name} has no labels to score against; 'erfscope datasets' lists those with classes"
        )


def _window(
    mode: str, crop: SizePx | None, stride: SizePx | None, info: ModelInfo
) -> tuple[SizePx | None, SizePx | None]:
    if mode == "whole":
        if crop is not None or stride is not None:
            raise ScoreError("a window or its stride is given for whole images; add --mode slide")
        return None, None
    crop = crop or info.training.crop_size
    return crop, stride or (None if crop is None else usual_stride(crop))


def _items(dataset: Labeled, fitted: bool, workers: int) -> Iterator[Sample | SkippedImage]:
    if isinstance(dataset, PluggedDataset):
        return iter(dataset)
    return stream(dataset if fitted else at_native_size(dataset), workers=workers)


def _score(
    item: Sample | SkippedImage,
    scoring: Scoring,
    predictor: Predictor,
    device: torch.device,
    precision: torch.dtype,
) -> None:
    if isinstance(item, SkippedImage):
        return scoring.skip(item.name, item.reason)
    if item.label is None:
        return scoring.skip(item.name, "it has no label")
    if item.label.shape != item.image.shape[1:]:
        sizes = ("×".join(map(str, tensor.shape[-2:])) for tensor in (item.label, item.image))
        return scoring.skip(item.name, "its label is {} px, its image {}".format(*sizes))
    scores = predictor.scores(item.image.to(device, precision))
    _check_classes(len(scores), scoring.classes)
    if not bool(torch.isfinite(scores).all()):
        return scoring.skip(item.name, "the network's output is not finite")
    return scoring.add(item, predictor.choose(scores))


def _check_classes(given: int, classes: Sequence[str]) -> None:
    if given != len(classes) and (given, len(classes)) != (1, 2):
        raise ScoreError(
            f"the network has {given} classes, the dataset {len(classes)} ({', '.join(classes[:3])}, …); "
            "score it on the dataset that it was trained on"
        )


def _info(model: nn.Module) -> ModelInfo:
    info = getattr(model, "info", None)
    if isinstance(info, ModelInfo):
        return info
    return ModelInfo(type(model).__name__, {}, WeightsReport("as given"))


def _provenance(
    info: ModelInfo, dataset: Labeled, fitted: bool, device: torch.device, seconds: float
) -> dict[str, Any]:
    unfitted = isinstance(dataset, ImageDataset) and not fitted
    described = at_native_size(dataset) if unfitted and isinstance(dataset, ImageDataset) else dataset
    return {
        "command": shlex.join(sys.argv),
        "versions": {name: version(name) for name in ("erfscope", "torch")},
        "network": {
            "name": info.name,
            "options": dict(info.options),
            "trained_settings": dict(info.trained_settings),
            "training": info.training.summary(),
        },
        "weights": info.weights.summary(),
        "dataset": described.describe(),
        "device": str(device),
        "seconds": seconds,
    }
