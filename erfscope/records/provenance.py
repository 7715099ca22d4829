"""How tables and figures name what was recorded, by its provenance."""

from collections.abc import Mapping
from typing import Any


class Labeled:
    """A record with a `provenance`: JSON-able, with network, weights and dataset."""

    provenance: Mapping[str, Any]

    @property
    def network_label(self) -> str:
        """Network and backbone."""
        network = self.provenance.get("network", {})
        parts = [network.get("name", ""), network.get("options", {}).get("backbone", "")]
        return " ".join(part for part in parts if part) or "network unknown"

    @property
    def weights_label(self) -> str:
        """Where the weights come from."""
        return str(self.provenance.get("weights", {}).get("label", "weights unknown"))

    @property
    def data_label(self) -> str:
        """Dataset and split."""
        dataset = self.provenance.get("dataset", {})
        parts = [dataset.get("name", ""), dataset.get("split") or ""]
        return " ".join(part for part in parts if part) or "data unknown"
