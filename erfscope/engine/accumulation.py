"""Accumulate clipped gradients over images: the loop of every run."""

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from erfscope.datasets import Sample, SkippedImage
from erfscope.engine.engine_plan import EnginePlan
from erfscope.engine.engines import Engine, GradientFunction
from erfscope.engine.formulas import FORMULAS
from erfscope.engine.image_order import ImageItem
from erfscope.errors import ComputeError
from erfscope.records.erf_map import ErfMap, ImageRecord
from erfscope.system.memory import kept_memory, translate_out_of_memory
from erfscope.system.precision import PRECISIONS
from erfscope.system.threads import limited_threads

#: Called with the numbers of images done and skipped.
ProgressCallback = Callable[[int, int], None]


@dataclass
class Sums:
    """What a run adds up, in float64 on the plan's device.

    Attributes
    ----------
    erf, gradient_sum, gradient_square_sum
        (H, W), as in `records.ErfMap`.
    replicates
        (G, H, W), as in `records.ErfMap`; G is 0 where none are kept.
    records
        One for each image so far, in order.
    done
        Number of images that are in the sums.
    whole
        A thread that holds this lock never sees a batch that is added in part.
    """

    erf: torch.Tensor
    gradient_sum: torch.Tensor
    gradient_square_sum: torch.Tensor
    replicates: torch.Tensor
    records: list[ImageRecord] = field(default_factory=list)
    done: int = 0
    whole: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def zeros(cls, size: tuple[int, int], groups: int, device: torch.device) -> "Sums":
        """Return empty sums for `groups` replicate groups, 0 for none."""

        def empty(*shape: int) -> torch.Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        return cls(empty(*size), empty(*size), empty(*size), empty(groups, *size))

    @classmethod
    def resumed(cls, erf: ErfMap, device: torch.device) -> "Sums":
        """Return the sums of an unfinished map, bit for bit."""

        def kept(array: NDArray[np.floating] | None) -> torch.Tensor:
            values = np.zeros((0, *erf.size)) if array is None else array
            return torch.tensor(values, dtype=torch.float64, device=device)

        sums = (kept(erf.erf), kept(erf.gradient_sum), kept(erf.gradient_square_sum), kept(erf.replicates))
        return cls(*sums, records=list(erf.records), done=erf.images or 0)

    @property
    def skipped(self) -> int:
        """Number of skipped images."""
        return len(self.records) - self.done

    def add(self, item: ImageItem, contribution: torch.Tensor, gradient_sum: torch.Tensor) -> None:
        """Add one image: its contribution and its unclipped gradient sum, (H, W) float64 each."""
        self.erf += contribution
        self.gradient_sum += gradient_sum
        self.gradient_square_sum += gradient_sum**2
        if len(self.replicates):
            self.replicates[item.group] += contribution
        mass = float(contribution.sum())
        self.records.append(ImageRecord(item.sample.name, item.group, "done", mass=mass, index=item.index))
        self.done += 1

    def skip(self, item: ImageItem, reason: str) -> None:
        """Leave one image out and record why."""
        self.records.append(ImageRecord(item.sample.name, item.group, "skipped", reason, index=item.index))


def accumulate(
    engine: Engine,
    plan: EnginePlan,
    items: Iterator[ImageItem],
    sums: Sums,
    *,
    most_skipped: float = math.inf,
    progress: ProgressCallback = lambda done, skipped: None,
    ends: Callable[[], bool] = lambda: False,
) -> bool:
    """Add up the contributions of images; return False where `ends` stopped it before the last.

    Parameters
    ----------
    engine, plan
        How to compute a batch, from `plan.plan_engine`.
    items
        The images, in order.
    sums
        To which they are added. A batch is never added in part, also where an error ends the run.
    most_skipped
        More skipped images than this end the run.
    progress
        Called after every batch.
    ends
        Called before every batch; True ends the run there.

    Raises
    ------
    ComputeError
        Images of another size than planned, a unit that doesn't depend on the image, or too little memory.
    """
    height, width = plan.size
    what = f"{plan.model} at {height}×{width} px"
    with (
        translate_out_of_memory(what),
        engine.ready() as gradients,
        limited_threads(plan.threads),
        kept_memory(),
    ):
        while not ends():
            batch = list(islice(items, plan.batch_size))
            if not batch:
                return True
            _add_batch(sums, gradients, plan, batch)
            progress(sums.done, sums.skipped)
            if sums.skipped > most_skipped:
                return True
    return False


def _add_batch(sums: Sums, gradients: GradientFunction, plan: EnginePlan, batch: Sequence[ImageItem]) -> None:
    samples = [item.sample for item in batch if isinstance(item.sample, Sample)]
    results = list(zip(*gradients(_stack(samples, plan)), strict=False)) if samples else []
    following, formula = iter(results), FORMULAS[plan.formula]
    with sums.whole:
        for item in batch:
            if isinstance(item.sample, SkippedImage):
                sums.skip(item, item.sample.reason)
                continue
            value, gradient = next(following)
            # A ReLU's backward turns NaN into 0, so a finite gradient alone proves nothing.
            parts = {"image": item.sample.image, "output": value, "gradient": gradient}
            broken = [name for name, part in parts.items() if not bool(torch.isfinite(part).all())]
            if broken:
                sums.skip(item, f"its {broken[0]} is not finite")
                continue
            gradient = gradient[None].double()
            sums.add(item, formula.contribution(gradient)[0], formula.gradient_sum(gradient)[0])


def _stack(samples: Sequence[Sample], plan: EnginePlan) -> torch.Tensor:
    """Stack the images to (N, 3, H, W); the batch is padded with copies of the last one.

    Every image is thus computed in a batch of the planned size, hence by the same kernels, whichever
    batch it falls into.
    """
    for sample in samples:
        if tuple(sample.image.shape[1:]) != plan.size:
            got, expected = tuple(sample.image.shape), (3, *plan.size)
            raise ComputeError(
                f"image {sample.name} is {got}, the run is planned for {expected}; fit them to one size"
            )
    padding = [samples[-1]] * (plan.batch_size - len(samples))
    images = torch.stack([sample.image for sample in (*samples, *padding)])
    if torch.device(plan.device).type == "cuda":  # so that the copy doesn't wait for the device
        images = images.pin_memory()
    return images.to(plan.device, PRECISIONS[plan.precision], non_blocking=True)


def check_sums(sums: Sums, max_skipped: float, total: int | None) -> None:
    """Check that the sums are a map worth having.

    Parameters
    ----------
    max_skipped, total
        More skipped images than this share of `total`, the number of all shards together, are an error.
        With None (unknown), the share is of the images so far.

    Raises
    ------
    ComputeError
        Too many skipped images, none left, or a map of zeros.
    """
    first = next((r for r in sums.records if r.status == "skipped"), None)
    example = f"; first: {first.name} ({first.reason})" if first else ""
    if not sums.records:
        raise ComputeError("there are no images to compute; give at least one")
    if sums.skipped > max_skipped * (total or len(sums.records)):
        raise ComputeError(
            f"{sums.skipped} of {len(sums.records)} images had to be skipped, at most {max_skipped:.0%} may "
            f"be{example}; mend them or raise --max-skipped"
        )
    if not sums.done:
        raise ComputeError(f"all {sums.skipped} images had to be skipped{example}")
    if not bool(sums.gradient_square_sum.any()):
        raise ComputeError(
            f"the gradient is zero everywhere in all {sums.done} images: the unit is dead (a ReLU that "
            "never fires), or its layer does not depend on the image; try another unit, target or layer"
        )
    if not bool(sums.erf.any()):
        raise ComputeError(
            f"the gradient is nowhere positive in all {sums.done} images, so clipping leaves nothing; try "
            "another target, or --formula luo2016"
        )
