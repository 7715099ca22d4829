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
from erfscope.store.read import read_map, read_progress
from erfscope.store.write import bytes_for
from erfscope.system.atomic_files import prepare_target
from erfscope.system.file_lock import locked
from erfscope.system.signals import stoppable
from erfscope.workflows.compute.job import ComputeJob
from erfscope.workflows.compute.options import ComputeOptions
from erfscope.workflows.compute.runner import run_job
from erfscope.workflows.compute.snapshots import SnapshotWriter
from erfscope.workflows.open_inputs import open_network, preprocess_as_trained, warn_about_weights


@dataclass(frozen=True)
class RunMessages:
    """Where a run's messages go: what must not pass silently, what may, and progress over so many images."""

    warn: Callable[[str], None]
    note: Callable[[str], None]
    progress: Callable[[str, int], AbstractContextManager[ProgressCallback]]


@dataclass(frozen=True)
class RunSetup:
    """What `erfscope compute` takes besides `ComputeOptions`: what to open, and how to treat the file.

    Attributes
    ----------
    network
        Arguments of `load_model`.
    dataset
        Arguments of `open_dataset`.
    overwrite, resume
        Begin anew where there is a map; or go on with it, begin it if there is none, and do nothing if it is
        finished.
    snapshot_seconds, snapshot_images
        Time and number of images after which the file is replaced by the map as it stands; None: no number.
    """

    network: Mapping[str, Any]
    dataset: Mapping[str, Any]
    overwrite: bool
    resume: bool
    snapshot_seconds: float
    snapshot_images: int | None


def compute_to_file(setup: RunSetup, options: ComputeOptions, out: Path, messages: RunMessages) -> ErfMap:
    """Compute a map, or a shard of one, into a file: check the file, open everything, compute, write.

    Images are cropped and normalized as the network's checkpoint says, if it does; a size in `dataset` goes
    before the checkpoint's. A lock beside the file keeps other processes off.

    Returns
    -------
    ErfMap
        Unfinished where a signal ended the run; then it can be resumed.

    Raises
    ------
    ErfscopeError
        What can't be opened, computed or written; another process works on `out`, or it is of another run.
    """
    check_target(setup, out)
    with stoppable(in_time=True) as stop, locked(out, messages.note) as hold:
        stop.on_deadline.append(hold.give_up)
        check_target(setup, out)  # again: what is there may have changed before the lock was ours
        job = open_job(setup, options, out, messages)
        previous = read_map(out) if setup.resume and out.exists() else None
        if previous is not None:
            check_same_run(previous, job, out)
        if previous is not None and previous.finished:
            messages.note(f"{out} is finished already")
            return previous
        snapshots = SnapshotWriter(out, hold, stop, setup.snapshot_seconds, setup.snapshot_images)
        with messages.progress(job.name, job.image_order.total or 0) as progress:
            erf = run_job(job, progress, snapshots, previous)
        if erf.finished:
            snapshots.finish(erf)
        return erf


def check_target(setup: RunSetup, out: Path) -> None:
    """Check, before anything is opened, that the map can be written, and what is to become of one there.

    Raises
    ------
    MapError
        Both ways to treat an existing map are asked for, none is and there is one, or it can't be written.
    """
    if setup.resume and setup.overwrite:
        raise MapError("--resume goes on with a map and --overwrite begins anew; give one of them")
    goes_on = setup.resume and not out.is_dir()
    if not (goes_on or setup.overwrite) and out.is_file():
        raise MapError(f"{out} exists already{_how_to_go_on(out)}; choose another name or pass --overwrite")
    prepare_target(out, overwrite=True)


def _how_to_go_on(out: Path) -> str:
    try:
        found = read_progress(out)
    except MapError:
        return ""
    if found is None or found.finished:
        return ""
    return f" and is unfinished ({found.done} of {found.total} images); go on with --resume"


def open_job(setup: RunSetup, options: ComputeOptions, out: Path, messages: RunMessages) -> ComputeJob:
    """Open images and network, and check that the map fits onto the disk.

    Raises
    ------
    ErfscopeError
        What can't be opened, or doesn't fit.
    """
    images = open_dataset(**setup.dataset, labels=False)
    model = open_network(setup.network, images, options.seed)
    warn_about_weights(model.info.weights, setup.network["spec"], messages.warn)
    images = preprocess_as_trained(images, model.info.training, keep_size=setup.dataset["size"] is not None)
    needed = bytes_for(images.size, options.replicates, len(images))
    prepare_target(out, overwrite=True, bytes_needed=needed)
    return ComputeJob(model, open_source(images), options)


def check_same_run(previous: ErfMap, job: ComputeJob, out: Path) -> None:
    """Check that a map in a file is of this job.

    Raises
    ------
    MapError
        It differs in something that decides its numbers; the message says in what.
    """
    identity = previous.provenance.get("identity")
    if identity is None:
        raise MapError(f"{out} holds no run to go on with; choose another --out, or --overwrite it")
    different = difference(identity, job.identity)
    if different:
        raise MapError(
            f"{out} is of a run with {different}; go on with what it was begun with, choose another --out, "
            "or --overwrite it"
        )
    indices = [record.index for record in previous.records]
    if not previous.finished and not job.image_order.begins_with(indices):
        raise MapError(f"{out} was merged of some shards; compute the others and merge them, too")
