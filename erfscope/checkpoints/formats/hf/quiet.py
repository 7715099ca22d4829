"""Keeps what transformers says while it loads from the user: what matters is in the report."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from erfscope.checkpoints.library import import_library


@contextmanager
def quiet(spec: str) -> Iterator[None]:
    """Silence transformers' log, its warnings and its progress bars within; they are left as found."""
    logs = import_library("transformers", "hf", spec).utils.logging
    verbosity, bars = logs.get_verbosity(), logs.is_progress_bar_enabled()
    logs.set_verbosity(logs.CRITICAL)
    logs.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logs.set_verbosity(verbosity)
        if bars:
            logs.enable_progress_bar()
