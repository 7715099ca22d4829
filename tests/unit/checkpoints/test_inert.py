"""Names that checkpoints hold: harmless ones become inert, all others are refused, none is run."""

import pickle
import struct
import sys
import types
import zipfile
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import serialization

from erfscope.checkpoints.files.safe_globals import DICT_NAMES, INERT_NAMES, Inert, only_inert_names
from erfscope.checkpoints.files.weights_file import read_checkpoint
from erfscope.errors import CheckpointError

# The opcodes of a pickle, as torch's own unpickler knows them.
EMPTY_TUPLE, EMPTY_DICT, EMPTY_LIST, NONE = b")", b"}", b"]", b"N"
TUPLE1, TUPLE2, TUPLE3 = b"\x85", b"\x86", b"\x87"
REDUCE, NEWOBJ, BUILD, SETITEM, APPEND = b"R", b"\x81", b"b", b"s", b"a"


def name(dotted):
    module, _, attribute = dotted.rpartition(".")
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def write(path, program):
    """Write what torch.save writes, with a pickle made by hand."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", b"\x80\x02" + program + b".")
        file.writestr("archive/version", b"3\n")
    return path


def load(path):
    with only_inert_names():
        return torch.load(path, weights_only=True)


def test_hand_made_pickles_are_read_at_all(tmp_path):
    assert load(write(tmp_path / "w.pth", EMPTY_DICT + text("a") + text("b") + SETITEM)) == {"a": "b"}


@pytest.mark.parametrize("dotted", INERT_NAMES)
def test_harmless_names_become_inert(dotted, tmp_path):
    state = EMPTY_DICT + text("__class__") + name("collections.OrderedDict") + SETITEM
    made = name(dotted) + EMPTY_TUPLE + NEWOBJ + state + BUILD
    called = name(dotted) + text("an argument") + TUPLE1 + REDUCE + state + BUILD
    for value in load(write(tmp_path / "w.pth", made + called + TUPLE2)):
        assert type(value) is Inert
        assert not hasattr(value, "__dict__")


@pytest.mark.parametrize("dotted", DICT_NAMES)
def test_kinds_of_dicts_become_dicts(dotted, tmp_path):
    filled = text("a") + text("b") + SETITEM
    made = name(dotted) + EMPTY_TUPLE + NEWOBJ + filled
    called = name(dotted) + name("builtins.list") + TUPLE1 + REDUCE + filled
    given = name(dotted) + EMPTY_DICT + filled + TUPLE1 + REDUCE
    values = load(write(tmp_path / "w.pth", made + called + given + TUPLE3))
    assert values == ({"a": "b"},) * 3
    assert {type(value) for value in values} == {dict}


def test_an_inert_object_can_not_be_made_anything_else():
    inert = Inert(1, x=2)
    inert.__setstate__({"__class__": dict, "x": 1})
    for attribute in ("x", "__class__", "__dict__"):
        with pytest.raises(AttributeError):
            setattr(inert, attribute, dict)
    assert type(inert) is Inert
    assert not callable(inert)


GETATTR = name("builtins.getattr")
INERT = name("numpy.dtype") + EMPTY_TUPLE + REDUCE
MARK_DIRECTORY = text("executed") + TUPLE1 + REDUCE
HOSTILE = {
    "os.mkdir": name("os.mkdir") + MARK_DIRECTORY,
    "posix.mkdir": name("posix.mkdir") + MARK_DIRECTORY,
    "eval": name("builtins.eval") + text("__import__('os').mkdir('executed')") + TUPLE1 + REDUCE,
    "exec": name("builtins.exec") + text("import os; os.mkdir('executed')") + TUPLE1 + REDUCE,
    "__import__": name("builtins.__import__") + text("os") + TUPLE1 + REDUCE,
    "subprocess": name("subprocess.run") + text("mkdir executed") + TUPLE1 + REDUCE,
    "getattr of a module": GETATTR + name("os.path") + text("mkdir") + TUPLE2 + REDUCE + MARK_DIRECTORY,
    "getattr called": GETATTR + INERT + text("mkdir") + TUPLE2 + REDUCE + MARK_DIRECTORY,
    "globals of a function": GETATTR
    + name("torch._utils._rebuild_tensor_v2")
    + text("__globals__")
    + TUPLE2
    + REDUCE
    + MARK_DIRECTORY,
    "a name below another": name("mmengine.logging.history_buffer.HistoryBuffer.__init__") + MARK_DIRECTORY,
    "a part of inert's own module": name("erfscope.checkpoints.files.safe_globals.only_inert_names")
    + MARK_DIRECTORY,
    "inert called": INERT + MARK_DIRECTORY,
    "inert made of": INERT + EMPTY_TUPLE + NEWOBJ,
    "state of the class": name("numpy.dtype") + EMPTY_DICT + BUILD,
    "entry of inert": INERT + text("a") + text("b") + SETITEM,
    "appended to inert": INERT + text("a") + APPEND,
    "state of a dict": name(DICT_NAMES[0]) + EMPTY_TUPLE + NEWOBJ + EMPTY_DICT + BUILD,
    "numpy.load": name("numpy.load") + text("x.npy") + TUPLE1 + REDUCE,
    "numpy.core fromfile": name("numpy.core.multiarray.fromfile") + text("x") + TUPLE1 + REDUCE,
    "torch.load": name("torch.load") + text("x.pth") + TUPLE1 + REDUCE,
    "torch.hub.load": name("torch.hub.load") + text("x") + TUPLE1 + REDUCE,
    "torch.save": name("torch.save") + EMPTY_DICT + text("executed") + TUPLE2 + REDUCE,
    "a module": name("torch.nn.modules.linear.Linear") + EMPTY_TUPLE + NEWOBJ,
    "tensor from inert": name("torch._utils._rebuild_device_tensor_from_numpy")
    + (b"(" + INERT + name("torch.float32") + text("cpu") + NONE + b"t")
    + REDUCE,
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_everything_else_is_refused(attack, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "w.pth", HOSTILE[attack])
    with pytest.raises(CheckpointError, match=r"w\.pth is (refused: |.*got Inert)") as caught:
        read_checkpoint(tmp_path / "w.pth")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth"]


HARMLESS = {
    "getattr takes a function": GETATTR
    + name("torch._utils._rebuild_tensor_v2")
    + text("__globals__")
    + TUPLE2,
    "arguments that are callable": name("numpy.ndarray") + GETATTR + name("builtins.bytearray") + TUPLE2,
    # torch calls what it is given here and sets the state on the result.
    "rebuilt with a state": name("torch._tensor._rebuild_from_type_v2")
    + (b"(" + GETATTR + GETATTR + EMPTY_TUPLE)
    + (EMPTY_DICT + text("__class__") + name("collections.Counter") + SETITEM + b"t"),
}


@pytest.mark.parametrize("attack", HARMLESS)
def test_what_loads_does_nothing(attack, tmp_path):
    assert type(load(write(tmp_path / "w.pth", HARMLESS[attack] + REDUCE))) is Inert


# What pickles as mmengine's does, its methods included.
HISTORY_BUFFER = """
class HistoryBuffer:
    def __init__(self, values):
        self.values, self.methods = values, {'min': HistoryBuffer.min, 'mean': HistoryBuffer.mean}
    def min(self): ...
    def mean(self): ...
"""


@contextmanager
def pretended_module(dotted, source):
    """Have a module in the process while a file is written that names what is in it."""
    parts = dotted.split(".")
    names = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
    sys.modules.update({each: types.ModuleType(each) for each in names})
    exec(source, sys.modules[dotted].__dict__)
    try:
        yield sys.modules[dotted]
    finally:
        for each in names:
            del sys.modules[each]


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_of_mmengine(zipped, tmp_path):
    path = tmp_path / "iter_80000.pth"
    weight = torch.arange(6.0).reshape(2, 3)
    with pretended_module("mmengine.logging.history_buffer", HISTORY_BUFFER) as module:
        scalars = {"loss": module.HistoryBuffer(np.arange(3.0)), "lr": np.float64(0.1), "n": np.int64(3)}
        content = {
            "meta": {
                "cfg": "a = 1",
                "iter": 80000,
                "dataset_meta": {"classes": ("a",), "palette": np.zeros(3)},
            },
            "state_dict": {"backbone.weight": weight},
            "message_hub": {"log_scalars": scalars, "runtime_info": {"best": np.array(["a"])}},
        }
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError, match="Unsupported global"):
        torch.load(path, weights_only=True)
    checkpoint = read_checkpoint(path)
    assert list(checkpoint.state) == ["backbone.weight"]
    assert torch.equal(checkpoint.state["backbone.weight"], weight)
    assert checkpoint.meta == {"cfg": "a = 1", "iter": 80000, "dataset_meta": {"classes": ("a",)}}


def surely_not():
    raise AssertionError("a name that the process admits was called")


@pytest.mark.parametrize("dotted", ["mine.function", "builtins.getattr"])
def test_what_the_process_admits_is_set_aside_and_comes_back(dotted, tmp_path):
    write(tmp_path / "w.pth", name(dotted) + EMPTY_TUPLE + REDUCE)
    before = set(serialization.get_safe_globals())
    with serialization.safe_globals([(surely_not, dotted)]):
        with pytest.raises(CheckpointError):
            read_checkpoint(tmp_path / "w.pth")
        assert set(serialization.get_safe_globals()) == {*before, (surely_not, dotted)}
    assert set(serialization.get_safe_globals()) == before
