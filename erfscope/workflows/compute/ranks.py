"""One map by several processes: each takes a shard, and under torchrun the first one merges them."""

import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from erfscope.errors import ComputeError, MapError
from erfscope.records.erf_map import ErfMap
from erfscope.records.shard import WHOLE, Shard
from erfscope.store.merge import merge_files
from erfscope.store.read import read_map, read_progress
from erfscope.store.write import write_map
from erfscope.system.environment import shard_place, torchrun_place
from erfscope.system.file_lock import locked
from erfscope.system.process_group import open_process_group
from erfscope.system.signals import stoppable
from erfscope.workflows.compute.to_file import (
    Display,
    Order,
    check_order,
    compute_to_file,
    open_run,
    refuse_another,
)

AUTO = "auto"
_POLL_SECONDS = 0.5
#: Of all but the first of torchrun's processes.
_SILENT = Display(
    warn=lambda text: None,
    note=lambda text: None,
    progress=lambda label, total: nullcontext(lambda done, skipped: None),
)


def compute_share(
    order: Order, out: Path, shard: tuple[int, int] | str | None, display: Display
) -> tuple[Path, ErfMap | None]:
    """Compute what this process is to: all, a shard, or its part of what torchrun started.

    Parameters
    ----------
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
        return out, _compute_together(order, out, display)
    if shard != AUTO:
        return out, compute_to_file(order, out, WHOLE if shard is None else Shard(*shard), display)
    place = shard_place()
    if place is None:
        raise ComputeError(
            "--shard auto takes its numbers from SLURM (an array, or srun) or torchrun, and neither started "
            "this process; give --shard 0/4"
        )
    own = Shard(*place)
    file = out if own.is_whole else own.file(out)
    return file, compute_to_file(order, file, own, display)


def _compute_together(order: Order, out: Path, display: Display) -> ErfMap | None:
    rank, _, size, _ = torchrun_place() or (0, 0, 1, 1)
    files = [Shard(index, size).file(out) for index in range(size)]
    if rank:
        display = _SILENT
    with open_process_group(order.options["device"]) as processes:
        processes.run_on_main_process(lambda: _prepare(order, out, files))
    if order.resume and out.exists():
        done = _confirm(order, out, display)
        return None if rank else done
    erf = compute_to_file(replace(order, overwrite=False), files[rank], Shard(rank, size), display)
    if rank and erf.finished:
        return None
    return _merge(files, out, erf) if erf.finished else erf


def _prepare(order: Order, out: Path, files: list[Path]) -> None:
    """Check the target once for all, and remove the shards of an earlier run that is to be begun anew."""
    check_order(order, out)
    there = [file for file in files if file.exists()]
    if there and not (order.resume or order.overwrite):
        raise MapError(f"{there[0]} exists already; go on with --resume, or begin anew with --overwrite")
    for file in there if order.overwrite else []:
        file.unlink()


def _confirm(order: Order, out: Path, display: Display) -> ErfMap:
    """Return the finished map that was asked for before, without its shards, which were merged."""
    before = read_map(out)
    refuse_another(before, open_run(order, WHOLE, out, display), out)
    if not before.finished:
        raise MapError(
            f"{out} was begun by one process; go on without torchrun, or begin anew with --overwrite"
        )
    display.note(f"{out} is finished already")
    return before


def _merge(files: list[Path], out: Path, own: ErfMap) -> ErfMap:
    """Wait until all shards are finished, merge and remove them; a signal leaves them for --resume."""
    with stoppable(in_time=True) as stop, locked(out):
        while not all(map(_is_finished, files)):
            if stop:
                return replace(own, finished=False)
            time.sleep(_POLL_SECONDS)
        merged = merge_files(files)
        write_map(merged, out, overwrite=True)
    for file in files:
        file.unlink()
    return merged


def _is_finished(file: Path) -> bool:
    found = read_progress(file)
    return found is not None and found.finished
