"""How far the map of a reduced precision is from float32's, on the first images."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from erfscope.engine.accumulation import Sums, accumulate, check_sums
from erfscope.engine.engines import Engine, choose_engine
from erfscope.engine.image_order import ImageItem
from erfscope.engine.plan import EnginePlan
from erfscope.errors import ComputeError

IMAGES = 4


def measure_deviation(
    model: nn.Module,
    plan: EnginePlan,
    engine: Engine,
    wanted: str,
    items: Sequence[ImageItem],
) -> dict[str, Any] | None:
    """Compute the first images in both precisions.

    Parameters
    ----------
    plan, engine
        Of the reduced precision.
    wanted
        The engine that was asked for, "auto" or "dense".

    Returns
    -------
    dict or None
        images; relative_l1 = Σ|E − E32| / Σ E32, which is mostly the noise of single ReLUs that switch
        and falls with the number of images; relative_sum = ΣE / ΣE32 − 1, the bias. None if none of the
        images gives a map.
    """
    exact = replace(plan, precision="float32")
    maps = []
    try:
        for chosen_plan, chosen in ((plan, engine), choose_engine(model, exact, wanted)):
            sums = Sums.zeros(plan.size, 0, torch.device(plan.device))
            accumulate(chosen, chosen_plan, iter(items), sums)
            check_sums(sums, max_skipped=1.0, total=len(items))
            maps.append(sums.erf)
    except ComputeError:
        return None
    reduced, reference = maps
    total = float(reference.sum())
    return {
        "images": sums.done,
        "relative_l1": float((reduced - reference).abs().sum()) / total,
        "relative_sum": float(reduced.sum()) / total - 1,
    }
