"""A checksum after the HDF5 of a map, so that a damaged file is refused and never measured.

HDF5 has no checksum of its data by default, and reading a damaged structure may never end. It ignores bytes
after its end, and cuts them off if a program changes the file: then there is nothing to check.
"""

import hashlib
from pathlib import Path

from erfscope.errors import MapError

_MARK = b"erfscope sha256 "
_LENGTH = len(_MARK) + hashlib.sha256().digest_size
_BLOCK = 1 << 20


def seal(content: bytes | memoryview) -> bytes:
    """Return the bytes to write after the content."""
    return _MARK + hashlib.sha256(content).digest()


def check_seal(path: Path) -> None:
    """Check a file by its checksum, if it has one.

    Raises
    ------
    MapError
        The checksum differs.
    OSError
        The file can't be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        left = path.stat().st_size - _LENGTH
        file.seek(max(left, 0))
        tail = file.read()
        if not tail.startswith(_MARK):
            return
        file.seek(0)
        while left > 0:
            block = file.read(min(_BLOCK, left))
            digest.update(block)
            left -= len(block) or left
    if tail != _MARK + digest.digest():
        raise MapError(f"{path} is not a readable map (its checksum differs: it is damaged); make it again")
