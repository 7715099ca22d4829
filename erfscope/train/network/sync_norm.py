"""Batch norm over the images of all processes."""

from typing import Any

import torch
from torch import distributed, nn

from erfscope.system.process_group import ProcessGroup


class _Sum(torch.autograd.Function):
    """The sum over all processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        total = gradients[0].clone()
        distributed.all_reduce(total)
        return total


class GatheredBatchNorm(nn.BatchNorm2d):
    """A `BatchNorm2d` that takes mean and variance over the images of all processes while it trains.

    In plain operations, for the CPU, where torch's SyncBatchNorm doesn't run. All processes must have equally
    many images.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) → the same shape."""
        counter = self.num_batches_tracked
        if not self.training or self.running_mean is None or self.running_var is None or counter is None:
            return super().forward(input)
        count = input.numel() // input.shape[1] * distributed.get_world_size()
        values = input.to(self.running_mean.dtype)  # sums of bfloat16 would be coarse
        mean = _total(values.sum((0, 2, 3))) / count
        centered = values - mean.view(1, -1, 1, 1)
        variance = _total(centered.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            counter.add_(1)
            share = 1 / float(counter) if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_(variance * (count / max(count - 1, 1)), share)
        scale = torch.rsqrt(variance + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        normalized = centered * scale.view(1, -1, 1, 1)
        if self.bias is not None:
            normalized = normalized + self.bias.view(1, -1, 1, 1)
        return normalized.to(input.dtype)


def _total(values: torch.Tensor) -> torch.Tensor:
    total: torch.Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total


def synchronize_norms(model: nn.Module, processes: ProcessGroup) -> nn.Module:
    """Let the batch norms of several processes normalize over the images of all of them.

    On CUDA these are torch's SyncBatchNorm, on the CPU `GatheredBatchNorm`. Parameters keep their names.
    """
    if processes.size == 1:
        return model
    if processes.device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return converted
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = GatheredBatchNorm
    return model
