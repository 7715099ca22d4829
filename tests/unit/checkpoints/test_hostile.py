"""Files that are hostile, broken, or no checkpoints: one line each, and nothing runs, waits or grows."""

import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import hostile_bytes
import hostile_pickles
import hostile_programs
import pytest
import torch
from small_networks import SmallNet

import erfscope
from erfscope.checkpoints.fitting.matching import nearest_entry
from erfscope.cli.main import main
from erfscope.errors import CheckpointError

SECONDS = 10  # of the processor: on a busy machine the clock says nothing
HANGS = 60
GIGABYTES = 2
# A small network of the tests' own, so that a file of weights is all that is read.
AS_WEIGHTS = ("predict", "--model", "small_networks:SmallNet", "--size", "33", "--checkpoint")
AS_MODEL = ("inspect",)
REMEDIES = "give|get|copy|save|expected|mend|write|run|make|repeat|unpack|chmod|--trust|--allow-partial"
REFUSED = hostile_pickles.REFUSED | hostile_bytes.REFUSED
BOMBS = hostile_pickles.BOMBS | hostile_bytes.BOMBS


@pytest.fixture(scope="module", autouse=True)
def _catalog():
    """Name the catalog's tensors once: that takes seconds of its own, which no hostile file has cost."""
    nearest_entry({"weight": torch.zeros(1)})


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def peak_gigabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # of kB


def run(args, capsys):
    """Run `erfscope ARGS`, which must be refused in one line, soon, and without much memory."""
    capsys.readouterr()
    begun, worked, before = time.monotonic(), time.process_time(), peak_gigabytes()
    with pytest.raises(SystemExit) as exited:
        main([str(arg) for arg in args])
    assert time.process_time() - worked < SECONDS
    assert time.monotonic() - begun < HANGS
    assert peak_gigabytes() - before < GIGABYTES
    captured = capsys.readouterr()
    assert exited.value.code == 2, captured.err
    assert captured.out == ""
    return captured.err


def check_line(err, path, told, folder):
    assert len(err.splitlines()) == 1, err
    assert err.startswith("erfscope: ")
    assert path.name in err
    assert re.search(told, err), err
    assert re.search(f"[;,:(] .*({REMEDIES})", err), f"no remedy: {err}"
    assert not any(
        each.name == "executed" for each in (*folder.parent.rglob("*"), *Path("/tmp").glob("executed"))
    )


@pytest.mark.parametrize("command", [AS_MODEL, AS_WEIGHTS], ids=["model", "checkpoint"])
@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_one_line(name, command, here, capsys):
    make, told = REFUSED[name]
    path = make(here)
    if name == "wrong shapes" and command is AS_MODEL:
        told = "doesn't say what network it is"
    check_line(run([*command, path], capsys), path, told, here)


@pytest.mark.parametrize("name", hostile_programs.REFUSED)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of TorchScript
def test_programs_are_refused_in_one_line(name, here, capsys):
    make, told = hostile_programs.REFUSED[name]
    path = make(here)
    check_line(run([*AS_MODEL, path], capsys), path, told, here)


@pytest.mark.parametrize("name", hostile_programs.CONFIGS)
def test_descriptions_are_refused_in_one_line(name, here, capsys):
    make, told = hostile_programs.CONFIGS[name]
    path = make(here)
    err = run([*AS_MODEL, path, "--config", here / "w.json"], capsys)
    check_line(err, here / "w.json", told, here)


def test_a_whole_module_is_named_and_not_read(here, capsys):
    path = hostile_pickles.whole_module(here)
    told = (
        r"is a whole pickled module \(torch.nn.modules.linear.Linear\), and reading it may run code; --trust"
    )
    check_line(run([*AS_MODEL, path], capsys), path, told, here)
    check_line(run([*AS_WEIGHTS, path], capsys), path, "is refused: loading it would need", here)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file(here, capsys):
    path = hostile_bytes.unreadable(here)
    check_line(run([*AS_MODEL, path], capsys), path, "permission denied", here)


# Runs each command in a process of its own, where it may take what it likes, up to a limit.
RUNNER = """
import contextlib, io, json, resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (24 << 30, 24 << 30))
from erfscope.checkpoints.fitting.matching import nearest_entry
from erfscope.cli.main import main
import erfscope.checkpoints.load, small_networks
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
for args in json.load(sys.stdin):
    err, before, begun = io.StringIO(), peak(), time.process_time()
    with contextlib.redirect_stderr(err):
        try: main(args)
        except SystemExit as exited: code = exited.code
    print(json.dumps([code, err.getvalue(), peak() - before, time.process_time() - begun]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("command", [AS_MODEL, AS_WEIGHTS], ids=["model", "checkpoint"])
def test_bombs_take_neither_memory_nor_time(command, tmp_path):
    folders = {name: tmp_path / str(number) / "here" for number, name in enumerate(BOMBS)}
    paths = {}
    for name, folder in folders.items():
        folder.mkdir(parents=True)
        before = Path.cwd()
        os.chdir(folder)
        paths[name] = BOMBS[name][0](folder)
        os.chdir(before)
    runs = json.dumps([[*command, str(path)] for path in paths.values()])
    tests = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tests), *sys.path])}
    result = subprocess.run(
        [sys.executable, "-c", RUNNER], input=runs, env=environment, capture_output=True, text=True,
        timeout=HANGS * len(runs), check=False,
    )  # fmt: skip
    lines = result.stdout.splitlines()
    assert len(lines) == len(BOMBS), f"{list(BOMBS)[len(lines)]} ended the process: {result.stderr[-500:]}"
    for (name, (_, told)), line in zip(BOMBS.items(), lines, strict=True):
        code, err, gigabytes, seconds = json.loads(line)
        assert code == 2, (name, err)
        check_line(err, paths[name], told, folders[name])
        assert gigabytes < GIGABYTES, name
        assert seconds < SECONDS, name


def load_or_refuse(path):
    """Return the weights report; None where the file is refused in one line."""
    problem = ""
    try:
        return erfscope.load_model("small_networks:SmallNet", checkpoint=path).info.weights.summary()
    except CheckpointError as error:
        problem = str(error)
    assert str(path) in problem
    assert "\n" not in problem
    return None


@pytest.mark.parametrize("kind", ["zip", "former", "safetensors"])
def test_flipped_bytes_are_refused_or_load(kind, here):
    path = hostile_bytes.whole(kind)(here)
    sound, loaded = path.read_bytes(), 0
    for place in range(0, len(sound), max(1, len(sound) // 60)):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 0xFF]) + sound[place + 1 :])
        summary = load_or_refuse(path)
        if summary is None:
            continue
        loaded += 1
        assert summary["matched"] == 10
        assert summary["not_finite_values"] in (0, 1)
        json.dumps(summary, allow_nan=False)
    assert loaded > 0  # bytes of values may be any


def test_weights_that_are_not_finite_are_announced(here, capsys):
    state = hostile_bytes.seeded(SmallNet()).state_dict()
    state["body.weight"][0, 0] = float("nan")
    state["classify.bias"][0] = float("inf")
    torch.save(state, here / "w.pth")
    images = ("--data", "synthetic-leaves", "--images", "1", "--size", "33")
    with pytest.raises(SystemExit) as exited:
        main(["compute", "--model", "small_networks:SmallNet", "--checkpoint", "w.pth", *images])
    err = capsys.readouterr().err
    assert "warning: 10 values in 2 tensors of w.pth are NaN or infinite" in err
    # No map comes of such weights: every image's output is NaN.
    assert exited.value.code == 2
    assert "its output is not finite" in err
