"""The ReLU: which of its results are positive is most of what a program keeps of an image."""

import torch

from erfscope.graph.steps.basic import Gradients, Step

#: From so many elements on, one byte of each is kept instead of four. It costs some 4 % of the time on large
#: maps, which take most of the memory; on small ones it isn't worth it.
MANY = 2**23
_CHUNK = 2**22  # elements that are converted to numbers at once


class Relu(Step):
    """ReLU; keeps its result, which the next step reads anyway, or where a large result is positive."""

    may_overwrite = True

    def owns(self, *, owned: bool) -> bool:
        """Return True: an owned gradient is overwritten, else the result is new."""
        return True

    def forward(self, *operands: torch.Tensor) -> torch.Tensor:
        """Clip at zero; in place where nothing else reads the operand."""
        (x,) = operands
        result = x.relu_() if self.overwrite else x.relu()
        self.kept = result > 0 if result.numel() >= MANY else result
        return result

    def backward(self, gradient: torch.Tensor, *, owned: bool) -> Gradients:
        """Pass the gradient of positive results."""
        kept = self.kept
        del self.kept
        if not owned:
            gradient = gradient.clone(memory_format=torch.preserve_format)
        if kept.dtype is torch.bool and _in_one_order(gradient, kept):
            parts, ons = torch.split(_flat(gradient), _CHUNK), torch.split(_flat(kept), _CHUNK)
        else:
            parts, ons = (gradient,), (kept,)
        for part, on in zip(parts, ons, strict=True):
            torch.ops.aten.threshold_backward.grad_input(part, on.to(part.dtype), 0, grad_input=part)
        return (gradient,)


def _in_one_order(first: torch.Tensor, second: torch.Tensor) -> bool:
    return first.stride() == second.stride() and (
        first.is_contiguous() or (first.ndim == 4 and first.is_contiguous(memory_format=torch.channels_last))
    )


def _flat(x: torch.Tensor) -> torch.Tensor:
    """View the elements in the order in which they lie in memory."""
    return x.view(-1) if x.is_contiguous() else x.permute(0, 2, 3, 1).view(-1)
