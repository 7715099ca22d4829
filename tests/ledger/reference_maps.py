"""The maps whose numbers the ledger holds, and how the numbers are computed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import erfscope

LEDGER = Path(__file__).with_name("ledger.json")

# Maps are computed in float64, whose rounding (1e-16 a step) grows to some 1e-12 through a network. But
# weights and images are drawn in float32, whose last bit (6e-8) differs between kinds of processors: 1e-6
# for sums and their quotients, far below what a change of the method does. A fit stops where another step
# gains less than 1e-8 of its residual: 1e-5. Lattices, sides of squares and operations are counted.
EXACT, ROUNDED, FITTED = 0.0, 1e-6, 1e-5
TOLERANCES = {
    "sum": ROUNDED,
    "gradient_sum": ROUNDED,
    "center_to_center_px": EXACT,
    "sigma_x_px": FITTED,
    "sigma_y_px": FITTED,
    "half_side_px": EXACT,
    "side99_px": EXACT,
    "effective_diameter_px": ROUNDED,
    "flops_needed": EXACT,
}


@dataclass(frozen=True)
class Row:
    """A map: its network with random weights of seed 0, its size, its images, its unit."""

    network: str
    size: tuple[int, int] = (129, 129)
    images: int = 2
    unit: tuple[int, int] | str | None = None
    formula: str = "paper"
    options: dict[str, Any] = field(default_factory=dict)


SMALL = {"backbone": "resnet18"}
ROWS = {
    "fcn": Row("fcn", options=SMALL),
    "fcn, other formula": Row("fcn", formula="luo2016", options=SMALL),
    "fcn, a layer": Row("fcn", unit="backbone.layer3", options=SMALL),
    "fcn-d6": Row("fcn-d6", options={**SMALL, "rates": (2, 2)}),
    "deeplabv2": Row("deeplabv2", options={**SMALL, "output_stride": 8, "rates": (3, 6)}),
    "deeplabv3 at stride 8": Row("deeplabv3", options={**SMALL, "output_stride": 8, "rates": (2, 4, 6)}),
    "deeplabv3 at stride 16": Row("deeplabv3", options={**SMALL, "output_stride": 16, "rates": (1, 2, 3)}),
    "deeplabv3 at the border": Row("deeplabv3", (97, 128), 2, (96, 5), options={**SMALL, "rates": (2, 4, 6)}),
    "deeplabv3 over MobileNet": Row("deeplabv3", options={"backbone": "mobilenet-v2", "rates": (2, 4, 6)}),
    "deeplabv3plus": Row("deeplabv3plus", options={**SMALL, "rates": (2, 4, 6)}),
    "deeplabv3plus-paper": Row("deeplabv3plus-paper", options={**SMALL, "rates": (2, 4, 6)}),
    "pspnet": Row("pspnet", options=SMALL),
    "nonlocal": Row("nonlocal", (97, 97), options=SMALL),
    "danet": Row("danet", (97, 97), options=SMALL),
    "lraspp": Row("lraspp", options={"backbone": "mobilenet-v3-small"}),
    "segformer": Row("segformer", (128, 128), options={"backbone": "mit-b0"}),
    "setr-aspp": Row("setr-aspp", (128, 128), options={"backbone": "vit-t16", "rates": (1, 2)}),
    "segmenter-linear": Row("segmenter-linear", (128, 128), options={"backbone": "vit-t16"}),
    "upernet over ResNet": Row("upernet", options=SMALL),
    "unet-aspp": Row("unet-aspp", (128, 128), options={"rates": (2, 4)}),
}


def measure(row: Row) -> dict[str, float | None]:
    """Compute a map and return its numbers."""
    model = erfscope.load_model(row.network, num_classes=5, seed=0, **row.options)
    generator = torch.Generator().manual_seed(0)
    images = [torch.randn(3, *row.size, generator=generator) for _ in range(row.images)]
    erf = erfscope.compute_erf(
        model, images, unit=row.unit, formula=row.formula, precision="float64", replicates=0
    )
    prediction = erfscope.predict_fov(model, row.size, unit=row.unit)
    fit = erfscope.fit_gaussian(erf)
    extent = erfscope.measure_extent(erf)
    return {
        "sum": float(erf.erf.sum()),
        "gradient_sum": float(erf.gradient_sum.sum()),
        "center_to_center_px": prediction.center_to_center_px,
        "sigma_x_px": fit.sigma_x_px,
        "sigma_y_px": fit.sigma_y_px,
        "half_side_px": extent.raw.side_px["0.5"],
        "side99_px": extent.raw.side_px["0.99"],
        "effective_diameter_px": extent.effective_diameter_px,
        "flops_needed": erf.provenance["engine"]["flops_needed"],
    }
