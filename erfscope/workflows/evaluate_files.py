"""Score a network by the names of model and dataset; write scores and figure."""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from erfscope.datasets import PluggedDataset, open_dataset
from erfscope.engine.accumulation import ProgressCallback
from erfscope.records.scores import Evaluation
from erfscope.scores.evaluate import evaluate, require_classes
from erfscope.scores.flags import weight_flags
from erfscope.system.atomic_files import prepare_target, replacing
from erfscope.workflows.open_inputs import open_network, preprocess_as_trained, select


def evaluate_files(
    *,
    network: Mapping[str, Any],
    data: str,
    out: Path | None,
    figure: Path | None,
    overwrite: bool,
    warn: Callable[[str], None],
    progress: Callable[[str, int], AbstractContextManager[ProgressCallback]],
    **options: Any,
) -> Evaluation:
    """Open a network and a dataset, score the network, write its scores and draw their figure.

    Images are normalized as the network's checkpoint says, if it does. Without a size they keep their own;
    synthetic ones are made at the size of the checkpoint's training crop, else at the dataset's default.

    Parameters
    ----------
    network
        Arguments of `load_model`.
    out
        JSON file for the summary and the confusion matrix; None writes none.
    figure
        PNG, PDF or SVG file for a figure of the confusion matrix; None draws none.
    warn
        Is called with each warning.
    progress
        Opens a display of progress from a label and the number of images.
    **options
        Options of `open_dataset` and of `scores.evaluate.evaluate`, by name.

    Raises
    ------
    ErfscopeError
        The network or dataset can't be opened or scored, or a file can't be written.
    """
    _check_targets(out, figure, overwrite=overwrite)
    asked = select(options, "root", "split", "size", "fit", "images", "seed", "options")
    images = open_dataset(data, **asked)
    require_classes(images)
    model = open_network(network, images, options["seed"])
    for flag in weight_flags(model.info, images.classes):  # now, for the run may take hours
        warn(flag.message)
    images = preprocess_as_trained(images, model.info.training, keep_size=asked["size"] is not None)
    synthetic = not isinstance(images, PluggedDataset) and images.root is None
    inference = select(options, "mode", "crop", "stride", "scales", "short_side", "flip")
    inference |= select(options, "threshold", "batch_size")
    bands = select(options, "trimap_widths", "trimap_void")
    limits = select(options, "device", "workers", "max_skipped")
    with progress(model.info.name, len(images)) as shown:
        evaluation = evaluate(
            model,
            images,
            fitted=asked["size"] is not None and not synthetic,
            progress=shown,
            **inference,
            **bands,
            **limits,
        )
    if out is not None:
        write_scores(evaluation, out)
    if figure is not None:
        _draw(evaluation, figure, overwrite=overwrite)
    return evaluation


def write_scores(evaluation: Evaluation, path: Path) -> None:
    """Write the summary and the confusion matrix (rows the truth) as JSON, complete or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(scores_text(evaluation))


def scores_text(evaluation: Evaluation) -> str:
    """Return the JSON document, one row of the confusion matrix a line."""
    rows = ",\n    ".join(json.dumps(row) for row in evaluation.confusion.tolist())
    head = json.dumps(evaluation.summary(), indent=2, allow_nan=False)
    return f'{head[:-2]},\n  "confusion": [\n    {rows}\n  ]\n}}\n'


def _check_targets(out: Path | None, figure: Path | None, *, overwrite: bool) -> None:
    if out is not None:
        prepare_target(out, overwrite=overwrite)
    if figure is not None:
        from erfscope.report.map_figure import check_target  # matplotlib only where it is wanted

        check_target(figure, overwrite=overwrite)


def _draw(evaluation: Evaluation, path: Path, *, overwrite: bool) -> None:
    from erfscope.report.confusion_figure import draw_confusion
    from erfscope.report.map_figure import save_figure

    save_figure(draw_confusion(evaluation), path, overwrite=overwrite)
