"""`erfscope train`: documents, exit codes, signals, kills at any time, and two processes."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from small_training import AUGMENT, recipe_file

ERFSCOPE = [sys.executable, "-m", "erfscope"]
TORCHRUN = [
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--nproc-per-node",
    "2",
    "-m",
    "erfscope",
]
SMALL = {"data": {"images": 6, "val_images": 2}}


@pytest.fixture(autouse=True)
def one_core(monkeypatch):
    monkeypatch.setattr("erfscope.system.threads.available_cores", lambda: 1)


def on_one_core():
    """Small layers on two threads mostly wait for each other where the cores are shared."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def finish(*arguments, program=ERFSCOPE, preexec=on_one_core):
    done = subprocess.run(
        [*program, "train", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=preexec,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def weights(folder):
    return torch.load(folder / "last.pt", weights_only=True)["model"]


def test_a_run(run, here):
    file = recipe_file(here / "mine.toml", **SMALL, validation={"every": 4})
    result = run("train", file, "--iterations", 4, "--lr", 0.02, "--seed", 3, "--json")
    assert result.code == 0
    document = result.json
    assert document["out"] == "runs/mine"
    assert document["iterations"] == 4
    told = document["recipe"]
    assert (told["optimizer"]["lr"], told["run"]["seed"]) == (0.02, 3)
    assert document["best"]["checkpoint"] == "runs/mine/best.safetensors"
    assert {"seconds", "images_per_second", "loss", "miou", "last", "flags"} <= document.keys()
    lines = result.err.splitlines()
    assert "training: 4/4 iterations, loss" in result.err
    assert any(line.startswith("training: 4/4 iterations, mIoU") for line in lines)
    assert any(line.startswith("warning: the backbone starts from random weights") for line in lines)
    assert "2 images a step (2 images), 4 steps; 6 images of synthetic-leaves" in result.err
    scores = run(
        "evaluate",
        "--model",
        document["best"]["checkpoint"],
        "--data",
        "synthetic-leaves",
        "--images",
        2,
        "--json",
    )
    assert scores.json["miou"] == pytest.approx(document["miou"], abs=1e-9)


def test_the_table_and_quiet(run, here):
    file = recipe_file(here / "mine.toml", **SMALL)
    result = run("train", file, "--iterations", 1, "--out", "a")
    assert "last        a/last.safetensors" in result.out
    assert "Next: erfscope evaluate --model a/last.safetensors --data synthetic-leaves" in result.err
    quiet = run("train", file, "--iterations", 1, "--out", "b", "-q")
    assert quiet.out == ""
    assert all(line.startswith("warning:") for line in quiet.err.splitlines())


@pytest.mark.representative
def test_flags_reach_the_recipe(run, here):
    file = recipe_file(here / "mine.toml", **SMALL)
    result = run(
        "train", file, "--model", "deeplabv3", "--backbone", "resnet18", "--output-stride", 16,
        "--base-rate", 2, "--option", "separable=true", "--data", "synthetic-streets",
        "--data-option", "flipped=true", "--size", "33x65", "--images", 2, "--iterations", 1,
        "--batch-size", 2, "--precision", "bfloat16", "--workers", 0,
        "--set", "network.align_corners=true", "--set", "loss.dice=0.5", "--out", "r", "--json",
    )  # fmt: skip
    assert result.code == 0, result.err
    told = result.json["recipe"]
    assert told["network"]["rates"] == [2, 4, 6]
    assert told["network"]["output_stride"] == 16
    assert told["network"]["options"] == {"separable": True}
    assert told["network"]["align_corners"] is True
    assert (told["data"]["name"], told["data"]["size"], told["data"]["images"]) == (
        "synthetic-streets",
        [33, 65],
        2,
    )
    assert told["data"]["options"] == {"flipped": True}
    assert told["loss"]["dice"] == 0.5
    assert (told["run"]["precision"], told["run"]["workers"]) == ("bfloat16", 0)


def test_the_list(run):
    rows = run("train", "--list", "--json").json["recipes"]
    names = [row["name"] for row in rows]
    assert {"stare-128", "hrf-256", "cityscapes-769-r50", "synthetic-streets"} <= set(names)
    table = run("train", "--list").out
    assert all(name in table for name in names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no recipe is named; 'erfscope train --list' lists them"),
        (["stare-129"], "no recipe is called 'stare-129'; did you mean stare-128?"),
        (["mine.toml", "--rates", "6,12", "--base-rate", "6"], "say the same"),
        (["mine.toml", "--resume", "--overwrite"], "give one of them"),
        (["mine.toml", "--set", "lr=3"], "expected section.field=value"),
        (["mine.toml", "--set", "optimizer.lr=-1"], "lr = -1; expected a number > 0"),
        (["mine.toml", "--rates", "6,x"], "is no list of whole numbers"),
        (["mine.toml", "--iterations", "0"], "not in the range"),
        (["mine.toml", "--backbone", "resnet19"], "no backbone is called 'resnet19'"),
        (["mine.toml", "--pretrained", "none.pth"], "none.pth"),
        (["mine.toml", "--device", "cuda:9"], "CUDA"),
        (["mine.toml", "--data", "cityscapes", "--root", "nowhere"], "nowhere doesn't exist"),
    ],
)
def test_bad_input(run, here, arguments, message):
    recipe_file(here / "mine.toml", **SMALL)
    result = run("train", *arguments)
    assert result.code == 2
    assert message in result.err
    assert len(result.err.splitlines()) == 1
    assert not (here / "runs").exists()  # so that a corrected command isn't refused


def test_a_run_goes_on_by_its_own_recipe(run, here, monkeypatch):
    from erfscope.train.trainer import Trainer

    original = Trainer.step

    def signalled(self, batches):
        if self.state.iteration == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, batches)

    file = recipe_file(here / "mine.toml", **SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", signalled)
        first = run("train", file, "--lr", 0.01, "--out", "r", "--json")
    assert first.code == 75
    assert (first.json["iterations"], first.json["interrupted"]) == (3, True)
    assert "interrupted; the same command with --resume goes on from 3" in first.err
    second = run("train", "--out", "r", "--resume", "--json")
    assert second.code == 0
    assert (second.json["iterations"], second.json["recipe"]["optimizer"]["lr"]) == (8, 0.01)


LONG = {
    **SMALL,
    "augment": AUGMENT,
    "network": {"dropout": 0.2},
    "schedule": {"iterations": 30},
    "run": {"ema": 0.9, "save_every": 3, "log_every": 5},
    "validation": {"every": 20},
}


@pytest.mark.slow
def test_kills_at_random_times_change_no_bit(run, here):
    file = recipe_file(here / "mine.toml", **LONG)
    assert run("train", file, "--out", here / "whole").code == 0
    chance, killed, last = random.Random(0), 0, here / "killed" / "last.pt"
    while killed < 2:
        before = last.stat().st_mtime_ns if last.exists() else 0
        process = subprocess.Popen(
            [*ERFSCOPE, "train", str(file), "--out", str(here / "killed"), "--resume"],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            preexec_fn=on_one_core,
        )
        # From the first checkpoint on, which is a moment in a run of a few seconds.
        while process.poll() is None and not (last.exists() and last.stat().st_mtime_ns > before):
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 0.6))
        process.kill()
        assert process.wait() in (-signal.SIGKILL, 0)
        killed += 1
        assert torch.load(last, weights_only=True)["progress"]["iteration"] > 0  # always a complete file
    assert finish(file, "--out", here / "killed", "--resume").returncode == 0
    whole, resumed = (torch.load(here / name / "last.pt", weights_only=True) for name in ("whole", "killed"))
    for part in ("model", "model_ema"):
        assert whole[part].keys() == resumed[part].keys()
        assert all(torch.equal(tensor, resumed[part][name]) for name, tensor in whole[part].items())
    assert whole["progress"]["best_miou"] == resumed["progress"]["best_miou"]
    logs = [
        [json.loads(line)["iteration"] for line in (here / name / "log.jsonl").read_text().splitlines()]
        for name in ("whole", "killed")
    ]
    assert logs[1] == sorted(logs[1])
    assert logs[1][-1] == logs[0][-1] == 30


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_signals_end_with_75(here, name):
    file = recipe_file(here / "mine.toml", **{**LONG, "schedule": {"iterations": 10_000}})
    process = subprocess.Popen(
        [*ERFSCOPE, "train", str(file), "--out", str(here / "r"), "--workers", "1"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    while process.poll() is None and not (here / "r" / "last.pt").exists():
        time.sleep(0.05)
    process.send_signal(getattr(signal, name))
    _, told = process.communicate(timeout=60)
    assert process.returncode == 75, told
    assert "Traceback" not in told
    iteration = torch.load(here / "r" / "last.pt", weights_only=True)["progress"]["iteration"]
    assert f"--resume goes on from {iteration}" in told


@pytest.mark.slow
@pytest.mark.parametrize("norms", ["trained", "frozen"])
def test_two_processes_equal_one_with_the_double_batch(run, here, norms):
    """Six iterations in float64 without augmentation; batch norm spans both, or is frozen."""
    plan = {
        "data": {"images": 10, "val_images": 3},
        "network": {"dropout": 0.0, "batch_norm": norms, "auxiliary_weight": 0.4, "auxiliary_map": 1},
        "schedule": {"iterations": 6},
        "run": {"precision": "float64", "save_every": 3},
        "validation": {"every": 6},
    }
    file = recipe_file(here / "mine.toml", **plan)
    two = finish(file, "--out", here / "two", "--batch-size", 2, "--json", program=TORCHRUN)
    one = run("train", file, "--out", here / "one", "--batch-size", 4, "--json")
    assert (two.returncode, one.code) == (0, 0), two.stderr
    assert "4 images a step (2 images × 2 processes)" in two.stderr
    assert ("by plain operations: torch's SyncBatchNorm needs CUDA" in two.stderr) is (norms == "trained")
    together, alone = json.loads(two.stdout), one.json  # one document, of the first process
    assert together["loss"] == pytest.approx(alone["loss"], rel=1e-8)
    assert together["miou"] == pytest.approx(alone["miou"], abs=1e-9)
    ours, theirs = weights(here / "two"), weights(here / "one")
    moved = weights_at_the_start(here, file)
    for name, tensor in theirs.items():
        assert (ours[name] - tensor).abs().max() <= 1e-5, name
    assert max(float((theirs[name] - tensor).abs().max()) for name, tensor in moved.items()) > 1e-2


def weights_at_the_start(here, file):
    """The same seed's network, before the first step."""
    from erfscope.train.recipes.load_recipe import load_recipe
    from erfscope.train.training_setup import open_setup

    return open_setup(load_recipe(file)).network.state_dict()


@pytest.mark.slow
def test_memory_that_really_ends(here):
    """In an address space of 3 GB: what is offered instead was tried."""
    resource = pytest.importorskip("resource")

    def limited():
        on_one_core()
        resource.setrlimit(resource.RLIMIT_AS, (3_000_000_000, 3_000_000_000))

    file = recipe_file(here / "mine.toml", data={"size": 129, "images": 6, "cache_mb": 8})
    done = finish(file, "--out", here / "r", "--batch-size", 128, preexec=limited)
    assert done.returncode == 2
    told = done.stderr.splitlines()[-1]
    assert "a batch of 128 crops of 129×129 px needs more memory than there is; --batch-size" in told
    assert "--size" in told
