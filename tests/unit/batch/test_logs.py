"""What a log says of its last run."""

import pytest

from erfscope.batch.logs import LastRun, end_line, read_last_run, start_line

BEGUN = start_line(["erfscope", "compute", "--out", "a b.h5"])
TRACE = (
    "Traceback (most recent call last):\n  File \"x.py\", line 1, in f\n    raise KeyError\nKeyError: 'a'\n"
)


def step(words):
    return f"slurmstepd-node7: error: {words}\n"


CANCELLED = "*** JOB 12 ON node7 CANCELLED AT 2026-01-02T03:04:05"
OOM = "Detected 1 oom_kill event in StepId=12.batch. Some of the step tasks have been OOM Killed."


@pytest.mark.parametrize(
    ("text", "code", "reason", "interrupted"),
    [
        (BEGUN + "map  erf.h5\n" + end_line(0), 0, "", False),
        (BEGUN + "warning: random weights\n" + end_line(75), 75, "interrupted", True),
        (BEGUN + "erfscope: no such file\n" + end_line(2), 2, "no such file", False),
        (BEGUN + "erfscope: one\nerfscope: two\n" + end_line(2), 2, "two", False),
        (BEGUN + TRACE + end_line(1), 1, "KeyError: 'a'", False),
        (BEGUN + TRACE + "torch.OutOfMemoryError: no\n" + end_line(1), 1, "KeyError: 'a'", False),
        (BEGUN + end_line(-9), -9, "killed by SIGKILL", False),
        (BEGUN + "a: line 3: x: command not found\n" + end_line(127), 127, None, False),
        (
            BEGUN + "fcn: 2/9 images\n",
            None,
            "killed, or its machine went down; its last line: fcn: 2/9 images",
            False,
        ),
        (BEGUN, None, "killed, or its machine went down", False),
        ("", None, "killed, or its machine went down", False),
        # What an earlier run said doesn't count.
        (BEGUN + "erfscope: no such file\n" + end_line(2) + BEGUN + end_line(0), 0, "", False),
        (BEGUN + end_line(0) + BEGUN + "erfscope: disk full\n" + end_line(2), 2, "disk full", False),
        # SLURM's own words.
        (BEGUN + step(OOM), None, f"OUT_OF_MEMORY: {OOM}", False),
        (BEGUN + step(OOM) + end_line(137), 137, f"OUT_OF_MEMORY: {OOM}", False),
        (
            BEGUN + step(f"{CANCELLED} DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***"),
            None,
            "NODE_FAIL",
            False,
        ),
        (
            BEGUN + step(f"{CANCELLED} DUE TO TIME LIMIT ***"),
            None,
            "TIMEOUT: JOB 12 ON node7 CANCELLED",
            False,
        ),
        (BEGUN + step(f"{CANCELLED} DUE TO TIME LIMIT ***") + end_line(75), 75, "TIMEOUT", True),
        (BEGUN + step(f"{CANCELLED} ***"), None, "CANCELLED", False),
        (BEGUN + end_line(75) + step(f"{CANCELLED} DUE TO JOB REQUEUE ***"), 75, "REQUEUED", True),
        (BEGUN + step(f"{CANCELLED} DUE TO PREEMPTION ***"), None, "PREEMPTED", True),
        (BEGUN + step("*** STEP 12.0 ON node7 is odd ***") + end_line(0), 0, "", False),
    ],
    ids=lambda value: "" if "\n" in str(value) else str(value),  # the logs tell the time
)
def test_the_last_run_is_judged(tmp_path, text, code, reason, interrupted):
    log = tmp_path / "compute.log"
    log.write_text(text)
    last = read_last_run(log)
    assert isinstance(last, LastRun)
    assert (last.code, last.interrupted) == (code, interrupted)
    if reason is None:
        assert last.reason == "exit code 127; its last line: a: line 3: x: command not found"
    elif reason.isupper():
        assert last.reason.startswith(f"{reason}: ")
    else:
        assert last.reason.startswith(reason)


def test_no_log_is_no_run(tmp_path):
    assert read_last_run(tmp_path / "compute.log") is None


def test_the_end_of_a_long_log_is_enough(tmp_path):
    log = tmp_path / "compute.log"
    log.write_bytes(
        BEGUN.encode() + b"\xff progress\n" * 100_000 + b"erfscope: disk full\n" + end_line(2).encode()
    )
    assert read_last_run(log) == LastRun(2, "disk full", False)
