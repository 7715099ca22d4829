"""A run: a network, images and wishes, made ready, then carried out in one go or in several."""

import math
import platform
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from itertools import chain, islice
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from erfscope.engine.batch import fit_batch
from erfscope.engine.deviation import IMAGES as DEVIATION_IMAGES
from erfscope.engine.deviation import measure_deviation
from erfscope.engine.engines import Engine, choose_engine
from erfscope.engine.memory import peak_memory
from erfscope.engine.plan import EnginePlan, make_plan, name_of
from erfscope.engine.precision import REDUCED
from erfscope.engine.run import Progress, Sums, accumulate, check_sums
from erfscope.engine.source import ImageSource
from erfscope.engine.target import parse_target
from erfscope.engine.walk import Step, Walk
from erfscope.errors import ComputeError
from erfscope.measure.jackknife import MIN_GROUPS
from erfscope.records.erf_map import ErfMap
from erfscope.records.network import ModelOrigin, WeightsReport
from erfscope.records.shard import Shard
from erfscope.records.unit import Unit
from erfscope.workflows.compute.convergence import Watch
from erfscope.workflows.compute.identity import identify

_RECORDED_VERSIONS = ("erfscope", "torch", "numpy", "h5py", "pillow")


@dataclass(frozen=True)
class Wishes:
    """What is asked of a run; see `compute_erf`."""

    formula: str
    target: str | int
    at: tuple[int, int] | str | None
    resize: bool
    precision: str
    device: str
    batch_size: int | str
    workers: int | None
    replicates: int
    max_skipped: float
    seed: int
    engine: str
    shard: Shard
    until: float | None

    def __post_init__(self) -> None:
        if self.until is None:
            return
        if not self.until > 0:
            raise ComputeError(f"--until is a relative error such as 0.01, not {self.until:g}")
        if not self.shard.is_whole:
            raise ComputeError("--until looks at the whole map, which no shard sees; leave --shard or it out")
        if self.replicates < MIN_GROUPS:
            raise ComputeError(
                f"--until needs {MIN_GROUPS} image groups to tell an error by, not {self.replicates}; raise "
                "--replicates"
            )

    def decisive(self) -> dict[str, Any]:
        """Return those that a resumed run must share."""
        return {
            "formula": self.formula,
            "target": self.target,
            "unit": self.at,
            "resize": self.resize,
            "precision": self.precision,
            "batch_size": self.batch_size,
            "replicates": self.replicates,
            "seed": self.seed,
            "engine": self.engine,
            "shard": str(self.shard),
            "until": self.until,
        }


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


@dataclass(frozen=True)
class Run:
    """A run that is made ready.

    Attributes
    ----------
    source
        The images, `open_source` of what the caller gave.
    """

    model: nn.Module
    source: ImageSource
    wishes: Wishes

    @property
    def name(self) -> str:
        """The network's."""
        return name_of(self.model)

    @cached_property
    def walk(self) -> Walk:
        """Which images, in which order."""
        wishes = self.wishes
        return Walk(
            self.source, wishes.shard, wishes.replicates, wishes.seed, shuffled=wishes.until is not None
        )

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that decides the map's numbers: equal for runs of which one may go on where the other ended."""
        return identify(self.model, self.source.description, self.walk.names, self.wishes.decisive())

    def carry_out(self, progress: Progress, keeper: Keeper, before: ErfMap | None = None) -> ErfMap:
        """Compute the map, or go on with the unfinished one `before`, of the same identity.

        Raises
        ------
        ComputeError
            What can't be computed as asked, in one line.
        """
        plan, engine = self._plan(before)
        device = torch.device(plan.device)
        groups = self.wishes.replicates
        sums = Sums.zeros(plan.size, groups, device) if before is None else Sums.resumed(before, device)
        steps = self.walk.steps(plan.workers, len(sums.records))
        deviation = before.provenance["deviation_from_float32"] if before else None
        if plan.precision in REDUCED and before is None:
            steps, deviation = self._deviate(plan, engine, steps)
        session = _Session(self, plan, sums, deviation, before)
        keeper.begin(session.take, len(sums.records))
        total, most = self.source.total, self.wishes.max_skipped
        complete = accumulate(
            engine,
            plan,
            steps,
            sums,
            # Of all shards together: a small one may hold more than its share of the broken images.
            most_skipped=math.inf if total is None else most * total,
            progress=progress,
            ends=lambda: session.converged() or keeper.ends(len(sums.records)),
        )
        complete = (
            complete or session.converged() or len(sums.records) == self.walk.total
        )  # a signal beside the last image
        if complete:
            check_sums(sums, most, total)
        return session.take(finished=complete)

    def _plan(self, before: ErfMap | None) -> tuple[EnginePlan, Engine]:
        """Decide how to compute; a batch size that was found by the free memory stays as it was."""
        wishes, batch_size = self.wishes, self.wishes.batch_size
        if batch_size == "auto" and before is not None:
            batch_size = before.provenance["engine"]["batch_size"]
        plan = make_plan(
            self.model,
            self.source.size,
            formula=wishes.formula,
            target=parse_target(wishes.target, self.source.classes),
            at=wishes.at,
            resize=wishes.resize,
            precision=wishes.precision,
            device=wishes.device,
            batch_size=1 if batch_size == "auto" else int(batch_size),
            workers=wishes.workers if self.source.parallel else 0,
        )
        if batch_size == "auto":
            plan = replace(plan, batch_size=fit_batch(self.model, plan, wishes.engine))
        return choose_engine(self.model, plan, wishes.engine)

    def _deviate(
        self, plan: EnginePlan, engine: Engine, steps: Iterator[Step]
    ) -> tuple[Iterator[Step], dict[str, Any] | None]:
        """Measure a reduced precision on the first images; they are not lost to the run."""
        first = list(islice(steps, DEVIATION_IMAGES))
        deviation = measure_deviation(self.model, plan, engine, self.wishes.engine, first)
        return chain(first, steps), deviation


class _Session:
    """One process's part in a map: when it began, and the map as it stands."""

    def __init__(
        self,
        run: Run,
        plan: EnginePlan,
        sums: Sums,
        deviation: dict[str, Any] | None,
        before: ErfMap | None,
    ) -> None:
        self.run, self.plan, self.sums, self.deviation = run, plan, sums, deviation
        self.earlier = list(before.provenance["sessions"]) if before else []
        self.done_before = sums.done
        self.watch = None
        if run.wishes.until is not None:
            recorded = before.provenance["convergence"] if before else None
            self.watch = Watch(run.wishes.until, run.walk, self.origin, recorded)
        self.started, self.clock = datetime.now(UTC), time.perf_counter()

    @property
    def unit(self) -> Unit:
        """The unit; one that isn't of the full-resolution output names its layer."""
        unit = self.plan.unit
        return unit if self._in_pixels else Unit(unit.y, unit.x, unit.layer or "output")

    @property
    def origin(self) -> tuple[float, float]:
        """(y, x) px from which the map's axes count."""
        plan = self.plan
        fallback = (plan.unit.y, plan.unit.x) if self._in_pixels else (plan.size[0] // 2, plan.size[1] // 2)
        y, x = (plan.prediction.projected_center if plan.prediction else None) or fallback
        return float(y), float(x)

    @property
    def _in_pixels(self) -> bool:
        plan = self.plan
        return plan.unit.layer is None and plan.unit_map_shape[1:] == plan.size

    def converged(self) -> bool:
        """Whether the map is known as well as was asked for."""
        return self.watch is not None and self.watch.ends(self.sums)

    def take(self, *, finished: bool = False) -> ErfMap:
        """Return the map as it stands, in whichever thread."""
        plan, run, sums = self.plan, self.run, self.sums
        with sums.whole:
            erf, signed, square, replicates = (
                array.cpu().numpy().copy() for array in (sums.erf, sums.signed, sums.square, sums.replicates)
            )
            records, done = tuple(sums.records), sums.done
        shard, unlisted = run.wishes.shard, run.source.total is None
        if finished and shard.is_whole:
            replicates = replicates.astype(np.float32)
        return ErfMap(
            erf=erf,
            unit=self.unit,
            origin=self.origin,
            formula=plan.formula,
            target=plan.target.label,
            images=done,
            signed=signed,
            square=square,
            replicates=replicates if len(replicates) else None,
            records=records,
            provenance=self._provenance(done, finished=finished),
            listed=len(records) if finished and unlisted and shard.is_whole else run.source.total,
            shard=shard,
            finished=finished,
        )

    def _provenance(self, done: int, *, finished: bool) -> dict[str, Any]:
        plan, run = self.plan, self.run
        session = {
            "started": self.started.isoformat(timespec="seconds"),
            "seconds": time.perf_counter() - self.clock,
            "images": done - self.done_before,
            "host": platform.node(),
            "threads": plan.threads,
        }
        sessions = [*self.earlier, session]
        seconds = sum(each["seconds"] for each in sessions)
        return {
            "command": shlex.join(sys.argv),
            "started": sessions[0]["started"],
            "seconds": seconds,
            "images_per_second": done / seconds,
            "sessions": sessions,
            "peak_memory_bytes": peak_memory(torch.device(plan.device)),
            "deviation_from_float32": self.deviation,
            **({"convergence": self.watch.summary(finished=finished)} if self.watch else {}),
            "seed": run.wishes.seed,
            "dataset": run.source.description,
            **_describe_model(run.model),
            "engine": plan.summary(),
            "prediction": None if plan.prediction is None else plan.prediction.summary(),
            "identity": run.identity,
            "versions": {"python": platform.python_version()}
            | {name: version(name) for name in _RECORDED_VERSIONS},
            "host": {"name": platform.node(), "system": platform.platform(), "machine": platform.machine()},
        }


def _describe_model(model: nn.Module) -> dict[str, Any]:
    """Network and weights for the provenance: of `load_model`, or of a module that the caller made."""
    origin = getattr(model, "origin", None)
    if not isinstance(origin, ModelOrigin):
        origin = ModelOrigin(type(model).__name__, {}, WeightsReport("as given"))
    network = {
        "name": origin.name,
        "format": origin.format,
        "recognized_by": origin.recognized_by,
        "options": dict(origin.options),
        "trained_with": dict(origin.trained_with),
        "training": origin.training.summary(),
        "parts": dict(origin.parts),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    return {"network": network, "weights": origin.weights.summary()}
