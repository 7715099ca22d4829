"""Scores of one run, over whole images and in bands about boundaries, and the images skipped."""

from collections.abc import Sequence

import numpy as np
import torch

from erfscope.datasets import Sample
from erfscope.errors import ScoreError
from erfscope.records.scores import Scores
from erfscope.scores.boundaries import boundary_distance, keep_band
from erfscope.scores.score_counts import ScoreCounts


class Scoring:
    """Collects the counts of one run.

    Parameters
    ----------
    classes
        Names of the dataset's classes.
    widths, void_is_boundary
        Widths of the bands, px, and whether pixels without a class bound them; see `scores.boundaries`.
    total, max_skipped
        Number of images, and the share of them, in 0 to 1, that may be skipped.
    """

    def __init__(
        self,
        classes: Sequence[str],
        *,
        widths: Sequence[float],
        void_is_boundary: bool,
        total: int,
        max_skipped: float,
    ) -> None:
        self.classes, self.total, self.max_skipped = tuple(classes), total, max_skipped
        self.void_is_boundary = void_is_boundary
        self.whole = ScoreCounts(len(classes))
        self.bands = {width: ScoreCounts(len(classes)) for width in sorted(set(widths))}
        self.skipped: list[tuple[str, str]] = []
        self.done = 0

    @property
    def too_many_skipped(self) -> bool:
        """Whether the run must fail."""
        return len(self.skipped) > self.max_skipped * self.total

    def skip(self, name: str, reason: str) -> None:
        """Leave one image out and remember why."""
        self.skipped.append((name, reason))

    def add(self, sample: Sample, predicted: torch.Tensor) -> None:
        """Count one image with its (H, W) predicted classes; `ScoreError` for a label outside the classes."""
        assert sample.label is not None
        try:
            self.whole.add(predicted, sample.label.to(predicted.device))
        except ScoreError as error:
            raise ScoreError(f"{sample.name}: {error}") from error
        if self.bands:
            label = sample.label.cpu().numpy().astype(np.uint8)
            distance = boundary_distance(label, max(self.bands), void_is_boundary=self.void_is_boundary)
            for width, counts in self.bands.items():
                band = torch.from_numpy(keep_band(label, distance, width))
                counts.add(predicted, band.to(predicted.device))
        self.done += 1

    def check(self) -> None:
        """Raise `ScoreError` where nothing is to be scored, or too much was skipped."""
        first = f"; first: {self.skipped[0][0]} ({self.skipped[0][1]})" if self.skipped else ""
        if self.too_many_skipped:
            raise ScoreError(
                f"{len(self.skipped)} of {self.total} images had to be skipped, at most "
                f"{self.max_skipped:.0%} may be{first}; mend them or raise --max-skipped"
            )
        if not self.done:
            raise ScoreError(f"no image could be scored{first or ': there are none'}")
        if not self.whole.matrix.any():
            raise ScoreError(f"no pixel of the {self.done} images has a class; check the dataset's labels")

    def scores(self) -> Scores:
        """Return the scores over whole images."""
        return self.whole.scores(self.classes)

    def trimap(self) -> dict[float, Scores]:
        """Return the scores in the bands, by width in px."""
        return {width: counts.scores(self.classes) for width, counts in self.bands.items()}
