"""Choices of device and threads."""

import os

import torch

from erfscope.errors import ComputeError


def choose_device(name: str) -> torch.device:
    """Turn "auto", "cpu", "cuda" or "cuda:N" into a device; "auto" takes CUDA where there is one.

    Raises
    ------
    ComputeError
        Not a device, or CUDA where there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
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
    """Return how many cores this process may use (a batch system often grants fewer than there are)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share_cores(device: torch.device, workers: int | None) -> tuple[int, int]:
    """Return loader processes and threads, which together never exceed the cores.

    `workers` None asks for what pays off. On the CPU an image takes seconds to compute and some 70 ms to
    decode: a worker is worth its core only from four cores up (on two, it halves the speed). A CUDA
    device waits for nothing but decoding.
    """
    cores = available_cores()
    if workers is None:
        workers = min(4, cores // 4) if device.type == "cpu" else 8
    workers = min(workers, cores - 1)
    return workers, cores - workers
