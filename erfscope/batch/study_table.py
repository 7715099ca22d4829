"""Write a study's table as a CSV file, one row a job."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from erfscope.batch.status import MEASURED
from erfscope.system.atomic_files import prepare_target, replacing

_COLUMNS = (
    "name",
    "network",
    "dataset",
    "size",
    "rates",
    "state",
    "done",
    "skipped",
    "total",
    *MEASURED,
    "reason",
)


def write_table(jobs: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the states of jobs and their measured numbers, whole or not at all.

    Parameters
    ----------
    jobs
        The results of `JobStatus.summary`.

    Raises
    ------
    MapError
        The file can't be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore")
    writer.writeheader()
    for job in jobs:
        writer.writerow(dict(job) | {"rates": " ".join(map(str, job["rates"] or ()))})
    prepare_target(path, overwrite=True)
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", newline="")
