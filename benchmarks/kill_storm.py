"""Kills `erfscope compute` again and again, and holds what is left against an uninterrupted run.

    python benchmarks/kill_storm.py 100

A process that has imported torch, and run nothing of it, forks every run: so a kill costs no start-up.
"""

import json
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import small_networks
import torch

import erfscope
from erfscope.cli.main import main

IMAGES = 30
ARRAYS = ("erf", "gradient_sum", "gradient_square_sum", "replicates")
COMMAND = (
    "compute", "--model", "small_networks:SmallNet", "--data", "synthetic-leaves", "--size", "65",
    "--images", str(IMAGES), "--snapshot-images", "1", "--device", "cpu", "--quiet",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """Of how many kills how many hit a run that had begun to compute, and what was left at the end."""

    kills: int
    within: int
    identical: bool
    names_once: bool
    left_over: list[str]


def start(out: Path, *more: str) -> int:
    """Fork a run of `COMMAND` into `out`; returns its process id."""
    child = os.fork()
    if child:
        return child
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
    code = 1
    try:
        main([*COMMAND, "--out", str(out), *more])
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        os._exit(code)


def run(out: Path, *more: str) -> int:
    """Run `COMMAND` to its end; returns the exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(start(out, *more), 0)[1])


def storm(folder: Path, kills: int, seed: int = 0) -> Outcome:
    """Kill a run so many times at random moments, then let it end."""
    draw = random.Random(seed)
    plain, out = folder / "plain.h5", folder / "out" / "erf.h5"
    # Torch must start no threads, for a fork would lose them; where it is built for CUDA, a gradient does.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    with torch.no_grad():  # this imports most of what a run does
        torch.export.export(small_networks.SmallNet().eval(), (torch.zeros(1, 3, 65, 65),), strict=False)
    begun = time.monotonic()
    assert run(plain) == 0
    longest, within = time.monotonic() - begun, 0
    for _ in range(kills):
        done = erfscope.load_erf(out).images if out.exists() else 0
        child = start(out, "--resume")
        time.sleep(draw.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        now = erfscope.load_erf(out).images if out.exists() else 0
        assert now >= done
        within += done < now < IMAGES
        if now == IMAGES:
            out.unlink()
    assert run(out, "--resume") == 0
    expected, got = erfscope.load_erf(plain), erfscope.load_erf(out)
    return Outcome(
        kills,
        within,
        all(np.array_equal(getattr(expected, name), getattr(got, name)) for name in ARRAYS),
        got.records == expected.records and len({record.name for record in got.records}) == IMAGES,
        sorted(path.name for path in out.parent.iterdir() if path != out),
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        print(json.dumps(asdict(storm(Path(temporary), int(sys.argv[1])))))
