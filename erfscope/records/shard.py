"""A share of a run's images, so that many processes do one map without talking to each other."""

from dataclasses import dataclass
from pathlib import Path

from erfscope.errors import ComputeError


@dataclass(frozen=True)
class Shard:
    """Every `count`-th image, from number `index` on: strided, so that each part is like the whole."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ComputeError(f"there is no shard {self}; they are 0/N to N-1/N")

    @property
    def is_whole(self) -> bool:
        """Whether it is all there is."""
        return self.count == 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def file(self, out: Path) -> Path:
        """Return the file of this share of a map: `erf.h5` → `erf.shard-2-of-16.h5`, beside it."""
        number = f"{self.index:0{len(str(self.count - 1))}d}"
        return out.with_name(f"{out.stem}.shard-{number}-of-{self.count}{out.suffix}")


WHOLE = Shard()
