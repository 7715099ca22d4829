"""Convolutions at few positions, or at positions that lie apart: the taps are gathered, then multiplied."""

from collections.abc import Mapping

import torch

from erfscope.graph.steps.basic import Convolution, Gradients, Step

#: Positions of the taps among the inputs, and whether each lies inside the map.
Taps = tuple[torch.Tensor, torch.Tensor]


class _Gathered(Step):
    """Base: gathers along the axes of `taps`, and sums the gradients of taps that read one position."""

    def __init__(self, taps: Mapping[int, Taps]) -> None:
        self.taps = taps

    def owns(self, *, owned: bool) -> bool:
        """Return True: the gradient is always a new tensor."""
        return True

    def _gather(self, x: torch.Tensor) -> torch.Tensor:
        self.shape = x.shape
        for axis, (at, inside) in self.taps.items():
            x = x.index_select(axis, at) * _along(inside, axis)
        return x

    def backward(self, gradient: torch.Tensor, *, owned: bool) -> Gradients:
        """Return the taps' gradients, summed where taps read one position."""
        total = torch.empty(
            self.shape, dtype=gradient.dtype, device=gradient.device, memory_format=torch.channels_last
        ).zero_()
        self.add_backward(gradient, total)
        return (total,)

    def add_backward(self, gradient: torch.Tensor, total: torch.Tensor) -> bool:
        """Add the taps' gradients to the total."""
        part = self._tap_gradient(gradient)
        first, *others = self.taps
        for axis in reversed(others):
            at, inside = self.taps[axis]
            shape = [*part.shape[:axis], self.shape[axis], *part.shape[axis + 1 :]]
            part = part.new_zeros(shape).index_add_(axis, at, part * _along(inside, axis))
        at, inside = self.taps[first]
        total.index_add_(first, at, part * _along(inside, first))
        return True

    def _tap_gradient(self, gradient: torch.Tensor) -> torch.Tensor:
        """Return the gradient of the gathered taps."""
        raise NotImplementedError


class GatheredConvolution(_Gathered):
    """Taps gathered along one axis or both, then convolved with the kernel's size as stride."""

    def __init__(self, convolution: Convolution, taps: Mapping[int, Taps]) -> None:
        super().__init__(taps)
        self.convolution = convolution

    def forward(self, *operands: torch.Tensor) -> torch.Tensor:
        """Gather, set taps outside the map to zero, convolve."""
        return self.convolution.forward(self._gather(operands[0]))

    def _tap_gradient(self, gradient: torch.Tensor) -> torch.Tensor:
        return self.convolution.input_gradient(gradient)


class GatheredProduct(_Gathered):
    """Taps gathered along both axes, multiplied as one matrix product."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, rows: Taps, columns: Taps) -> None:
        super().__init__({2: rows, 3: columns})
        self.kernel = tuple(weight.shape[2:])
        self.weight = weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0])  # (kh · kw · C, K)
        self.bias = bias

    def forward(self, *operands: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) → (N, K, rows, columns)."""
        taps = self._gather(operands[0])
        batch, channels, height, width = taps.shape
        high, wide = self.kernel
        self.grid = (batch, channels, height // high, high, width // wide, wide)
        patches = taps.view(self.grid).permute(0, 2, 4, 3, 5, 1).reshape(-1, len(self.weight))
        result = patches @ self.weight
        if self.bias is not None:
            result += self.bias
        return result.view(batch, self.grid[2], self.grid[4], -1).permute(0, 3, 1, 2)

    def _tap_gradient(self, gradient: torch.Tensor) -> torch.Tensor:
        batch, channels, rows, high, columns, wide = self.grid
        patches = gradient.permute(0, 2, 3, 1).reshape(-1, self.weight.shape[1]) @ self.weight.T
        taps = patches.view(batch, rows, columns, high, wide, channels).permute(0, 5, 1, 3, 2, 4)
        return taps.reshape(batch, channels, rows * high, columns * wide)


def _along(values: torch.Tensor, axis: int) -> torch.Tensor:
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    return values.view(shape)
