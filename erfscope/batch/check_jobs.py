"""Check jobs before any runs, so that a mistake is reported once, not by a hundred jobs in a queue."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from erfscope.batch.batch_plan import Job
from erfscope.errors import BatchError, ErfscopeError

# Keys of a network in a plan that aren't options of the network itself.
_NO_OPTIONS = ("model", "config", "checkpoint", "allow_partial", "trust", "option")


def check_jobs(jobs: Iterable[Job], where: str) -> None:
    """Check that networks' files are there, and that there are such networks and datasets.

    Raises
    ------
    BatchError
        There is no such network or dataset, or the network doesn't have an option: rates, say.
    """
    # These import torch, which a status needn't.
    from erfscope import plugins
    from erfscope.datasets.opening import choose_layout

    brought = plugins.names(plugins.DATASETS)
    # The jobs of a network share one mapping, whatever their datasets and sizes.
    for job in {(id(job.chosen), job.data): job for job in jobs}.values():
        try:
            choose_layout(job.data, brought)
            _check_network(job.chosen)
        except ErfscopeError as error:
            raise BatchError(f"{where}: {job.name}: {error}") from error


def _check_network(chosen: Mapping[str, Any]) -> None:
    from erfscope.checkpoints.detect import detect_by_name
    from erfscope.checkpoints.files.file_type import check_file
    from erfscope.checkpoints.request import Request
    from erfscope.zoo.catalog.entries import describe_network

    named = {key: value for key, value in chosen.items() if key not in _NO_OPTIONS}
    options = named | dict(chosen.get("option", {}))
    config, checkpoint = (Path(chosen[key]) if key in chosen else None for key in ("config", "checkpoint"))
    request = Request(
        spec=chosen["model"],
        checkpoint=checkpoint,
        config=config,
        trust=bool(chosen.get("trust")),
        allow_partial=bool(chosen.get("allow_partial")),
        options=options,
    )
    if checkpoint is not None:
        check_file(checkpoint)
    detection = detect_by_name(request)
    if detection is not None and detection.format == "catalog":
        describe_network(chosen["model"], **options)
