"""The one place that reads and sets environment variables."""

import os
from pathlib import Path


def dataset_root(name: str) -> Path | None:
    """Return `$ERFSCOPE_DATA/name`, or None where the variable isn't set."""
    base = os.environ.get("ERFSCOPE_DATA")
    return Path(base) / name if base else None


def wait_passively() -> None:
    """Let idle OpenMP threads sleep; must run before torch is imported.

    Threads that spin at a barrier keep the core from whoever shares it: with one busy neighbor on two
    cores, an FCN image takes 3.8 s spinning and 0.6 s sleeping. A value that the user set stands.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def torchrun_place() -> tuple[int, int, int, int] | None:
    """Return what torchrun tells a process: its rank among all and on its machine, and the numbers of both.

    None for a process that it didn't start.
    """
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
    if not all(os.environ.get(name, "").isdecimal() for name in (*names, "MASTER_PORT")):
        return None
    rank, local_rank, size, local_size = (int(os.environ[name]) for name in names)
    return rank, local_rank, size, local_size


def make_cublas_repeatable() -> None:
    """Give cuBLAS the workspace with which it returns the same bits each time; before CUDA is first used."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
