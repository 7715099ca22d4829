"""What is asked of a run."""

from dataclasses import dataclass
from typing import Any

from erfscope.errors import ComputeError
from erfscope.records.shard import Shard


@dataclass(frozen=True)
class Wishes:
    """What is asked of a run; see `compute_erf`."""

    formula: str
    target: str | int
    unit: tuple[int, int] | str | None
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
        from erfscope.measure.replicate_groups import (
            MIN_GROUPS,  # with scipy.stats, a second of a run's start
        )

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
            "unit": self.unit,
            "resize": self.resize,
            "precision": self.precision,
            "batch_size": self.batch_size,
            "replicates": self.replicates,
            "seed": self.seed,
            "engine": self.engine,
            "shard": str(self.shard),
            "until": self.until,
        }
