"""From names on the command line to a map file."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from erfscope.datasets import open_dataset
from erfscope.engine.run import Progress
from erfscope.records.erf_map import ErfMap
from erfscope.store.replace import prepare_target
from erfscope.store.write import bytes_for, write_map
from erfscope.workflows.compute import compute_erf
from erfscope.workflows.opening import as_trained, open_network, pick, warn_of


def compute_to_file(
    *,
    network: Mapping[str, Any],
    data: str,
    out: Path,
    overwrite: bool,
    warn: Callable[[str], None],
    progress: Callable[[str, int], AbstractContextManager[Progress]],
    **options: Any,
) -> ErfMap:
    """Do what `erfscope compute` says: check the target file, open everything, compute, write.

    Images are cropped and normalized as the network's checkpoint says, if it does; a size that is asked
    for goes before its.

    Parameters
    ----------
    network
        Arguments of `load_model`.
    warn
        Is told what must not pass silently.
    progress
        Opens a display from a label and the number of images.
    **options
        Those of the command line, by name: of `open_dataset` and `compute_erf`.
    """
    asked = pick(options, "root", "split", "size", "fit", "images", "seed", "options") | {"labels": False}
    images = open_dataset(data, **asked)
    prepare_target(out, overwrite=overwrite)
    model = open_network(network, images, options["seed"])
    warn_of(model.origin.weights, network["spec"], warn)
    images = as_trained(images, model.origin.training, data, asked)
    prepare_target(out, overwrite=overwrite, bytes_needed=bytes_for(images.size, options["replicates"]))
    choices = pick(options, "formula", "target", "precision", "device", "batch_size", "workers", "engine")
    limits = pick(options, "replicates", "max_skipped", "seed")
    with progress(model.origin.name, len(images)) as shown:
        erf = compute_erf(model, images, at=options["unit"], progress=shown, **choices, **limits)
    write_map(erf, out, overwrite=overwrite)
    return erf
