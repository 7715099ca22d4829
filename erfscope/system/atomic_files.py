"""The one place that creates and replaces files: a file is complete, or it isn't there."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from erfscope.errors import MapError


def prepare_target(path: Path, *, overwrite: bool, bytes_needed: int = 0) -> None:
    """Check before hours of work that `path` can be written after them, and make its folder.

    Raises
    ------
    MapError
        The file exists and `overwrite` is False, or its folder can't be made or written to, or is too full.
    """
    if path.is_dir():
        raise MapError(f"{path} is a folder; give the name of a file")
    if path.exists() and not overwrite:
        raise MapError(f"{path} exists already; choose another name or pass --overwrite")
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"erfscope")
            probe.flush()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise MapError(
            f"can't write to folder {folder} ({error.strerror}); free space or choose another with --out"
        ) from error
    if free < bytes_needed:
        raise MapError(
            f"folder {folder} has {free / 1e6:.1f} MB free, {path.name} needs {bytes_needed / 1e6:.1f} MB; "
            "free space or choose another with --out"
        )


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which replaces it if the block ends without error.

    The content is on the disk (fsync) before it gets its name, so that a crash leaves the old file or the new
    one, never a part of it.

    Raises
    ------
    MapError
        The disk is full, or the folder can't be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise MapError(f"can't write {path} ({reason}); free some space or choose another name") from error
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # Windows has no handles of folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
