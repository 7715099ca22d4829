"""Where jobs stand, told from files, locks and logs, and from SLURM's queue."""

import csv
import json
import os

import pytest
from small_study import NAME, make_map, plan

from erfscope.batch.logs import end_line, start_line
from erfscope.batch.queue import QueuedJob
from erfscope.batch.status import MEASURED, read_status
from erfscope.batch.study_record import open_study
from erfscope.batch.study_table import write_table
from erfscope.batch.tasks import files_of
from erfscope.records.shard import Shard
from erfscope.system.file_lock import locked

BEGUN = start_line(["erfscope"])
STAR = {
    "pattern": "star",
    "center_to_center_px": 575.9,
    "center_to_center_stderr_px": 1.5,
    "systematic_px": 0.4,
    "predicted_center_to_center_px": 576.0,
    "relative_error": -0.0002,
}


def status(made, queue=None):
    (only,) = read_status(made, queue)
    return only


def finish(made):
    files = files_of(made, NAME)
    make_map(files.map)
    files.measured("star-distance").write_text(json.dumps({"results": [STAR]}))
    files.measured("pattern").write_text(json.dumps({"results": [{"pattern": "star"}]}))
    return files


def test_nothing_yet(tmp_path):
    seen = status(plan(tmp_path))
    assert (seen.state, seen.done, seen.total, seen.reason, seen.files) == ("missing", 0, 4, "", ())


def test_done_with_its_numbers_and_its_table(tmp_path):
    made = plan(tmp_path, rates=["own"])
    files = finish(made)
    row = status(made).summary()
    assert (row["state"], row["done"], row["total"]) == ("done", 4, 4)
    assert set(MEASURED) < set(row)
    assert row["center_to_center_px"] == 575.9
    assert row["center_to_center_stderr_px"] == 1.5
    assert row["relative_error"] == -0.0002
    assert (row["pattern"], row["sigma_x_px"]) == ("star", None)
    assert [path.rpartition("/")[2] for path in row["files"]] == [
        "erf.h5",
        "star-distance.json",
        "pattern.json",
    ]
    json.dumps(row, allow_nan=False)
    table = tmp_path / "tables" / "study.csv"
    write_table([row, row | {"rates": [1, 2, 3], "reason": 'a, "b"'}], table)
    with table.open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["name"], first["state"], first["center_to_center_px"]) == (NAME, "done", "575.9")
    assert (second["rates"], second["reason"]) == ("1 2 3", 'a, "b"')
    assert str(files.folder) not in table.read_text()


def test_numbers_of_a_map_that_is_gone_are_not_told(tmp_path):
    made = plan(tmp_path)
    files = finish(made)
    later = files.measured("pattern").stat().st_mtime + 1
    os.utime(files.map, (later, later))  # computed anew since
    seen = status(made)
    assert (seen.state, seen.measured["pattern"], seen.measured["relative_error"]) == ("missing", None, None)


def test_shards_add_up(tmp_path):
    made = plan(tmp_path, shards=3, datasets=[{"data": "synthetic-leaves"}])
    assert status(made).total is None
    files = files_of(made, NAME)
    make_map(files.part(0), 2, images_total=8, shard=Shard(0, 3), finished=False)
    make_map(files.part(2), 2, images_total=8, shard=Shard(2, 3))
    seen = status(made)
    assert (seen.state, seen.done, seen.total) == ("missing", 4, 8)


@pytest.mark.parametrize(
    ("log", "state", "reason"),
    [
        (BEGUN + "erfscope: no such folder\n" + end_line(2), "failed", "compute-0: no such folder"),
        (BEGUN + end_line(75), "missing", "compute-0: interrupted"),
        (BEGUN + "fcn: 1/4 images\n", "failed", "compute-0: killed, or its machine went down; its last line"),
        (
            BEGUN + "slurmstepd: error: Detected 1 oom_kill event in StepId=1.batch.\n",
            "failed",
            "OUT_OF_MEMORY",
        ),
    ],
    ids=["its message", "interrupted", "killed", "out of memory"],  # the logs tell the time
)
def test_logs_tell_what_failed(tmp_path, log, state, reason):
    made = plan(tmp_path)
    files = files_of(made, NAME)
    files.folder.mkdir(parents=True)
    files.log("compute", 0).write_text(log)
    seen = status(made)
    assert seen.state == state
    assert reason in seen.reason


def test_damage_is_told(tmp_path):
    made = plan(tmp_path, shards=2)
    files = files_of(made, NAME)
    files.folder.mkdir(parents=True)
    files.part(1).write_bytes(b"no map at all")
    seen = status(made)
    assert seen.state == "failed"
    assert str(files.part(1)) in seen.reason
    assert seen.reason.startswith("compute-1: ")


def test_who_holds_a_map_is_at_work(tmp_path):
    made = plan(tmp_path)
    files = files_of(made, NAME)
    make_map(files.map, 1, finished=False)
    with locked(files.map):
        seen = status(made)
        assert (seen.state, seen.done, seen.reason) == ("running", 1, "")
    assert status(made).state == "missing"


def test_what_a_running_batch_has_yet_to_do_is_queued(tmp_path):
    made = plan(tmp_path)
    with open_study(made, note=pytest.fail):
        assert status(made).state == "queued"


def test_slurm_tells_what_runs_and_what_waits(tmp_path):
    made = plan(tmp_path, shards=2)
    with open_study(made, note=pytest.fail) as study:
        study.remember_submitted({f"{NAME}/compute-{n}": f"7_{n}" for n in (0, 1)} | {f"{NAME}/merge": "8"})
    queue = {"7_1": QueuedJob(NAME, False, "BeginTime"), "8": QueuedJob(f"{NAME}.merge", False, "Dependency")}
    seen = status(made, queue)
    assert (seen.state, seen.reason) == ("queued", "compute-1: SLURM: BeginTime")
    queue["7_0"] = QueuedJob(NAME, True, "None")
    assert status(made, queue).state == "running"
    assert status(made, {}).state == "missing"
    # A number that has come to be another's says nothing.
    assert status(made, {"7_0": QueuedJob("other", True, "None")}).state == "missing"
    # Where SLURM can't be asked, what was submitted waits, as far as is known.
    seen = status(made, None)
    assert (seen.state, seen.reason) == (
        "queued",
        "compute-0: job 7_0 of SLURM, which can't be asked from here",
    )


def test_a_failed_shard_counts_more_than_running_ones(tmp_path):
    made = plan(tmp_path, shards=2)
    files = files_of(made, NAME)
    files.folder.mkdir(parents=True)
    files.log("compute", 0).write_text(BEGUN + "erfscope: disk full\n" + end_line(2))
    with locked(files.part(1)):
        seen = status(made)
    assert (seen.state, seen.reason) == ("failed", "compute-0: disk full")


def test_a_measurement_that_failed_in_a_script_is_told_by_either_log(tmp_path):
    made = plan(tmp_path)
    files = files_of(made, NAME)
    make_map(files.map)
    (files.folder / "measure.log").write_text(BEGUN + "module: command not found\n")
    assert status(made).reason.startswith(
        "star-distance: killed, or its machine went down; its last line: module"
    )
    files.log("star-distance").write_text(BEGUN + "erfscope: no star\n" + end_line(2))
    assert status(made).reason == "star-distance: no star"
