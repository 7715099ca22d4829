"""What a network is, where its weights come from, and what it was trained on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class WeightsReport:
    """Where a network's weights come from and how well they fit.

    Attributes
    ----------
    source
        Path of the file, "random", or "as given" where the caller built the module.
    sha256
        Digest of the file's bytes, hexadecimal; None without a file.
    seed
        Seed of the random weights; None without any.
    matched, missing, unexpected
        Names of tensors: loaded from the file, only in the network, only in the file.
    left_out
        Number of tensors of auxiliary heads, which no map needs, and of what a training module keeps
        beside its network.
    not_finite
        Number of values that are NaN or infinite, by tensor.
    """

    source: str
    sha256: str | None = None
    seed: int | None = None
    matched: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    left_out: int = 0
    not_finite: Mapping[str, int] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The weights in a few words, for the title of a figure."""
        if self.source == "random":
            return f"random weights (seed {self.seed})"
        name = self.source.rsplit("/", 1)[-1]
        return f"{name}, {len(self.missing)} tensors random" if self.missing else name

    def summary(self) -> dict[str, Any]:
        """Return the JSON form: counts, and the names of what didn't match."""
        return {
            "source": self.source,
            "label": self.label,
            "sha256": self.sha256,
            "seed": self.seed,
            "matched": len(self.matched),
            "missing": len(self.missing),
            "unexpected": len(self.unexpected),
            "left_out": self.left_out,
            "not_finite_values": sum(self.not_finite.values()),
            "not_finite_tensors": len(self.not_finite),
            "missing_names": list(self.missing),
            "unexpected_names": list(self.unexpected),
        }


@dataclass(frozen=True)
class TrainingFacts:
    """What a checkpoint says of how its network was trained; None or empty where it says nothing.

    Attributes
    ----------
    classes, palette
        Names of the classes, and their colors (R, G, B) in 0 to 255.
    mean, std
        Mean and standard deviation of R, G, B in 0 to 1, with which images were normalized.
    channel_order
        Order of the channels that the network takes: "rgb" or "bgr".
    crop_size
        Height and width of the training crops, px.
    hyper_parameters
        Those that Lightning or a training run of erfscope saved, as JSON.
    """

    classes: tuple[str, ...] = ()
    palette: tuple[tuple[int, int, int], ...] = ()
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    channel_order: str = "rgb"
    crop_size: tuple[int, int] | None = None
    hyper_parameters: Mapping[str, Any] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


@dataclass(frozen=True)
class ModelInfo:
    """What a loaded network is: attached to it as `.info`, recorded in every map made with it.

    Attributes
    ----------
    name
        Name of the network: the catalog's where it has one, else its library's.
    options
        Backbone, output stride, rates, number of classes, and what else was chosen.
    weights
        Where its weights come from and how well they fit.
    trained_settings
        Options that differ from those of its training, with their values in the training.
    parts
        The description from which it was built; empty for another library's network.
    training
        What its checkpoint says of its training.
    format
        What it was read from, in words, such as "mmsegmentation checkpoint".
    detected_by
        What shows that format, in words, such as "the config in its meta".
    """

    name: str
    options: Mapping[str, Any]
    weights: WeightsReport
    trained_settings: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Any] = field(default_factory=dict)
    training: TrainingFacts = TrainingFacts()
    format: str = ""
    detected_by: str = ""
