"""A run that is interrupted, killed, out of disk space or started twice loses nothing and doubles nothing."""

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tiers import representatives

import erfscope
from erfscope.engine import accumulation as engine_run
from erfscope.system.file_lock import locked

TOP = Path(__file__).parents[2]
HELPERS = TOP / "tests" / "helpers"
IMAGES = 9
COMMAND = (
    "compute", "--model", "small_networks:SmallNet", "--data", "synthetic-leaves", "--size", "33",
    "--images", IMAGES, "--device", "cpu",
)  # fmt: skip
ARRAYS = ("erf", "gradient_sum", "gradient_square_sum", "replicates")


@pytest.fixture
def plain(run):
    """The map of one uninterrupted run."""
    assert run(*COMMAND, "--out", "plain.h5").code == 0
    return erfscope.load_erf("plain.h5")


@pytest.fixture
def before_batch(monkeypatch):
    """Let something happen before batches of the next runs, by their number from 0."""
    original, count, events = engine_run._add_batch, [0], {}

    def add(*args):
        events.get(count[0], lambda: None)()
        count[0] += 1
        original(*args)

    monkeypatch.setattr(engine_run, "_add_batch", add)

    def plan(number, event):
        count[0] = 0
        events.clear()
        events[number] = event

    return plan


def assert_same(got, expected):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name))
    assert got.records == expected.records
    assert got.finished


@pytest.mark.parametrize("name", representatives(["SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2"], ["SIGTERM"]))
def test_a_signal_ends_after_the_batch_and_resume_goes_on_bit_for_bit(run, plain, before_batch, name):
    before_batch(3, lambda: os.kill(os.getpid(), getattr(signal, name)))
    stopped = run(*COMMAND, "--resume", "--json")
    assert stopped.code == 75
    assert (stopped.json["images"], stopped.json["interrupted"]) == (4, True)
    assert "unfinished: it holds 4 of 9 images" in stopped.err
    unfinished = erfscope.load_erf("erf.h5")
    assert (unfinished.images, unfinished.finished) == (4, False)
    assert run(*COMMAND, "--resume").code == 0
    assert_same(erfscope.load_erf("erf.h5"), plain)
    assert [each["images"] for each in erfscope.load_erf("erf.h5").provenance["sessions"]] == [4, 5]
    assert sorted(path.name for path in Path().iterdir()) == ["erf.h5", "plain.h5"]


def test_a_batch_is_not_split(run, before_batch):
    batches = (*COMMAND, "--batch-size", 4)
    assert run(*batches, "--out", "plain.h5").code == 0
    before_batch(1, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert run(*batches, "--resume").code == 75
    assert erfscope.load_erf("erf.h5").images == 8
    assert run(*batches, "--resume").code == 0
    assert_same(erfscope.load_erf("erf.h5"), erfscope.load_erf("plain.h5"))


def test_an_unfinished_map_is_told_wherever_it_is_used(run, before_batch):
    before_batch(6, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert run(*COMMAND).code == 75
    again = run(*COMMAND)
    assert again.code == 2
    assert "erf.h5 exists already and is unfinished (7 of 9 images); go on with --resume" in again.err
    for command in (["star-distance"], ["extent"], ["pattern"], ["fit-gaussian"], ["inspect"]):
        told = run(*command, "--json")
        assert told.code == 0, told.err
        assert "unfinished: it holds 7 of 9 images" in told.out, command


def test_resume_is_safe_to_pass_always(run, plain):
    assert run(*COMMAND, "--resume").code == 0
    content = Path("erf.h5").read_bytes()
    again = run(*COMMAND, "--resume", "--json")
    assert again.code == 0
    assert again.json["images"] == IMAGES
    assert "erf.h5 is finished already" in again.err
    assert Path("erf.h5").read_bytes() == content


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (["--formula", "luo2016"], "formula paper, not luo2016"),
        (["--seed", 1], "seed 0, not 1"),
        (["--images", 8], "images [0-9a-f]{12}…, not [0-9a-f]{12}…"),
        (["--size", 35], r"data.size \[33, 33\], not \[35, 35\]"),
        (["--target", 1], "target logits, not 1"),
        (["--shard", "0/2"], "shard 0/1, not 0/2"),
        (["--batch-size", 2], "batch_size auto, not 2"),
        (["--replicates", 0], "replicates 16, not 0"),
    ],
)
def test_other_options_are_refused_with_the_difference(run, plain, options, difference):
    refused = run(*COMMAND, "--out", "plain.h5", "--resume", *options)
    assert refused.code == 2
    assert re.search(rf"plain.h5 is of a run with .*{difference}", refused.err), refused.err
    assert refused.err.count("\n") == 1


def test_resume_of_what_is_no_run(run, plain):
    np.save("array.npy", plain.erf)
    assert run("import", "array.npy", "erf.h5").code == 0
    assert "holds no run to go on with" in run(*COMMAND, "--resume").err
    Path("erf.h5").write_bytes(Path("plain.h5").read_bytes()[:-1000])
    assert "is not a readable map" in run(*COMMAND, "--resume").err
    assert "give one of them" in run(*COMMAND, "--resume", "--overwrite").err
    assert run(*COMMAND, "--overwrite").code == 0
    assert_same(erfscope.load_erf("erf.h5"), plain)


def test_a_partial_merge_is_not_gone_on_with(run):
    for index in (0, 2):
        assert run(*COMMAND, "--shard", f"{index}/3", "--out", f"{index}.h5").code == 0
    assert run("merge", "0.h5", "2.h5", "--out", "erf.h5", "--partial").code == 0
    assert "was merged of some shards" in run(*COMMAND, "--resume").err
    assert run(*COMMAND, "--shard", "1/3", "--out", "1.h5").code == 0
    merged = run("merge", "1.h5", "erf.h5", "--out", "erf.h5", "--overwrite", "--json")
    assert (merged.code, merged.json["images"], merged.json["finished"]) == (0, IMAGES, True)
    assert run(*COMMAND, "--resume").code == 0  # of the same identity as one run's


UNTIL = (*COMMAND, "--images", 90, "--until", 0.16)


def test_until_stops_where_it_would_have_without_an_interruption(run, before_batch):
    told = run(*UNTIL, "--out", "plain.h5", "--json").json
    checks = told["convergence"]["checks"]
    assert [check["images"] for check in checks[:3]] == [32, 40, 50]
    assert all(check["map_error"] <= 0.16 for check in checks[-2:])
    assert told["images"] == checks[-1]["images"] < 90
    assert told["finished"]
    assert "stopped by --until" in told["flags"][0]
    plain = erfscope.load_erf("plain.h5")
    names = [record.name for record in plain.records]
    assert names != sorted(names)
    for stop in (31, 32, 36):
        before_batch(stop - 1, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert run(*UNTIL, "--overwrite").code == 75
        assert erfscope.load_erf("erf.h5").images == stop
        assert run(*UNTIL, "--resume").code == 0
        again = erfscope.load_erf("erf.h5")
        assert_same(again, plain)
        assert again.provenance["convergence"] == plain.provenance["convergence"]


def test_until_uses_all_images_where_they_do_not_suffice(run):
    told = run(*COMMAND, "--images", 45, "--until", 1e-6, "--json").json
    assert (told["images"], told["finished"], told["convergence"]["converged"]) == (45, True, False)
    assert "all images were used" in told["flags"][0]
    for options, message in (
        (["--until", 0], "a relative error such as 0.01"),
        (["--until", 0.1, "--shard", "0/2"], "no shard sees"),
        (["--until", 0.1, "--replicates", 4], "needs 8 image groups"),
    ):
        refused = run(*COMMAND, "--out", "other.h5", *options)
        assert refused.code == 2
        assert message in refused.err


def test_shard_auto(run, monkeypatch):
    alone = run(*COMMAND, "--shard", "auto")
    assert alone.code == 2
    assert "neither started this process" in alone.err
    for name, value in {"ID": 7, "COUNT": 3, "MIN": 5, "STEP": 1}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
    told = run(*COMMAND, "--shard", "auto", "--json").json
    assert (told["out"], told["shard"], told["images"]) == ("erf.shard-2-of-3.h5", "2/3", 3)
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    told = run(*COMMAND, "--shard", "auto", "--json").json
    assert (told["out"], told["shard"]) == ("erf.shard-5-of-6.h5", "5/6")


def test_a_second_process_is_refused(run, here):
    with locked(here / "erf.h5"):
        refused = run(*COMMAND, "--resume")
    assert refused.code == 2
    assert re.search(r"erf.h5 is being written by process \d+ on \S+; wait for it", refused.err)


def test_locks_of_hdf5_are_neither_taken_nor_heeded(run, plain):
    with open("plain.h5") as file:  # noqa: PTH123
        fcntl.flock(file, fcntl.LOCK_EX)
        assert run("inspect", "plain.h5").code == 0


def test_snapshots_come_by_time_and_by_number(run, before_batch):
    seen = []
    before_batch(5, lambda: seen.append(erfscope.load_erf("erf.h5").images))
    assert run(*COMMAND, "--snapshot-images", 2).code == 0
    before_batch(5, lambda: seen.append(erfscope.load_erf("erf.h5").images))
    assert run(*COMMAND, "--snapshot-every", 0, "--overwrite").code == 0
    before_batch(5, lambda: seen.append(Path("late.h5").exists()))
    assert run(*COMMAND, "--out", "late.h5").code == 0
    assert seen == [4, 5, False]


@contextlib.contextmanager
def small_disk(folder):
    """A file system of 1 MB; skips where it can't be mounted."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_keeps_the_last_snapshot(run, here, plain, before_batch):
    with small_disk(here / "disk") as disk:
        out, filler = disk / "erf.h5", disk / "filler"

        def fill():
            with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(4096))

        before_batch(5, fill)
        full = run(*COMMAND, "--out", out, "--snapshot-images", 1)
        assert full.code == 2
        assert re.search(r"\(No space left on device\); free space or .*erf.h5 keeps 5 images", full.err)
        assert erfscope.load_erf(out).images == 5
        assert sorted(path.name for path in disk.iterdir()) == ["erf.h5", "filler"]
        still = run(*COMMAND, "--out", out, "--resume")
        assert still.code == 2
        assert "No space left on device" in still.err
        filler.unlink()
        assert run(*COMMAND, "--out", out, "--resume").code == 0
        assert_same(erfscope.load_erf(out), plain)


LONG_STEP = """
import os, signal, sys, time
from erfscope.system import signals
from erfscope.engine import accumulation as run
from erfscope.cli.main import main

signals.GRACE_SECONDS = 0.5
add, count = run._add_batch, [0]

def slow(*args):
    count[0] += 1
    if count[0] == 4:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(600)  # as one long step of a network: Python resumes it after the handler
    add(*args)

run._add_batch = slow
main(sys.argv[1:])
"""


def python(*args):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HELPERS), *sys.path])}
    command = [sys.executable, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


@pytest.mark.slow
def test_a_step_that_takes_too_long_is_left(run, plain):
    left = python("-c", LONG_STEP, *COMMAND, "--resume")
    assert left.returncode == 75
    assert "SIGTERM; one step takes too long to wait for" in left.stderr
    assert erfscope.load_erf("erf.h5").images == 3
    assert sorted(path.name for path in Path().iterdir()) == ["erf.h5", "plain.h5"]
    assert run(*COMMAND, "--resume").code == 0
    assert_same(erfscope.load_erf("erf.h5"), plain)


def test_a_signal_within_the_imports():
    code = "import os, signal, sys; sys.modules['torch'] = None; from erfscope.cli import main as m; {}"
    during = code.format(
        "import builtins; load = m.import_module\n"
        "def interrupted(name): os.kill(os.getpid(), signal.SIGUSR1); return load(name)\n"
        "m.import_module = interrupted; m.main(['compute', '--help'])"
    )
    ended = python("-c", during)
    assert ended.returncode == 75
    assert ended.stderr == "erfscope: SIGUSR1: ended at once; what was saved stays\n"
    assert ended.stdout == ""


@pytest.mark.representative
def test_kill_9_at_any_moment():
    """More kills: `python benchmarks/kill_storm.py 100`."""
    done = python(TOP / "benchmarks" / "kill_storm.py", 4)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["identical"]
    assert outcome["names_once"]
    assert outcome["left_over"] == []
    assert outcome["within"] > 0


TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node", 2, "-m", "erfscope")


@pytest.mark.representative
def test_torchrun_shares_the_images_and_merges(run):
    # In float64, for one thread a process sums in another order than two.
    command = [*COMMAND, "--precision", "float64", "--seed", 3]
    assert run(*command, "--out", "plain.h5").code == 0
    done = python(*TORCHRUN, *command, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["out"], told["images"], told["finished"], told["shard"]) == ("erf.h5", IMAGES, True, None)
    assert len(told["sessions"]) == 2
    plain, shared = erfscope.load_erf("plain.h5"), erfscope.load_erf("erf.h5")
    np.testing.assert_allclose(shared.erf, plain.erf, rtol=0, atol=1e-12 * plain.erf.max())
    assert [record.name for record in shared.records] == [record.name for record in plain.records]
    assert sorted(path.name for path in Path().iterdir()) == ["erf.h5", "plain.h5"]


def test_torchrun_leaves_what_is_finished(run):
    assert run(*COMMAND).code == 0
    again = python(*TORCHRUN, *COMMAND, "--resume")
    assert again.returncode == 0
    assert "finished already" in again.stderr


@pytest.mark.slow
def test_a_signal_to_all_processes_ends_the_run_and_its_loaders(here):
    """A batch system signals every process of a job."""
    more = ("--images", 50_000, "--workers", 1, "--snapshot-images", 1)
    command = [sys.executable, "-m", "erfscope", *map(str, (*COMMAND, *more))]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HELPERS), *sys.path])}
    with subprocess.Popen(
        command, start_new_session=True, env=environment, stderr=subprocess.PIPE
    ) as process:
        while not Path("erf.h5").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(timeout=300) == 75, process.stderr.read()
    assert not erfscope.load_erf("erf.h5").finished
    with contextlib.suppress(ProcessLookupError):  # nobody is left; the timeout of tests ends this otherwise
        while True:
            os.killpg(process.pid, 0)
            time.sleep(0.1)
