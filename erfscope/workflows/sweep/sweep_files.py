"""The files of a sweep: its plan, its table as JSON and CSV, its figures and its page."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from erfscope.errors import TrainError
from erfscope.records.sweep import SweepRow
from erfscope.system.atomic_files import replacing
from erfscope.workflows.sweep.sweep_plan import SweepPlan

PLAN, RESULTS, TABLE = "plan.json", "results.json", "results.csv"
FOV, MIOU, TRAINING, PAGE = "center-to-center.png", "miou.png", "training.png", "report.html"


def keep_plan(plan: SweepPlan, out: Path, *, overwrite: bool) -> None:
    """Make the folder and write what all runs have in common; rates, strides and seeds may be added later.

    Raises
    ------
    TrainError
        The folder holds another sweep, or can't be made.
    """
    path = out / PLAN
    text = json.dumps(plan.fixed(), indent=1, sort_keys=True)
    try:
        out.mkdir(parents=True, exist_ok=True)
        before = path.read_text(encoding="utf-8") if path.is_file() else text
    except OSError as error:
        raise TrainError(f"{out} can't be used ({error.strerror}); choose another --out") from error
    if before != text and not overwrite:
        raise TrainError(
            f"{out} holds a sweep with {_difference(before, text)}; choose another --out, or --overwrite it"
        )
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_results(document: dict[str, Any], rows: Sequence[SweepRow], out: Path) -> None:
    """Write the table, the figures and the page, each complete or not at all."""
    from erfscope.report.map_figure import save_figure  # matplotlib only where it is wanted
    from erfscope.report.sweep_figures import draw_center_to_center, draw_miou, draw_training
    from erfscope.report.sweep_page import render_sweep

    figures = {FOV: draw_center_to_center(rows), MIOU: draw_miou(rows)}
    if any(row.untrained for row in rows):
        figures[TRAINING] = draw_training(rows)
    for name, figure in figures.items():
        save_figure(figure, out / name, overwrite=True)
    texts = {
        RESULTS: json.dumps(document, indent=1, allow_nan=False),
        TABLE: _csv(document["results"]),
        PAGE: render_sweep(document, rows, list(figures.values())),
    }
    for name, text in texts.items():
        with replacing(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _csv(results: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [name for name in results[0] if name != "untrained"], extrasaction="ignore")
    writer.writeheader()
    for row in results:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue()


def _cell(value: Any) -> Any:
    return "; ".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def _difference(before: str, after: str) -> str:
    """Name the first field that differs."""
    try:
        old, new = _leaves(json.loads(before)), _leaves(json.loads(after))
    except ValueError:
        return "a plan that can't be read"
    name = next(name for name in {**old, **new} if old.get(name) != new.get(name))
    return f"{name} {old.get(name)}, not {new.get(name)}"


def _leaves(value: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: value}
    return {
        key: leaf
        for inner, each in value.items()
        for key, leaf in _leaves(each, f"{name}.{inner}".removeprefix(".")).items()
    }
