"""From a network and images to a map."""

from torch import nn

from erfscope.engine.accumulation import ProgressCallback
from erfscope.engine.image_source import Images, open_source
from erfscope.records.erf_map import ErfMap
from erfscope.records.shard import Shard
from erfscope.workflows.compute.carry_out import NoKeeper, carry_out
from erfscope.workflows.compute.run import Run
from erfscope.workflows.compute.wishes import Wishes

REPLICATES = 16
MAX_SKIPPED = 0.01


def compute_erf(
    model: nn.Module,
    images: Images,
    *,
    formula: str = "paper",
    target: str | int = "logits",
    unit: tuple[int, int] | str | None = None,
    resize: bool = True,
    precision: str = "float32",
    device: str = "auto",
    batch_size: int | str = "auto",
    workers: int | None = None,
    replicates: int = REPLICATES,
    max_skipped: float = MAX_SKIPPED,
    seed: int = 0,
    engine: str = "auto",
    shard: tuple[int, int] = (0, 1),
    until: float | None = None,
    progress: ProgressCallback = lambda done, skipped: None,
) -> ErfMap:
    """Sum the clipped input gradients of one unit over images: the effective receptive field.

    Parameters
    ----------
    model
        Any module that maps (N, 3, H, W) to logits (N, K, h, w), or to a mapping, sequence or object
        that holds them. It is run in eval mode and comes back exactly as it was.
    images
        A dataset of `open_dataset`, or any iterable of samples or (3, H, W) tensors, all of one size
        and normalized as the network expects. Gradients are with respect to the normalized image.
    formula
        "paper" (Eq. 1 of arXiv 2307.14179), "replknet", "openerf" or "luo2016".
    target
        "logits" (sum over the classes), "predicted" (each image's highest logit), "margin" (that logit
        minus the mean of the others), a class id, or a class name of the dataset.
    unit
        The unit: (y, x) in the output map, the name of a layer (its central feature), or None for the
        output's center (H // 2, W // 2).
    resize
        Resize low-resolution logits bilinearly to the image's size before the unit is taken.
    precision
        "float32", "float64", "bfloat16", or "tf32" on CUDA. Of the last two, the map's deviation from
        float32 on the first images is recorded.
    device
        "auto", "cpu", "cuda" or "cuda:N".
    batch_size
        Images a batch; the map does not depend on it but for rounding. "auto" takes what fits a CUDA
        device's memory, and 1 on the CPU.
    workers
        Processes that read a dataset's images, as far as there are cores; None chooses. Threads take
        the remaining cores.
    replicates
        G, the number of disjoint image groups whose partial sums are kept; 0 keeps none.
    max_skipped
        Share of broken images, or of images with non-finite gradients, above which the run fails.
    seed
        Of the image groups.
    engine
        "auto" computes only what the unit needs, where the network can be captured as a graph; "dense"
        runs plain autograd over the whole network. The numbers are the same.
    shard
        (i, n): take the images number i, i + n, …, from 0 on. `merge_maps` makes one map of all n.
    until
        Take the images in a seeded random order and stop when the relative standard error of the smoothed
        map, and of the arms' distances if there is a star, stays below this (0.01: 1 %) over two checks; see
        `measure.convergence`. `seed` is that of the order as well.
    progress
        Called with the numbers of images done and skipped after every batch.

    Returns
    -------
    ErfMap
        Its `erf` is (H, W) float64, un-normalized.

    Raises
    ------
    ComputeError
        What can't be computed as asked, in one line.
    """
    wishes = Wishes(
        formula=formula,
        target=target,
        unit=unit,
        resize=resize,
        precision=precision,
        device=device,
        batch_size=batch_size,
        workers=workers,
        replicates=replicates,
        max_skipped=max_skipped,
        seed=seed,
        engine=engine,
        shard=Shard(*shard),
        until=until,
    )
    return carry_out(Run(model, open_source(images), wishes), progress, NoKeeper())
