"""Rules of separable linear resampling: interpolation and average pooling.

Each axis has a matrix from input to output positions, made in float64 from the *full* map's
coordinates; a region is a cut of it.
"""

from collections.abc import Sequence

import numpy as np
import torch

from erfscope.graph.regions import Region, shape_of, whole
from erfscope.graph.rules.piece import Operation, Piece, pair
from erfscope.graph.steps import Autograd, Resample, Step
from erfscope.records import FloatArray

MANY = 16  # rows and columns from which interpolation by matrices no longer pays


def bilinear_matrix(size: int, out: int, *, align_corners: bool, scale: float | None) -> FloatArray:
    """(out, size) weights of linear interpolation, as torch defines its coordinates."""
    step = (size - 1) / (out - 1) if align_corners and out > 1 else 0.0
    positions = np.arange(out) * step
    if not align_corners:
        step = 1 / scale if scale else size / out
        positions = np.maximum((np.arange(out) + 0.5) * step - 0.5, 0.0)
    low = np.minimum(positions.astype(np.int64), size - 1)
    high = np.minimum(low + 1, size - 1)
    share = np.clip(positions - low, 0.0, 1.0)
    matrix = np.zeros((out, size))
    np.add.at(matrix, (np.arange(out), low), 1 - share)
    np.add.at(matrix, (np.arange(out), high), share)
    return matrix


def nearest_matrix(size: int, out: int, *, scale: float | None) -> FloatArray:
    """(out, size) weights of nearest interpolation, as torch defines it."""
    step = np.float32(1 / scale if scale else size / out)  # torch takes the floor in float32
    source = np.minimum(np.floor(np.arange(out, dtype=np.float32) * step).astype(np.int64), size - 1)
    matrix = np.zeros((out, size))
    matrix[np.arange(out), source] = 1.0
    return matrix


def adaptive_matrix(size: int, out: int) -> FloatArray:
    """(out, size) weights of adaptive average pooling."""
    matrix = np.zeros((out, size))
    for i in range(out):
        start, end = i * size // out, -(-(i + 1) * size // out)
        matrix[i, start:end] = 1 / (end - start)
    return matrix


def average_matrix(
    size: int, out: int, kernel: int, stride: int, padding: int, *, count_padding: bool
) -> FloatArray:
    """(out, size) weights of average pooling."""
    matrix = np.zeros((out, size))
    for i in range(out):
        start = i * stride - padding
        end = min(start + kernel, size + padding)
        low, high = max(start, 0), min(end, size)
        matrix[i, low:high] = 1 / ((end - start) if count_padding else (high - low))
    return matrix


def upsample_bilinear2d(operation: Operation, wanted: Region) -> Piece | None:
    """aten.upsample_bilinear2d.vec(x, output_size, align_corners, scale_factors)."""
    _, _, align_corners, scales = operation.arguments(None, None, False, None)
    scales = scales or (None, None)
    matrices = [
        bilinear_matrix(size, out, align_corners=align_corners, scale=scale)
        for size, out, scale in zip(*_sizes(operation), scales, strict=True)
    ]
    return _resample(operation, wanted, matrices)


def upsample_nearest2d(operation: Operation, wanted: Region) -> Piece | None:
    """aten.upsample_nearest2d.vec(x, output_size, scale_factors)."""
    _, _, scales = operation.arguments(None, None, None)
    scales = scales or (None, None)
    matrices = [
        nearest_matrix(size, out, scale=scale)
        for size, out, scale in zip(*_sizes(operation), scales, strict=True)
    ]
    return _resample(operation, wanted, matrices)


def adaptive_avg_pool2d(operation: Operation, wanted: Region) -> Piece | None:
    """aten.adaptive_avg_pool2d(x, output_size)."""
    matrices = [adaptive_matrix(size, out) for size, out in zip(*_sizes(operation), strict=True)]
    return _resample(operation, wanted, matrices)


def avg_pool2d(operation: Operation, wanted: Region) -> Piece | None:
    """aten.avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)."""
    _, kernel, stride, padding, _, count_padding, divisor = operation.arguments(
        None, None, [], [0, 0], False, True, None
    )
    if divisor is not None:
        return None
    kernel, padding = pair(kernel), pair(padding)
    stride = pair(stride) if stride else kernel
    matrices = [
        average_matrix(size, out, kernel[i], stride[i], padding[i], count_padding=count_padding)
        for i, (size, out) in enumerate(zip(*_sizes(operation), strict=True))
    ]
    return _resample(operation, wanted, matrices)


def _resample(operation: Operation, wanted: Region, matrices: Sequence[FloatArray]) -> Piece:
    """Cut the matrices to the wanted rows, and to the columns that have any weight there."""
    if shape_of(wanted) == operation.shape and min(operation.shape[2:]) > MANY:
        # All of it: torch's own kernel beats two products with matrices that are mostly zero.
        return Piece((whole(operation.operand_shapes[0]),), wanted, lambda: Autograd(operation.call))
    rows = [matrix[index] for matrix, index in zip(matrices, wanted[2:], strict=True)]
    columns = [np.flatnonzero(row.any(0)) for row in rows]
    down, across = (row[:, column] for row, column in zip(rows, columns, strict=True))
    dtype = operation.node.meta["val"].dtype

    def step() -> Step:
        matrices = (torch.from_numpy(matrix).to(operation.device, dtype) for matrix in (down, across))
        return Resample(*matrices)

    return Piece(((*wanted[:2], *columns),), wanted, step)


def _sizes(operation: Operation) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return operation.operand_shapes[0][2:], operation.shape[2:]
