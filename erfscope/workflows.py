"""What joins several rooms, one page each, top to bottom."""

import platform
import shlex
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from erfscope.checkpoints.load import OPTION_NAMES, load_model
from erfscope.datasets import open_dataset
from erfscope.engine.batch import fit_batch
from erfscope.engine.deviation import IMAGES as DEVIATION_IMAGES
from erfscope.engine.deviation import measure_deviation
from erfscope.engine.engines import capture_unit_map, choose_engine, first_line
from erfscope.engine.groups import deal_groups
from erfscope.engine.memory import peak_memory
from erfscope.engine.plan import EnginePlan, make_plan
from erfscope.engine.precision import REDUCED
from erfscope.engine.run import Progress, Sums, accumulate
from erfscope.engine.source import Images, open_source
from erfscope.engine.speed import SpeedReport, measure_speed
from erfscope.engine.target import Target, parse_target
from erfscope.errors import ComputeError
from erfscope.graph.predict import predict
from erfscope.measure import gaussian, star
from erfscope.records import (
    ErfMap,
    FovPrediction,
    GaussianFit,
    ModelOrigin,
    StarMeasurement,
    Unit,
    WeightsReport,
)
from erfscope.store.exchange import map_from_array, read_array
from erfscope.store.read import read_map
from erfscope.store.replace import prepare_target
from erfscope.store.write import bytes_for, write_map

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
        and normalised as the network expects. Gradients are with respect to the normalised image.
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
        Its `erf` is (H, W) float64, un-normalised.

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


def compute_to_file(
    *,
    model: str,
    data: str,
    out: Path,
    overwrite: bool,
    warn: Callable[[str], None],
    progress: Callable[[str, int], AbstractContextManager[Progress]],
    **options: Any,
) -> ErfMap:
    """Do what `erfscope compute` says: check the target file, open everything, compute, write.

    `options` are those of the command line, by name; they go to `open_dataset`, `load_model` and
    `compute_erf`. `warn` is told what must not pass silently; `progress` opens a display from a label
    and the number of images.
    """
    images = open_dataset(
        data, labels=False, **_pick(options, "root", "split", "size", "fit", "images", "seed")
    )
    prepare_target(out, overwrite=overwrite, bytes_needed=bytes_for(images.size, options["replicates"]))
    if options["num_classes"] is None and options["checkpoint"] is None:
        options["num_classes"] = len(images.classes) or None
    network = load_model(model, **_pick(options, "checkpoint", "allow_partial", "seed", *OPTION_NAMES))
    weights = network.origin.weights
    if weights.source == "random":
        warn(
            f"{model} stands on random weights (seed {weights.seed}); --checkpoint FILE gives it trained ones"
        )
    elif weights.missing:
        first = ", ".join(weights.missing[:3])
        warn(f"{len(weights.missing)} tensors are not in {weights.source} and stay random: {first}, …")
    choices = _pick(options, "formula", "target", "precision", "device", "batch_size", "workers", "engine")
    limits = _pick(options, "replicates", "max_skipped", "seed")
    with progress(model, len(images)) as shown:
        erf = compute_erf(network, images, at=options["unit"], progress=shown, **choices, **limits)
    write_map(erf, out, overwrite=overwrite)
    return erf


def predict_fov(
    model: nn.Module,
    size: int | tuple[int, int],
    *,
    at: tuple[int, int] | str | None = None,
    resize: bool = True,
) -> FovPrediction:
    """Predict from a network's graph what a unit sees: receptive field, lattice, rates for this size.

    Parameters
    ----------
    model
        Any module that maps (N, 3, H, W) to logits; its weights don't matter.
    size
        (H, W) of the image, or the side of a square one, px.
    at, resize
        The unit, as in `compute_erf`.

    Raises
    ------
    ComputeError
        The network can't be captured as a graph, or doesn't run at that size.
    """
    height, width = (size, size) if isinstance(size, int) else size
    plan = make_plan(
        model,
        (height, width),
        formula="paper",
        target=Target("logits"),
        at=at,
        resize=resize,
        precision="float32",
        device="cpu",
        batch_size=1,
        workers=0,
    )
    try:
        captured = capture_unit_map(model, plan)
    except Exception as error:  # torch raises anything for what it can't capture
        raise ComputeError(f"{plan.model} can't be captured as a graph: {first_line(error)}") from error
    return predict(captured, plan.unit, plan.model, receptive_fields=True)


def predict_file(
    *, model: str, size: tuple[int, int], unit: tuple[int, int] | str | None, **options: Any
) -> FovPrediction:
    """Predict for a network by its name, a checkpoint's if one is given; see `predict_fov`."""
    return predict_fov(load_model(model, **options), size, at=unit)


def bench(
    *, model: str, size: tuple[int, int], repeats: int, precision: str, device: str, **options: Any
) -> SpeedReport:
    """Time a catalogue network's engine against plain autograd; see `engine.speed.measure_speed`."""
    network = load_model(model, **options)
    return measure_speed(network, size, repeats=repeats, precision=precision, device=device)


def demo(
    out: Path,
    *,
    images: int,
    size: int,
    overwrite: bool,
    warn: Callable[[str], None],
    progress: Callable[[str, int], AbstractContextManager[Progress]],
) -> dict[str, Any]:
    """Compute, draw and measure the star of an untrained DeepLabV3 on synthetic leaves, into folder `out`.

    Returns
    -------
    dict
        JSON-able: map, figures, star, gaussian, images, seconds.
    """
    path, figures = out / "erf.h5", [out / "erf-log.png", out / "erf-power.png"]
    for target in (path, *figures):
        prepare_target(target, overwrite=overwrite)
    model = load_model("deeplabv3", backbone="resnet18", output_stride=8)
    warn("the demo's network stands on random weights; its star comes from its atrous rates alone")
    dataset = open_dataset("synthetic-leaves", images=images, size=size, labels=False)
    with progress("demo", images) as shown:
        erf = compute_erf(model, dataset, progress=shown)
    write_map(erf, path, overwrite=overwrite)
    for figure in figures:
        plot_erf(erf, figure, scale=figure.stem.removeprefix("erf-"))
    return {
        "map": str(path),
        "figures": [str(figure) for figure in figures],
        "images": erf.images,
        "seconds": erf.provenance["seconds"],
        "star": measure_star(erf).summary(),
        "gaussian": fit_gaussian(erf).summary(),
    }


def load_erf(path: str | Path) -> ErfMap:
    """Read a map file; see `store.read.read_map`."""
    return read_map(Path(path))


def save_erf(erf: ErfMap, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a map file, whole or not at all; `MapError` if it exists and `overwrite` is False."""
    write_map(erf, Path(path), overwrite=overwrite)


def plot_erf(erf: ErfMap, path: str | Path | None = None, *, scale: str = "log") -> "Figure":
    """Draw the map on a "log", "linear" or "power" scale; with `path` also write it (PNG, PDF, SVG)."""
    from erfscope.report.figures import draw_map, save_figure  # matplotlib only where it is wanted

    figure = draw_map(erf, scale=scale)
    if path is not None:
        save_figure(figure, Path(path), overwrite=True)
    return figure


def measure_star(erf: ErfMap) -> StarMeasurement:
    """Find the star in a map and measure its arms; see `measure.star.measure_star`."""
    return star.measure_star(erf.erf, erf.origin, erf.replicates)


def compare_with_prediction(erf: ErfMap, star: StarMeasurement) -> dict[str, float | None]:
    """Hold a measured star against what the network's graph predicted when the map was computed.

    Returns
    -------
    dict
        predicted_center_to_center_px, and relative_error = (measured − predicted) / predicted.
    """
    predicted = (erf.provenance.get("prediction") or {}).get("center_to_center_px")
    measured = star.center_to_center_px
    error = (measured - predicted) / predicted if predicted and measured is not None else None
    return {"predicted_center_to_center_px": predicted, "relative_error": error}


def fit_gaussian(erf: ErfMap, shape: str = "axis-aligned") -> GaussianFit:
    """Fit a 2D Gaussian to a map; see `measure.gaussian.fit_gaussian`."""
    return gaussian.fit_gaussian(erf.erf, erf.origin, shape)


def import_array(array: Path, out: Path, *, unit: tuple[int, int] | None, overwrite: bool) -> ErfMap:
    """Make the map file `out` of a `.npy` array; see `store.exchange.map_from_array`."""
    erf = map_from_array(read_array(array), unit, str(array))
    write_map(erf, out, overwrite=overwrite)
    return erf


def _pick(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names}


def _describe_model(model: nn.Module) -> dict[str, Any]:
    """Network and weights for the provenance: of `load_model`, or of a module that the caller made."""
    origin = getattr(model, "origin", None)
    if not isinstance(origin, ModelOrigin):
        origin = ModelOrigin(type(model).__name__, {}, WeightsReport("as given"))
    network = {
        "name": origin.name,
        "options": dict(origin.options),
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
