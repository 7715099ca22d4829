"""What `load_model` is asked for: `--model` and the options beside it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from erfscope.errors import CheckpointError


@dataclass(frozen=True)
class Request:
    """The arguments of `load_model`; `options` holds only those that were given."""

    spec: str
    checkpoint: Path | None = None
    config: Path | None = None
    trust: bool = False
    allow_partial: bool = False
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The spec as a path."""
        return Path(self.spec)

    @property
    def name(self) -> str:
        """The spec without its prefix: `Unet` of `smp:Unet`."""
        return self.spec.partition(":")[2]

    def refuse_options(self, reason: str, *, but: Iterable[str] = ()) -> None:
        """Raise `CheckpointError` if an option was given that is not in `but`."""
        for option in self.options:
            if option not in but:
                raise CheckpointError(f"{self.spec}: --{option.replace('_', '-')} can't be changed: {reason}")

    def refuse_config(self, reason: str) -> None:
        """Raise `CheckpointError` if `--config` was given."""
        if self.config is not None:
            raise CheckpointError(f"{self.spec}: --config has no meaning here: {reason}")

    def refuse_checkpoint(self, reason: str) -> None:
        """Raise `CheckpointError` if `--checkpoint` was given."""
        if self.checkpoint is not None:
            raise CheckpointError(f"{self.spec}: leave --checkpoint out: {reason}")

    def refuse_beside_program(self) -> None:
        """Raise `CheckpointError` if anything was given beside a file that holds its whole network."""
        self.refuse_checkpoint(f"{self.path} is a checkpoint itself")
        self.refuse_config("the file holds the whole network")
        self.refuse_options("the file holds the whole network")

    def demand_trust(self, path: Path, danger: str) -> None:
        """Raise `CheckpointError` at what may run code, unless `--trust` was given."""
        if not self.trust:
            raise CheckpointError(f"{path} {danger}; --trust allows it, if you know where it comes from")
