"""Files that hold a network whole: what can be reported of their weights."""

from pathlib import Path

from torch import nn

from erfscope.checkpoints.files.weights_file import file_sha256
from erfscope.checkpoints.fitting.matching import comparable, count_not_finite
from erfscope.records.model_info import WeightsReport


def report_program(network: nn.Module, path: Path) -> WeightsReport:
    """Report that all weights are the file's."""
    names = tuple(comparable(network.state_dict()))
    return WeightsReport(
        str(path), file_sha256(path), matched=names, not_finite=count_not_finite(network, names)
    )
