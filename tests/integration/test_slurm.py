"""A study on a real SLURM: arrays, requeues, signals, dependencies; a rerun sends what is missing."""

import json
import os
import shutil

import h5py
import numpy as np
import pytest
from slurm_cluster import ask, cluster, wait_until, why_not
from small_study import slow_network, write_plan

from erfscope.store.read import read_progress

IMAGES, SHARDS = 12, 3
NAME = "slow_synthetic-leaves_33"


@pytest.fixture(scope="module")
def slurm():
    reason = why_not()
    if reason:
        if os.environ.get("CI") and shutil.which("apt-get") and os.geteuid() == 0:
            pytest.fail(f"continuous integration installs SLURM, see .ci/run: {reason}")
        pytest.skip(reason)
    with cluster():
        yield


def queue():
    """What is in the queue: state and reason by number."""
    lines = ask("squeue", "--noheader", "--array", "--format=%i %T %r").splitlines()
    return dict(line.split(" ", 1) for line in lines)


def has_begun(part):
    """Whether a shard has some of its images, but not all."""
    found = read_progress(part)
    return found is not None and found.done > 0


@pytest.mark.representative
def test_a_study_survives_requeues_signals_and_cancelled_shards(here, run, slurm, monkeypatch):
    home = here / "it's 100% $HOME #1"  # nothing in a path may matter to SLURM or bash
    monkeypatch.syspath_prepend(str(home))
    plan = write_plan(
        home,
        shards=SHARDS,
        networks=[slow_network(home, seconds=0.7)],
        datasets=[{"data": "synthetic-leaves", "images": IMAGES}],
        compute={"engine": "dense", "snapshot_every": 0, "replicates": 2},
        slurm={"time": "10", "signal_seconds": 60},
    )
    folder = home / "study" / NAME
    parts = [folder / f"erf.shard-{index}-of-{SHARDS}.h5" for index in range(SHARDS)]

    sent = run("batch", plan, "--submit", "slurm", "--json")
    assert sent.code == 0, sent.err
    first, *_ = (each["number"] for each in sent.json["submitted"])
    assert run("batch", plan, "--submit", "slurm", "--json").json["submitted"] == []

    wait_until(lambda: has_begun(parts[0]), "shard 0")
    ask("scancel", f"{first}_0")
    wait_until(lambda: has_begun(parts[1]), "shard 1")
    ask("scontrol", "requeue", f"{first}_1")
    wait_until(lambda: has_begun(parts[2]), "shard 2")
    # What SLURM sends by itself before the time limit.
    ask("scancel", "--batch", "--signal=USR1", f"{first}_2")
    wait_until(lambda: queue() == {}, "the end of the first round", 240)

    for index in (1, 2):
        log = (folder / f"compute-{index}.log").read_text()
        assert "ended with 75" in log
        assert log.count(f"starts as job {first}_{index}") == 2
        assert log.rstrip().endswith("ended with 0")
    assert "starts" not in "".join(path.read_text() for path in folder.glob("me*.log"))
    told = run("batch", "status", plan, "--json")
    (row,) = told.json["jobs"]
    assert row["state"] == "missing"
    assert row["reason"].startswith("compute-0: CANCELLED")
    assert 0 < row["done"] < row["total"] == IMAGES

    again = run("batch", plan, "--submit", "slurm", "--json").json["submitted"]
    assert [each["name"] for each in again] == [NAME, f"{NAME}.merge", f"{NAME}.measure"]
    assert "#SBATCH --array=0\n" in (folder / "compute.sbatch").read_text()
    wait_until(lambda: queue() == {}, "the end of the second round", 240)

    (row,) = run("batch", "status", plan, "--json", "--csv", "table.csv").json["jobs"]
    assert (row["state"], row["done"], row["total"], row["reason"]) == ("done", IMAGES, IMAGES, "")
    assert json.loads((folder / "pattern.json").read_text())["results"][0]["pattern"] == row["pattern"]
    assert NAME in (here / "table.csv").read_text()
    assert run("batch", plan, "--submit", "slurm", "--json").json["submitted"] == []

    options = [
        "--data",
        "synthetic-leaves",
        "--images",
        IMAGES,
        "--size",
        33,
        "--engine",
        "dense",
        "--replicates",
        2,
    ]
    assert (
        run("compute", "--model", "slow:network", "-O", "seconds=0", *options, "--out", "plain.h5").code == 0
    )
    with h5py.File(here / "plain.h5") as plain, h5py.File(folder / "erf.h5") as merged:
        for name in ("erf", "gradient_sum", "gradient_square_sum", "replicates"):
            # Sums of the same images in another order: float64 rounds by 1e-16 a step, float32 by 6e-8.
            rtol = 1e-6 if name == "replicates" else 1e-12
            np.testing.assert_allclose(
                merged[name], plain[name], rtol=rtol, atol=rtol * np.abs(plain[name]).max()
            )
