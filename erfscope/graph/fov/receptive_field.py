"""The theoretical receptive field: every pixel that could change the unit."""

import numpy as np
from torch.fx import Node

from erfscope.graph.access import AccessByAxis, AccessMap, FullAccess, IdentityAccess, Mask
from erfscope.graph.access_graph import AccessGraph, OperandAccess
from erfscope.graph.fov.places import Places, own_axis


def receptive_field(graph: AccessGraph, unit: tuple[int, int]) -> Mask:
    """Find all pixels that the unit depends on.

    Parameters
    ----------
    unit
        (y, x) in the output (N, K, h, w); all of its K values count.

    Returns
    -------
    (H, W) bool
        Axes (y, x). Exact where every operator has a rule, never too small.
    """
    return _spread(graph, unit, None)


def local_receptive_field(graph: AccessGraph, unit: tuple[int, int], places: dict[Node, Places]) -> Mask:
    """Find the pixels that the unit depends on without the branches that mix the whole map.

    Left out are pooling to a fixed number of bins, attention, and averages over the map. Of a norm over the
    map each position counts alone. Unit and result are as in `receptive_field`; `places` as of
    `places.place_cells`.
    """
    return _spread(graph, unit, places)


def _spread(graph: AccessGraph, unit: tuple[int, int], places: dict[Node, Places] | None) -> Mask:
    *_, height, width = graph.output.meta["val"].shape
    wanted = np.zeros((1, 1, height, width), bool)
    wanted[..., unit[0], unit[1]] = True
    masks: dict[Node, Mask] = {graph.output: wanted}
    for node, reads in reversed(graph.reads.items()):
        mask = masks.pop(node, None)
        if mask is None:
            continue
        for read in reads:
            rank = len(read.operand.meta["val"].shape)
            if places is not None:
                access = _localize(read, node, places)
                if access is None:
                    continue
                found = access.spread(mask)
            else:
                found = np.ones((1,) * rank, bool) if read.access is None else read.access.spread(mask)
            masks[read.operand] = masks.get(read.operand, np.zeros((1,) * rank, bool)) | found
    *_, rows, columns = graph.image.meta["val"].shape
    seen = masks.get(graph.image, np.zeros((1, 1, 1, 1), bool)).any((0, 1))
    return np.broadcast_to(seen, (rows, columns)).copy()


def _localize(read: OperandAccess, node: Node, places: dict[Node, Places]) -> AccessMap | None:
    """Return the access map if the places that are read depend on the wanted place, else None."""
    if read.access is None or read.operand not in places or node not in places:
        return None
    if not isinstance(read.access, AccessByAxis):
        return read.access
    axes = list(read.access.axes)
    for axis in places[read.operand].axes:
        out = own_axis(axes[axis])
        if out is None or out not in places[node].axes:
            return None
        if isinstance(axes[axis], FullAccess):
            axes[axis] = IdentityAccess(out)
    return AccessByAxis(tuple(axes), read.access.shape)
