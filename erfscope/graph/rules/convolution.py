"""Rules of windowed operators: convolution, transposed convolution and max pooling."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from erfscope.graph.access import AccessByAxis, FullAccess, IdentityAccess, WindowAccess
from erfscope.graph.regions import Index, Region, hull, is_range
from erfscope.graph.rules.op_plan import AccessMaps, Operation, OpPlan, Rule, pair
from erfscope.graph.steps.basic import Autograd, Convolution, Step
from erfscope.graph.steps.gathered import GatheredConvolution, GatheredProduct

# Up to so many output positions an axis the taps are gathered and multiplied: a convolution that small spends
# more on laying out its weights than on computing, and a dilated one reads far more than its taps.
FEW = 8


def window(out: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int) -> WindowAccess:
    """Return the access of a sliding window along the output axis `out`."""
    starts = np.arange(outputs)[:, None] * stride - padding
    return WindowAccess(out, starts + dilation * np.arange(kernel))


@dataclass(frozen=True)
class Window:
    """How a set of output positions along one axis is computed with a sliding window.

    Attributes
    ----------
    inputs
        The positions that are read.
    crop
        Cut out the range of inputs and slide over it. Otherwise gather the taps of every output and lay them
        side by side: for outputs that are few or lie apart.
    before, after
        Padding of the crop.
    taps
        (outputs, kernel) input positions, those in the padding included.
    """

    inputs: Index
    crop: bool
    before: int
    after: int
    taps: Index

    @staticmethod
    def plan(axis: WindowAccess, wanted: Index, size: int) -> "Window":
        """Plan the cheaper way."""
        taps = axis.positions[wanted]
        first, last = int(taps.min()), int(taps.max())
        inside = axis.read(wanted, size)
        crop = is_range(wanted) and len(wanted) > FEW
        inputs = hull(inside) if crop else inside
        before, after = int(inputs[0]) - first, last - int(inputs[-1])
        crop = crop and before >= 0 and after >= 0
        return Window(inputs if crop else inside, crop, before, after, taps)

    def gathered(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return where among `inputs` each tap lies, and whether it lies there at all."""
        flat = self.taps.ravel()
        at = np.searchsorted(self.inputs, flat)
        at = np.minimum(at, len(self.inputs) - 1)
        valid = self.inputs[at] == flat
        return torch.from_numpy(at).to(device), torch.from_numpy(valid).to(device)


def conv2d(operation: Operation) -> AccessMaps | None:
    """aten.conv2d(x, weight, bias, stride, padding, dilation, groups); padding may be "same" or "valid"."""
    if len(operation.operands) != 1:
        return None
    stride, padding, dilation, _ = _geometry(operation)
    kernel = operation.shapes[1][2:]
    windows = [
        window(2 + i, operation.shape[2 + i], kernel[i], stride[i], padding[i], dilation[i]) for i in range(2)
    ]
    access = AccessByAxis((IdentityAccess(0), FullAccess(1), *windows), operation.shapes[0])
    return access, *(None,) * (len(operation.tensors) - 1)


def _geometry(operation: Operation) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], int]:
    _, _, _, stride, padding, dilation, groups = operation.arguments(
        None, None, None, [1, 1], [0, 0], [1, 1], 1
    )
    stride, dilation = pair(stride), pair(dilation)
    if padding == "same":  # the odd pixel goes to the end
        padding = [dilation[i] * (operation.shapes[1][2 + i] - 1) // 2 for i in range(2)]
    return stride, ((0, 0) if padding == "valid" else pair(padding)), dilation, groups


def _plan_conv2d(operation: Operation, access_maps: AccessMaps, wanted: Region) -> OpPlan:
    access, *_ = access_maps
    assert isinstance(access, AccessByAxis)
    _, weight, bias, *_ = operation.arguments(None, None, None)
    stride, _, dilation, groups = _geometry(operation)
    windows = [
        Window.plan(axis, wanted[2 + i], access.shape[2 + i])
        for i, axis in enumerate(access.axes[2:])
        if isinstance(axis, WindowAccess)
    ]
    inputs = (wanted[0], np.arange(access.shape[1]), *(w.inputs for w in windows))
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

    return OpPlan((inputs,), result, step)


def conv_transpose2d(operation: Operation) -> AccessMaps | None:
    """aten.conv_transpose2d(x, weight, bias, stride, padding, output_padding, groups, dilation)."""
    if len(operation.operands) != 1:
        return None
    stride, padding, dilation, _ = _transposed_geometry(operation)
    kernel = operation.shapes[1][2:]
    windows = []
    for i in range(2):
        full = np.arange(operation.shape[2 + i])[:, None] + padding[i] - dilation[i] * np.arange(kernel[i])
        windows.append(WindowAccess(2 + i, full // stride[i], (full % stride[i] == 0).astype(np.float64)))
    access = AccessByAxis((IdentityAccess(0), FullAccess(1), *windows), operation.shapes[0])
    return access, *(None,) * (len(operation.tensors) - 1)


def _transposed_geometry(
    operation: Operation,
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], int]:
    _, _, _, stride, padding, _, groups, dilation = operation.arguments(
        None, None, None, [1, 1], [0, 0], [0, 0], 1, [1, 1]
    )
    return pair(stride), pair(padding), pair(dilation), groups


def _plan_conv_transpose2d(operation: Operation, access_maps: AccessMaps, wanted: Region) -> OpPlan:
    """Apply it to a crop of the input without padding, then pick the wanted positions."""
    access, *_ = access_maps
    assert isinstance(access, AccessByAxis)
    _, weight, bias, *_ = operation.arguments(None, None, None)
    stride, padding, dilation, groups = _transposed_geometry(operation)
    region = access.region(wanted)
    ranges, at, extra = [], [], []
    for i in range(2):
        full = wanted[2 + i] + padding[i]  # counted from the first tap of the first input
        low = min(int(region[2 + i][0]), int(full.min()) // stride[i])
        high = max(int(region[2 + i][-1]), min(int(full.max()) // stride[i], access.shape[2 + i] - 1))
        ranges.append(np.arange(low, high + 1))
        at.append(full - low * stride[i])
        # Beyond the last tap there may be positions that hold the bias alone.
        reach = (high - low) * stride[i] + dilation[i] * (weight.shape[2 + i] - 1) + 1
        extra.append(max(0, int(at[i].max()) + 1 - reach))

    def step() -> Step:
        rows, columns = (torch.from_numpy(index).to(operation.device) for index in at)

        def function(x: torch.Tensor) -> torch.Tensor:
            full = F.conv_transpose2d(x, weight, bias, stride, 0, extra, groups, dilation)
            return full.index_select(2, rows).index_select(3, columns)

        return Autograd(function)

    inputs = (wanted[0], np.arange(access.shape[1]), *ranges)
    return OpPlan((inputs,), (wanted[0], np.arange(operation.shape[1]), *wanted[2:]), step)


def max_pool2d(operation: Operation) -> AccessMaps | None:
    """aten.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)."""
    kernel, stride, padding, dilation = _pooling(operation)
    rank = len(operation.shape)
    windows = [
        window(rank - 2 + i, operation.shape[rank - 2 + i], kernel[i], stride[i], padding[i], dilation[i])
        for i in range(2)
    ]
    return (AccessByAxis((*(IdentityAccess(i) for i in range(rank - 2)), *windows), operation.shapes[0]),)


def _pooling(operation: Operation) -> tuple[tuple[int, int], ...]:
    _, kernel, stride, padding, dilation, _ = operation.arguments(None, None, [], [0, 0], [1, 1], False)
    kernel, padding, dilation = (pair(value) for value in (kernel, padding, dilation))
    return kernel, (pair(stride) if stride else kernel), padding, dilation


def _plan_max_pool2d(operation: Operation, access_maps: AccessMaps, wanted: Region) -> OpPlan:
    (access,) = access_maps
    assert isinstance(access, AccessByAxis)
    kernel, stride, padding, dilation = _pooling(operation)
    outside = wanted[:-2]
    ranges = (hull(wanted[-2]), hull(wanted[-1]))
    inputs, margins = [], []
    for axis, positions, size in zip(access.axes[-2:], ranges, access.shape[-2:], strict=True):
        assert isinstance(axis, WindowAccess)
        taps = axis.positions[positions]
        low, high = max(int(taps.min()), 0), min(int(taps.max()), size - 1)
        inputs.append(np.arange(low, high + 1))
        margins.append((low - int(taps.min()), int(taps.max()) - high))
    own = all(margin == (padding[i], padding[i]) for i, margin in enumerate(margins))

    def pool(x: torch.Tensor) -> torch.Tensor:
        if own:  # the operator's own padding serves, without a copy
            return F.max_pool2d(x, kernel, stride, padding, dilation)
        padded = F.pad(x, (*margins[1], *margins[0]), value=-torch.inf)
        return F.max_pool2d(padded, kernel, stride, 0, dilation)

    return OpPlan(((*outside, *inputs),), (*outside, *ranges), lambda: Autograd(pool))


CONV2D = Rule(conv2d, _plan_conv2d)
CONV_TRANSPOSE2D = Rule(conv_transpose2d, _plan_conv_transpose2d)
MAX_POOL2D = Rule(max_pool2d, _plan_max_pool2d)
