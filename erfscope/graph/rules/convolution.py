"""Rules of windowed operators: convolution and max pooling."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from erfscope.graph.gathered import GatheredConvolution, GatheredProduct
from erfscope.graph.regions import Index, Region, hull, is_range
from erfscope.graph.rules.piece import Operation, Piece, pair
from erfscope.graph.steps import Autograd, Convolution, Step

# Output positions an axis up to which the taps are gathered and multiplied: a convolution that small costs
# more in laying out its weights than in computing, and a dilated one reads far more than its taps.
FEW = 8


@dataclass(frozen=True)
class Window:
    """A sliding window along one axis, and how one set of output positions is to be computed with it.

    `crop`: cut out the range of inputs and slide over it. Otherwise gather the taps of every output and
    lay them side by side: for outputs that are few or lie apart.
    """

    inputs: Index
    crop: bool
    before: int
    after: int
    taps: Index  # (outputs, kernel) input positions, outside ones included

    @staticmethod
    def plan(wanted: Index, size: int, kernel: int, stride: int, padding: int, dilation: int) -> "Window":
        """Plan the cheaper way."""
        starts = wanted[:, None] * stride - padding
        taps = starts + dilation * np.arange(kernel)
        first, last = int(taps.min()), int(taps.max())
        inside = np.unique(taps[(taps >= 0) & (taps < size)])
        if len(inside) == 0:
            inside = np.array([min(max(first, 0), size - 1)])  # padding only: read one pixel, use none
        crop = is_range(wanted) and len(wanted) > FEW
        inputs = hull(inside) if crop else inside
        before, after = int(inputs[0]) - first, last - int(inputs[-1])
        crop = crop and before >= 0 and after >= 0
        return Window(inputs if crop else inside, crop, before, after, taps)

    def gathered(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Positions of the taps in the tensor of inputs, and 0 or 1 for outside and inside."""
        flat = self.taps.ravel()
        at = np.searchsorted(self.inputs, flat)
        at = np.minimum(at, len(self.inputs) - 1)
        valid = self.inputs[at] == flat
        return torch.from_numpy(at).to(device), torch.from_numpy(valid).to(device)


def conv2d(operation: Operation, wanted: Region) -> Piece | None:
    """aten.conv2d(x, weight, bias, stride, padding, dilation, groups) with constant weights.

    `padding` may be a word, "same" or "valid".
    """
    _, weight, bias, stride, padding, dilation, groups = operation.arguments(
        None, None, None, [1, 1], [0, 0], [1, 1], 1
    )
    if len(operation.operands) != 1 or not isinstance(weight, torch.Tensor):
        return None
    ((_, channels, *size),) = operation.operand_shapes
    stride, dilation = pair(stride), pair(dilation)
    if padding == "same":  # the odd pixel goes to the end
        padding = [dilation[i] * (weight.shape[2 + i] - 1) // 2 for i in range(2)]
    padding = (0, 0) if padding == "valid" else pair(padding)
    windows = [
        Window.plan(wanted[2 + i], size[i], weight.shape[2 + i], stride[i], padding[i], dilation[i])
        for i in range(2)
    ]
    inputs = (wanted[0], np.arange(channels), windows[0].inputs, windows[1].inputs)
    result = (wanted[0], np.arange(weight.shape[0]), wanted[2], wanted[3])

    def step() -> Step:
        kernel = weight.shape[2:]
        strides = [stride[i] if w.crop else kernel[i] for i, w in enumerate(windows)]
        dilations = [dilation[i] if w.crop else 1 for i, w in enumerate(windows)]
        margins = [(w.before, w.after) if w.crop else (0, 0) for w in windows]
        weights = weight.contiguous(memory_format=torch.channels_last)
        convolution = Convolution(weights, bias, strides, (*margins[0], *margins[1]), dilations, groups)
        gathers = {2 + i: w.gathered(operation.device) for i, w in enumerate(windows) if not w.crop}
        if len(gathers) == 2 and groups == 1:
            return GatheredProduct(weight, bias, *gathers.values())
        return GatheredConvolution(convolution, gathers) if gathers else convolution

    return Piece((inputs,), result, step)


def max_pool2d(operation: Operation, wanted: Region) -> Piece | None:
    """aten.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)."""
    _, kernel, stride, padding, dilation, _ = operation.arguments(None, None, [], [0, 0], [1, 1], False)
    kernel, padding, dilation = (pair(value) for value in (kernel, padding, dilation))
    stride = pair(stride) if stride else kernel
    *_, height, width = operation.operand_shapes[0]
    ranges = (hull(wanted[-2]), hull(wanted[-1]))
    taps = [
        ranges[i][:, None] * stride[i] - padding[i] + dilation[i] * np.arange(kernel[i]) for i in range(2)
    ]
    inputs, margins = [], []
    for positions, size in zip(taps, (height, width), strict=True):
        first, last = int(positions.min()), int(positions.max())
        low, high = max(first, 0), min(last, size - 1)
        inputs.append(np.arange(low, high + 1))
        margins.append((low - first, last - high))

    own = all(margin == (padding[i], padding[i]) for i, margin in enumerate(margins))

    def pool(x: torch.Tensor) -> torch.Tensor:
        if own:  # the operator's own padding serves, without a copy
            return F.max_pool2d(x, kernel, stride, padding, dilation)
        padded = F.pad(x, (*margins[1], *margins[0]), value=-torch.inf)
        return F.max_pool2d(padded, kernel, stride, 0, dilation)

    outside = wanted[:-2]
    return Piece(((*outside, *inputs),), (*outside, *ranges), lambda: Autograd(pool))
