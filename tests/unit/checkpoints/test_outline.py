"""What a pickle would make, told without making it."""

import io
import os
import pickle
from collections import OrderedDict, namedtuple

import pytest
import torch
from torch import nn

from erfscope.checkpoints.files.archive_scan import scan_file
from erfscope.checkpoints.files.pickle_scan import Call, Entries, Items, read_outline
from erfscope.checkpoints.files.weights_file import read_checkpoint

Point = namedtuple("Point", "x y")


class Old:
    """Pickles by its attributes, by protocols 0 and 1 through copyreg."""

    def __init__(self):
        self.value = [1, 2]


class Calls:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def plain(value):
    """Turn an outline into what the pickle would make, as far as that is plain data."""
    if isinstance(value, Items):
        return tuple(plain(item) for item in value.items)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, Entries):
        keys, values = value.content[::2], value.content[1::2]
        return {plain(key): plain(each) for key, each in zip(keys, values, strict=True)}
    return value


DATA = {
    "a": [1, -2, 2**40, 2**300, 0.5, True, None],
    ("b", 1): {"text": "é\n", "long": "x" * 300, "bytes": 1},
    "shared": [[]] * 3,
    "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
    "many": list(range(2000)),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data(protocol):
    outline = read_outline(io.BytesIO(pickle.dumps(DATA, protocol)))
    assert plain(outline.result) == DATA
    assert outline.names == []


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_names_and_calls(protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps(
        [Calls(), Old(), Point(1, 2), OrderedDict(a=1), {3}, frozenset({4}), b"ab"], protocol
    )
    outline = read_outline(io.BytesIO(content))
    made = outline.result
    assert isinstance(made[0], Call)
    assert (made[0].of, plain(made[0].arguments)) == ("posix.mkdir", ("executed",))
    assert made[1].state.get("value") == [1, 2]
    assert any(name.endswith(".Old") for name in outline.names)
    assert any(name.endswith(".Point") for name in outline.names)
    assert "collections.OrderedDict" in outline.names
    assert list(tmp_path.iterdir()) == []
    assert pickle.loads(content)[2] == Point(1, 2)  # the pickle is a sound one, and does run what it names
    assert [path.name for path in tmp_path.iterdir()] == ["executed"]


def test_one_pickle_after_another():
    file = io.BytesIO(pickle.dumps(1, 2) + pickle.dumps("b", 2) + b"rest")
    assert [read_outline(file).result, read_outline(file).result, file.read()] == [1, "b", b"rest"]


def test_sizes_count_what_is_shared_each_time():
    value = ()
    for _ in range(50):
        value = (value, value)
    outline = read_outline(io.BytesIO(pickle.dumps(value, 2)))
    assert outline.size == 10**12  # where counting ends
    assert outline.depth == 51


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x02", b"\x80\x02]", b"R.", b"\x80\x02q\x01.", b"\xff", b"(]t", b"h\x00."]
)
def test_what_is_no_pickle(content):
    with pytest.raises(ValueError, match="."):
        read_outline(io.BytesIO(content))


def with_attributes():
    tensor = torch.ones(3)
    tensor.note = "mine"
    return tensor


#: What checkpoints hold beside plain tensors, each in a way of its own.
HARMLESS = {
    "bytes": b"ab\xff",
    "bytearray": bytearray(b"ab\xff"),
    "no bytes": bytearray(),
    "a set": {1, (2, 3)},
    "attributes": with_attributes(),
    "a parameter": nn.Parameter(torch.ones(2)),
    "a sparse tensor": torch.eye(3).to_sparse(),
    "a shape": torch.Size([1, 2]),
    "a device": torch.device("cpu"),
    "random numbers": torch.get_rng_state(),
    "an optimizer": torch.optim.Adam([torch.ones(2, requires_grad=True)]).state_dict(),
}


@pytest.mark.parametrize("kind", HARMLESS)
@pytest.mark.parametrize("zipped", [True, False])
def test_what_checkpoints_hold_is_no_hazard(kind, zipped, tmp_path):
    content = {"state_dict": {"w": torch.ones(2)}, "beside": HARMLESS[kind]}
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    assert list(read_checkpoint(tmp_path / "w.pth").state) == ["w"]


@pytest.mark.parametrize("zipped", [True, False])
def test_a_module_is_told_from_its_state(zipped, tmp_path):
    network = nn.Sequential(nn.Conv2d(3, 2, 1))
    contents = {
        "torch.nn.modules.container.Sequential": network,
        "torch.nn.modules.conv.Conv2d": {"epoch": 1, "model": network[0], "optimizer": None},
        "": {"model": network.state_dict(), "criterion": nn.CrossEntropyLoss()},
    }
    for name, content in contents.items():
        torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
        assert scan_file(tmp_path / "w.pth").module_class == name
