"""The dull loop: images in, sums out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice

import torch

from erfscope.datasets import Sample, SkippedImage
from erfscope.engine.engines import Engine, GradientFunction
from erfscope.engine.formulas import FORMULAS
from erfscope.engine.memory import kept_memory, told_when_it_ends
from erfscope.engine.plan import EnginePlan
from erfscope.engine.precision import PRECISIONS
from erfscope.errors import ComputeError
from erfscope.records.erf_map import ImageRecord

Progress = Callable[[int, int], None]
Item = tuple[Sample | SkippedImage, int]


@dataclass
class Sums:
    """What a run adds up, in float64 on the plan's device.

    `erf`, `signed`, `square` are (H, W) and `replicates` (G, H, W), as in `records.ErfMap`.
    """

    erf: torch.Tensor
    signed: torch.Tensor
    square: torch.Tensor
    replicates: torch.Tensor
    records: list[ImageRecord] = field(default_factory=list)
    done: int = 0

    @classmethod
    def zeros(cls, size: tuple[int, int], groups: int, device: torch.device) -> "Sums":
        """Return empty sums for `groups` replicate groups, 0 for none."""

        def empty(*shape: int) -> torch.Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        return cls(empty(*size), empty(*size), empty(*size), empty(groups, *size))

    @property
    def skipped(self) -> int:
        """How many images were skipped."""
        return len(self.records) - self.done

    def add(self, name: str, group: int, contribution: torch.Tensor, signed: torch.Tensor) -> None:
        """Count one image: its contribution and its unclipped gradient, (H, W) float64 each."""
        self.erf += contribution
        self.signed += signed
        self.square += signed**2
        if len(self.replicates):
            self.replicates[group] += contribution
        self.records.append(ImageRecord(name, group, "done", mass=float(contribution.sum())))
        self.done += 1

    def skip(self, name: str, group: int, reason: str) -> None:
        """Leave one image out and remember why."""
        self.records.append(ImageRecord(name, group, "skipped", reason))


def accumulate(
    engine: Engine,
    plan: EnginePlan,
    images: Iterable[Sample | SkippedImage],
    groups: Iterable[int],
    *,
    replicates: int,
    max_skipped: float,
    total: int | None,
    progress: Progress,
) -> Sums:
    """Add up the contributions of all images.

    Parameters
    ----------
    engine, plan
        How to compute a batch, as `engines.choose_engine` returns them.
    images, groups
        The images in list order and the replicate group of each.
    replicates
        G, 0 to keep no partial sums.
    max_skipped, total
        More skipped images than this share of `total` are an error; with `total` None (unknown) it is
        known only at the end.
    progress
        Called with the numbers of images done and skipped after every batch.

    Raises
    ------
    ComputeError
        Images of another size than planned, a graph that is cut between image and unit, too little
        memory, too many skipped images, none left, or a map of zeros.
    """
    device = torch.device(plan.device)
    sums = Sums.zeros(plan.size, replicates, device)
    items = zip(images, groups, strict=False)
    height, width = plan.size
    what = f"{plan.model} at {height}×{width} px"
    with told_when_it_ends(what), engine.ready() as gradients, limited_threads(plan.threads), kept_memory():
        while batch := list(islice(items, plan.batch_size)):
            _add_batch(sums, gradients, plan, batch)
            progress(sums.done, sums.skipped)
            if total is not None and sums.skipped > max_skipped * total:
                break
    _check(sums, max_skipped, total)
    return sums


def _add_batch(sums: Sums, gradients: GradientFunction, plan: EnginePlan, batch: Sequence[Item]) -> None:
    samples = [item for item, _ in batch if isinstance(item, Sample)]
    results = zip(*gradients(_stack(samples, plan)), strict=False) if samples else iter(())
    formula = FORMULAS[plan.formula]
    for item, group in batch:
        if isinstance(item, SkippedImage):
            sums.skip(item.name, group, item.reason)
            continue
        value, gradient = next(results)
        # A ReLU's backward turns NaN into 0, so a finite gradient alone proves nothing.
        parts = {"image": item.image, "output": value, "gradient": gradient}
        broken = [name for name, part in parts.items() if not bool(torch.isfinite(part).all())]
        if broken:
            sums.skip(item.name, group, f"its {broken[0]} is not finite")
            continue
        gradient = gradient[None].double()
        sums.add(item.name, group, formula.contribution(gradient)[0], formula.signed(gradient)[0])


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


def _check(sums: Sums, max_skipped: float, total: int | None) -> None:
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
    if not bool(sums.square.any()):
        raise ComputeError(
            f"the gradient is zero everywhere in all {sums.done} images: the unit is dead (a ReLU that "
            "never fires), or its layer does not depend on the image; try another unit, target or layer"
        )
    if not bool(sums.erf.any()):
        raise ComputeError(
            f"the gradient is nowhere positive in all {sums.done} images, so clipping leaves nothing; try "
            "another target, or --formula luo2016"
        )


@contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Let torch use so many threads within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
