"""The one place that names the files of a study."""

from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from erfscope.records.shard import Shard

#: Records the options of each job, and the numbers that SLURM gave to its tasks.
STUDY = "study.json"


@dataclass(frozen=True)
class JobFiles:
    """The files in one job's folder.

    Attributes
    ----------
    folder
        The job's folder, absolute.
    shards
        Number of shards of its map.
    """

    folder: Path
    shards: int

    @property
    def map(self) -> Path:
        """The whole map."""
        return self.folder / "erf.h5"

    def is_begun(self) -> bool:
        """Whether there is a map or a shard of one, whatever the number of shards."""
        return any(self.folder.glob(f"{self.map.stem}*{self.map.suffix}"))

    def part(self, index: int) -> Path:
        """Return the file of one shard; the map itself if there is only one."""
        return self.map if self.shards == 1 else Shard(index, self.shards).file(self.map)

    def part_in_bash(self, variable: str) -> str:
        """Return `part` quoted for bash, with a bash variable for the number, which has `digits` digits."""
        name = Shard(0, self.shards).file(self.map).name
        number = f"-{0:0{self.digits}d}-of-"
        before, after = name.split(number)
        return f'{quote(str(self.folder))}/{quote(before)}-"${variable}"-of-{quote(after)}'

    @property
    def digits(self) -> int:
        """Number of digits of a shard's number in file names."""
        return len(str(self.shards - 1))

    def measured(self, measurement: str) -> Path:
        """Return the file of a measurement's JSON."""
        return self.folder / f"{measurement}.json"

    def log(self, command: str, index: int | None = None) -> Path:
        """Return the log of a command; those of shards are numbered."""
        number = "" if index is None or self.shards == 1 else f"-{index}"
        return self.folder / f"{command}{number}.log"

    def log_pattern(self, stage: str, *, in_array: bool) -> str:
        """Return the log of a stage in SLURM's form, which replaces %a by the task's number in an array."""
        folder = str(self.folder).replace("%", "%%")
        return f"{folder}/{stage}{'-%a' if in_array else ''}.log"

    def script(self, stage: str) -> Path:
        """Return the batch script of a stage."""
        return self.folder / f"{stage}.sbatch"
