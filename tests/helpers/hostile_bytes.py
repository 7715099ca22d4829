"""Files that are broken, or something else than their name says. Each maker writes one and returns it."""

import json
import os
import socket
import struct

import torch
from safetensors.torch import save_file
from small_networks import SmallNet, seeded

LENGTH = struct.Struct("<Q")


def write(content, name="w.pth"):
    def make(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return make


def header(entries, data=b"\0" * 16, length=None):
    """A safetensors file with any header."""
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return write(LENGTH.pack(len(text) if length is None else length) + text + data, "w.safetensors")


def entry(shape=(4,), start=0, end=16, dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def whole(kind):
    """A sound file of a small network."""

    def make(folder):
        state = seeded(SmallNet()).state_dict()
        path = folder / ("w.safetensors" if kind == "safetensors" else "w.pth")
        if kind == "safetensors":
            save_file(state, path)
        else:
            torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
        return path

    return make


def cut(kind, tenths):
    def make(folder):
        path = whole(kind)(folder)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * tenths // 10])
        return path

    return make


def reshaped(folder):
    state = seeded(SmallNet()).state_dict()
    torch.save({**state, "body.weight": torch.zeros(6, 6, 5, 5)}, folder / "w.pth")
    return folder / "w.pth"


def folder_of_that_name(folder):
    (folder / "w.pth").mkdir()
    return folder / "w.pth"


def link(target):
    def make(folder):
        (folder / "w.pth").symlink_to(target)
        return folder / "w.pth"

    return make


def pipe(folder):
    os.mkfifo(folder / "w.pth")
    return folder / "w.pth"


def bound_socket(folder):
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("w.pth")  # relative: such names are short
    return folder / "w.pth"


def unreadable(folder):
    path = whole("zip")(folder)
    path.chmod(0)
    return path


def sparse(length, name="w.pth", start=b""):
    """A file of so many zeros that takes no space on the disk."""

    def make(folder):
        with (folder / name).open("wb") as file:
            file.write(start)
            file.truncate(length)
        return folder / name

    return make


_BAD_HEADER = "is not a readable safetensors file"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
PAGE = b"<!DOCTYPE html>\n<html><head><title>404</title></head><body>Not found</body></html>"
REFUSED = {
    "empty": (write(b""), "is empty"),
    "empty safetensors": (write(b"", "w.safetensors"), "is empty"),
    "web page": (write(PAGE), "is a web page"),
    "web page as safetensors": (write(PAGE, "w.safetensors"), "is a web page"),
    "XML": (write(b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"), "is an XML page"),
    "Git LFS pointer": (write(POINTER), "Git LFS pointer.*git lfs pull"),
    "Git LFS pointer as safetensors": (write(POINTER, "w.safetensors"), "Git LFS pointer.*git lfs pull"),
    "text": (write(b"hello world\n"), "is a text file"),
    "JSON": (write(b'{"model": "fcn"}'), "is JSON"),
    "image": (write(b"\x89PNG\r\n\x1a\n" + b"\0" * 50), "is an image"),
    "gzip": (write(b"\x1f\x8b\x08" + b"\0" * 50), "is packed by gzip"),
    "HDF5": (write(b"\x89HDF\r\n\x1a\n" + b"\0" * 50), "is an HDF5 file|is not a readable map"),
    "noise": (write(bytes(range(128, 256)) * 9), "not a torch checkpoint, or is damaged"),
    "offsets past the end": (header({"a": entry(end=64, shape=(16,))}), _BAD_HEADER),
    "offsets that overlap": (header({"a": entry(), "b": entry(start=8, end=24)}, b"\0" * 24), _BAD_HEADER),
    "offsets with a hole": (header({"a": entry(start=8, end=24)}, b"\0" * 24), _BAD_HEADER),
    "offsets backwards": (header({"a": entry(start=16, end=0)}), _BAD_HEADER),
    "shape larger than its bytes": (header({"a": entry(shape=(400,))}), _BAD_HEADER),
    "shape of 2^120 values": (header({"a": entry(shape=(2**60, 2**60))}), _BAD_HEADER),
    "unknown dtype": (header({"a": entry(dtype="F99")}), _BAD_HEADER),
    "a tensor twice": (
        header(
            b'{"a": %(a)s, "a": %(b)s}'
            % {b"a": json.dumps(entry()).encode(), b"b": json.dumps(entry(start=16, end=32)).encode()},
            b"\0" * 32,
        ),
        _BAD_HEADER,
    ),
    "header no JSON": (header(b"{hello world}   "), _BAD_HEADER),
    "header of nested lists": (header(b'{"a":' + b"[" * 100_000), _BAD_HEADER),
    "wrong shapes": (reshaped, r"body.weight is \[6, 6, 5, 5\] in the file, \[6, 6, 3, 3\] here"),
    "a folder": (folder_of_that_name, "is a folder"),
    "a dangling link": (link("gone.pth"), "is a link to gone.pth, which does not exist"),
    "a link to itself": (link("w.pth"), "is a link to w.pth, which leads back to itself"),
    "a name too long": (lambda folder: folder / f"{'w' * 300}.pth", "can't be opened"),
    "a name below a file": (lambda folder: write(b"")(folder) / "w.pth", "can't be opened"),
    **{
        f"{kind} cut at {tenths}/10": (
            cut(kind, tenths),
            "cut off|damaged|not a readable safetensors|is a text",
        )
        for kind in ("zip", "former", "safetensors")
        for tenths in range(1, 10)
    },
}
#: What would wait, or take all memory.
BOMBS = {
    "header of 100 GB": (header({"a": entry()}, length=100_000_000_000), _BAD_HEADER),
    "header of 2^64 bytes": (header({"a": entry()}, length=2**64 - 1), _BAD_HEADER),
    "100 GB of zeros": (sparse(100_000_000_000), "not a torch checkpoint, or is damaged"),
    "a name of 100 GB": (
        sparse(100_000_000_000, start=b"\x80\x02c"),
        "not a torch checkpoint, or is damaged",
    ),
    "a pipe": (pipe, "is a pipe, a socket or a device"),
    "a socket": (bound_socket, "is a pipe, a socket or a device"),
    "a device": (link("/dev/zero"), "is a pipe, a socket or a device"),
}
