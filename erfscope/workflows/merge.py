"""Merge the map files of shards into one file."""

from collections.abc import Callable, Sequence
from pathlib import Path

from erfscope.records.erf_map import ErfMap
from erfscope.store.merge import merge_files
from erfscope.store.write import write_map
from erfscope.system.atomic_files import prepare_target
from erfscope.system.file_lock import locked


def merge_to_file(
    files: Sequence[Path], out: Path, *, partial: bool, overwrite: bool, note: Callable[[str], None]
) -> ErfMap:
    """Merge map files into `out`; see `store.merge.merge_maps`.

    Raises
    ------
    MapError
        `out` exists and `overwrite` is False, another process writes it, or the maps don't make one.
    """
    prepare_target(out, overwrite=overwrite)
    with locked(out, note):
        erf = merge_files(files, partial=partial)
        write_map(erf, out, overwrite=overwrite)
    return erf
