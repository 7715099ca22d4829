"""Reads a JSON object of plain, bounded data, as a description of a network is."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from erfscope.checkpoints.files.file_type import check_file
from erfscope.checkpoints.files.plain_data import plain_copy
from erfscope.errors import CheckpointError

_MAX_BYTES = 5_000_000  # descriptions are some kB


def read_json(path: Path) -> Mapping[str, Any]:
    """Read a JSON object.

    Raises
    ------
    CheckpointError
        It isn't one, or is too large or too deep to be a description of anything.
    """
    try:
        check_file(path, "config")
        if path.stat().st_size > _MAX_BYTES:
            raise CheckpointError(
                f"{path} has {path.stat().st_size / 1e6:.0f} MB, too many for a description; "
                "give a config.json"
            )
        content = plain_copy(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError) as error:  # NotPlainError is a ValueError
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise CheckpointError(f"{path} is no readable JSON ({reason}); copy or download it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is no JSON object; expected the description of a network")
    return content
