"""Torch files that call, hide, claim or nest what no checkpoint does. Each maker writes one and returns it.

What they would run makes a folder called `executed` in the current one.
"""

import io
import marshal
import os
import pickle
import runpy
import struct
import subprocess
import tarfile
import zipfile
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import torch

TENSORS = {"weight": torch.zeros(4)}
CODE = "import os; os.mkdir('executed')"


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


def through_numpy():
    """An array of objects, whose elements numpy unpickles."""
    array = np.empty(1, dtype=object)
    array[0] = Calls(os.system, "mkdir executed")
    return array


def through_marshal():
    code = marshal.dumps(compile(CODE, "code", "exec"))
    return Calls(eval, Calls(marshal.loads, code))


def through_a_module():
    network = torch.nn.Linear(2, 2)
    network.note = Calls(os.system, "mkdir executed")
    return network


CALLS = {
    "os.system": lambda: Calls(os.system, "mkdir executed"),
    "exec": lambda: Calls(exec, CODE),
    "eval": lambda: Calls(eval, "__import__('os').mkdir('executed')"),
    "runpy": lambda: Calls(runpy.run_path, "evil.py"),
    "torch.load": lambda: Calls(torch.load, "w.pth", None),
    "numpy.load": lambda: Calls(np.load, "w.npy", None, True),
    "numpy.fromfile": lambda: Calls(np.fromfile, "w.npy"),
    "numpy's objects": through_numpy,
    "getattr": lambda: Calls(getattr, SimpleNamespace, "__init__"),
    "marshal": through_marshal,
    "subprocess": lambda: Calls(subprocess.Popen, ["mkdir", "executed"]),
    "import_module": lambda: Calls(import_module, "evil"),
}


def call(name, *, zipped=True):
    def make(folder):
        (folder / "evil.py").write_text(CODE)
        content = {"state_dict": TENSORS, "optimizer": {"state": CALLS[name]()}}
        torch.save(content, folder / "w.pth", _use_new_zipfile_serialization=zipped)
        return folder / "w.pth"

    return make


def plain_pickle(protocol):
    def make(folder):
        (folder / "w.pth").write_bytes(pickle.dumps(Calls(os.system, "mkdir executed"), protocol))
        return folder / "w.pth"

    return make


def whole_module(folder):
    torch.save(through_a_module(), folder / "w.pth")
    return folder / "w.pth"


def program(code, *, compression=zipfile.ZIP_STORED, **members):
    """Make a zipped torch file around a pickle written by hand."""

    def make(folder):
        with zipfile.ZipFile(folder / "w.pth", "w", compression) as archive:
            archive.writestr("w/data.pkl", b"\x80\x02" + code + b".")
            archive.writestr("w/version", b"3\n")
            archive.writestr("w/byteorder", b"little")
            for name, content in members.items():
                archive.writestr(f"w/{name.replace('__', '/')}", content)
        return folder / "w.pth"

    return make


def dotted(name):
    module, _, attribute = name.rpartition(".")
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value):
    digits = pickle.encode_long(value)
    return b"\x8a" + bytes([len(digits)]) + digits


def numbers(*values):
    return b"(" + b"".join(map(number, values)) + b"t"


def named(value):
    return b"}" + text("weight") + value + b"s"


def tensor(stored, size, stride):
    """A tensor of so many stored values that claims a shape."""
    storage = (
        b"("
        + text("storage")
        + dotted("torch.FloatStorage")
        + text("0")
        + text("cpu")
        + number(stored)
        + b"tQ"
    )
    rest = b"\x89" + dotted("collections.OrderedDict") + b")R"
    views = number(0) + numbers(*size) + numbers(*stride)
    return named(dotted("torch._utils._rebuild_tensor_v2") + b"(" + storage + views + rest + b"tR")


def doubled(levels):
    """A tuple of two of the one before, so many times, as a dict's key: it takes 2^levels steps to hash."""
    return b"}\x88" + b"q\x00h\x00\x86" * levels + b"Ns"


def codecs(levels):
    call = dotted("_codecs.encode")
    return named(call * levels + text("ab") + (text("hex") + b"\x86R") * levels)


def second_pickle(folder):
    program(named(b"N"))(folder)
    with zipfile.ZipFile(folder / "w.pth", "a") as archive:
        archive.writestr("w/v/data.pkl", pickle.dumps(Calls(os.system, "mkdir executed"), 2))
        archive.writestr("w/data/0", pickle.dumps(Calls(os.system, "mkdir executed"), 2))
    return folder / "w.pth"


def shadowed_pickle(folder):
    """Two members of one name: readers differ in which they take."""
    content = pickle.dumps({"weight": Calls(os.system, "mkdir executed")}, 2)
    with zipfile.ZipFile(folder / "w.pth", "w") as archive:
        archive.writestr("w/data.pkl", content)
        archive.writestr("x/data.pkl", pickle.dumps({}, 2))
        archive.writestr("w/version", b"3\n")
    data = (folder / "w.pth").read_bytes().replace(b"x/data.pkl", b"w/data.pkl")
    (folder / "w.pth").write_bytes(data)
    return folder / "w.pth"


def leads_out(name):
    def make(folder):
        program(named(b"N"))(folder)
        with zipfile.ZipFile(folder / "w.pth", "a") as archive:
            archive.writestr(zipfile.ZipInfo(name), "mine")
        return folder / "w.pth"

    return make


def tar(name):
    """The format of torch before 0.4, with a member of any name."""

    def make(folder):
        with tarfile.open(folder / "w.pth", "w", format=tarfile.PAX_FORMAT) as archive:
            for member in ("storages", "tensors", "pickle", name):
                content = pickle.dumps(Calls(os.system, "mkdir executed"), 2)
                entry = tarfile.TarInfo(member)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return folder / "w.pth"

    return make


def packed(folder):
    torch.save(TENSORS, folder / "inner.pth")
    with zipfile.ZipFile(folder / "w.pth", "w") as archive:
        archive.write(folder / "inner.pth", "inner.pth")
    return folder / "w.pth"


def claimed_size(folder):
    """An archive whose directory claims 4 GB of a member of a few bytes."""
    path = program(named(b"N"), compression=zipfile.ZIP_DEFLATED, data__0=b"\0" * 100)(folder)
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):  # the directory, the member itself
        place = data.rindex(signature)
        data[place + offset : place + offset + 4] = struct.pack("<I", 0xFFFF0000)
    path.write_bytes(data)
    return path


def nested_tuples(depth):
    return b"}" + b")" + b"\x85" * depth + b"Ns"


_NOT_WEIGHTS = "is refused: loading it would need"
REFUSED = {
    **{f"{name}, zipped": (call(name), _NOT_WEIGHTS) for name in CALLS},
    **{f"{name}, former format": (call(name, zipped=False), _NOT_WEIGHTS) for name in CALLS},
    "plain pickle, protocol 4": (plain_pickle(4), r"one of torch's \(it names posix.system\)"),
    "plain pickle, protocol 2": (plain_pickle(2), r"one of torch's \(it names posix.system\)"),
    "plain pickle, protocol 0": (plain_pickle(0), r"one of torch's \(it names posix.system\)"),
    "a second pickle": (second_pickle, "holds no tensors"),
    "a shadowed pickle": (shadowed_pickle, "refused"),
    "tar": (tar("sys_info"), "is a tar archive"),
    "tar that leads out": (tar("../executed"), "is a tar archive"),
    "packed": (packed, r"not one of torch's \(it holds inner.pth\)"),
    "member that leads out": (leads_out("../../executed/x"), "leads out of the archive"),
    "member that leads out, backslashes": (leads_out("..\\..\\executed\\x"), "leads out of the archive"),
    "absolute member": (leads_out("/tmp/executed"), "leads out of the archive"),
    "storage smaller than claimed": (program(tensor(1000, [1000], [1]), data__0=b"\0" * 16), "damaged"),
    "shape larger than its storage": (program(tensor(4, [1000], [1]), data__0=b"\0" * 16), "damaged"),
    "negative shape": (program(tensor(4, [-4], [1]), data__0=b"\0" * 16), "damaged"),
}
#: What would take all memory or all time.
BOMBS = {
    "repeated values": (
        program(tensor(4, [10**5, 10**6], [0, 0]), data__0=b"\0" * 16),
        "claims 400 GB and stores",
    ),
    "huge storage": (program(tensor(10**11, [10**11], [1]), data__0=b"\0" * 16), "damaged"),
    "bytearray": (
        program(named(dotted("builtins.bytearray") + number(10**11) + b"\x85R")),
        "calls builtins.bytearray",
    ),
    "bytearray, indirectly": (
        program(
            named(
                dotted("torch._tensor._rebuild_from_type_v2")
                + b"("
                + dotted("builtins.bytearray")
                + dotted("torch.Tensor")
                + numbers(10**11)
                + b"}tR"
            )
        ),
        "calls torch._tensor._rebuild_from_type_v2",
    ),
    "a storage of its own": (
        program(named(dotted("torch.storage.UntypedStorage") + number(10**11) + b"\x85R")),
        "calls torch.storage.UntypedStorage",
    ),
    "doubled by codecs": (program(codecs(60)), "calls _codecs.encode"),
    "doubled tuples": (program(doubled(60)), "shares tuples"),
    "nested tuples": (program(nested_tuples(500_000)), "shares tuples"),
    "zip bomb": (
        program(named(b"N"), compression=zipfile.ZIP_DEFLATED, data__0=b"\0" * 150_000_000),
        "unpack to 0.15 GB",
    ),
    "zip bomb that claims": (claimed_size, "unpack to 4.29 GB"),
    "a text of 4 GB": (program(b"X" + struct.pack("<I", 2**32 - 1)), "takes over 256 MB"),
    "many steps": (program(b"]" * 5_000_000), "takes over 1000000 steps"),
}
