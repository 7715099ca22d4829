"""The command line, run in this process, in an empty folder, with small datasets at hand."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image
from small_layouts import BUILDERS

from erfscope.cli.main import main


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in; `$ERFSCOPE_DATA` holds a small example of every layout."""
    data = tmp_path / "data"
    for name, build in BUILDERS.items():
        build(data / name)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ERFSCOPE_DATA", str(data))
    return folder


@pytest.fixture
def run(here, capsys):
    """Run `erfscope ARGS`; stdout, stderr and exit code come back."""

    def call(*args):
        capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main([str(arg) for arg in args])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Result(exited.value.code, captured.out, captured.err)

    return call


@pytest.fixture
def photos(here):
    """A folder of ten small photographs in two subfolders."""
    rng = np.random.default_rng(0)
    for i in range(10):
        path = here / "photos" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (60, 70, 3), dtype=np.uint8)).save(path)
    return here / "photos"
