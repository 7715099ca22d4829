"""The demo: one map of synthetic images, computed, drawn and measured."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from erfscope.checkpoints.load import load_model
from erfscope.datasets import open_dataset
from erfscope.engine.accumulation import ProgressCallback
from erfscope.store.write import write_map
from erfscope.system.atomic_files import prepare_target
from erfscope.workflows.compute.runner import compute_erf
from erfscope.workflows.measurements import fit_gaussian, measure_star


def demo(
    out: Path,
    *,
    images: int,
    size: int,
    overwrite: bool,
    warn: Callable[[str], None],
    progress: Callable[[str, int], AbstractContextManager[ProgressCallback]],
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
    warn("the demo's network has random weights; its star comes from its atrous rates alone")
    dataset = open_dataset("synthetic-leaves", images=images, size=size, labels=False)
    with progress("demo", images) as show:
        erf = compute_erf(model, dataset, progress=show)
    write_map(erf, path, overwrite=overwrite)
    for figure in figures:
        erf.plot(figure, scale=figure.stem.removeprefix("erf-"))
    return {
        "map": str(path),
        "figures": [str(figure) for figure in figures],
        "images": erf.images,
        "seconds": erf.provenance["seconds"],
        "star": measure_star(erf).summary(),
        "gaussian": fit_gaussian(erf).summary(),
    }
