"""From a recipe to trained weights in a folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from erfscope.errors import TrainError
from erfscope.records.flags import Flag, flag_fields
from erfscope.system.atomic_files import replacing
from erfscope.system.memory import peak_memory
from erfscope.system.signals import Stop, stoppable
from erfscope.train.assemble import Subject, make_batches, make_stepper, open_subject
from erfscope.train.distributed import open_world
from erfscope.train.export import Exporter
from erfscope.train.log import RunLog, read_log
from erfscope.train.loop import BEST, LAST, LAST_STATE, Loop, Show
from erfscope.train.recipes.fields import plain
from erfscope.train.recipes.load_recipe import load_recipe, settings_of, write_toml
from erfscope.train.recipes.recipe import Recipe
from erfscope.train.repeatable import repeatable
from erfscope.train.train_state import load_state
from erfscope.train.trainer import Stepper
from erfscope.train.validation import Validation
from erfscope.workflows.train_warnings import notes_of, warnings_of

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

Tell = Callable[[str], None]


def choose_recipe(spec: str | None, options: Mapping[str, Any]) -> tuple[Recipe, Path]:
    """Return the recipe and the folder that the options of `erfscope train` ask for.

    Without a name, that of the run in the folder, which is to go on. The named options count more than
    `settings`.

    Raises
    ------
    TrainError
        No recipe is named, or it can't be as asked.
    """
    out: Path | None = options["out"]
    if spec is None:
        if not (options["resume"] and out is not None and (out / RECIPE).is_file()):
            raise TrainError("no recipe is named; 'erfscope train --list' lists them")
        spec = str(out / RECIPE)
    recipe = load_recipe(spec, recipe_changes(options))
    return recipe, Path("runs") / Path(spec).stem if out is None else out


def recipe_changes(options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the fields that options of the command line change, by section; those left out change none."""
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
    warn: Tell = lambda text: None,
    note: Tell = lambda text: None,
    show: Show = lambda row: None,
) -> dict[str, Any] | None:
    """Train a network; started by torchrun, together with the other processes.

    Parameters
    ----------
    recipe
        See `train.recipes.reading.load_recipe`.
    out
        Folder for `recipe.toml`, `log.jsonl`, `log.csv`, `curves.png`, `last.pt`, and `best.safetensors` and
        `last.safetensors`, which `load_model` takes.
    resume
        Go on from `last.pt`, if there is one.
    overwrite
        Begin anew in a folder that holds a run.
    device
        "auto", "cpu", "cuda" or "cuda:N".
    warn, note, show
        Are told, in the first process, what must not pass silently, what is worth knowing, and the log's
        rows.

    Returns
    -------
    dict or None
        JSON-able: out, iterations, interrupted, seconds, images_per_second, loss, miou, best, last, recipe,
        flags, and more; None in all processes but the first.

    Raises
    ------
    ErfscopeError
        What can't be trained as asked, in one line.
    """
    flags: list[Flag] = []
    with open_world(device) as world, stoppable() as stop:
        world.lead(lambda: _check_folder(out, resume=resume, overwrite=overwrite))
        subject = open_subject(recipe)
        if world.leads:
            for flag in warnings_of(recipe, subject, world):
                flags.append(flag)
                warn(flag.message)
            for text in notes_of(recipe, subject, world):
                note(text)
        with repeatable(recipe, world):
            stepper = make_stepper(recipe, subject, world)
            world.lead(lambda: _begin_folder(out, recipe, resume=resume))
            loop = _make_loop(subject, stepper, out, stop, show if world.leads else _silent)
            finished = loop.run()
        if not world.leads:
            return None
        if not finished:
            message = f"interrupted by {stop.name or 'a signal'}: --resume goes on"
            flags.append(Flag("interrupted", message))
        _draw(out, f"{out.name}: {recipe.title or recipe.network.model}")
        return _document(recipe, subject, loop, out, finished=finished, flags=flags)


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
    """Make the folder, clear it of another run, and write the recipe, once all that it names was found."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path in () if resume else _files_of_a_run(out):
            path.unlink()
    except OSError as error:
        raise TrainError(f"can't write to {out} ({error.strerror}); choose another by --out") from error
    if not (out / LAST_STATE).exists():  # else it must be that of the state
        with replacing(out / RECIPE) as temporary:
            temporary.write_bytes(write_toml(recipe))


def _files_of_a_run(out: Path) -> list[Path]:
    return [out / name for name in _WRITTEN if (out / name).exists()]


def _make_loop(subject: Subject, stepper: Stepper, out: Path, stop: Stop, show: Show) -> Loop:
    recipe, world = stepper.recipe, stepper.world
    workers, threads = world.share_cores(recipe.run.workers)
    start = make_batches(recipe, subject, world, workers)
    state = out / LAST_STATE
    if state.is_file():
        load_state(state, stepper.parts, recipe)
    iteration = stepper.parts.progress.iteration
    validation = None
    if subject.validation is not None:
        validation = Validation(recipe, subject.validation, world, lambda: bool(stop))
    return Loop(
        recipe=recipe,
        stepper=stepper,
        batches=start(iteration),
        threads=threads,
        validation=validation,
        exporter=Exporter(recipe.network.model, subject.description, recipe, subject.training),
        folder=out,
        log=RunLog(out, iteration) if world.leads else None,
        stop=stop,
        show=show,
    )


def _silent(row: dict[str, Any]) -> None:
    """Show nothing: the first process does."""


def _draw(out: Path, title: str) -> None:
    from erfscope.report.map_figure import save_figure
    from erfscope.report.training_curves import draw_curves

    rows = read_log(out / LOG)
    if rows:
        save_figure(draw_curves(rows, title=title), out / CURVES, overwrite=True)


def _document(
    recipe: Recipe, subject: Subject, loop: Loop, out: Path, *, finished: bool, flags: list[Flag]
) -> dict[str, Any]:
    progress, best = loop.progress, None
    if progress.best_iteration is not None:
        best = {
            "iteration": progress.best_iteration,
            "miou": progress.best_miou,
            "checkpoint": str(out / BEST),
        }
    return {
        "out": str(out),
        "iterations": progress.iteration,
        "interrupted": not finished,
        "seconds": progress.seconds,
        "images_per_second": loop.tally.speed,
        "peak_memory_bytes": peak_memory(loop.stepper.world.device),
        "loss": progress.loss,
        "miou": progress.miou,
        "best": best,
        "last": str(out / LAST),
        "curves": str(out / CURVES),
        "pretrained": None if subject.pretrained is None else subject.pretrained.summary(),
        "recipe": plain(recipe),
        **flag_fields(flags),
    }
