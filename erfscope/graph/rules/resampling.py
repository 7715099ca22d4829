"""Rules of separable linear resampling: interpolation and average pooling.

For each axis, the taps of every output position and their weights are found in float64 from the *full*
map's coordinates; they make a matrix, of which the wanted part is applied.
"""

from collections.abc import Sequence

import numpy as np
import torch

from erfscope.graph.access import AccessByAxis, IdentityAccess, WindowAccess
from erfscope.graph.regions import Index, Region, shape_of, whole
from erfscope.graph.rules.op_plan import AccessMaps, Operation, OpPlan, Rule, pair
from erfscope.graph.steps.basic import Autograd, Resample, Step
from erfscope.records.arrays import FloatArray

MANY = 16  # rows and columns from which interpolation by matrices no longer pays

#: Positions (out, taps), and the weights of the taps.
WeightedTaps = tuple[Index, FloatArray]


def bilinear_taps(size: int, out: int, *, align_corners: bool, scale: float | None) -> WeightedTaps:
    """Linear interpolation, as torch defines its coordinates."""
    step = (size - 1) / (out - 1) if align_corners and out > 1 else 0.0
    positions = np.arange(out) * step
    if not align_corners:
        step = 1 / scale if scale else size / out
        positions = np.maximum((np.arange(out) + 0.5) * step - 0.5, 0.0)
    low = np.minimum(positions.astype(np.int64), size - 1)
    share = np.clip(positions - low, 0.0, 1.0)
    share[low == size - 1] = 0.0  # there is nothing beyond the last to mix with
    return np.stack([low, low + 1], 1), np.stack([1 - share, share], 1)


def nearest_taps(size: int, out: int, *, scale: float | None) -> WeightedTaps:
    """Nearest interpolation, as torch defines it."""
    step = np.float32(1 / scale if scale else size / out)  # torch takes the floor in float32
    source = np.minimum(np.floor(np.arange(out, dtype=np.float32) * step).astype(np.int64), size - 1)
    return source[:, None], np.ones((out, 1))


def bicubic_taps(size: int, out: int, *, align_corners: bool, scale: float | None) -> WeightedTaps:
    """Cubic interpolation, asked of torch itself by interpolating the unit vectors."""
    lines = torch.eye(size, dtype=torch.float64)[:, None, None].expand(size, 1, size, size)
    scales = None if scale is None else [1.0, scale]
    size_out = [size, out] if scale is None else None
    resized = torch.ops.aten.upsample_bicubic2d.vec(lines, size_out, align_corners, scales)
    return np.tile(np.arange(size), (out, 1)), resized[:, 0, 0].T.numpy()


def adaptive_taps(size: int, out: int) -> WeightedTaps:
    """Adaptive average pooling."""
    starts = np.arange(out) * size // out
    counts = -(-(np.arange(out) + 1) * size // out) - starts
    offsets = np.arange(counts.max())
    return starts[:, None] + offsets, (offsets < counts[:, None]) / counts[:, None]


def average_taps(
    size: int, out: int, kernel: int, stride: int, padding: int, *, count_padding: bool, divisor: int | None
) -> WeightedTaps:
    """Average pooling; taps in the padding have a weight and read nothing."""
    positions = np.arange(out)[:, None] * stride - padding + np.arange(kernel)
    valid = positions < size + padding
    counted = valid if count_padding else valid & (positions >= 0) & (positions < size)
    counts = counted.sum(1, keepdims=True)
    # The divisor is that of both axes together: each gets its square root.
    return positions, valid / (counts if divisor is None else np.sqrt(divisor))


def upsample_bilinear2d(operation: Operation) -> AccessMaps | None:
    """aten.upsample_bilinear2d.vec(x, output_size, align_corners, scale_factors)."""
    _, _, align_corners, scales = operation.arguments(None, None, False, None)
    return _resampled(operation, [
        bilinear_taps(size, out, align_corners=align_corners, scale=scale)
        for size, out, scale in zip(*_sizes(operation), scales or (None, None), strict=True)
    ])  # fmt: skip


def upsample_bicubic2d(operation: Operation) -> AccessMaps | None:
    """aten.upsample_bicubic2d.vec(x, output_size, align_corners, scale_factors)."""
    _, _, align_corners, scales = operation.arguments(None, None, False, None)
    return _resampled(operation, [
        bicubic_taps(size, out, align_corners=align_corners, scale=scale)
        for size, out, scale in zip(*_sizes(operation), scales or (None, None), strict=True)
    ])  # fmt: skip


def upsample_nearest2d(operation: Operation) -> AccessMaps | None:
    """aten.upsample_nearest2d.vec(x, output_size, scale_factors)."""
    _, _, scales = operation.arguments(None, None, None)
    return _resampled(operation, [
        nearest_taps(size, out, scale=scale)
        for size, out, scale in zip(*_sizes(operation), scales or (None, None), strict=True)
    ])  # fmt: skip


def adaptive_avg_pool2d(operation: Operation) -> AccessMaps | None:
    """aten.adaptive_avg_pool2d(x, output_size)."""
    taps = [adaptive_taps(size, out) for size, out in zip(*_sizes(operation), strict=True)]
    return _resampled(operation, taps, grows=True)


def avg_pool2d(operation: Operation) -> AccessMaps | None:
    """aten.avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)."""
    _, kernel, stride, padding, _, count_padding, divisor = operation.arguments(
        None, None, [], [0, 0], False, True, None
    )
    kernel, padding = pair(kernel), pair(padding)
    stride = pair(stride) if stride else kernel
    return _resampled(operation, [
        average_taps(
            size, out, kernel[i], stride[i], padding[i], count_padding=count_padding, divisor=divisor
        )
        for i, (size, out) in enumerate(zip(*_sizes(operation), strict=True))
    ])  # fmt: skip


def _resampled(operation: Operation, taps: Sequence[WeightedTaps], *, grows: bool = False) -> AccessMaps:
    shape = operation.shapes[0]
    outer = len(shape) - 2
    axes = (WindowAccess(outer + i, positions, weights, grows) for i, (positions, weights) in enumerate(taps))
    return (AccessByAxis((*(IdentityAccess(i) for i in range(outer)), *axes), shape),)


def _sizes(operation: Operation) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return operation.shapes[0][-2:], operation.shape[-2:]


def _plan_resample(operation: Operation, access_maps: AccessMaps, wanted: Region) -> OpPlan:
    """Cut the matrices to the wanted rows, and to the columns that have any weight there."""
    (access,) = access_maps
    assert isinstance(access, AccessByAxis)
    if shape_of(wanted) == operation.shape and min(operation.shape[2:]) > MANY:
        # All of it: torch's own kernel beats two products with matrices that are mostly zero.
        return OpPlan((whole(access.shape),), wanted, lambda: Autograd(operation.call))
    region = access.region(wanted)
    dtype = operation.node.meta["val"].dtype

    def step() -> Step:
        cuts = []
        for i in (-2, -1):
            axis = access.axes[i]
            assert isinstance(axis, WindowAccess)
            matrix = axis.matrix(wanted[i], access.shape[i])[:, region[i]]
            cuts.append(torch.from_numpy(matrix).to(operation.device, dtype))
        return Resample(*cuts)

    return OpPlan((region,), wanted, step)


UPSAMPLE_BILINEAR2D, UPSAMPLE_BICUBIC2D, UPSAMPLE_NEAREST2D, ADAPTIVE_AVG_POOL2D, AVG_POOL2D = (
    Rule(read, _plan_resample)
    for read in (upsample_bilinear2d, upsample_bicubic2d, upsample_nearest2d, adaptive_avg_pool2d, avg_pool2d)
)
