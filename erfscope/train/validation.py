"""Score the network on the validation images while it is trained; each process takes its share."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from erfscope.datasets import ImageDataset
from erfscope.engine.accumulation import ProgressCallback
from erfscope.records.scores import Evaluation, Scores
from erfscope.scores.evaluate import evaluate
from erfscope.system.process_group import ProcessGroup
from erfscope.train.recipes.recipe import Recipe


class StoppedError(Exception):
    """A signal came while images were scored."""


@dataclass(frozen=True)
class Validation:
    """Scores a network on the validation images, together with the other processes.

    Attributes
    ----------
    recipe
        Its sections `validation` and `data` say how images are scored.
    dataset
        The validation images, normalized as in training.
    processes
        The processes that share the images.
    stopped
        Returns whether a signal came; scoring then ends early, if there is one process only.
    """

    recipe: Recipe
    dataset: ImageDataset
    processes: ProcessGroup
    stopped: Callable[[], bool]

    def scores(self, network: nn.Module) -> Scores | None:
        """Return the scores over all images, the same in every process; None if a signal came."""
        try:
            matrix = self._share(network)
        except StoppedError:
            return None
        self.processes.sum(matrix)
        return Scores.from_confusion(matrix.cpu().numpy(), self.dataset.classes)

    def _share(self, network: nn.Module) -> torch.Tensor:
        processes = self.processes
        chosen = self.dataset.chosen[processes.rank :: processes.size]
        classes = len(self.dataset.classes)
        if not chosen:
            return torch.zeros(classes, classes, dtype=torch.int64, device=processes.device)
        images = replace(self.dataset, chosen=chosen)
        evaluation = score(network, images, self.recipe, device=str(processes.device), progress=self._watch)
        return torch.from_numpy(np.asarray(evaluation.confusion, np.int64)).to(processes.device)

    def _watch(self, done: int, skipped: int) -> None:
        if self.processes.size == 1 and self.stopped():
            raise StoppedError


def score(
    network: nn.Module, images: ImageDataset, recipe: Recipe, *, device: str, progress: ProgressCallback
) -> Evaluation:
    """Score a network on images in the way its recipe says; see `scores.evaluate.evaluate`."""
    how, slides = recipe.validation, recipe.validation.mode == "slide"
    return evaluate(
        network,
        images,
        fitted=recipe.augment.fit == "resize",
        mode=how.mode,
        crop=recipe.data.size if slides else None,
        stride=(how.stride, how.stride) if slides and how.stride else None,
        device=device,
        workers=recipe.run.workers,
        progress=progress,
    )
