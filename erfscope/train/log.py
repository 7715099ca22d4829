"""The log of a run: a line of JSON and a row of a table every few iterations."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from erfscope.system.atomic_files import replacing

#: The table's columns; the JSON lines hold no others.
COLUMNS = (
    "iteration", "seconds", "loss", "lr", "images_per_second", "miou", "pixel_accuracy", "val_images"
)  # fmt: skip


class RunLog:
    """Appends to `log.jsonl` and `log.csv`, and to TensorBoard's events where that is installed.

    Parameters
    ----------
    folder
        Folder of the run.
    iteration
        Iteration from which the run is resumed; rows of later ones are removed. 0 begins anew.
    """

    def __init__(self, folder: Path, iteration: int) -> None:
        self.lines, self.table = folder / "log.jsonl", folder / "log.csv"
        rows = [row for row in read_log(self.lines) if row["iteration"] <= iteration] if iteration else []
        _rewrite(self.lines, "".join(f"{json.dumps(row)}\n" for row in rows))
        _rewrite(self.table, _csv([COLUMNS, *map(_cells, rows)]))
        self._board = _tensorboard(folder / "tensorboard", iteration)

    def add(self, row: Mapping[str, Any]) -> None:
        """Append one row; its keys are among `COLUMNS`, and `iteration` is one of them."""
        with self.lines.open("a") as file:
            file.write(f"{json.dumps(row)}\n")
        with self.table.open("a", newline="") as file:
            file.write(_csv([_cells(row)]))
        if self._board is not None:
            for name, value in row.items():
                if name not in ("iteration", "seconds", "val_images"):
                    self._board.add_scalar(name, value, row["iteration"])

    def close(self) -> None:
        """Flush TensorBoard's events."""
        if self._board is not None:
            self._board.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read `log.jsonl`, without a last line that a kill cut off; a missing file has no rows."""
    rows = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("iteration"), int):
            rows.append(row)
    return rows


def _cells(row: Mapping[str, Any]) -> list[Any]:
    return [row.get(column, "") for column in COLUMNS]


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _rewrite(path: Path, content: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(content)


def _tensorboard(folder: Path, iteration: int) -> Any:
    """Open TensorBoard's writer, which hides events after `iteration`; None if it isn't installed."""
    if find_spec("tensorboard") is None:
        return None
    writer: Any = import_module("torch.utils.tensorboard")
    return writer.SummaryWriter(str(folder), purge_step=iteration + 1 if iteration else None)
