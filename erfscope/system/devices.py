"""Choices of device and threads."""

import os

import torch

from erfscope.errors import ComputeError
from erfscope.system.environment import asked_threads, granted_cores, place_on_machine


def choose_device(name: str) -> torch.device:
    """Turn "auto", "cpu", "cuda" or "cuda:N" into a device; "auto" takes CUDA where there is one.

    Of processes that were started together, each takes another of the machine's CUDA devices.

    Raises
    ------
    ComputeError
        Not a device, or CUDA where there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    number, processes = place_on_machine()
    if name == "cuda" and processes > 1 and torch.cuda.device_count() > 1:
        name = f"cuda:{number % torch.cuda.device_count()}"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ComputeError(f"no device is called {name!r}; expected auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ComputeError(f"device {name} is not supported; expected auto, cpu, cuda or cuda:N")
    count = torch.cuda.device_count()
    if device.type == "cuda" and not count:
        raise ComputeError("CUDA was asked for, but torch sees no CUDA device here; use --device cpu")
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ComputeError(f"device {name} does not exist; this machine has cuda:0 to cuda:{count - 1}")
    return device


def available_cores() -> int:
    """Return how many cores may be used here (a batch system often grants fewer than there are)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, granted_cores() or cores))


def share_cores(device: torch.device, workers: int | None, processes: int | None = None) -> tuple[int, int]:
    """Return loader processes and threads, which together never exceed the cores.

    `workers` None asks for what pays off. On the CPU an image takes seconds to compute and some 70 ms to
    decode: a worker is worth its core only from four cores up (on two, it halves the speed). A CUDA
    device waits for nothing but decoding. Of `processes` that share the machine, by default as many as
    were started together, each gets its part of both. OMP_NUM_THREADS may ask for fewer threads.
    """
    cores = available_cores()
    if workers is None:
        workers = min(4, cores // 4) if device.type == "cpu" else 8
    workers = min(workers, cores - 1)
    together = place_on_machine()[1] if processes is None else processes
    each = max(1, cores // together)
    workers = min(workers // together, each - 1)
    threads = each - workers
    return workers, min(threads, asked_threads() or threads)
