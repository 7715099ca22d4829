"""Train a network by a recipe, into a folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from erfscope.errors import TrainError
from erfscope.records.flags import Flag, flag_fields
from erfscope.system.atomic_files import replacing
from erfscope.system.memory import peak_memory
from erfscope.system.process_group import open_process_group
from erfscope.system.signals import stoppable
from erfscope.train.log import read_log
from erfscope.train.recipes.fields import plain
from erfscope.train.recipes.load_recipe import load_recipe, settings_of, write_toml
from erfscope.train.recipes.recipe import Recipe
from erfscope.train.trainer import BEST, LAST, LAST_STATE, ShowRow, Trainer
from erfscope.train.training_setup import open_setup, repeatable
from erfscope.workflows.train_warnings import find_notes, find_warnings

RECIPE, CURVES, LOG = "recipe.toml", "curves.png", "log.jsonl"
_WRITTEN = (RECIPE, CURVES, LOG, "log.csv", LAST_STATE, LAST, BEST)
# Options of the command line and the fields that they change.
_FIELDS = {
    "model": ("network", "model"), "backbone": ("network", "backbone"), "rates": ("network", "rates"),
    "output_stride": ("network", "output_stride"), "pretrained": ("network", "pretrained"),
    "data": ("data", "name"), "root": ("data", "root"), "size": ("data", "size"),
    "images": ("data", "images"), "iterations": ("schedule", "iterations"), "lr": ("optimizer", "lr"),
    "batch_size": ("run", "batch_size"), "seed": ("run", "seed"), "precision": ("run", "precision"),
    "workers": ("run", "workers"),
}  # fmt: skip

Say = Callable[[str], None]


def choose_recipe(spec: str | None, options: Mapping[str, Any]) -> tuple[Recipe, Path]:
    """Return the recipe and the folder of the run, from the options of `erfscope train`.

    Without a name, the recipe is that of the run in the folder, which is resumed. Named options take
    precedence over `settings`.

    Raises
    ------
    TrainError
        No recipe is named, or one of its fields is wrong.
    """
    out: Path | None = options["out"]
    if spec is None:
        if not (options["resume"] and out is not None and (out / RECIPE).is_file()):
            raise TrainError("no recipe is named; 'erfscope train --list' lists them")
        spec = str(out / RECIPE)
    recipe = load_recipe(spec, recipe_changes(options))
    return recipe, Path("runs") / Path(spec).stem if out is None else out


def recipe_changes(options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the fields that options of the command line change, by section."""
    changes = settings_of(options.get("settings") or ())
    if options.get("rates") and options.get("base_rate"):
        raise TrainError("--rates and --base-rate say the same; give one of them")
    for flag, (section, name) in _FIELDS.items():
        value = options.get(flag)
        if value is not None:
            changes.setdefault(section, {})[name] = str(value) if isinstance(value, Path) else value
    if options.get("base_rate"):
        changes.setdefault("network", {})["rates"] = [options["base_rate"] * n for n in (1, 2, 3)]
    for flag, section in (("option", "network"), ("data_option", "data")):
        if options.get(flag):
            place = changes.setdefault(section, {})
            place["options"] = {**place.get("options", {}), **dict(options[flag])}
    return changes


def train(
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    warn: Say = lambda text: None,
    note: Say = lambda text: None,
    show: ShowRow = lambda row: None,
) -> dict[str, Any] | None:
    """Train a network, under torchrun together with its other processes.

    Parameters
    ----------
    recipe
        As `train.recipes.load_recipe.load_recipe` returns it.
    out
        Folder for `recipe.toml`, `log.jsonl`, `log.csv`, `curves.png`, `last.pt`, and `best.safetensors` and
        `last.safetensors`, which `load_model` takes.
    resume
        Resume from `last.pt`, if there is one.
    overwrite
        Begin anew in a folder that holds a run.
    device
        "auto", "cpu", "cuda" or "cuda:N".
    warn, note, show
        Are called in the main process with each warning, each note, and each row of the log.

    Returns
    -------
    dict or None
        JSON-able: out, iterations, interrupted, seconds, images_per_second, loss, miou, best, last, recipe,
        flags, and more; None in all processes but the main one.

    Raises
    ------
    ErfscopeError
        The network can't be trained as asked; the message is one line.
    """
    flags: list[Flag] = []

    with open_process_group(device) as processes, stoppable() as stop:
        processes.run_on_main_process(lambda: _check_folder(out, resume=resume, overwrite=overwrite))
        setup = open_setup(recipe)
        if processes.is_main_process:
            for flag in find_warnings(setup, processes):
                flags.append(flag)
                warn(flag.message)
            for text in find_notes(setup, processes):
                note(text)
        with repeatable(recipe, processes):
            trainer = Trainer(setup, processes, out, stop, show if processes.is_main_process else _silent)
            processes.run_on_main_process(lambda: _begin_folder(out, recipe, resume=resume))
            finished = trainer.run()
        if not processes.is_main_process:
            return None
        if not finished:
            message = f"interrupted by {stop.name or 'a signal'}: --resume goes on"
            flags.append(Flag("interrupted", message))
        _draw(out, f"{out.name}: {recipe.title or recipe.network.model}")
        return _summary(trainer, finished=finished, flags=flags)


def _check_folder(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder that holds a run, unless that is meant."""
    if out.exists() and not out.is_dir():
        raise TrainError(f"{out} is a file; give a folder by --out")
    if resume and overwrite:
        raise TrainError("--resume goes on with a run and --overwrite begins anew; give one of them")
    held = _files_of_a_run(out)
    if held and not (resume or overwrite):
        raise TrainError(
            f"{out} holds a run ({held[0].name}); --resume goes on with it, --overwrite begins anew, or"
            " choose another --out"
        )


def _begin_folder(out: Path, recipe: Recipe, *, resume: bool) -> None:
    """Make the folder, remove the files of another run from it, and write the recipe."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path in () if resume else _files_of_a_run(out):
            path.unlink()
    except OSError as error:
        raise TrainError(f"can't write to {out} ({error.strerror}); choose another by --out") from error
    if not (out / LAST_STATE).exists():  # else the folder holds the recipe of that state
        with replacing(out / RECIPE) as temporary:
            temporary.write_bytes(write_toml(recipe))


def _files_of_a_run(out: Path) -> list[Path]:
    return [out / name for name in _WRITTEN if (out / name).exists()]


def _silent(row: dict[str, Any]) -> None:
    """Show nothing: the main process does."""


def _draw(out: Path, title: str) -> None:
    from erfscope.report.map_figure import save_figure
    from erfscope.report.training_curves import draw_curves

    rows = read_log(out / LOG)
    if rows:
        save_figure(draw_curves(rows, title=title), out / CURVES, overwrite=True)


def _summary(trainer: Trainer, *, finished: bool, flags: list[Flag]) -> dict[str, Any]:
    state, out, pretrained = trainer.state, trainer.folder, trainer.setup.pretrained
    best = None
    if state.best_iteration is not None:
        best = {"iteration": state.best_iteration, "miou": state.best_miou, "checkpoint": str(out / BEST)}
    return {
        "out": str(out),
        "iterations": state.iteration,
        "interrupted": not finished,
        "seconds": state.seconds,
        "images_per_second": trainer.meter.speed,
        "peak_memory_bytes": peak_memory(trainer.processes.device),
        "loss": state.loss,
        "miou": state.miou,
        "best": best,
        "last": str(out / LAST),
        "curves": str(out / CURVES),
        "pretrained": None if pretrained is None else pretrained.summary(),
        "recipe": plain(trainer.recipe),
        **flag_fields(flags),
    }
