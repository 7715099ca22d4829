"""A shard: the part of a run's images that one process takes."""

from dataclasses import dataclass
from pathlib import Path

from erfscope.errors import ComputeError


@dataclass(frozen=True)
class Shard:
    """Every `count`-th image of a run, from number `index` on; `0/1` takes all.

    Strided, so that each shard is a sample of the whole list, and independent of how long the list is.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ComputeError(f"there is no shard {self}; the shards of N are 0/N to N-1/N")

    @property
    def is_whole(self) -> bool:
        """Whether it takes all images."""
        return self.count == 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def file(self, out: Path) -> Path:
        """Return the file of this shard of the map `out`, beside it: `erf.h5` → `erf.shard-02-of-16.h5`."""
        number = f"{self.index:0{len(str(self.count - 1))}d}"
        return out.with_name(f"{out.stem}.shard-{number}-of-{self.count}{out.suffix}")


WHOLE = Shard()
