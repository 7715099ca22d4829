"""From names on the command line to a map file, which a killed or interrupted run goes on with."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from erfscope.datasets import open_dataset
from erfscope.engine.accumulation import ProgressCallback
from erfscope.engine.image_source import open_source
from erfscope.errors import MapError
from erfscope.records.erf_map import ErfMap
from erfscope.records.identity import difference
from erfscope.records.shard import Shard
from erfscope.store.read import read_map, read_progress
from erfscope.store.write import bytes_for
from erfscope.system.atomic_files import prepare_target
from erfscope.system.file_lock import locked
from erfscope.system.signals import stoppable
from erfscope.workflows.compute.carry_out import carry_out
from erfscope.workflows.compute.run import Run
from erfscope.workflows.compute.snapshots import Snapshots
from erfscope.workflows.compute.wishes import Wishes
from erfscope.workflows.open_inputs import as_trained, open_network, pick, warn_of


@dataclass(frozen=True)
class Display:
    """How a run tells of itself: what must not pass silently, what may, and progress over so many images."""

    warn: Callable[[str], None]
    note: Callable[[str], None]
    progress: Callable[[str, int], AbstractContextManager[ProgressCallback]]


@dataclass(frozen=True)
class Order:
    """What `erfscope compute` is to do.

    Attributes
    ----------
    network
        Arguments of `load_model`.
    data
        Name of the dataset.
    overwrite, resume
        Begin anew where there is a map; or go on with it, begin it if there is none, and do nothing if it is
        finished.
    snapshot_seconds, snapshot_images
        How often the file is replaced by the map as it stands.
    options
        Of `open_dataset` and `compute_erf`, by their names on the command line.
    """

    network: Mapping[str, Any]
    data: str
    overwrite: bool
    resume: bool
    snapshot_seconds: float
    snapshot_images: int | None
    options: Mapping[str, Any]


def compute_to_file(order: Order, out: Path, shard: Shard, display: Display) -> ErfMap:
    """Compute a shard of a map into a file: check the file, open everything, compute, write.

    Images are cropped and normalized as the network's checkpoint says, if it does; a size that is asked
    for goes before its. A lock beside the file keeps other processes off.

    Returns
    -------
    ErfMap
        Unfinished where a signal ended the run; then it can be resumed.

    Raises
    ------
    ErfscopeError
        What can't be opened, computed or written; another process works on `out`, or it is of another run.
    """
    check_order(order, out)
    with stoppable(in_time=True) as stop, locked(out, display.note) as hold:
        stop.on_deadline.append(hold.give_up)
        check_order(order, out)  # again: what is there may have changed before the lock was ours
        run = open_run(order, shard, out, display)
        before = read_map(out) if order.resume and out.exists() else None
        if before is not None:
            refuse_another(before, run, out)
        if before is not None and before.finished:
            display.note(f"{out} is finished already")
            return before
        keeper = Snapshots(out, hold, stop, order.snapshot_seconds, order.snapshot_images)
        with display.progress(run.name, run.image_order.total or 0) as shown:
            erf = carry_out(run, shown, keeper, before)
        if erf.finished:
            keeper.finish(erf)
        return erf


def check_order(order: Order, out: Path) -> None:
    """Refuse, before anything is opened, what can't end well.

    Raises
    ------
    MapError
        Both ways to treat an existing map are asked for, none is and there is one, or it can't be written.
    """
    if order.resume and order.overwrite:
        raise MapError("--resume goes on with a map and --overwrite begins anew; give one of them")
    goes_on = order.resume and not out.is_dir()
    if not (goes_on or order.overwrite) and out.is_file():
        raise MapError(f"{out} exists already{_told(out)}; choose another name or pass --overwrite")
    prepare_target(out, overwrite=True)


def _told(out: Path) -> str:
    """Say how to go on with an unfinished map."""
    try:
        found = read_progress(out)
    except MapError:
        return ""
    if found is None or found.finished:
        return ""
    return f" and is unfinished ({found.done} of {found.total} images); go on with --resume"


def open_run(order: Order, shard: Shard, out: Path, display: Display) -> Run:
    """Open images and network, and see whether the map fits onto the disk.

    Raises
    ------
    ErfscopeError
        What can't be opened, or doesn't fit.
    """
    options = order.options
    asked = pick(options, "root", "split", "size", "fit", "images", "seed", "options") | {"labels": False}
    images = open_dataset(order.data, **asked)
    model = open_network(order.network, images, options["seed"])
    warn_of(model.info.weights, order.network["spec"], display.warn)
    images = as_trained(images, model.info.training, order.data, asked)
    room = bytes_for(images.size, options["replicates"], len(images))
    prepare_target(out, overwrite=True, bytes_needed=room)
    choices = pick(options, "formula", "target", "precision", "device", "batch_size", "workers", "engine")
    limits = pick(options, "replicates", "max_skipped", "seed", "until")
    wishes = Wishes(**choices, **limits, unit=options["unit"], resize=True, shard=shard)
    return Run(model, open_source(images), wishes)


def refuse_another(before: ErfMap, run: Run, out: Path) -> None:
    """Refuse to go on with the map of another run.

    Raises
    ------
    MapError
        It differs in something that decides its numbers: in words what.
    """
    identity = before.provenance.get("identity")
    if identity is None:
        raise MapError(f"{out} holds no run to go on with; choose another --out, or --overwrite it")
    different = difference(identity, run.identity)
    if different:
        raise MapError(
            f"{out} is of a run with {different}; go on with what it was begun with, choose another --out, "
            "or --overwrite it"
        )
    if not before.finished and not run.image_order.begins_with([record.index for record in before.records]):
        raise MapError(f"{out} was merged of some shards; compute the others and merge them, too")
