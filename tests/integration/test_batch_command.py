"""`erfscope batch` on this machine: jobs that fail, a signal, and what isn't done again."""

import json
import os
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
from slurm_cluster import wait_until
from small_study import NAME, slow_network, write_plan

from erfscope.store.read import read_progress

NETWORKS = [
    {"model": "fcn", "backbone": "resnet18", "num_classes": 3},
    {"model": "deeplabv3", "backbone": "resnet18", "num_classes": 3, "rates": [[1, 2, 3]]},
]
ASPP = "deeplabv3-resnet18_{}_33_r1-2-3"


def states(document):
    return {job["name"]: job["state"] for job in document["jobs"]}


@pytest.mark.slow
def test_a_failed_job_stops_no_other_and_a_rerun_does_what_is_missing(run, here, photos):
    datasets = [
        {"data": "synthetic-leaves", "images": 4},
        {"data": "folder", "root": "later", "fit": "resize"},
    ]
    plan = write_plan(here, networks=NETWORKS[:1], datasets=datasets, measure=["pattern"])
    ran = run("batch", plan, "--jobs", 2, "--json")
    assert ran.code == 2
    bad = NAME.replace("synthetic-leaves", "folder")
    assert states(ran.json) == {NAME: "done", bad: "failed"}
    failed = ran.json["failed"]
    assert set(failed) == {f"{bad}/compute-0"}
    for task, reason in failed.items():
        assert str(here / "later") in reason
        assert f"warning: {task}: {reason} (" in ran.err

    told = run("batch", "status", plan)
    assert all(f"compute-0: {reason}" in told.out for reason in failed.values())
    assert "2 jobs in" in told.out
    kept = here / "study" / NAME / "erf.h5"
    before = kept.stat().st_mtime_ns
    photos.rename(here / "later")
    ran = run("batch", plan, "--json", "-q")
    assert (ran.code, ran.err) == (0, "")
    assert [job["done"] for job in ran.json["jobs"]] == [4, 10]
    assert kept.stat().st_mtime_ns == before
    assert json.loads((kept.parent / "pattern.json").read_text())["results"]

    # A third time there is nothing to do.
    study = here / "study"
    files = modified(study)
    ran = run("batch", plan)
    assert (ran.code, ran.out, ran.err) == (0, f"2 jobs in {study}: 2 done\n", "")
    assert modified(study) == files


def modified(study):
    """When each file of a study was last written, but for its record."""
    return {path: path.stat().st_mtime_ns for path in study.rglob("*.*") if path.name != "study.json"}


@pytest.mark.slow
def test_a_signal_ends_it_with_75_and_the_same_command_goes_on(run, here, monkeypatch):
    monkeypatch.syspath_prepend(str(here))
    plan = write_plan(
        here,
        shards=2,
        networks=[slow_network(here, seconds=0.5)],
        datasets=[{"data": "synthetic-leaves", "images": 12}],
        compute={"engine": "dense", "snapshot_every": 0, "replicates": 2},
        measure=["pattern"],
    )
    folder = here / "study" / "slow_synthetic-leaves_33"
    parts = [folder / f"erf.shard-{index}-of-2.h5" for index in range(2)]
    command = [sys.executable, "-m", "erfscope", "batch", str(plan), "--jobs", "2", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        for part in parts:
            wait_until(lambda part=part: (found := read_progress(part)) and found.done > 0, f"{part}")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 75
    document = json.loads(out)
    assert document["interrupted"]
    assert document["failed"] == {}
    (row,) = document["jobs"]
    assert (row["state"], row["reason"]) == ("missing", "compute-0: interrupted")
    assert 0 < row["done"] < row["total"] == 12
    ran = run("batch", plan, "--jobs", 2, "--json")
    assert (ran.code, set(states(ran.json).values())) == (0, {"done"})

    options = ["--data", "synthetic-leaves", "--images", 12, "--size", 33, "--engine", "dense"]
    assert (
        run("compute", "--model", "slow:network", "-O", "seconds=0", *options, "--out", "plain.h5").code == 0
    )
    with h5py.File("plain.h5") as plain, h5py.File(folder / "erf.h5") as resumed:
        # Float64 sums of the same twelve images in another order: each step rounds by 1e-16.
        np.testing.assert_allclose(resumed["erf"], plain["erf"], rtol=1e-12)


def test_a_dry_run_lists_all_and_writes_nothing(run, here):
    plan = write_plan(here, networks=NETWORKS, shards=2)
    told = run("batch", plan, "--dry-run", "--json")
    assert told.code == 0
    assert [job["name"] for job in told.json["jobs"]] == [NAME, ASPP.format("synthetic-leaves")]
    tasks = told.json["jobs"][0]["tasks"]
    assert [task["name"].rpartition("/")[2] for task in tasks] == [
        *("compute-0", "compute-1", "merge", "star-distance", "pattern")
    ]
    folder = here / "study" / NAME
    assert tasks[0]["command"].endswith(f"--size 33 --shard 0/2 --out {folder}/erf.shard-0-of-2.h5 --resume")
    assert tasks[-1]["command"] == f"erfscope pattern {folder}/erf.h5 --json > {folder}/pattern.json"
    assert tasks[0]["command"] in run("batch", plan, "--dry-run").out
    slurm = run("batch", plan, "--dry-run", "--submit", "slurm", "--json").json["submissions"]
    assert [each["name"] for each in slurm] == [
        f"{job['name']}{stage}" for job in told.json["jobs"] for stage in ("", ".merge", ".measure")
    ]
    assert slurm[0]["text"].startswith("#!/bin/bash\n#SBATCH --job-name=")
    assert "#!/bin/bash" in run("batch", plan, "--dry-run", "--submit", "slurm", "-v").out
    assert not (here / "study").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["plan.toml", "--jobs", "0"], "--jobs"),
        (
            ["plan.toml", "--jobs", "2", "--submit", "slurm"],
            "--jobs runs them on this machine",
        ),
        (["plan.toml", "--submit", "pbs"], "--submit"),
        (["gone.toml"], "gone.toml: No such file or directory; expected a plan in TOML"),
        (["status", "gone.toml"], "expected a plan in TOML"),
        (["status"], "Missing argument 'PLAN' (see 'erfscope batch status --help')"),
        ([], "Missing argument 'PLAN' (see 'erfscope batch --help')"),
        (["plan.toml"], "fcn takes no rates"),
    ],
)
def test_what_cant_be_is_told_in_one_line(run, here, args, said):
    write_plan(here, rates=[[1, 2, 3]])
    ran = run("batch", *args)
    assert ran.code == 2
    assert said in ran.err
    assert ran.err.startswith("erfscope: ")
    assert ran.err.count("\n") == 1
    assert not (here / "study").exists()


def test_slurm_is_missed_in_one_line(run, here, monkeypatch):
    monkeypatch.setenv("PATH", os.fspath(here))
    ran = run("batch", write_plan(here), "--submit", "slurm")
    assert (ran.code, ran.err) == (
        2,
        "erfscope: no sbatch is here; go to a machine of the cluster, or leave SLURM out\n",
    )


def test_both_commands_have_help(run):
    for words in (["batch"], ["batch", "status"]):
        told = run(*words, "--help")
        assert told.code == 0
        assert f"Usage: erfscope {' '.join(words)} [OPTIONS] PLAN" in told.out
