"""Write trained weights as safetensors that describe their network; `checkpoints` reads them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from erfscope.checkpoints.formats.trained_reader import KEY
from erfscope.datasets import ImageDataset
from erfscope.system.atomic_files import replacing
from erfscope.train.recipes.fields import plain
from erfscope.train.recipes.recipe import Recipe
from erfscope.zoo.description import NetworkDescription


@dataclass(frozen=True)
class Exporter:
    """Writes the weights of one run, with a header that describes network, dataset and recipe.

    Attributes
    ----------
    name
        Name of the network in the catalog.
    """

    name: str
    description: NetworkDescription
    recipe: Recipe
    dataset: ImageDataset

    def metadata(self, **facts: Any) -> dict[str, str]:
        """Return the header: JSON under one name, as `checkpoints.formats.trained_reader` reads it."""
        header = {
            "name": self.name,
            "network": self.description.summary(),
            "classes": list(self.dataset.classes),
            "mean": list(self.dataset.mean),
            "std": list(self.dataset.std),
            "crop_size": list(self.recipe.data.size),
            "recipe": plain(self.recipe),
            **facts,
        }
        return {"format": "pt", KEY: json.dumps(header)}

    def write(self, path: Path, state: dict[str, torch.Tensor], **facts: Any) -> None:
        """Write a state dict, complete or not at all; `facts`, such as the iteration, go into the header."""
        # Contiguous, since safetensors doesn't know channels-last memory.
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        with replacing(path) as temporary:  # not by safetensors, whose files only their owner may read
            temporary.write_bytes(save(tensors, metadata=self.metadata(**facts)))
