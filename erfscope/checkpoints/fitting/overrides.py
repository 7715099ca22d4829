"""What may be chosen for a network that its checkpoint describes."""

from collections.abc import Mapping
from typing import Any

from erfscope.zoo.adjust import at_output_stride, with_align_corners, with_rates
from erfscope.zoo.description import NetworkDescription

#: All else is the file's.
OVERRIDES = ("output_stride", "rates", "align_corners")


def override(description: NetworkDescription, chosen: Mapping[str, Any]) -> NetworkDescription:
    """Change a description by the options among `OVERRIDES`; `NetworkError` for what can't be."""
    if "output_stride" in chosen:
        description = at_output_stride(description, chosen["output_stride"])
    if "rates" in chosen:
        description = with_rates(description, chosen["rates"])
    if "align_corners" in chosen:
        description = with_align_corners(description, align_corners=chosen["align_corners"])
    return description
