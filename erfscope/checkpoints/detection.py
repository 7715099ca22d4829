"""What detection finds out about a request, for the reader of its format."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from erfscope.checkpoints.files.weights_file import Checkpoint


@dataclass(frozen=True)
class Detection:
    """The format of what `--model` names, what shows it, and what was read to find out.

    Attributes
    ----------
    format
        Name of a reader in `load.READERS`.
    detected_by
        What shows the format, in words; recorded as `ModelInfo.detected_by`.
    content
        The tensors of a weights file, read once; None for all else.
    config
        The network's description in a file beside the weights, given by `--config` or found there.
    found
        What else identifies the network: the class of a pickled module; catalog name and backbone of
        torchvision's tensors; a plug-in's name and its reader. None for other formats.
    """

    format: str
    detected_by: str
    content: Checkpoint | None = None
    config: Path | None = None
    found: Any = None
