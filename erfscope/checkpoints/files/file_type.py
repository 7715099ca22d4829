"""Checks that a path leads to a file, and says what is wrong with a file that can't be read as weights."""

import errno
import os
import re
import stat
from pathlib import Path

from erfscope.errors import CheckpointError, one_line

#: How a zip archive begins, which torch's files have been since 1.6.
ZIP_MAGIC = b"PK\x03\x04"
_HEAD = 512  # bytes
_MAX_REASON = 160  # characters
_TAR_MAGIC = slice(257, 262)
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"bzh": "bzip2",
    b"\xfd7zxz": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf": "7z",
    b"rar!": "rar",
}
# Lower-case beginnings.
_KINDS = {
    b"version https://git-lfs": "is a Git LFS pointer, the file itself was not fetched; run 'git lfs pull'",
    b"\x89hdf\r\n": "is an HDF5 file (a map of erfscope, or Keras's weights); expected PyTorch's",
    b"\x89png": "is an image; expected weights",
    b"\xff\xd8\xff": "is an image; expected weights",
    b"<!doctype": "is a web page, not weights; the download failed, repeat it",
    b"<html": "is a web page, not weights; the download failed, repeat it",
    b"<?xml": "is an XML page, not weights; the download failed, repeat it",
    b"{": "is JSON, not weights; give the weights, and a description of them by --config",
    **{magic: f"is packed by {name}; unpack it and give the file inside" for magic, name in _PACKED.items()},
}


def check_file(path: Path, kind: str = "checkpoint") -> None:
    """Make sure that a path leads to a regular file that can be read; opening a pipe would wait forever.

    Raises
    ------
    CheckpointError
        It doesn't.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise CheckpointError(_link(path, "which does not exist")) from None
        raise CheckpointError(f"{kind} {path} does not exist; give the path of a file") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise CheckpointError(_link(path, "which leads back to itself")) from None
        raise CheckpointError(f"{path} can't be opened ({error.strerror}); give a path that can") from None
    if stat.S_ISDIR(mode):
        raise CheckpointError(f"{kind} {path} is a folder; give the path of a file")
    if not stat.S_ISREG(mode):
        raise CheckpointError(f"{path} is a pipe, a socket or a device; write its content to a file")
    if not os.access(path, os.R_OK):
        raise CheckpointError(f"{path} can't be read (permission denied); make it readable (chmod u+r)")


def explain_unreadable(path: Path, error: Exception) -> str:
    """Say in one line why a torch file can't be read, from what the reader of it raised, and what to do."""
    refused = re.search(r"GLOBAL ([\w.]+)", str(error))
    if refused:
        return (
            f"{path} is refused: loading it would need {refused[1]}, which is not plain weights; "
            "save the state dict alone, or as safetensors"
        )
    reason = _reason(error)
    if re.search("Trying to call|Can only|Only persistent_load", str(error)):
        return f"{path} is refused: it holds more than plain weights ({reason}); save these alone"
    kind = other_file_type(path)
    if kind:
        return f"{path} {kind}"
    with path.open("rb") as file:
        if file.read(len(ZIP_MAGIC)) == ZIP_MAGIC:
            return f"{path} is cut off or damaged ({reason}); download or copy it again"
    return f"{path} is not a torch checkpoint, or is damaged ({reason}); expected .pth or .safetensors"


def _reason(error: Exception) -> str:
    # Torch's message begins with advice to load the file unsafely; its reason stands behind that.
    reason = str(error).partition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
    return reason[:_MAX_REASON] or one_line(error)


def other_file_type(path: Path) -> str | None:
    """Say what a file is and what to do, where its first bytes show that it holds no weights of PyTorch."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        return "is empty; download or copy it again"
    if head[_TAR_MAGIC] == b"ustar":
        return "is a tar archive: of torch before 0.4, or something packed; save it again, or unpack it"
    start = head.lstrip().lower()
    kind = next((kind for magic, kind in _KINDS.items() if start.startswith(magic)), None)
    if kind is None and _is_text(head):
        return "is a text file and not a torch checkpoint; download or copy it again"
    return kind


def _is_text(head: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\n\r\f" for byte in head) and not head.startswith(b"\x80")


def _link(path: Path, where: str) -> str:
    return f"{path} is a link to {path.readlink()}, {where}; mend the link"
