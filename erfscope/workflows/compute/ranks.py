"""Computes one map by several processes: each takes a shard; under torchrun the first merges them."""

import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from erfscope.errors import ComputeError, MapError
from erfscope.records.erf_map import ErfMap
from erfscope.records.shard import Shard
from erfscope.store.merge import merge_files
from erfscope.store.read import read_map, read_progress
from erfscope.store.write import write_map
from erfscope.system.environment import shard_place, torchrun_place
from erfscope.system.file_lock import locked
from erfscope.system.process_group import open_process_group
from erfscope.system.signals import stoppable
from erfscope.workflows.compute.options import ComputeOptions
from erfscope.workflows.compute.to_file import (
    RunMessages,
    RunSetup,
    check_same_run,
    check_target,
    compute_to_file,
    open_job,
)

_POLL_SECONDS = 0.5
#: Only the first of torchrun's processes has messages.
_SILENT = RunMessages(
    warn=lambda text: None,
    note=lambda text: None,
    progress=lambda label, total: nullcontext(lambda done, skipped: None),
)


def compute_share(
    setup: RunSetup,
    options: ComputeOptions,
    out: Path,
    shard: tuple[int, int] | str | None,
    messages: RunMessages,
) -> tuple[Path, ErfMap | None]:
    """Compute this process's share of a map: all, a shard, or its part of what torchrun started.

    Parameters
    ----------
    options
        Those of the whole map.
    shard
        (i, n), into `out` itself; "auto": by the numbers that SLURM or torchrun give the process, into a file
        named by the shard; None: all, which processes of torchrun share, and which the first of them merges.

    Returns
    -------
    tuple
        The file that was written, and the map, unfinished where a signal came; None in processes of torchrun
        that leave the rest to the first.

    Raises
    ------
    ErfscopeError
        As `compute_to_file`; or "auto" where nothing tells the shard.
    """
    if shard is None and (torchrun_place() or (0, 0, 1, 1))[2] > 1:
        return out, _compute_together(setup, options, out, messages)
    if shard is None:
        return out, compute_to_file(setup, options, out, messages)
    if not isinstance(shard, str):
        return out, compute_to_file(setup, replace(options, shard=shard), out, messages)
    place = shard_place()
    if place is None:
        raise ComputeError(
            "--shard auto takes its numbers from SLURM (an array, or srun) or torchrun, and neither started "
            "this process; give --shard 0/4"
        )
    own = Shard(*place)
    file = out if own.is_whole else own.file(out)
    return file, compute_to_file(setup, replace(options, shard=place), file, messages)


def _compute_together(
    setup: RunSetup, options: ComputeOptions, out: Path, messages: RunMessages
) -> ErfMap | None:
    rank, _, size, _ = torchrun_place() or (0, 0, 1, 1)
    parts = [Shard(index, size).file(out) for index in range(size)]
    if rank:
        messages = _SILENT
    with open_process_group(options.device) as processes:
        processes.run_on_main_process(lambda: _prepare(setup, out, parts))
    if setup.resume and out.exists():
        finished = _read_finished(setup, options, out, messages)
        return None if rank else finished
    own = replace(options, shard=(rank, size))
    erf = compute_to_file(replace(setup, overwrite=False), own, parts[rank], messages)
    if rank and erf.finished:
        return None
    return _merge(parts, out, erf) if erf.finished else erf


def _prepare(setup: RunSetup, out: Path, parts: list[Path]) -> None:
    """Check the target once for all, and remove the shards of an earlier run that is to be begun anew."""
    check_target(setup, out)
    existing = [part for part in parts if part.exists()]
    if existing and not (setup.resume or setup.overwrite):
        raise MapError(f"{existing[0]} exists already; go on with --resume, or begin anew with --overwrite")
    for part in existing if setup.overwrite else []:
        part.unlink()


def _read_finished(setup: RunSetup, options: ComputeOptions, out: Path, messages: RunMessages) -> ErfMap:
    """Read a map that these processes finished before; its shards were merged and are gone."""
    previous = read_map(out)
    check_same_run(previous, open_job(setup, options, out, messages), out)
    if not previous.finished:
        raise MapError(
            f"{out} was begun by one process; go on without torchrun, or begin anew with --overwrite"
        )
    messages.note(f"{out} is finished already")
    return previous


def _merge(parts: list[Path], out: Path, own: ErfMap) -> ErfMap:
    """Wait until all shards are finished, merge and remove them; a signal leaves them for --resume."""
    with stoppable(in_time=True) as stop, locked(out):
        while not all(map(_is_finished, parts)):
            if stop:
                return replace(own, finished=False)
            time.sleep(_POLL_SECONDS)
        merged = merge_files(parts)
        write_map(merged, out, overwrite=True)
    for part in parts:
        part.unlink()
    return merged


def _is_finished(part: Path) -> bool:
    found = read_progress(part)
    return found is not None and found.finished
