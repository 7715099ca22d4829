"""Lends a model to the engine and gives it back exactly as it was, also after an error."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def borrowed(model: nn.Module, device: torch.device, dtype: torch.dtype) -> Iterator[nn.Module]:
    """Within the block `model` is in eval mode, frozen, and on `device` in `dtype`.

    Modes, `requires_grad`, and the very storage of every parameter and buffer come back afterwards.
    Frozen parameters save autograd from keeping the activations that only weight gradients need.
    """
    modes = [(module, module.training) for module in model.modules()]
    tensors = [*model.parameters(), *model.buffers()]
    kept = [(tensor, tensor.data, tensor.requires_grad) for tensor in tensors]
    try:
        model.eval()
        for tensor in tensors:
            tensor.requires_grad_(False)
            tensor.data = tensor.data.to(device, dtype if tensor.is_floating_point() else tensor.dtype)
        yield model
    finally:
        for tensor, data, requires_grad in kept:
            tensor.data = data
            tensor.requires_grad_(requires_grad)
        for module, training in modes:
            module.training = training
