"""The steps of a program: each computes one tensor forward and passes its gradient backward.

The frequent ones are written out, since autograd keeps and copies more than a frozen network needs;
everything else runs through autograd, one step at a time.
"""

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F

#: One for each operand; None for an operand that has none, such as indices.
Gradients = tuple[torch.Tensor | None, ...]


class Step:
    """Base of the steps. A step keeps what it needs between `forward` and `backward`, no longer.

    Attributes
    ----------
    may_overwrite
        Whether `forward` can write its result over its first operand.
    overwrite
        Whether it does, which is decided when the program is made.
    passes_gradient
        Whether `backward` returns the gradient itself for every operand.
    """

    may_overwrite = False
    overwrite = False
    passes_gradient = False

    def owns(self, *, owned: bool) -> bool:
        """Return whether `backward` returns memory that nothing else holds; `owned` is as of `backward`."""
        return False

    def forward(self, *operands: torch.Tensor) -> torch.Tensor:
        """Compute the result, without autograd."""
        raise NotImplementedError

    def backward(self, gradient: torch.Tensor, *, owned: bool) -> Gradients:
        """Return the operands' gradients.

        `gradient` is `owned` if nothing else holds its memory; then it may be overwritten.
        """
        raise NotImplementedError

    def add_backward(self, gradient: torch.Tensor, total: torch.Tensor) -> bool:
        """Add the only operand's gradient to `total` in place, or return False if that saves nothing."""
        return False


class Autograd(Step):
    """Any differentiable function."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        self.function = function

    def forward(self, *operands: torch.Tensor) -> torch.Tensor:
        """Run the function under autograd and keep its graph."""
        self.operands = [operand.detach().requires_grad_(operand.is_floating_point()) for operand in operands]
        with torch.enable_grad():
            self.result = self.function(*self.operands)
        return self.result.detach()

    def backward(self, gradient: torch.Tensor, *, owned: bool) -> Gradients:
        """Compute the gradients by autograd."""
        wanted = [operand for operand in self.operands if operand.requires_grad]
        found: Gradients = (None,) * len(self.operands)
        if self.result.requires_grad:
            gradients = iter(torch.autograd.grad(self.result, wanted, gradient, allow_unused=True))
            found = tuple(next(gradients) if operand.requires_grad else None for operand in self.operands)
        del self.operands, self.result
        return found


class Convolution(Step):
    """A convolution with frozen weights; its input gradient needs no activation, so none is kept.

    `padding` is (top, bottom, left, right) in positions of the operand, filled with zeros.
    """

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: Sequence[int],
        padding: tuple[int, int, int, int],
        dilation: Sequence[int],
        groups: int,
    ) -> None:
        self.weight, self.bias = weight, bias
        self.stride, self.dilation, self.groups = list(stride), list(dilation), groups
        top, bottom, left, right = padding
        self.symmetric = top == bottom and left == right
        self.padding = [top, left] if self.symmetric else [0, 0]
        self.margins = (left, right, top, bottom)

    def owns(self, *, owned: bool) -> bool:
        """Return True: the gradient is always a new tensor."""
        return True

    def forward(self, *operands: torch.Tensor) -> torch.Tensor:
        """Pad where one side differs from the other, then convolve."""
        (x,) = operands
        if not self.symmetric:
            x = F.pad(x, self.margins)
        self.shape = x.shape
        return self.convolve(x)

    def convolve(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve an operand that is already padded where its sides differ."""
        return torch.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def backward(self, gradient: torch.Tensor, *, owned: bool) -> Gradients:
        """Return the operand's gradient."""
        return (self.input_gradient(gradient),)

    def input_gradient(self, gradient: torch.Tensor) -> torch.Tensor:
        """Return the operand's gradient; that of the padding is cut off."""
        # Its numbers are not read, but its memory format decides the result's. Memory never touched is free.
        shape_only = torch.empty(
            self.shape, dtype=gradient.dtype, device=gradient.device, memory_format=torch.channels_last
        )
        found: torch.Tensor
        found, _, _ = torch.ops.aten.convolution_backward(
            gradient,
            shape_only,
            self.weight,
            None,
            self.stride,
            self.padding,
            self.dilation,
            False,
            [0, 0],
            self.groups,
            [True, False, False],
        )
        if not self.symmetric:
            left, right, top, bottom = self.margins
            height, width = found.shape[-2:]
            found = found[..., top : height - bottom, left : width - right]
        return found


class Resample(Step):
    """A linear map along the height and one along the width, by matrices (out, in).

    In channels-last memory each of the two is a plain matrix product, without a copy.
    """

    def __init__(self, down: torch.Tensor, across: torch.Tensor) -> None:
        self.down, self.across = down, across

    def owns(self, *, owned: bool) -> bool:
        """Return True: the gradient is always a new tensor."""
        return True

    def forward(self, *operands: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) → (N, C, H, W), channels last."""
        (x,) = operands
        return _resample(x, self.down, self.across)

    def backward(self, gradient: torch.Tensor, *, owned: bool) -> Gradients:
        """Apply the transposed matrices."""
        return (_resample(gradient, self.down.T, self.across.T),)

    def add_backward(self, gradient: torch.Tensor, total: torch.Tensor) -> bool:
        """Apply the transposed matrices; the second product is added to the total."""
        rows = total.permute(0, 2, 3, 1)
        if not rows.is_contiguous():
            return False
        batch, height, width, channels = rows.shape
        across = self.across.T @ gradient.permute(0, 2, 3, 1)
        down = self.down.T.expand(batch, -1, -1)
        rows.view(batch, height, width * channels).baddbmm_(down, across.reshape(batch, down.shape[2], -1))
        return True


def _resample(x: torch.Tensor, down: torch.Tensor, across: torch.Tensor) -> torch.Tensor:
    rows = x.permute(0, 2, 3, 1)
    batch, height, width, channels = rows.shape
    if len(down) <= height:  # the order that makes the tensor small first
        rows = (down @ rows.reshape(batch, height, width * channels)).view(batch, -1, width, channels)
        return (across @ rows).permute(0, 3, 1, 2)
    rows = across @ rows
    rows = down @ rows.reshape(batch, height, -1)
    return rows.view(batch, len(down), len(across), channels).permute(0, 3, 1, 2)


class Add(Step):
    """Sum of two tensors of one shape."""

    may_overwrite = True
    passes_gradient = True

    def forward(self, *operands: torch.Tensor) -> torch.Tensor:
        """Add; over the first operand where nothing else reads it."""
        first, second = operands
        return first.add_(second) if self.overwrite else first + second

    def backward(self, gradient: torch.Tensor, *, owned: bool) -> Gradients:
        """Pass the gradient to both."""
        return gradient, gradient


class Concatenate(Step):
    """Concatenation along one axis."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def owns(self, *, owned: bool) -> bool:
        """Return whether the gradient is owned: its parts are views of it that don't overlap."""
        return owned

    def forward(self, *operands: torch.Tensor) -> torch.Tensor:
        """Join the operands."""
        self.sizes = [operand.shape[self.axis] for operand in operands]
        return torch.cat(operands, self.axis)

    def backward(self, gradient: torch.Tensor, *, owned: bool) -> Gradients:
        """Split the gradient."""
        return torch.split(gradient, self.sizes, self.axis)
