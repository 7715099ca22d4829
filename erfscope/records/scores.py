"""How well predictions agree with labels."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erfscope.records.arrays import FloatArray
from erfscope.records.flags import Flag, flag_fields
from erfscope.records.provenance import HasProvenance

Counts = NDArray[np.int64]

CONVENTION = (
    "mmsegmentation's: a score that divides by zero is undefined and left out of its mean, IoU and Dice "
    "only for a class that neither occurs nor is predicted"
)
#: Of which per-class scores there are means.
AVERAGED = ("iou", "recall", "precision", "f1", "dice")


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores by class, from all labeled pixels of all images together; undefined ones are NaN.

    With h the pixels of a class that are predicted so, p those that are predicted so at all, and t those
    that truly are of it:

    Attributes
    ----------
    classes
        K names.
    pixels
        (K,) t.
    iou
        (K,) h / (p + t − h); NaN only for a class that neither occurs nor is predicted.
    recall
        (K,) h / t, the class accuracy; NaN for a class that doesn't occur.
    precision
        (K,) h / p; NaN for a class that is never predicted.
    f1
        (K,) harmonic mean of precision and recall; NaN where one is NaN or both are zero.
    dice
        (K,) 2 h / (p + t), which is F1 but 0 where only F1 is undefined; NaN as `iou`.
    pixel_accuracy
        Share of the labeled pixels that are predicted rightly.
    miou_stderr
        Standard error of `miou` from the sampling of images; None if it isn't known.

    Notes
    -----
    By class and on average, these are mmsegmentation's IoUMetric (`Acc` is the recall, `Fscore` the F1),
    whose means leave the undefined out. torchmetrics' means of recall, precision and F1 instead count an
    undefined score as 0 if its class occurs or is predicted: `mean_with_zeros`. Of IoU and Dice both have
    the same mean.
    """

    classes: tuple[str, ...] = field(repr=False)
    pixels: Counts = field(repr=False)
    iou: FloatArray = field(repr=False)
    recall: FloatArray = field(repr=False)
    precision: FloatArray = field(repr=False)
    f1: FloatArray = field(repr=False)
    dice: FloatArray = field(repr=False)
    pixel_accuracy: float
    miou_stderr: float | None = None

    @classmethod
    def from_confusion(
        cls, matrix: Counts, classes: Sequence[str], *, miou_stderr: float | None = None
    ) -> "Scores":
        """Score a (K, K) confusion matrix, rows the truth, columns the prediction."""
        matrix = np.asarray(matrix, np.int64)
        hits, predicted, truth = np.diag(matrix), matrix.sum(0), matrix.sum(1)
        recall, precision = _ratio(hits, truth), _ratio(hits, predicted)
        return cls(
            classes=tuple(classes),
            pixels=truth,
            iou=_ratio(hits, predicted + truth - hits),
            recall=recall,
            precision=precision,
            f1=_ratio(2 * precision * recall, precision + recall),
            dice=_ratio(2 * hits, predicted + truth),
            pixel_accuracy=float(_ratio(hits.sum(), truth.sum())),
            miou_stderr=miou_stderr,
        )

    @property
    def miou(self) -> float:
        """Mean IoU over the classes that occur or are predicted; NaN if there are none."""
        return self.mean("iou")

    def mean(self, score: str) -> float:
        """Mean over the classes for which it is defined, of a score of `AVERAGED`; NaN if there are none."""
        return _mean(getattr(self, score))

    def mean_with_zeros(self, score: str) -> float:
        """Mean over the classes that occur or are predicted, an undefined score counting as 0."""
        present = ~np.isnan(self.iou)
        return _mean(np.nan_to_num(getattr(self, score)[present], nan=0.0))

    @property
    def never_occurring(self) -> tuple[str, ...]:
        """Classes of which no pixel is labeled."""
        return self._where(self.pixels == 0)

    @property
    def never_right(self) -> tuple[str, ...]:
        """Classes that occur, and of which no pixel is predicted rightly."""
        return self._where((self.iou == 0) & (self.pixels > 0))

    def _where(self, chosen: NDArray[np.bool_]) -> tuple[str, ...]:
        return tuple(name for name, yes in zip(self.classes, chosen, strict=True) if yes)

    def means(self) -> dict[str, Any]:
        """Return the totals in JSON form, None for what is undefined."""
        return {
            "miou": number(self.miou),
            "miou_stderr": number(self.miou_stderr),
            "pixel_accuracy": number(self.pixel_accuracy),
            "mean_class_accuracy": number(self.mean("recall")),
            **{f"mean_{score}": number(self.mean(score)) for score in AVERAGED[1:]},
            "pixels": int(self.pixels.sum()),
        }

    def summary(self) -> dict[str, Any]:
        """Return the JSON form: totals, torchmetrics' means where they differ, and each class."""
        return {
            **self.means(),
            "mean_with_zeros": {score: number(self.mean_with_zeros(score)) for score in AVERAGED[1:]},
            "convention": CONVENTION,
            "by_class": [
                {
                    "name": name,
                    "pixels": int(self.pixels[k]),
                    **{score: number(getattr(self, score)[k]) for score in AVERAGED},
                }
                for k, name in enumerate(self.classes)
            ],
        }


@dataclass(frozen=True, eq=False)
class Evaluation(HasProvenance):
    """A network's scores on a dataset.

    Attributes
    ----------
    scores
        Over whole images.
    trimap
        By width, px: over the pixels that lie within it of a class boundary; empty if not asked for.
    confusion
        (K, K) pixels, rows the truth, columns the prediction.
    images
        How many were scored.
    skipped
        Name and reason of each image that could not be.
    inference
        How the network was run, JSON-able.
    provenance
        Network, weights, dataset, device, times; JSON-able.
    flags
        What must not be trusted.
    """

    scores: Scores
    trimap: Mapping[float, Scores]
    confusion: Counts = field(repr=False)
    images: int
    skipped: tuple[tuple[str, str], ...] = ()
    inference: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Return the JSON form, without the confusion matrix."""
        return {
            "images": self.images,
            "images_skipped": len(self.skipped),
            "skipped": [{"name": name, "reason": reason} for name, reason in self.skipped],
            **self.scores.summary(),
            "miou_stderr_of": "the sampling of images, by the jackknife; training again is not in it",
            "trimap": [
                {"width_px": width, **scores.means(), "iou": [number(iou) for iou in scores.iou]}
                for width, scores in self.trimap.items()
            ],
            "inference": dict(self.inference),
            **self.provenance,
            **flag_fields(self.flags),
        }

    @property
    def inference_label(self) -> str:
        """How tables and figures tell in what way the network was run."""
        how = {"mode": "whole", "scales": [1.0], "short_side": None, "flip": False, **self.inference}
        words = ["whole images"]
        if how["mode"] == "slide":
            crop, stride = ("×".join(map(str, how[side])) for side in ("crop", "stride"))
            words = [f"windows of {crop} px every {stride} px"]
        if how["short_side"] is not None:
            words.append(f"shorter side {how['short_side']} px")
        if how["scales"] != [1.0]:
            words.append(f"scales {', '.join(f'{scale:g}' for scale in how['scales'])}")
        return ", ".join(words + ["mirrored too"] * how["flip"])


def mean_iou(hits: FloatArray, predicted: FloatArray, truth: FloatArray) -> FloatArray:
    """Mean IoU of counts (…, K) along the last axis, over the classes that occur or are predicted."""
    iou = _ratio(hits, predicted + truth - hits)
    present = ~np.isnan(iou)
    return _ratio(np.where(present, iou, 0.0).sum(-1), present.sum(-1))


def number(value: float | None) -> float | None:
    """Return a number as JSON can hold it: None for NaN."""
    return None if value is None or math.isnan(value) else float(value)


def _ratio(top: Any, bottom: Any) -> FloatArray:
    """Divide; NaN where the bottom is zero (or NaN)."""
    top, bottom = np.asarray(top, np.float64), np.asarray(bottom, np.float64)
    ratio = np.full(np.broadcast_shapes(top.shape, bottom.shape), np.nan)
    np.divide(top, bottom, out=ratio, where=bottom > 0)
    return ratio


def _mean(values: FloatArray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else math.nan
