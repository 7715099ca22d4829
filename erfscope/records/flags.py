"""What must be known before a result is trusted: a code that programs read, a message that people read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

#: Every code and what it means, in the order of the commands that raise it.
FLAG_CODES: Mapping[str, str] = MappingProxyType({
    # Maps
    "unfinished": "The map does not hold all of its images yet.",
    "single_shard": "The map holds one shard of its images.",
    "mixed_versions": "The map's shards were computed by different versions of erfscope or its libraries.",
    "stopped_by_error": "The run stopped where its error looked small enough, as --until asked.",
    "error_not_reached": "All images were used before the error fell below --until.",
    "images_skipped": "Some images could not be read and are not in the map.",
    "heavy_image": "One image has more than a tenth of the map's gradient mass.",
    # Weights
    "random_weights": "All or some of the weights are random: nothing that was learned.",
    "missing_weights": "The checkpoint lacks some tensors, which stayed random.",
    "non_finite_weights": "Some of the weights are NaN or infinite.",
    # Replicates
    "few_groups": "Fewer than 8 groups of images are filled: no standard errors from replicates.",
    "uneven_groups": "The groups of images weigh so unevenly that p-values may be too small.",
    # Star
    "map_too_small": "The map is too small or holds nothing positive: no star was looked for.",
    "ring_outside_map": "What looks like a ring is centered outside the map.",
    "close_single_ring": "A single ring within a blob's width of the center, as a plain 3×3 convolution has.",
    "single_ring": "A single ring needs a higher score to count as a star.",
    "uneven_ring": "A ring of unlike blobs needs a higher score to count as a star.",
    "blobs_between_arms": "A star with blobs between its arms needs a higher score to count.",
    "blobs_overlap": "Neighboring rings overlap: some may be missing or taken for one.",
    "star_exceeds_map": "The star or grid is larger than the map's shorter side.",
    "blobs_outside_map": "Some of a ring's blobs are centered outside the map.",
    "predicted_ring_outside_map": "The outermost predicted ring lies outside the map.",
    # Gaussian
    "fit_not_converged": "The least-squares fit did not converge.",
    "center_outside_map": "The fitted Gaussian is centered outside the map.",
    "narrow_sigma": "A fitted sigma is so small that single pixels decide it.",
    "wide_sigma": "A fitted sigma is larger than the map.",
    "poor_fit": "The Gaussian explains less than half of the smoothed map.",
    "replicate_fits_not_converged": "Some fits without a group of images did not converge: errors in doubt.",
    "shape_not_chosen": "The shape was not chosen by prediction but taken to be axis-aligned.",
    "star_in_residual": "The residual keeps the blobs of a star or grid: a Gaussian says little.",
    # Extent
    "share_not_reached": "No box short of the whole image holds some of the shares.",
    "boxes_leave_map": "Some boxes leave the image; the part within counts.",
    "log_depends_on_scale": "Area ratios of log10(1 + mean) depend on the gradient's scale.",
    "images_unknown": "The number or the names of the images are unknown.",
    "negative_values": "Negative values count as zero in the logarithm.",
    "nothing_above_background": "Nothing stands above the background.",
    # Pattern
    "close_verdict": "A score lies within a tenth of its threshold.",
    "asymmetry_unknown": "The asymmetry is unknown for want of groups of images.",
    "patches_not_sought": "The map is too small or empty: no patches were looked for.",
    "patch_phase_unknown": "No patch is set off from its neighbors: the phase is unknown.",
    # Comparison
    "sizes_differ": "The maps have different sizes: only numbers in px are compared.",
    "little_overlap": "The maps' parts around their projected centers hardly overlap.",
    "centers_differ": "Projected centers differ: only the part around both is compared.",
    "blocks_misaligned": "Blocks are out of line by a fraction of a pixel.",
    "unpaired": "The two maps do not hold the same images in the same groups.",
    # Scores
    "class_names_differ": "The checkpoint names classes otherwise than the dataset.",
    "images_fitted": "Images were fitted to one size: not the scores of whole images.",
    "images_padded": "Images were padded to sizes that the network takes.",
    "subset_scored": "Only some of the dataset's images were scored.",
    "few_images": "Too few images for an error of the mIoU.",
    "absent_classes": "Some classes have no labeled pixel.",
    "classes_never_right": "Some classes are never predicted rightly and left out of some means.",
    "empty_trimap": "No labeled pixel lies within some of the trimap's widths.",
    # Prediction from the graph
    "graph_not_read": "Stride and rates could not be read from the network's graph.",
    "shallower_stride": "The atrous convolutions read a map that is not the network's deepest.",
    "no_rate_small_enough": "Every atrous rate is too large for this size.",
    "taps_outside_map": "Some taps of the atrous convolutions fall outside the map at this size.",
    "rates_for_shorter_side": "The recommended rates are for the shorter side.",
    # Training
    "rate_too_large": "The outer taps of a rate read only padding.",
    "rate_large": "The outer taps of a rate read only padding at the center of a crop.",
    "constant_learning_rate": "The learning rate never falls: it starts at or below its minimum.",
    "validated_on_training_images": "Validation sees the images that are trained on.",
    "separate_batch_norm": "Each process normalizes over its own images.",
    "interrupted": "The run was interrupted and can be resumed.",
    # Sweep
    "runs_missing": "Some runs of the sweep are not done yet.",
    "pattern_not_found": "The predicted pattern was not found in every map.",
})  # fmt: skip


@dataclass(frozen=True)
class Flag:
    """A reason to doubt a result.

    Attributes
    ----------
    code
        One of `FLAG_CODES`; the same for all results that the same doubt holds for.
    message
        The same in words, with this result's numbers.

    Raises
    ------
    ValueError
        A code that isn't in `FLAG_CODES`.
    """

    code: str
    message: str

    def __post_init__(self) -> None:
        if self.code not in FLAG_CODES:
            raise ValueError(f"no flag has the code {self.code!r}; records.flags.FLAG_CODES lists them")

    def __str__(self) -> str:
        return self.message

    def prefixed(self, where: str) -> "Flag":
        """Return the flag with its message as `where: message`."""
        return Flag(self.code, f"{where}: {self.message}")


def flag_fields(flags: Iterable[Flag], prefix: str = "") -> dict[str, list[str]]:
    """Return the JSON form: `flags`, the messages, and `flag_codes` in the same order.

    `prefix` goes before both keys.
    """
    flags = tuple(flags)
    messages, codes = [flag.message for flag in flags], [flag.code for flag in flags]
    return {f"{prefix}flags": messages, f"{prefix}flag_codes": codes}


def read_flags(document: Mapping[str, Any], prefix: str = "") -> tuple[Flag, ...]:
    """Read what `flag_fields` wrote into a JSON document.

    Parameters
    ----------
    prefix
        Before both keys.

    Raises
    ------
    KeyError, TypeError, ValueError
        Either list is missing or none, they differ in length, or a code is unknown.
    """
    pairs = zip(document[f"{prefix}flag_codes"], document[f"{prefix}flags"], strict=True)
    return tuple(Flag(code, message) for code, message in pairs)
