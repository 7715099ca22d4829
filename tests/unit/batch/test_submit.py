"""What is handed to SLURM, whose commands are small scripts here; the real ones are in tests/integration."""

import json
import os

import pytest
from small_study import NAME, make_map, plan

from erfscope.batch.queue import QueuedJob, read_queue
from erfscope.batch.study_record import open_study, read_study
from erfscope.batch.submit import preview, submit
from erfscope.batch.tasks import files_of, unfinished
from erfscope.errors import BatchError, MapError
from erfscope.records.shard import Shard
from erfscope.system.signals import Stop

SBATCH = """\
#!/bin/bash
cd "$(dirname "$0")"
echo "$*" >>asked
if [ -e refuse ] && [ "$(wc -l <asked)" -gt "$(cat refuse)" ]; then
    echo "sbatch: error: Batch job submission failed: Invalid partition name specified" >&2
    exit 1
fi
echo "$((100 + $(wc -l <asked)));cluster"
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """`sbatch`, which numbers jobs from 101 on, and `scancel`, in a folder where `asked` tells of them."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (
        ("sbatch", SBATCH),
        ("scancel", '#!/bin/bash\necho "cancel $*" >>"$(dirname "$0")/asked"\n'),
    ):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def hand_over(made, queue=None, stop=None):
    """Submit, and return what was told: titles, numbers and what they wait for."""
    told = []
    with open_study(made, note=pytest.fail) as study:
        complete = submit(
            made,
            study,
            queue or {},
            Stop() if stop is None else stop,
            lambda submission, number: told.append((submission.title, number, submission.after)),
        )
    assert complete == (not stop)
    return told


def asked(slurm):
    path = slurm / "asked"
    return path.read_text().splitlines() if path.exists() else []


def waiting(*numbers, title=NAME, running=False, reason="Resources"):
    return {number: QueuedJob(title, running, reason) for number in numbers}


def test_an_array_its_merging_and_its_measuring(tmp_path, slurm):
    made = plan(tmp_path, shards=3)
    assert hand_over(made) == [
        (NAME, "101", ()),
        (f"{NAME}.merge", "102", ("101",)),
        (f"{NAME}.measure", "103", ("102",)),
    ]
    files = files_of(made, NAME)
    assert asked(slurm) == [
        f"--parsable {files.script('compute')}",
        f"--parsable --dependency=afterok:101 {files.script('merge')}",
        f"--parsable --dependency=afterok:102 {files.script('measure')}",
    ]
    assert "#SBATCH --array=0-2\n" in files.script("compute").read_text()
    assert read_study(made).slurm == {
        **{f"{NAME}/compute-{n}": f"101_{n}" for n in range(3)},
        f"{NAME}/merge": "102",
        f"{NAME}/star-distance": "103",
        f"{NAME}/pattern": "103",
    }


def test_one_shard_is_no_array_and_needs_no_merging(tmp_path, slurm):
    made = plan(tmp_path)
    assert hand_over(made) == [(NAME, "101", ()), (f"{NAME}.measure", "102", ("101",))]
    assert read_study(made).slurm[f"{NAME}/compute-0"] == "101"


def test_what_is_queued_or_done_is_left_alone(tmp_path, slurm):
    made = plan(tmp_path, shards=3)
    hand_over(made)
    queue = (
        waiting("101_0", running=True)
        | waiting("101_1", "101_2")
        | waiting("102", title=f"{NAME}.merge")
        | waiting("103", title=f"{NAME}.measure")
    )
    assert hand_over(made, queue) == []
    make_map(files_of(made, NAME).map)
    assert [title for title, _, _ in hand_over(made)] == [f"{NAME}.measure"]


def test_only_the_missing_shard_is_sent_and_what_waits_for_it_is_sent_anew(tmp_path, slurm):
    made = plan(tmp_path, shards=4)
    hand_over(made)
    files = files_of(made, NAME)
    make_map(files.part(0), 1, shard=Shard(0, 4))
    make_map(files.part(1), 0, shard=Shard(1, 4), finished=False)
    queue = waiting("101_2", running=True) | waiting("102", title=f"{NAME}.merge")
    queue |= waiting("103", title=f"{NAME}.measure")
    assert hand_over(made, queue) == [
        (NAME, "104", ()),
        (f"{NAME}.merge", "106", ("101_2", "104")),
        (f"{NAME}.measure", "108", ("106",)),
    ]
    assert "#SBATCH --array=1,3\n" in files.script("compute").read_text()
    # The old ones would wait forever, or be cancelled by SLURM.
    assert [line for line in asked(slurm) if "cancel" in line] == ["cancel 102", "cancel 103"]
    assert read_study(made).slurm[f"{NAME}/compute-1"] == "104_1"
    assert read_study(made).slurm[f"{NAME}/compute-2"] == "101_2"


def test_another_job_of_the_same_number_is_none_of_ours(tmp_path, slurm):
    made = plan(tmp_path)
    hand_over(made)
    assert len(hand_over(made, waiting("101", "102", title="somebody's"))) == 2


def test_a_refusal_is_told_and_what_was_submitted_stays_so(tmp_path, slurm):
    made = plan(tmp_path, networks=[{"model": "fcn", "name": name} for name in "ab"])
    (slurm / "refuse").write_text("2")
    with pytest.raises(BatchError, match="sbatch refuses .*Invalid partition name specified") as raised:
        hand_over(made)
    assert "\n" not in str(raised.value)
    assert sorted(read_study(made).slurm.values()) == ["101", "102", "102"]
    (slurm / "refuse").unlink()
    names = [f"{name}_synthetic-leaves_33" for name in "ab"]
    queue = waiting("101", title=names[0]) | waiting("102", title=f"{names[0]}.measure")
    assert [title for title, _, _ in hand_over(made, queue)] == [names[1], f"{names[1]}.measure"]


def test_without_sbatch(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BatchError, match="no sbatch is here"):
        hand_over(plan(tmp_path))
    with pytest.raises(BatchError, match="no squeue is here"):
        read_queue()


def test_a_signal_ends_it_between_two_submissions(tmp_path, slurm):
    assert hand_over(plan(tmp_path), stop=Stop("SIGTERM")) == []
    assert asked(slurm) == []


def test_the_queue_is_read_task_by_task(tmp_path, slurm):
    said = (
        "7|RUNNING|None|a",
        "8_0|PENDING|Resources|b|c",
        "8_1|PENDING|DependencyNeverSatisfied|b",
        "9|COMPLETING|None|d",
    )
    (slurm / "squeue").write_text("#!/bin/bash\n" + "".join(f"echo '{line}'\n" for line in said))
    (slurm / "squeue").chmod(0o755)
    assert read_queue() == {
        "7": QueuedJob("a", True, "None"),
        "8_0": QueuedJob("b|c", False, "Resources"),
        "9": QueuedJob("d", True, "None"),
    }


def test_a_preview_writes_nothing(tmp_path):
    made = plan(tmp_path, shards=2)
    would = preview(made, {}, {})
    assert [(each.title, each.after) for each in would] == [
        (NAME, ()),
        (f"{NAME}.merge", (f"<{NAME}>",)),
        (f"{NAME}.measure", (f"<{NAME}.merge>",)),
    ]
    assert not made.out.exists()


def test_one_batch_at_a_time(tmp_path):
    made = plan(tmp_path)
    with (
        open_study(made, note=pytest.fail),
        pytest.raises(MapError, match="is being written by process"),
        open_study(made, note=pytest.fail),
    ):
        pass


def test_a_map_of_other_options_is_refused_and_what_only_failed_is_not(tmp_path):
    made = plan(tmp_path)
    with open_study(made, note=pytest.fail) as study:
        study.remember_jobs(made)
    other = plan(tmp_path, compute={"formula": "luo2016", "device": "cpu"})
    with open_study(other, note=pytest.fail) as study:
        study.remember_jobs(other)  # there is no map yet
    make_map(files_of(other, NAME).map)
    with (
        open_study(made, note=pytest.fail) as study,
        pytest.raises(BatchError, match="--formula luo2016; remove"),
    ):
        study.remember_jobs(made)
    # Where it is computed, and how often it is saved, doesn't matter.
    same = plan(tmp_path, compute={"formula": "luo2016", "workers": 1, "snapshot_every": 5})
    with open_study(same, note=pytest.fail) as study:
        study.remember_jobs(same)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"jobs": 1, "slurm": {}}'])
def test_a_damaged_record_is_told(tmp_path, content):
    made = plan(tmp_path)
    made.out.mkdir()
    (made.out / "study.json").write_text(content)
    with pytest.raises(BatchError, match="study.json is damaged"):
        read_study(made)


def test_what_is_unfinished(tmp_path):
    made = plan(tmp_path, shards=2)
    files = files_of(made, NAME)

    def left():
        return [task.name.rpartition("/")[2] for task in unfinished(made)]

    assert left() == ["compute-0", "compute-1", "merge", "star-distance", "pattern"]
    make_map(files.part(0), 2, shard=Shard(0, 2))
    files.part(1).write_bytes(b"no map at all")
    assert left() == ["compute-1", "merge", "star-distance", "pattern"]
    make_map(files.map)  # by whatever: then its parts don't matter
    assert left() == ["star-distance", "pattern"]
    files.measured("pattern").write_text(json.dumps({"results": [{"pattern": "star"}]}))
    files.measured("star-distance").write_text('{"results": [')
    assert left() == ["star-distance"]
    later = files.measured("pattern").stat().st_mtime + 1
    os.utime(files.map, (later, later))  # computed anew: what was measured is of the old one
    assert left() == ["star-distance", "pattern"]
