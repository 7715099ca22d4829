"""The plan of a run: all that is decided before it starts, frozen and printable."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from erfscope.engine.target import Target
from erfscope.records.fov_prediction import FovPrediction
from erfscope.records.unit import Unit


@dataclass(frozen=True)
class EnginePlan:
    """How every image of a run is computed.

    Attributes
    ----------
    mode, reason
        "graph" computes what the unit needs, "dense" the whole network forward and backward; `reason`
        says why, or how much of the image is read.
    size
        (H, W) of the images.
    unit_map_shape
        (K, h, w) of the map in which the unit lies.
    flops_needed, flops_dense
        Floating-point operations an image (a multiply-add is two): of this mode, and of plain
        autograd over the whole network. None where they can't be counted.
    graph_allowed
        Whether a captured graph would have the network's own gradient; `reason` says why not.
    resize
        Whether low-resolution logits are resized to the images' size.
    workers, threads
        Loader processes, and threads of torch.
    model
        The network's name.
    prediction
        What the graph tells of the unit: its projected center and the lattice; None if there is no graph.
    """

    mode: str
    reason: str
    size: tuple[int, int]
    unit: Unit
    unit_map_shape: tuple[int, int, int]
    formula: str
    target: Target
    resize: bool
    precision: str
    device: str
    batch_size: int
    workers: int
    threads: int
    flops_needed: int | None
    flops_dense: int | None
    graph_allowed: bool
    model: str
    prediction: FovPrediction | None = None

    def summary(self) -> dict[str, Any]:
        """Return the JSON form, without the prediction."""
        facts = asdict(replace(self, prediction=None))
        del facts["prediction"]
        return facts
