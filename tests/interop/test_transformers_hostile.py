"""Folders made to harm: none runs code, fetches anything, takes long, or shows more than one line."""

import time

import pytest
import torch
from hostile_transformers import FOLDERS, a_class_less, more_than_the_network_has, only_a_backbone
from transformers_networks import make_config, make_network

import erfscope
from erfscope.cli.main import main
from erfscope.errors import CheckpointError

SECONDS = 10


@pytest.fixture(scope="module")
def base(torchvision, tmp_path_factory):
    """A sound network, after which every import is done."""
    folder = tmp_path_factory.mktemp("sound") / "segformer"
    make_network(make_config("segformer")).save_pretrained(folder)
    erfscope.load_model(str(folder))
    return folder


@pytest.fixture
def folder(base, tmp_path, monkeypatch, offline):
    """A copy to spoil, in a place where a marker shows whether code ran, with no way out."""
    copy = tmp_path / "net"
    copy.mkdir()
    for path in base.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return copy


@pytest.mark.parametrize("name", FOLDERS)
def test_one_line_and_nothing_runs(name, folder):
    spoil, message = FOLDERS[name]
    spoil(folder)
    start = time.monotonic()
    with pytest.raises(CheckpointError, match=message) as error:
        erfscope.load_model(f"hf:{folder}")
    assert time.monotonic() - start < SECONDS
    assert str(folder) in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 600
    assert not (folder.parent / "ran").exists()


@pytest.mark.representative
@pytest.mark.parametrize("name", ["code of its own", "os.system", "a header of 100 GB", "a wide network"])
def test_on_the_command_line(name, folder, capfd):
    FOLDERS[name][0](folder)
    capfd.readouterr()
    with pytest.raises(SystemExit) as exited:
        main(["predict", "--model", f"hf:{folder}", "--size", "64"])
    shown = capfd.readouterr()
    assert (exited.value.code, shown.out) == (2, "")
    assert str(folder) in shown.err
    assert len(shown.err.splitlines()) == 1
    assert not (folder.parent / "ran").exists()


@pytest.mark.parametrize("spoil", [a_class_less, only_a_backbone, more_than_the_network_has])
def test_what_allow_partial_admits(spoil, folder):
    spoil(folder)
    first, again = (erfscope.load_model(str(folder), allow_partial=True, seed=3) for _ in range(2))
    report = first.info.weights
    assert report.missing or report.unexpected == ("spare",)
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_no_such_folder(tmp_path, torchvision):
    for spec in (f"hf:{tmp_path}/nothing", "hf:./a/b", "hf:nothing"):
        with pytest.raises(CheckpointError, match="does not exist; expected a folder of save_pretrained"):
            erfscope.load_model(spec)
