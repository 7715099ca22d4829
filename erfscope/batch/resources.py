"""The section `[slurm]` of a plan: the resources and scripts of SLURM jobs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any

from msgspec import Meta

Count = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True)
class Resources:
    """The resources of a SLURM job: sbatch's options of these names; None leaves an option out.

    Attributes
    ----------
    partition, account, qos, time, mem, cpus_per_task, constraint
        In sbatch's form: "04:00:00", "16G".
    gres
        Such as "gpu:1". Jobs that merge and measure don't inherit it.
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
        """Return these resources, replaced by those that the other ones set."""
        names = (each.name for each in fields(Resources))
        return replace(self, **{name: value for name in names if (value := getattr(other, name))})


_NOTHING = Resources()


@dataclass(frozen=True)
class SlurmOptions(Resources):
    """The keys of `[slurm]`.

    Attributes
    ----------
    modules
        Environment modules to load first: `module load NAMES`.
    setup
        Lines of bash that run next, such as those that activate an environment.
    program
        The command that runs erfscope on the nodes. By default this interpreter, `PYTHON -m erfscope`; in a
        container `erfscope`.
    container, bind, container_options
        An image in which `apptainer exec` runs the program; folders of the host to mount, besides those of
        plan and study ("/data", "/scratch:/data"); other options, such as "--nv" for CUDA.
    max_running
        How many shards of a job run at once, at most.
    signal_seconds
        How long before the time limit a shard receives a signal, on which it saves and is queued again.
    merge, measure
        Resources of jobs that merge and measure, if they differ: [slurm.merge], [slurm.measure].
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

    def for_stage(self, stage: str) -> Resources:
        """Return the resources of a job of a stage: "compute", "merge" or "measure"."""
        own = Resources(**{each.name: getattr(self, each.name) for each in fields(Resources)})
        if stage == "compute":
            return own
        changes = self.merge if stage == "merge" else self.measure
        return replace(own, gres=None).with_changes(changes)


NO_SLURM = SlurmOptions()
