"""What a zip archive holds, before anything is read from it."""

import zipfile
from pathlib import Path, PurePosixPath

from erfscope.errors import CheckpointError

# Writers of checkpoints store tensors as they are. An archive that was packed again may be smaller than
# what it holds, but weights are near to noise: not by such a factor.
_MAX_RATIO = 20
_SMALL = 100_000_000  # bytes


def member_names(path: Path) -> list[str]:
    """Names in a zip archive; none if it is no archive, or a damaged one."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except Exception:  # of zipfile, zlib, struct: whatever a damaged archive makes them raise
        return []


def check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse an archive that would unpack to far more than itself, or names paths outside.

    Raises
    ------
    CheckpointError
        It does.
    """
    size = path.stat().st_size
    unpacked = sum(member.file_size for member in members)
    if unpacked > max(_SMALL, _MAX_RATIO * size):
        raise CheckpointError(
            f"{path} is refused: {size / 1e6:.3g} MB that claim to unpack to {unpacked / 1e9:.3g} GB are no "
            "checkpoint; get it from another source"
        )
    for member in members:
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts:
            raise CheckpointError(
                f"{path} is refused: it holds {member.filename!r}, a path that leads out of the archive; "
                "get it from another source"
            )
