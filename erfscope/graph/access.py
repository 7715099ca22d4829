"""Access maps: which positions of an operand an operator reads to compute given output positions.

The region to compute, the exact receptive field, and where in the image a cell of a feature map lies all
follow from access maps alone.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from erfscope.graph.regions import Index, Region, shape_of, whole
from erfscope.records.arrays import FloatArray

#: (…) True where a position is read; an axis of length 1 means all positions along it alike.
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class IdentityAccess:
    """Each position along the output axis `out` reads the same position of the operand."""

    out: int


@dataclass(frozen=True)
class WindowAccess:
    """Each position along the output axis `out` reads the taps of a window.

    Attributes
    ----------
    positions
        (outputs, taps) positions along the operand's axis; those in the padding lie outside of it.
    weights
        (outputs, taps) weights of an interpolation; a tap of weight 0 is not read. None: all are read.
    grows
        Whether the window grows with the map, as in pooling to a fixed number of bins.
    """

    out: int
    positions: Index
    weights: FloatArray | None = None
    grows: bool = False

    def inside(self, size: int) -> Mask:
        """Return (outputs, taps) True where a tap reads something of an axis of `size` positions."""
        found: Mask = (self.positions >= 0) & (self.positions < size)
        return found if self.weights is None else found & (self.weights != 0)

    def read(self, wanted: Index, size: int) -> Index:
        """Return the positions that the wanted outputs read; one if they read nothing but padding."""
        taps = self.positions[wanted]
        found = np.unique(taps[self.inside(size)[wanted]])
        if len(found) or not size:
            return found
        return np.array([min(max(int(taps.min()), 0), size - 1)])

    def matrix(self, wanted: Index, size: int) -> FloatArray:
        """Return the (wanted, size) weights by which the wanted outputs read an axis of `size` positions."""
        inside = self.inside(size)[wanted]
        matrix = np.zeros((len(wanted), size))
        rows, taps = np.nonzero(inside)
        weights = np.ones(len(rows)) if self.weights is None else self.weights[wanted][rows, taps]
        np.add.at(matrix, (rows, self.positions[wanted][rows, taps]), weights)
        return matrix

    @property
    def centers(self) -> FloatArray:
        """(outputs,) center of each window among the inputs: the mean of its taps, padding included."""
        weights = np.ones(self.positions.shape) if self.weights is None else self.weights
        centers: FloatArray = (self.positions * weights).sum(1) / weights.sum(1)
        return centers


@dataclass(frozen=True)
class FullAccess:
    """All positions are read, whatever is wanted.

    Attributes
    ----------
    out
        The output axis that comes out whole as a result, if there is one.
    own
        Whether each position of `out` has a counterpart on the operand's axis, as in a norm or a softmax.
    """

    out: int | None = None
    own: bool = False


@dataclass(frozen=True)
class FixedAccess:
    """One position is read, whatever is wanted: that of a selection, or of an axis that is broadcast."""

    position: int


AxisAccess = IdentityAccess | WindowAccess | FullAccess | FixedAccess


@dataclass(frozen=True)
class AccessByAxis:
    """An access map whose axes don't depend on each other.

    Attributes
    ----------
    axes
        The access along each axis of the operand.
    shape
        The operand's shape.
    """

    axes: tuple[AxisAccess, ...]
    shape: tuple[int, ...]

    def region(self, wanted: Region) -> Region:
        """Return the region of the operand that the wanted region of the output needs."""
        found = []
        for axis, size in zip(self.axes, self.shape, strict=True):
            match axis:
                case IdentityAccess(out):
                    found.append(wanted[out])
                case WindowAccess(out):
                    found.append(axis.read(wanted[out], size))
                case FullAccess():
                    found.append(np.arange(size))
                case FixedAccess(position):
                    found.append(np.array([position]))
        return tuple(found)

    def widen(self, wanted: Region, shape: tuple[int, ...]) -> Region:
        """Return the region of the output, of that shape, that comes out when `wanted` is computed."""
        whole_axes = {axis.out for axis in self.axes if isinstance(axis, FullAccess)}
        return tuple(np.arange(shape[i]) if i in whole_axes else index for i, index in enumerate(wanted))

    def spread(self, mask: Mask) -> Mask:
        """Return the mask of the operand that a mask of the output needs."""
        source = {
            axis.out: i
            for i, axis in enumerate(self.axes)
            if isinstance(axis, (IdentityAccess, WindowAccess))
        }
        for out in range(mask.ndim):
            if out not in source:
                mask = np.any(mask, axis=out, keepdims=True)
                continue
            axis, size = self.axes[source[out]], self.shape[source[out]]
            if isinstance(axis, WindowAccess):
                mask = _spread_taps(mask, out, axis, size)
        kept = sorted(source, key=lambda out: source[out])
        dropped = [out for out in range(mask.ndim) if out not in source]
        mask = mask.transpose(*kept, *dropped).reshape([mask.shape[out] for out in kept])
        mask = np.expand_dims(mask, [i for i in range(len(self.axes)) if i not in source.values()])
        for i, axis in enumerate(self.axes):
            if isinstance(axis, FixedAccess) and self.shape[i] > 1:
                chosen = np.zeros(self.shape[i], bool)
                chosen[axis.position] = True
                mask = mask & chosen.reshape([-1 if j == i else 1 for j in range(len(self.axes))])
        return mask


def _spread_taps(mask: Mask, out: int, axis: WindowAccess, size: int) -> Mask:
    lines = np.moveaxis(mask, out, -1)
    if lines.shape[-1] == 1:
        lines = np.broadcast_to(lines, (*lines.shape[:-1], len(axis.positions)))
    wanted = np.flatnonzero(lines.any(tuple(range(lines.ndim - 1))))
    links = (axis.matrix(wanted, size) != 0).astype(np.float32)
    found: Mask = lines[..., wanted].astype(np.float32) @ links > 0
    return np.moveaxis(found, -1, out)


@dataclass(frozen=True)
class ReshapeAccess:
    """The access map of a view: the same elements in the same order, in another shape.

    Attributes
    ----------
    shape, out
        Shapes of the operand and of the output.
    """

    shape: tuple[int, ...]
    out: tuple[int, ...]

    def region(self, wanted: Region) -> Region:
        """Return the region of the operand: the smallest product of index sets that has the same elements."""
        return self._close(wanted)[0]

    def widen(self, wanted: Region, shape: tuple[int, ...]) -> Region:
        """Return the region of the output that comes out when `wanted` is computed."""
        return self._close(wanted)[1]

    def _close(self, wanted: Region) -> tuple[Region, Region]:
        """Return the smallest regions of operand and output that hold each other's elements."""
        inputs: list[Index] = []
        outputs: list[Index] = []
        for ins, outs in _groups(self.shape, self.out):
            sizes = [self.shape[i] for i in ins], [self.out[o] for o in outs]
            region = tuple(wanted[o] for o in outs)
            if all(len(index) == size for index, size in zip(region, sizes[1], strict=True)):
                inputs += whole(sizes[0])
                outputs += region
                continue
            while True:
                source = _product_hull(_flat(region, sizes[1]), sizes[0])
                wider = _product_hull(_flat(source, sizes[0]), sizes[1])
                if shape_of(wider) == shape_of(region):
                    break
                region = wider
            inputs += source
            outputs += region
        return tuple(inputs), tuple(outputs)

    def spread(self, mask: Mask) -> Mask:
        """Return the mask of the operand that a mask of the output needs."""
        found: Mask = reshape_uniform(mask, self.out, self.shape)
        return found


def reshape_uniform(values: npt.NDArray[Any], shape: tuple[int, ...], out: tuple[int, ...]) -> Any:
    """Reshape an array that broadcasts to `shape` to the smallest that broadcasts to `out`."""
    held: list[int] = []
    result: list[int] = []
    for ins, outs in _groups(shape, out):
        uniform = all(values.shape[i] == 1 for i in ins)
        held += [1 if uniform else shape[i] for i in ins]
        result += [1 if uniform else out[o] for o in outs]
    return np.broadcast_to(values, held).reshape(result)


def _groups(shape: tuple[int, ...], out: tuple[int, ...]) -> list[tuple[range, range]]:
    """Return the shortest runs of axes of one shape and of the other with the same number of elements."""
    groups, i, o = [], 0, 0
    while i < len(shape) or o < len(out):
        first, second = i, o
        left = right = 1
        if i < len(shape):
            left, i = shape[i], i + 1
        if o < len(out):
            right, o = out[o], o + 1
        while left != right:
            if left < right:
                left, i = left * shape[i], i + 1
            else:
                right, o = right * out[o], o + 1
        groups.append((range(first, i), range(second, o)))
    return groups


def _flat(region: Region, shape: list[int]) -> Index:
    if not shape:
        return np.zeros(1, np.int64)
    return np.ravel_multi_index(np.ix_(*region), shape).ravel()


def _product_hull(flat: Index, shape: list[int]) -> Region:
    return tuple(np.unique(index) for index in np.unravel_index(flat, shape)) if shape else ()


AccessMap = AccessByAxis | ReshapeAccess
