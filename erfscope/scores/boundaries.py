"""Trimaps: the bands about class boundaries in which DeepLab's papers score networks.

The band of arXiv 1606.00915 (its figures on mIoU by trimap width) surrounds VOC's void labels, which lie on
every object boundary; `void_is_boundary` gives that one. Elsewhere void marks what nobody labeled.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from erfscope.datasets import IGNORE
from erfscope.records.arrays import FloatArray

Label = NDArray[np.uint8]


def boundary_distance(
    label: Label, reach: float, *, void_is_boundary: bool = False, ignore: int = IGNORE
) -> FloatArray:
    """Measure how far each labeled pixel is from a class boundary.

    Parameters
    ----------
    label
        (H, W) classes, `ignore` for none.
    reach
        Largest distance of interest, px.
    void_is_boundary
        Whether pixels without a class count as another class. Otherwise they are as if outside the image:
        two classes with void between them are as far apart as the void is wide.

    Returns
    -------
    FloatArray
        (H, W), px: Euclidean distance from the pixel's center to the nearest center of a pixel of another
        class, 1 beside a straight boundary; infinite beyond `reach`, and where the label is `ignore`.
    """
    distance = np.full(label.shape, np.inf)
    void = label == ignore
    margin = int(np.ceil(reach))
    # One distance transform per class, of its bounding box and margin: far less than K whole images.
    for k, box in enumerate(ndimage.find_objects(label.astype(np.int32) + 1)):
        if box is None or k == ignore:
            continue
        grown = tuple(slice(max(0, side.start - margin), side.stop + margin) for side in box)
        mine = label[grown] == k
        others = ~mine if void_is_boundary else ~mine & ~void[grown]
        if others.any():  # else there is nothing to measure to
            found = ndimage.distance_transform_edt(~others)
            near = mine & (found <= reach)
            distance[grown][near] = found[near]
    return distance


def keep_band(label: Label, distance: FloatArray, width: float, ignore: int = IGNORE) -> Label:
    """Return the label with all pixels beyond `width` px of a boundary (see `boundary_distance`) ignored."""
    inside: NDArray[np.bool_] = distance <= width
    return np.where(inside, label, np.uint8(ignore))
