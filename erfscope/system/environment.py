"""The one place that reads and sets environment variables."""

import os
from pathlib import Path


def dataset_root(name: str) -> Path | None:
    """Return `$ERFSCOPE_DATA/name`, or None where the variable isn't set."""
    base = os.environ.get("ERFSCOPE_DATA")
    return Path(base) / name if base else None


def wait_passively() -> None:
    """Let idle OpenMP threads sleep, unless the user has set a policy; call it before torch is imported.

    Threads that spin at a barrier keep others from the core: with one busy neighbor on two cores, an image
    of an FCN takes 3.8 s with spinning threads and 0.6 s with sleeping ones.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def torchrun_place() -> tuple[int, int, int, int] | None:
    """Return rank, local rank, world size and local world size of a process that torchrun started.

    None for any other process.
    """
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
    if not all(os.environ.get(name, "").isdecimal() for name in (*names, "MASTER_PORT")):
        return None
    rank, local_rank, size, local_size = (int(os.environ[name]) for name in names)
    return rank, local_rank, size, local_size


def shard_place() -> tuple[int, int] | None:
    """Return the index of this process among those that share a map, and their number.

    They are the processes of torchrun, or of SLURM: tasks of an array times the processes that srun started
    in each. None for a single process.
    """
    place = torchrun_place()
    if place is not None:
        return place[0], place[2]
    task, tasks = (_number(f"SLURM_ARRAY_TASK_{name}") for name in ("ID", "COUNT"))
    process, processes = _number("SLURM_PROCID"), _number("SLURM_STEP_NUM_TASKS")
    if task is None and processes is None:
        return None
    first, step = _number("SLURM_ARRAY_TASK_MIN") or 0, _number("SLURM_ARRAY_TASK_STEP") or 1
    array = 0 if task is None else (task - first) // step
    each = processes or 1
    return array * each + (process or 0 if processes else 0), (tasks or 1) * each


def place_on_machine() -> tuple[int, int]:
    """Return the index of this process among those started together on this machine, and their number."""
    place = torchrun_place()
    if place is not None:
        return place[1], place[3]
    # "2(x3),1": two processes on each of the first three machines.
    per_machine = os.environ.get("SLURM_STEP_TASKS_PER_NODE", "").partition("(")[0].partition(",")[0]
    return _number("SLURM_LOCALID") or 0, int(per_machine) if per_machine.isdecimal() else 1


def granted_cores() -> int | None:
    """Return how many of this machine's cores SLURM grants to the job; None outside SLURM.

    It is asked because not every cluster binds processes to their cores.
    """
    each = _number("SLURM_CPUS_PER_TASK")
    if each is not None:
        return each * place_on_machine()[1]
    return _number("SLURM_CPUS_ON_NODE")


def asked_threads() -> int | None:
    """Return how many threads the user asks for by OMP_NUM_THREADS, else None.

    None under torchrun, which sets the variable by itself.
    """
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(first) if first.isdecimal() and int(first) and torchrun_place() is None else None


def _number(name: str) -> int | None:
    value = os.environ.get(name, "")
    return int(value) if value.isdecimal() else None


def make_cublas_repeatable() -> None:
    """Give cuBLAS the workspace with which it repeats its results; call it before CUDA is first used."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
