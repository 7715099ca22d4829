"""How far the map of a reduced precision is from float32's, on the first images."""

from collections.abc import Sequence
from typing import Any

import torch

from erfscope.engine.accumulation import Sums, accumulate, check_sums
from erfscope.engine.engine_plan import EnginePlan
from erfscope.engine.engines import Engine
from erfscope.engine.image_order import ImageItem
from erfscope.errors import ComputeError

IMAGES = 4


def measure_deviation(
    reduced: tuple[EnginePlan, Engine], exact: tuple[EnginePlan, Engine], items: Sequence[ImageItem]
) -> dict[str, Any] | None:
    """Compute the first images in both precisions.

    Parameters
    ----------
    reduced, exact
        Plan and engine of the reduced precision, and of float32.

    Returns
    -------
    dict or None
        images; relative_l1 = Σ|E − E32| / Σ E32, which is mostly the noise of single ReLUs that switch
        and falls with the number of images; relative_sum = ΣE / ΣE32 − 1, the bias. None if none of the
        images gives a map.
    """
    maps = []
    try:
        for plan, engine in (reduced, exact):
            sums = Sums.zeros(plan.size, 0, torch.device(plan.device))
            accumulate(engine, plan, iter(items), sums)
            check_sums(sums, max_skipped=1.0, total=len(items))
            maps.append(sums.erf)
    except ComputeError:
        return None
    erf, reference = maps
    total = float(reference.sum())
    return {
        "images": sums.done,
        "relative_l1": float((erf - reference).abs().sum()) / total,
        "relative_sum": float(erf.sum()) / total - 1,
    }
