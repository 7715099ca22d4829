"""One process's part in a map."""

import platform
import shlex
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import nn

from erfscope.engine.accumulation import Sums
from erfscope.engine.engine_plan import EnginePlan
from erfscope.records.erf_map import ErfMap
from erfscope.records.model_info import ModelInfo, WeightsReport
from erfscope.records.unit import Unit
from erfscope.system.memory import peak_memory
from erfscope.workflows.compute.run import Run

_RECORDED_VERSIONS = ("erfscope", "torch", "numpy", "h5py", "pillow")


class Session:
    """When this process began, and the map as it stands."""

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
            from erfscope.workflows.compute.convergence import Watch  # with scipy, a second of a run's start

            recorded = before.provenance["convergence"] if before else None
            self.watch = Watch(run.wishes.until, run.image_order, self.projected_center, recorded)
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

    def converged(self) -> bool:
        """Whether the map is known as well as was asked for."""
        return self.watch is not None and self.watch.ends(self.sums)

    def take(self, *, finished: bool = False) -> ErfMap:
        """Return the map as it stands, in whichever thread."""
        plan, run, sums = self.plan, self.run, self.sums
        with sums.whole:
            erf, gradient_sum, gradient_square_sum, replicates = (
                array.cpu().numpy().copy()
                for array in (sums.erf, sums.gradient_sum, sums.gradient_square_sum, sums.replicates)
            )
            records, done = tuple(sums.records), sums.done
        shard, unlisted = run.wishes.shard, run.source.total is None
        if finished and shard.is_whole:
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
            images_total=len(records) if finished and unlisted and shard.is_whole else run.source.total,
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
    info = getattr(model, "info", None)
    if not isinstance(info, ModelInfo):
        info = ModelInfo(type(model).__name__, {}, WeightsReport("as given"))
    network = {
        "name": info.name,
        "format": info.format,
        "detected_by": info.detected_by,
        "options": dict(info.options),
        "trained_settings": dict(info.trained_settings),
        "training": info.training.summary(),
        "parts": dict(info.parts),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    return {"network": network, "weights": info.weights.summary()}
