"""What a network is, where its weights come from, and what it was trained on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class WeightsReport:
    """Where a network's weights come from and how well they fit.

    `source` is a path, "random" or "as given" (a module that the caller built); `matched`, `missing`
    and `unexpected` name tensors of the state dict. `left_out` counts tensors of auxiliary heads,
    which no map needs, and of what a training module keeps beside its network. `not_finite` counts the
    values that are NaN or infinite, by tensor.
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
        """How a figure's title names the weights."""
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
    """What a checkpoint tells of how its network was trained; None or empty where it doesn't.

    Attributes
    ----------
    classes, palette
        Names, and colors (R, G, B) in 0 to 255.
    mean, std
        Of R, G, B in 0 to 1, with which images were normalized.
    channel_order
        In which the network takes them: "rgb" or "bgr".
    crop_size
        (H, W), px.
    hyper_parameters
        What Lightning, or a run of ours, keeps of them, as JSON can say it.
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
    options
        Backbone, output stride, rates, classes, and what else was chosen.
    trained_settings
        The options of its training that were overridden.
    parts
        The description from which it was built; empty for another library's network.
    format, detected_by
        What it was read from, and what told so.
    """

    name: str
    options: Mapping[str, Any]
    weights: WeightsReport
    trained_settings: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Any] = field(default_factory=dict)
    training: TrainingFacts = TrainingFacts()
    format: str = ""
    detected_by: str = ""
