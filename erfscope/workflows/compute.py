"""From a network and images to a map."""

import platform
import shlex
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain, islice
from typing import Any

import torch
from torch import nn

from erfscope.engine.batch import fit_batch
from erfscope.engine.deviation import IMAGES as DEVIATION_IMAGES
from erfscope.engine.deviation import measure_deviation
from erfscope.engine.engines import choose_engine
from erfscope.engine.groups import deal_groups
from erfscope.engine.memory import peak_memory
from erfscope.engine.plan import EnginePlan, make_plan
from erfscope.engine.precision import REDUCED
from erfscope.engine.run import Progress, Sums, accumulate
from erfscope.engine.source import Images, open_source
from erfscope.engine.target import parse_target
from erfscope.records.erf_map import ErfMap
from erfscope.records.network import ModelOrigin, WeightsReport
from erfscope.records.unit import Unit

REPLICATES = 16
MAX_SKIPPED = 0.01
_RECORDED_VERSIONS = ("erfscope", "torch", "numpy", "h5py", "pillow")


def compute_erf(
    model: nn.Module,
    images: Images,
    *,
    formula: str = "paper",
    target: str | int = "logits",
    at: tuple[int, int] | str | None = None,
    resize: bool = True,
    precision: str = "float32",
    device: str = "auto",
    batch_size: int | str = "auto",
    workers: int | None = None,
    replicates: int = REPLICATES,
    max_skipped: float = MAX_SKIPPED,
    seed: int = 0,
    engine: str = "auto",
    progress: Progress = lambda done, skipped: None,
) -> ErfMap:
    """Sum the clipped input gradients of one unit over images: the effective receptive field.

    Parameters
    ----------
    model
        Any module that maps (N, 3, H, W) to logits (N, K, h, w), or to a mapping, sequence or object
        that holds them. It is run in eval mode and comes back exactly as it was.
    images
        A dataset of `open_dataset`, or any iterable of samples or (3, H, W) tensors, all of one size
        and normalized as the network expects. Gradients are with respect to the normalized image.
    formula
        "paper" (Eq. 1 of arXiv 2307.14179), "replknet", "openerf" or "luo2016".
    target
        "logits" (sum over the classes), "predicted" (each image's highest logit), "margin" (that logit
        minus the mean of the others), a class id, or a class name of the dataset.
    at
        The unit: (y, x) in the output map, the name of a layer (its central feature), or None for the
        output's center (H // 2, W // 2).
    resize
        Resize low-resolution logits bilinearly to the image's size before the unit is taken.
    precision
        "float32", "float64", "bfloat16", or "tf32" on CUDA. Of the last two, the map's deviation from
        float32 on the first images is recorded.
    device
        "auto", "cpu", "cuda" or "cuda:N".
    batch_size
        Images a batch; the map does not depend on it but for rounding. "auto" takes what fits a CUDA
        device's memory, and 1 on the CPU.
    workers
        Processes that read a dataset's images, as far as there are cores; None chooses. Threads take
        the remaining cores.
    replicates
        G, the number of disjoint image groups whose partial sums are kept; 0 keeps none.
    max_skipped
        Share of broken images, or of images with non-finite gradients, above which the run fails.
    seed
        Of the image groups.
    engine
        "auto" computes only what the unit needs, where the network can be captured as a graph; "dense"
        runs plain autograd over the whole network. The numbers are the same.
    progress
        Called with the numbers of images done and skipped after every batch.

    Returns
    -------
    ErfMap
        Its `erf` is (H, W) float64, un-normalized.

    Raises
    ------
    ComputeError
        What can't be computed as asked, in one line.
    """
    source = open_source(images)
    plan = make_plan(
        model,
        source.size,
        formula=formula,
        target=parse_target(target, source.classes),
        at=at,
        resize=resize,
        precision=precision,
        device=device,
        batch_size=1 if batch_size == "auto" else int(batch_size),
        workers=workers if source.parallel else 0,
    )
    if batch_size == "auto":
        plan = replace(plan, batch_size=fit_batch(model, plan, engine))
    plan, chosen = choose_engine(model, plan, engine)
    items, deviation = iter(source.items(plan.workers)), None
    if plan.precision in REDUCED:
        first = list(islice(items, DEVIATION_IMAGES))
        deviation = measure_deviation(model, plan, chosen, engine, first)
        items = chain(first, items)
    started, clock = datetime.now(UTC), time.perf_counter()
    sums = accumulate(
        chosen,
        plan,
        items,
        deal_groups(source.sequences, max(1, replicates), seed),
        replicates=replicates,
        max_skipped=max_skipped,
        total=source.total,
        progress=progress,
    )
    seconds = time.perf_counter() - clock
    provenance = {
        "command": shlex.join(sys.argv),
        "started": started.isoformat(timespec="seconds"),
        "seconds": seconds,
        "images_per_second": sums.done / seconds,
        "peak_memory_bytes": peak_memory(torch.device(plan.device)),
        "deviation_from_float32": deviation,
        "seed": seed,
        "dataset": source.description,
        **_describe_model(model),
        "engine": plan.summary(),
        "prediction": None if plan.prediction is None else plan.prediction.summary(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in _RECORDED_VERSIONS},
        "host": {"name": platform.node(), "system": platform.platform(), "machine": platform.machine()},
    }
    return _to_map(plan, sums, provenance)


def _describe_model(model: nn.Module) -> dict[str, Any]:
    """Network and weights for the provenance: of `load_model`, or of a module that the caller made."""
    origin = getattr(model, "origin", None)
    if not isinstance(origin, ModelOrigin):
        origin = ModelOrigin(type(model).__name__, {}, WeightsReport("as given"))
    network = {
        "name": origin.name,
        "format": origin.format,
        "recognized_by": origin.recognized_by,
        "options": dict(origin.options),
        "trained_with": dict(origin.trained_with),
        "training": origin.training.summary(),
        "parts": dict(origin.parts),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    return {"network": network, "weights": origin.weights.summary()}


def _to_map(plan: EnginePlan, sums: Sums, provenance: dict[str, Any]) -> ErfMap:
    in_pixels = plan.unit.layer is None and plan.unit_map_shape[1:] == plan.size
    unit = plan.unit if in_pixels else Unit(plan.unit.y, plan.unit.x, plan.unit.layer or "output")
    fallback = (unit.y, unit.x) if in_pixels else (plan.size[0] // 2, plan.size[1] // 2)
    projected = plan.prediction.projected_center if plan.prediction else None
    origin = projected or fallback
    return ErfMap(
        erf=sums.erf.cpu().numpy(),
        unit=unit,
        origin=(float(origin[0]), float(origin[1])),
        formula=plan.formula,
        target=plan.target.label,
        images=sums.done,
        signed=sums.signed.cpu().numpy(),
        square=sums.square.cpu().numpy(),
        replicates=sums.replicates.float().cpu().numpy() if len(sums.replicates) else None,
        records=tuple(sums.records),
        provenance=provenance,
    )
