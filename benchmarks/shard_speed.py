"""Times two shards on two cores against one single-threaded run, and a shard's start.

    python benchmarks/shard_speed.py deeplabv3 32

Prints the seconds of each and their ratio: of the computation alone, and of the whole commands.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import erfscope

SIZE = "257"


def start(model: str, images: str, out: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "-m", "erfscope", "compute", "--model", model, "--backbone", "resnet18",
        "--data", "synthetic-leaves", "--size", SIZE, "--images", images, "--device", "cpu", "--quiet",
        "--out", out, *more,
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def timed(*processes: subprocess.Popen[bytes]) -> float:
    begun = time.perf_counter()
    assert not any(process.wait() for process in processes)
    return time.perf_counter() - begun


def importing_torch() -> float:
    return timed(subprocess.Popen([sys.executable, "-c", "import torch"]))


def compare(folder: Path, model: str, images: str) -> dict[str, float]:
    one, shards = folder / "one.h5", [folder / "0.h5", folder / "1.h5"]
    whole_one = timed(start(model, images, one))
    whole_two = timed(*(start(model, images, out, "--shard", f"{i}/2") for i, out in enumerate(shards)))
    alone, together = (
        max(erfscope.load_erf(path).provenance["seconds"] for path in paths) for paths in ([one], shards)
    )
    return {
        "one_seconds": alone,
        "two_seconds": together,
        "ratio": alone / together,
        "ratio_of_commands": whole_one / whole_two,
        "start_up_seconds_beyond_torch": whole_one - alone - importing_torch(),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        print(json.dumps(compare(Path(temporary), *sys.argv[1:])))
