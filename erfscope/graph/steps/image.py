"""Steps that read the image, for programs that want only the gradient's sum over the channels.

Adding one number to all channels of a pixel changes the unit by that sum, so a convolution's gradient needs
one channel with summed weights instead of three.
"""

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from erfscope.graph.steps.basic import Convolution, Gradients, Step


def sum_channels(step: Step, is_image: Sequence[bool]) -> Step:
    """Return a step that computes the same, and sums the image's gradient over the channels."""
    if type(step) is Convolution and step.groups == 1:
        return ImageConvolution(step)
    return SummedStep(step, is_image)


class ImageConvolution(Step):
    """A convolution whose input gradient is one matrix product, folded onto the pixels."""

    def __init__(self, convolution: Convolution) -> None:
        self.convolution = convolution
        weight = convolution.weight.sum(1)
        self.kernel = tuple(weight.shape[1:])
        self.weight = weight.flatten(1).T.contiguous()  # (kh · kw, K)

    def owns(self, *, owned: bool) -> bool:
        """Return True: the gradient is always a new tensor."""
        return True

    def forward(self, *operands: torch.Tensor) -> torch.Tensor:
        """Convolve."""
        self.shape = operands[0].shape
        return self.convolution.forward(*operands)

    def backward(self, gradient: torch.Tensor, *, owned: bool) -> Gradients:
        """(N, K, h, w) → (N, 1, H, W)."""
        left, right, top, bottom = self.convolution.margins
        height, width = self.shape[-2] + top + bottom, self.shape[-1] + left + right
        columns = torch.matmul(self.weight, gradient.flatten(2))
        if columns.dtype == torch.bfloat16:  # dozens of terms a pixel: too many to add up in 8 bits
            columns = columns.float()
        stride, dilation = tuple(self.convolution.stride), tuple(self.convolution.dilation)
        found = F.fold(columns, (height, width), self.kernel, dilation, 0, stride)
        return (found[..., top : height - bottom, left : width - right],)


class SummedStep(Step):
    """Any other step, with the image's gradient summed over the channels."""

    def __init__(self, step: Step, is_image: Sequence[bool]) -> None:
        self.step, self.is_image = step, is_image

    def owns(self, *, owned: bool) -> bool:
        """Return False: the gradients of other operands are as the step returns them."""
        return False

    def forward(self, *operands: torch.Tensor) -> torch.Tensor:
        """Run the step."""
        return self.step.forward(*operands)

    def backward(self, gradient: torch.Tensor, *, owned: bool) -> Gradients:
        """Sum the gradient that the step returns for the image."""
        parts = self.step.backward(gradient, owned=owned)
        return tuple(
            part.sum(1, keepdim=True) if part is not None and image else part
            for part, image in zip(parts, self.is_image, strict=True)
        )
