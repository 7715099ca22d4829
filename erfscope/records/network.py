"""What a network is and where its weights come from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class WeightsReport:
    """Where a network's weights come from and how well they fit.

    `source` is a path, "random" or "as given" (a module that the caller built); `matched`, `missing`
    and `unexpected` name tensors of the state dict. `left_out` counts tensors of auxiliary heads,
    which no map needs.
    """

    source: str
    sha256: str | None = None
    seed: int | None = None
    matched: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    left_out: int = 0

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
            "missing_names": list(self.missing),
            "unexpected_names": list(self.unexpected),
        }


@dataclass(frozen=True)
class ModelOrigin:
    """What a loaded network is: attached to it as `.origin`, recorded in every map made with it."""

    name: str
    options: Mapping[str, Any]
    weights: WeightsReport
