"""The processes that torchrun started, or one alone."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from erfscope.errors import ErfscopeError
from erfscope.system.devices import choose_device
from erfscope.system.environment import torchrun_place
from erfscope.system.threads import share_cores


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that work together, as one of them sees them.

    Attributes
    ----------
    device
        The device of this process.
    rank
        The number of this process, from 0.
    size
        How many processes there are.
    local_size
        How many of them share this machine's cores.
    """

    device: torch.device
    rank: int = 0
    size: int = 1
    local_size: int = 1

    @property
    def is_main_process(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def share_cores(self, workers: int | None) -> tuple[int, int]:
        """Return loader processes and threads of this process; see `system.threads.share_cores`."""
        return share_cores(self.device, workers, self.local_size)

    def data_parallel(self, model: nn.Module) -> nn.Module:
        """Wrap a model so that its gradients are the mean over the processes; each parameter must get one."""
        if self.size == 1:
            return model
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=devices)

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Add a tensor up over the processes, in place."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:
        """Whether the flag is true in at least one process."""
        if self.size == 1:
            return flag
        return bool(self.sum(torch.tensor([float(flag)], device=self.device)).item())

    def run_on_main_process(self, task: Callable[[], None]) -> None:
        """Run a task in the main process only; where it fails, all processes raise.

        Raises
        ------
        ErfscopeError
            The task raised it.
        """
        failure: ErfscopeError | None = None
        if self.is_main_process:
            try:
                task()
            except ErfscopeError as error:
                failure = error
        if self.any(failure is not None):
            raise failure or ErfscopeError("the main process could not begin; see its message")

    def barrier(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def open_process_group(device: str) -> Iterator[ProcessGroup]:
    """Join the other processes that torchrun started, if it did: by NCCL on CUDA, else by gloo.

    Parameters
    ----------
    device
        "auto", "cpu", "cuda" or "cuda:N".

    Raises
    ------
    ComputeError
        There is no such device.
    """
    place = torchrun_place()
    if place is None:
        yield ProcessGroup(choose_device(device))
        return
    rank, local_rank, size, local_size = place
    chosen = choose_device(device)
    if chosen.type == "cuda":
        chosen = choose_device(f"cuda:{local_rank}")
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield ProcessGroup(chosen, rank, size, local_size)
    finally:
        distributed.destroy_process_group()


def without_gradient_sync(model: nn.Module) -> AbstractContextManager[Any]:
    """Within the block, add gradients up in each process instead of averaging them over all processes."""
    return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()
