"""Computes the map of a job, in one go or going on with an unfinished one, and records how."""

import math
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain, islice
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from erfscope.engine.accumulation import ProgressCallback, Sums, accumulate, check_sums
from erfscope.engine.deviation import IMAGES as DEVIATION_IMAGES
from erfscope.engine.deviation import measure_deviation
from erfscope.engine.engine_plan import EnginePlan
from erfscope.engine.engines import Engine
from erfscope.engine.image_order import ImageItem
from erfscope.engine.image_source import Images, open_source
from erfscope.engine.plan import plan_engine
from erfscope.engine.target import parse_target
from erfscope.records.erf_map import ErfMap
from erfscope.records.unit import Unit
from erfscope.system.memory import peak_memory
from erfscope.system.precision import REDUCED
from erfscope.workflows.compute.job import ComputeJob
from erfscope.workflows.compute.options import ComputeOptions
from erfscope.workflows.compute.snapshots import SnapshotWriter

_RECORDED_VERSIONS = ("erfscope", "torch", "numpy", "h5py", "pillow")


def compute_erf(
    model: nn.Module,
    images: Images,
    *,
    formula: str = "paper",
    target: str | int = "logits",
    unit: tuple[int, int] | str | None = None,
    resize: bool = True,
    precision: str = "float32",
    device: str = "auto",
    batch_size: int | Literal["auto"] = "auto",
    workers: int | None = None,
    replicates: int = 16,
    max_skipped: float = 0.01,
    seed: int = 0,
    engine: str = "auto",
    shard: tuple[int, int] = (0, 1),
    until: float | None = None,
    progress: ProgressCallback = lambda done, skipped: None,
) -> ErfMap:
    """Sum the clipped input gradients of one unit over images: the effective receptive field.

    By default that of Eq. 1 of arXiv 2307.14179. `ComputeOptions` tells meaning and unit of each option.

    Parameters
    ----------
    model
        Any module that maps (N, 3, H, W) to logits (N, K, h, w), or to a mapping, sequence or object that
        holds them. It is run in eval mode and comes back exactly as it was.
    images
        A dataset of `open_dataset`, or any iterable of samples or (3, H, W) tensors, all of one size
        and normalized as the network expects. Gradients are with respect to the normalized image.
    formula, target, unit, resize
        The gradient of what is taken, and how it becomes a contribution to the map.
    precision, device, batch_size, workers, engine
        How it is computed.
    replicates, max_skipped, seed, shard, until
        Which of the images are taken, in which groups, and how many may be broken.
    progress
        Called with the numbers of images done and skipped after every batch.

    Returns
    -------
    ErfMap
        Its `erf` is (H, W) float64, axes (y, x) in px: the sum over the images, un-normalized.

    Raises
    ------
    ComputeError
        What can't be computed as asked, in one line.

    Examples
    --------
    >>> import erfscope, torch
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Conv2d(4, 2, 3, padding=1))
    >>> erf = erfscope.compute_erf(model, torch.randn(2, 3, 33, 33), replicates=0)
    >>> erf.erf.shape, erf.images, (erf.unit.y, erf.unit.x)
    ((33, 33), 2, (16, 16))
    >>> bool((erf.erf[:14] == 0).all())  # two convolutions of 3 × 3 reach 2 px
    True
    """
    options = ComputeOptions(
        formula, target, unit, resize, precision, device, batch_size, workers, replicates, max_skipped, seed,
        engine, shard, until,
    )  # fmt: skip
    return run_job(ComputeJob(model, open_source(images), options), progress)


def run_job(
    job: ComputeJob,
    progress: ProgressCallback,
    snapshots: SnapshotWriter | None = None,
    previous: ErfMap | None = None,
) -> ErfMap:
    """Compute a job's map, or go on with an unfinished one of the same identity.

    Parameters
    ----------
    snapshots
        Saves the map as it grows, and may end the run early; None: all in one go.
    previous
        The unfinished map.

    Raises
    ------
    ComputeError
        What can't be computed as asked, in one line.
    """
    plan, engine = _plan(job, previous)
    device, options = torch.device(plan.device), job.options
    sums = Sums.resumed(previous, device) if previous else Sums.zeros(plan.size, options.replicates, device)
    items = job.image_order.items(plan.workers, len(sums.records))
    deviation = previous.provenance["deviation_from_float32"] if previous else None
    if plan.precision in REDUCED and previous is None:
        items, deviation = _measure_deviation(job, plan, engine, items)
    builder = MapBuilder(job, plan, sums, deviation, previous)
    if snapshots:
        snapshots.begin(builder.build, len(sums.records))

    def ends() -> bool:
        return builder.has_converged() or (snapshots is not None and snapshots.ends(len(sums.records)))

    # Of all shards together: a small one may hold more than its share of the broken images.
    total = job.source.total
    most_skipped = math.inf if total is None else options.max_skipped * total
    complete = accumulate(engine, plan, items, sums, most_skipped=most_skipped, progress=progress, ends=ends)
    # Also where a signal came beside the last image.
    complete = complete or builder.has_converged() or len(sums.records) == job.image_order.total
    if complete:
        check_sums(sums, options.max_skipped, total)
    return builder.build(finished=complete)


def _plan(job: ComputeJob, previous: ErfMap | None) -> tuple[EnginePlan, Engine]:
    """Decide how to compute; a resumed run keeps the batch size that "auto" chose."""
    batch_size = job.options.batch_size
    if batch_size == "auto" and previous is not None:
        batch_size = int(previous.provenance["engine"]["batch_size"])
    return _plan_at(job, job.options.precision, batch_size)


def _plan_at(job: ComputeJob, precision: str, batch_size: int | Literal["auto"]) -> tuple[EnginePlan, Engine]:
    options = job.options
    return plan_engine(
        job.model,
        job.source.size,
        formula=options.formula,
        target=parse_target(options.target, job.source.classes),
        unit=options.unit,
        resize=options.resize,
        precision=precision,
        device=options.device,
        batch_size=batch_size,
        workers=options.workers if job.source.parallel else 0,
        engine=options.engine,
    )


def _measure_deviation(
    job: ComputeJob, plan: EnginePlan, engine: Engine, items: Iterator[ImageItem]
) -> tuple[Iterator[ImageItem], dict[str, Any] | None]:
    """Measure a reduced precision on the first images, which stay in the run."""
    first = list(islice(items, DEVIATION_IMAGES))
    exact = _plan_at(job, "float32", plan.batch_size)
    return chain(first, items), measure_deviation((plan, engine), exact, first)


class MapBuilder:
    """Builds the map of a job from its sums at any moment of the run, with its provenance.

    `deviation` is that of a reduced precision, `previous` the map that an earlier process left unfinished.
    """

    def __init__(
        self,
        job: ComputeJob,
        plan: EnginePlan,
        sums: Sums,
        deviation: dict[str, Any] | None,
        previous: ErfMap | None,
    ) -> None:
        self.job, self.plan, self.sums, self.deviation = job, plan, sums, deviation
        self.earlier_sessions = list(previous.provenance["sessions"]) if previous else []
        self.images_at_start = sums.done
        self.monitor = None
        if job.options.until is not None:
            from erfscope.workflows.compute.convergence import ConvergenceMonitor  # with scipy, a second

            recorded = previous.provenance["convergence"] if previous else None
            center = self.projected_center
            self.monitor = ConvergenceMonitor(job.options.until, job.image_order, center, recorded)
        self.started, self.clock = datetime.now(UTC), time.perf_counter()

    @property
    def unit(self) -> Unit:
        """The unit; one that isn't of the full-resolution output names its layer."""
        unit = self.plan.unit
        return unit if self._in_pixels else Unit(unit.y, unit.x, unit.layer or "output")

    @property
    def projected_center(self) -> tuple[float, float]:
        """(y, x) px from which the map's axes count."""
        plan = self.plan
        fallback = (plan.unit.y, plan.unit.x) if self._in_pixels else (plan.size[0] // 2, plan.size[1] // 2)
        y, x = (plan.prediction.projected_center if plan.prediction else None) or fallback
        return float(y), float(x)

    @property
    def _in_pixels(self) -> bool:
        plan = self.plan
        return plan.unit.layer is None and plan.unit_map_shape[1:] == plan.size

    def has_converged(self) -> bool:
        """Whether the map is known as well as `until` asks."""
        return self.monitor is not None and self.monitor.has_converged(self.sums)

    def build(self, *, finished: bool = False) -> ErfMap:
        """Return the map as it stands; any thread may ask."""
        plan, source, sums, shard = self.plan, self.job.source, self.sums, self.job.shard
        with sums.whole:
            erf, gradient_sum, gradient_square_sum, replicates = (
                array.cpu().numpy().copy()
                for array in (sums.erf, sums.gradient_sum, sums.gradient_square_sum, sums.replicates)
            )
            records, done = tuple(sums.records), sums.done
        complete = finished and shard.is_whole
        if complete:
            replicates = replicates.astype(np.float32)
        return ErfMap(
            erf=erf,
            unit=self.unit,
            projected_center=self.projected_center,
            formula=plan.formula,
            target=plan.target.label,
            images=done,
            gradient_sum=gradient_sum,
            gradient_square_sum=gradient_square_sum,
            replicates=replicates if len(replicates) else None,
            records=records,
            provenance=self._provenance(done, finished=finished),
            images_total=len(records) if complete and source.total is None else source.total,
            shard=shard,
            finished=finished,
        )

    def _provenance(self, done: int, *, finished: bool) -> dict[str, Any]:
        plan, job = self.plan, self.job
        sessions = [*self.earlier_sessions, self._describe_session(done)]
        seconds = sum(each["seconds"] for each in sessions)
        versions = {name: version(name) for name in _RECORDED_VERSIONS}
        return {
            "command": shlex.join(sys.argv),
            "options": _options_in_effect(job.options, plan).summary(),
            "started": sessions[0]["started"],
            "seconds": seconds,
            "images_per_second": done / seconds,
            "sessions": sessions,
            "peak_memory_bytes": peak_memory(torch.device(plan.device)),
            "deviation_from_float32": self.deviation,
            **({"convergence": self.monitor.summary(finished=finished)} if self.monitor else {}),
            "seed": job.options.seed,
            "dataset": job.source.description,
            **job.describe_model(),
            "engine": plan.summary(),
            "prediction": None if plan.prediction is None else plan.prediction.summary(),
            "identity": job.identity,
            "versions": {"python": platform.python_version(), **versions},
            "host": {"name": platform.node(), "system": platform.platform(), "machine": platform.machine()},
        }

    def _describe_session(self, done: int) -> dict[str, Any]:
        return {
            "started": self.started.isoformat(timespec="seconds"),
            "seconds": time.perf_counter() - self.clock,
            "images": done - self.images_at_start,
            "host": platform.node(),
            "threads": self.plan.threads,
        }


def _options_in_effect(options: ComputeOptions, plan: EnginePlan) -> ComputeOptions:
    """Return the options with what the plan made of "auto" and None."""
    unit = plan.unit.layer or (plan.unit.y, plan.unit.x)
    return replace(options, unit=unit, device=plan.device, batch_size=plan.batch_size, workers=plan.workers)
