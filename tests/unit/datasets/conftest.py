"""Fixtures: a layout's folder on demand, and no data folder from outside."""

from collections.abc import Callable
from pathlib import Path

import pytest
from small_layouts import BUILDERS, OTHER_FORMS


@pytest.fixture
def make_root(tmp_path: Path) -> Callable[[str], Path]:
    """Build a layout's folder; a new layout on disk needs a builder in `small_layouts`."""

    def make(name: str) -> Path:
        root = tmp_path / name.replace(": ", "-")
        (BUILDERS | OTHER_FORMS)[name](root)
        return root

    return make


@pytest.fixture(autouse=True)
def _no_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ERFSCOPE_DATA", raising=False)
