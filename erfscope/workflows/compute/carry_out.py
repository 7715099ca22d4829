"""A run carried out, in one go or in several."""

import math
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any, Protocol

import torch

from erfscope.engine.accumulation import ProgressCallback, Sums, accumulate, check_sums
from erfscope.engine.deviation import IMAGES as DEVIATION_IMAGES
from erfscope.engine.deviation import measure_deviation
from erfscope.engine.engine_plan import EnginePlan
from erfscope.engine.engines import Engine
from erfscope.engine.image_order import ImageItem
from erfscope.engine.plan import plan_engine
from erfscope.engine.target import parse_target
from erfscope.records.erf_map import ErfMap
from erfscope.system.precision import REDUCED
from erfscope.workflows.compute.run import Run
from erfscope.workflows.compute.session import Session


class Keeper(Protocol):
    """Keeps a run's state while it goes on, and may end it early."""

    def begin(self, take: Callable[[], ErfMap], images: int) -> None:
        """Is handed what returns the map as it stands, in any thread, and how many images are in it."""

    def ends(self, images: int) -> bool:
        """Is told how many images are in the map, after each batch; True ends the run, unfinished."""


class NoKeeper:
    """Keeps nothing: the run is carried out in one go."""

    def begin(self, take: Callable[[], ErfMap], images: int) -> None:
        """Do nothing."""

    def ends(self, images: int) -> bool:
        """Go on."""
        return False


def carry_out(run: Run, progress: ProgressCallback, keeper: Keeper, before: ErfMap | None = None) -> ErfMap:
    """Compute the map, or go on with the unfinished one `before`, of the same identity.

    Raises
    ------
    ComputeError
        What can't be computed as asked, in one line.
    """
    plan, engine = _plan(run, before)
    device = torch.device(plan.device)
    groups = run.wishes.replicates
    sums = Sums.zeros(plan.size, groups, device) if before is None else Sums.resumed(before, device)
    items = run.image_order.items(plan.workers, len(sums.records))
    deviation = before.provenance["deviation_from_float32"] if before else None
    if plan.precision in REDUCED and before is None:
        items, deviation = _deviate(run, plan, engine, items)
    session = Session(run, plan, sums, deviation, before)
    keeper.begin(session.take, len(sums.records))
    total, most = run.source.total, run.wishes.max_skipped
    complete = accumulate(
        engine,
        plan,
        items,
        sums,
        # Of all shards together: a small one may hold more than its share of the broken images.
        most_skipped=math.inf if total is None else most * total,
        progress=progress,
        ends=lambda: session.converged() or keeper.ends(len(sums.records)),
    )
    # Also where a signal came beside the last image.
    complete = complete or session.converged() or len(sums.records) == run.image_order.total
    if complete:
        check_sums(sums, most, total)
    return session.take(finished=complete)


def _plan(run: Run, before: ErfMap | None) -> tuple[EnginePlan, Engine]:
    """Decide how to compute; a batch size that was found by the free memory stays as it was."""
    batch_size = run.wishes.batch_size
    if batch_size == "auto" and before is not None:
        batch_size = before.provenance["engine"]["batch_size"]
    return _plan_at(run, run.wishes.precision, batch_size)


def _plan_at(run: Run, precision: str, batch_size: int | str) -> tuple[EnginePlan, Engine]:
    wishes = run.wishes
    return plan_engine(
        run.model,
        run.source.size,
        formula=wishes.formula,
        target=parse_target(wishes.target, run.source.classes),
        unit=wishes.unit,
        resize=wishes.resize,
        precision=precision,
        device=wishes.device,
        batch_size="auto" if batch_size == "auto" else int(batch_size),
        workers=wishes.workers if run.source.parallel else 0,
        engine=wishes.engine,
    )


def _deviate(
    run: Run, plan: EnginePlan, engine: Engine, items: Iterator[ImageItem]
) -> tuple[Iterator[ImageItem], dict[str, Any] | None]:
    """Measure a reduced precision on the first images; they are not lost to the run."""
    first = list(islice(items, DEVIATION_IMAGES))
    exact = _plan_at(run, "float32", plan.batch_size)
    return chain(first, items), measure_deviation((plan, engine), exact, first)
