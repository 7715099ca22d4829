"""Several processes that train one network: started by torchrun, or one alone."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from erfscope.errors import ErfscopeError, TrainError
from erfscope.system.devices import choose_device
from erfscope.system.environment import torchrun_place
from erfscope.system.threads import share_cores
from erfscope.train.network.sync_norm import GatheredBatchNorm


@dataclass(frozen=True)
class World:
    """The processes of a run, as one of them sees them.

    Attributes
    ----------
    device
        This one's.
    rank, size
        Its number and how many there are.
    local_size
        How many share this machine's cores.
    """

    device: torch.device
    rank: int = 0
    size: int = 1
    local_size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the files and talks."""
        return self.rank == 0

    def share_cores(self, workers: int | None) -> tuple[int, int]:
        """Return loader processes and threads of this process; see `system.threads.share_cores`."""
        return share_cores(self.device, workers, self.local_size)

    def parallel(self, model: nn.Module) -> nn.Module:
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
        """Whether one of the processes says so."""
        if self.size == 1:
            return flag
        return bool(self.sum(torch.tensor([float(flag)], device=self.device)).item())

    def lead(self, task: Callable[[], None]) -> None:
        """Let the first process do what is to be done once; where it fails, all end.

        Raises
        ------
        ErfscopeError
            As the task does.
        """
        failure: ErfscopeError | None = None
        if self.leads:
            try:
                task()
            except ErfscopeError as error:
                failure = error
        if self.any(failure is not None):
            raise failure or TrainError("the first process of the run could not begin, see its message")

    def wait(self) -> None:
        """Wait for all."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def open_world(device: str) -> Iterator[World]:
    """Join the other processes that torchrun started, if it did: by NCCL on CUDA, else by gloo."""
    place = torchrun_place()
    if place is None:
        yield World(choose_device(device))
        return
    rank, local_rank, size, local_size = place
    chosen = choose_device(device)
    if chosen.type == "cuda":
        chosen = choose_device(f"cuda:{local_rank}")
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield World(chosen, rank, size, local_size)
    finally:
        distributed.destroy_process_group()


def synchronize_norms(model: nn.Module, world: World) -> nn.Module:
    """Let batch norms of several processes normalize over the images of all.

    On CUDA by torch's SyncBatchNorm, which runs nowhere else, and on the CPU by our own. The names of
    parameters stay.
    """
    if world.size == 1:
        return model
    if world.device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return converted
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = GatheredBatchNorm
    return model


def without_sync(model: nn.Module) -> AbstractContextManager[Any]:
    """Within the block gradients are added up in each process, and not averaged over all."""
    return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()
