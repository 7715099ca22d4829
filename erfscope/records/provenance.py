"""Short labels of a record's network, weights and dataset, for tables and figures."""

from collections.abc import Mapping
from typing import Any


class HasProvenance:
    """A record whose `provenance` names network, weights and dataset, as JSON can hold it."""

    provenance: Mapping[str, Any]

    @property
    def network_label(self) -> str:
        """Network and backbone, "network unknown" if not recorded."""
        network = self.provenance.get("network", {})
        parts = [network.get("name", ""), network.get("options", {}).get("backbone", "")]
        return " ".join(part for part in parts if part) or "network unknown"

    @property
    def weights_label(self) -> str:
        """Source of the weights, "weights unknown" if not recorded."""
        return str(self.provenance.get("weights", {}).get("label", "weights unknown"))

    @property
    def data_label(self) -> str:
        """Dataset and split, "data unknown" if not recorded."""
        dataset = self.provenance.get("dataset", {})
        parts = [dataset.get("name", ""), dataset.get("split") or ""]
        return " ".join(part for part in parts if part) or "data unknown"
