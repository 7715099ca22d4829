"""erfscope: what part of an image a segmentation network really uses.

    model = erfscope.load_model("deeplabv3")
    images = erfscope.open_dataset("cityscapes", root="/data/cityscapes")
    erf = erfscope.compute_erf(model, images)
    erf.save("erf.h5")

Names are imported when they are first used, so that `import erfscope` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from erfscope.checkpoints.load import load_model
    from erfscope.datasets import open_dataset
    from erfscope.errors import ErfscopeError
    from erfscope.records.erf_map import ErfMap
    from erfscope.records.fov_prediction import FovPrediction
    from erfscope.scores.evaluate import evaluate
    from erfscope.store.merge import merge_maps
    from erfscope.theory import recommend_rate
    from erfscope.workflows.compare_maps import compare_maps
    from erfscope.workflows.compute.options import ComputeOptions
    from erfscope.workflows.compute.runner import compute_erf
    from erfscope.workflows.maps import load_erf
    from erfscope.workflows.measurements import fit_gaussian, measure_extent, measure_star
    from erfscope.workflows.pattern import classify_pattern
    from erfscope.workflows.predict_fov import predict_fov

__version__ = "0.1.0"

__all__ = [
    "ComputeOptions",
    "ErfMap",
    "ErfscopeError",
    "FovPrediction",
    "classify_pattern",
    "compare_maps",
    "compute_erf",
    "evaluate",
    "fit_gaussian",
    "load_erf",
    "load_model",
    "measure_extent",
    "measure_star",
    "merge_maps",
    "open_dataset",
    "predict_fov",
    "recommend_rate",
]

_ROOMS = {
    "ComputeOptions": "erfscope.workflows.compute.options",
    "ErfMap": "erfscope.records.erf_map",
    "ErfscopeError": "erfscope.errors",
    "FovPrediction": "erfscope.records.fov_prediction",
    "classify_pattern": "erfscope.workflows.pattern",
    "compare_maps": "erfscope.workflows.compare_maps",
    "compute_erf": "erfscope.workflows.compute.runner",
    "evaluate": "erfscope.scores.evaluate",
    "fit_gaussian": "erfscope.workflows.measurements",
    "load_erf": "erfscope.workflows.maps",
    "measure_extent": "erfscope.workflows.measurements",
    "measure_star": "erfscope.workflows.measurements",
    "merge_maps": "erfscope.store.merge",
    "predict_fov": "erfscope.workflows.predict_fov",
    "load_model": "erfscope.checkpoints.load",
    "open_dataset": "erfscope.datasets",
    "recommend_rate": "erfscope.theory",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'erfscope' has no attribute {name!r}")
    _attach_methods()
    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def _attach_methods() -> None:
    """Give `ErfMap` its `save` and `plot`: records know neither files nor figures, the façade does."""
    from erfscope.records.erf_map import ErfMap
    from erfscope.workflows.maps import plot_erf, save_erf

    ErfMap.save = save_erf  # type: ignore[attr-defined]
    ErfMap.plot = plot_erf  # type: ignore[attr-defined]
