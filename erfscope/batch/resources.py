"""What a plan says of SLURM: the section `[slurm]`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any

from msgspec import Meta

Count = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True)
class Resources:
    """What a SLURM job asks for: sbatch's options of these names, without any where None.

    Attributes
    ----------
    partition, account, qos, time, mem, cpus_per_task, constraint
        As sbatch takes them: "04:00:00", "16G".
    gres
        Such as "gpu:1". Merging and measuring don't take it over.
    options
        Any other option by its long name: {mail-user = "me@example.org", exclusive = true}.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time: str | None = None
    gres: str | None = None
    mem: str | None = None
    cpus_per_task: Count | None = None
    constraint: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def with_changes(self, other: "Resources") -> "Resources":
        """Return these, but for what the other ones say."""
        names = (each.name for each in fields(Resources))
        return replace(self, **{name: value for name in names if (value := getattr(other, name))})


_NOTHING = Resources()


@dataclass(frozen=True)
class SlurmOptions(Resources):
    """[slurm].

    Attributes
    ----------
    modules
        Loaded first: `module load NAMES`.
    setup
        Lines of bash that follow, such as those that activate an environment.
    program
        How erfscope is called on the nodes. By default the interpreter that the batch runs in, `PYTHON -m
        erfscope`; in a container `erfscope`.
    container, bind, container_options
        An image, in which `apptainer exec` runs the program; folders of the host it sees besides those of
        plan and study ("/data", "/scratch:/data"); other options, such as "--nv" for CUDA.
    max_running
        So many shards of a job run at once, at most.
    signal_seconds
        So long before the time limit a shard is asked to end: it saves, and queues itself again.
    merge, measure
        What jobs that merge and measure ask for instead: [slurm.merge], [slurm.measure].
    """

    modules: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    program: tuple[str, ...] = ()
    container: str | None = None
    bind: tuple[str, ...] = ()
    container_options: tuple[str, ...] = ()
    max_running: Count | None = None
    signal_seconds: Annotated[int, Meta(ge=30, le=65535)] = 120
    merge: Resources = _NOTHING
    measure: Resources = _NOTHING

    def of(self, stage: str) -> Resources:
        """Return what a job of a stage asks for: "compute", "merge" or "measure"."""
        own = Resources(**{each.name: getattr(self, each.name) for each in fields(Resources)})
        if stage == "compute":
            return own
        changes = self.merge if stage == "merge" else self.measure
        return replace(own, gres=None).with_changes(changes)


NO_SLURM = SlurmOptions()
