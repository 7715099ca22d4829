"""One run of a sweep: train, score, compute the map, measure it."""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from erfscope.checkpoints.load import load_model
from erfscope.datasets import open_dataset
from erfscope.engine.accumulation import ProgressCallback
from erfscope.errors import ComputeError, TrainError
from erfscope.measure.lattice.cells import reach
from erfscope.model.network import Network
from erfscope.records.erf_map import ErfMap
from erfscope.records.flags import Flag, read_flags
from erfscope.records.scores import Evaluation
from erfscope.records.sweep import SweepRun
from erfscope.store.write import write_map
from erfscope.system.atomic_files import replacing
from erfscope.train.recipes.recipe import Recipe
from erfscope.train.trainer import LAST, LAST_STATE, ShowRow
from erfscope.train.training_setup import open_images
from erfscope.train.validation import score
from erfscope.workflows.compute.runner import compute_erf
from erfscope.workflows.measurements import measure_extent, measure_star
from erfscope.workflows.predict_fov import predict_fov
from erfscope.workflows.star_prediction import compare_to_prediction, recorded_prediction
from erfscope.workflows.sweep.sweep_plan import PlannedRun, SweepPlan
from erfscope.workflows.train_network import train

RESULT, ERF, UNTRAINED = "result.json", "erf.h5", "untrained.h5"


class InterruptedSweepError(Exception):
    """A signal ended a training; the sweep can be resumed."""


@dataclass(frozen=True)
class SweepOutput:
    """Where a sweep prints while it runs.

    Attributes
    ----------
    warn
        Is given each warning.
    training
        Opens a display of a training, from its label and number of iterations.
    images
        Opens a display of progress over images, from its label and their number.
    """

    warn: Callable[[str], None]
    training: Callable[[str, int], AbstractContextManager[ShowRow]]
    images: Callable[[str, int], AbstractContextManager[ProgressCallback]]


def is_done(folder: Path) -> bool:
    """Whether a run's folder holds its result."""
    return (folder / RESULT).is_file()


def read_result(folder: Path) -> SweepRun:
    """Read a run's result.

    Raises
    ------
    TrainError
        It is damaged.
    """
    path = folder / RESULT
    try:
        return SweepRun.from_summary(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise TrainError(f"{path} is no result of a sweep; remove it, and the run is done again") from error


@dataclass(frozen=True)
class SweepRunner:
    """Trains, scores and measures the runs of a plan on one device."""

    plan: SweepPlan
    device: str
    output: SweepOutput

    def run(self, planned: PlannedRun, folder: Path) -> SweepRun:
        """Do one run in its folder, or resume it, and write its result.

        Raises
        ------
        InterruptedSweepError
            A signal came while it trained.
        ErfscopeError
            The network can't be trained, scored or computed as asked.
        """
        recipe, name = planned.recipe, planned.name
        trained = self._train(recipe, folder, name)
        model = load_model(str(folder / LAST))
        evaluation = self._score(model, recipe, name)
        scores = evaluation.summary()
        measured = _measure(self._compute(model, recipe, folder / ERF, f"{name}: map"))
        result = SweepRun(
            base_rate=planned.base_rate,
            rates=recipe.network.rates or (),
            output_stride=recipe.network.output_stride,
            seed=recipe.run.seed,
            miou=scores["miou"],
            miou_image_stderr=scores["miou_stderr"],
            star=measured["star"],
            prediction=_predict(model, recipe.data.size),
            side95_px=measured["side95_px"],
            checkpoint=str(folder / LAST),
            erf=str(folder / ERF),
            untrained=self._measure_untrained(recipe, folder, name) if self.plan.untrained else {},
            flags=(*read_flags(trained), *_miou_flags(evaluation), *_star_flags(measured["star"])),
        )
        with replacing(folder / RESULT) as temporary:
            temporary.write_text(json.dumps(result.summary(), indent=1), encoding="utf-8")
        return result

    def _train(self, recipe: Recipe, folder: Path, name: str) -> Mapping[str, Any]:
        resume = (folder / LAST_STATE).is_file()
        with self.output.training(name, recipe.schedule.iterations) as show:
            document = train(
                recipe,
                folder,
                resume=resume,
                overwrite=not resume,
                device=self.device,
                warn=self.output.warn,
                show=show,
            )
        if document is None or document["interrupted"]:
            raise InterruptedSweepError
        return document

    def _score(self, model: Network, recipe: Recipe, name: str) -> Evaluation:
        images = open_images(recipe, recipe.data.val_split, recipe.data.val_images)
        with self.output.images(f"{name}: scores", len(images)) as progress:
            return score(model, images, recipe, device=self.device, progress=progress)

    def _compute(self, model: Network, recipe: Recipe, path: Path, label: str) -> ErfMap:
        data = recipe.data
        images = open_dataset(
            data.name,
            root=data.root,
            split=data.val_split,
            size=self.plan.erf_size or data.size,
            images=self.plan.erf_images,
            seed=data.seed,
            mean=data.mean,
            std=data.std,
            labels=False,
            options=dict(data.options) or None,
        )
        with self.output.images(label, len(images)) as progress:
            erf = compute_erf(model, images, device=self.device, progress=progress)
        write_map(erf, path, overwrite=True)
        return erf

    def _measure_untrained(self, recipe: Recipe, folder: Path, name: str) -> dict[str, Any]:
        """Compute the map of the network as it was before training: the same seed gives the same weights."""
        chosen = recipe.network
        classes = open_images(recipe, recipe.data.train_split, recipe.data.images).classes
        model = load_model(
            chosen.model,
            backbone=chosen.backbone,
            output_stride=chosen.output_stride,
            rates=chosen.rates,
            num_classes=len(classes),
            align_corners=chosen.align_corners,
            seed=recipe.run.seed,
            **chosen.options,
        )
        erf = self._compute(model, recipe, folder / UNTRAINED, f"{name}: map before training")
        return {"erf": str(folder / UNTRAINED), **_measure(erf)}


def _miou_flags(evaluation: Evaluation) -> tuple[Flag, ...]:
    """Return the flags without those of other means than the mIoU, the only one in the table."""
    return tuple(flag for flag in evaluation.flags if flag.code != "classes_never_right")


def _predict(model: Network, crop: tuple[int, int]) -> dict[str, Any]:
    """Predict for the crop, which may differ from the map's size; {} for a network without a graph."""
    try:
        return predict_fov(model, crop).summary()
    except ComputeError:
        return {}


def _measure(erf: ErfMap) -> dict[str, Any]:
    star = measure_star(erf)  # doesn't see the prediction
    compared = compare_to_prediction(star, recorded_prediction(erf), reach(erf.size, erf.projected_center))
    return {
        "star": star.summary() | compared,
        "side95_px": measure_extent(erf).side95_above_background_px,
    }


def _star_flags(star: Mapping[str, Any]) -> tuple[Flag, ...]:
    return (*read_flags(star), *read_flags(star, "prediction_"))
