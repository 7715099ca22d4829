"""Norms on tensors without values: the shapes, strides and gradients that real ones have."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

from erfscope.model.shape_run import shapes_alone

NORMS = {
    "batch norm": nn.BatchNorm2d(4).eval(),
    "batch norm of its batch": nn.BatchNorm2d(4),
    "batch norm without weights": nn.BatchNorm2d(4, affine=False).eval(),
    "batch norm over points": nn.BatchNorm1d(4).eval(),
    "layer norm": nn.LayerNorm(6),
    "layer norm over planes": nn.LayerNorm((5, 6), elementwise_affine=False),
}
LAYOUTS = {
    "contiguous": lambda x: x,
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(1, 2).contiguous().transpose(1, 2),
    "batch last": lambda x: x.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2),
}


def facts(tensor):
    return tensor.shape, tensor.stride(), tensor.dtype, tensor.device


def run(norm, layout, frozen):
    """What is known of output and gradients: of a tensor with values, or within `shapes_alone`."""
    image = torch.zeros(2, 4, 5, 6, requires_grad=True)
    values = LAYOUTS[layout](image)
    values = values[:, :, 0] if isinstance(norm, nn.BatchNorm1d) else values
    norm.requires_grad_(not frozen)
    output = norm(values)
    output.sum().backward()
    gradients = [image.grad, *(parameter.grad for parameter in norm.parameters())]
    norm.zero_grad()
    return output, gradients


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", NORMS)
def test_shapes_are_those_of_real_tensors(name, layout, frozen):
    output, gradients = run(NORMS[name], layout, frozen)
    with shapes_alone():
        fake, fake_gradients = run(NORMS[name], layout, frozen)
    assert isinstance(fake, FakeTensor)
    assert facts(fake) == facts(output)
    for ours, real in zip(fake_gradients, gradients, strict=True):
        assert (ours is None) == (real is None)
        assert real is None or facts(ours) == facts(real)
