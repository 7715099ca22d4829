"""Pruned and folded against plain autograd in float64: the same numbers, for every catalog network.

And nothing of the gradient lies outside of the receptive field that is predicted.
"""

import pytest
import tiers
import torch
from small_networks import network
from tiers import representatives

import erfscope
from erfscope.zoo.catalog.entries import CATALOG

# The graph's float64 sums are ordered otherwise than autograd's; both are right to some 1e-15 of the peak,
# but for attention over maps that its exponential spreads widely.
TOLERANCE = 1e-12
ATTENTION_TOLERANCE = 1e-10

BACKBONES = [
    ("deeplabv3plus", "mobilenet-v2"),
    ("deeplabv3plus", "resnet50-v1d"),
    ("deeplabv3plus-paper", "xception65"),
    ("dense-aspp", "densenet121"),
    ("upernet", "convnext-t"),
    ("upernet", "resnet50-v1"),
    ("upernet", "swin-t"),
    ("upernet", "vit-t16"),
]
# (size, unit, align_corners): one network is asked for its center, the next for a border.
WAYS = [((65, 65), None, False), ((64, 96), (1, 94), True)]
NETWORKS = [(name, *WAYS[number % 2]) for number, name in enumerate(CATALOG)]
# The first tier's UPerNet is the one over Swin, of those below.
CHOSEN = [case for case in NETWORKS if case[0] in tiers.NETWORKS and case[0] != "upernet"]
STRIDES = [
    ((65, 129), (64, 0), True, {"output_stride": 8}),
    ((96, 80), (33, 40), True, {"output_stride": 16}),
    ((49, 200), None, False, {"output_stride": 32}),
]
STRIDED = [("deeplabv3", *way) for way in STRIDES]
STRIDED += [(name, *STRIDES[n]) for n, name in enumerate(("fcn", "fcn-d6", "deeplabv3plus"))]


@pytest.fixture(autouse=True)
def _once(predicted_from_it):
    pass


def check(model, size, unit, tolerance=TOLERANCE):
    image = torch.randn(3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    erf = erfscope.compute_erf(model, [image], unit=unit, precision="float64")
    assert erf.provenance["engine"]["mode"] == "graph"
    assert "no rule" not in erf.provenance["engine"]["reason"]
    leaf = image[None].requires_grad_()
    y, x = unit or (size[0] // 2, size[1] // 2)
    (gradient,) = torch.autograd.grad(model(leaf)[0, :, y, x].sum(), leaf)
    expected = gradient[0].sum(0).numpy()
    assert abs(erf.gradient_sum - expected).max() <= tolerance * abs(expected).max()
    predicted = erfscope.predict_fov(model, size, unit=unit)
    assert not ((gradient[0] != 0).any(0).numpy() & ~predicted.receptive_field).any()


@pytest.mark.parametrize(("name", "size", "unit", "align_corners"), representatives(NETWORKS, CHOSEN))
def test_every_network(name, size, unit, align_corners):
    model = network(name, align_corners=align_corners)
    check(model, size, unit, ATTENTION_TOLERANCE if name == "nonlocal" else TOLERANCE)


@pytest.mark.parametrize(("name", "backbone"), representatives(BACKBONES, [("upernet", "swin-t")]))
def test_every_backbone(name, backbone):
    check(network(name, backbone=backbone), (61, 98), (60, 3))


@pytest.mark.parametrize(
    ("name", "size", "unit", "align_corners", "options"), representatives(STRIDED, STRIDED[:1])
)
def test_output_strides(name, size, unit, align_corners, options):
    check(network(name, align_corners=align_corners, **options), size, unit)


LAYERS = [("backbone.layer2", 1), ("backbone.layer3.0.bn1", 3), ("decode_head.aspp_modules.2", 1)]


@pytest.mark.parametrize(("layer", "batch_size"), LAYERS)
def test_layers_and_batches(layer, batch_size):
    model = network("deeplabv3")
    images = [torch.randn(3, 65, 81, generator=torch.Generator().manual_seed(i)) for i in range(4)]
    options = {"unit": layer, "precision": "float64", "batch_size": batch_size}
    pruned, dense = (erfscope.compute_erf(model, images, engine=e, **options) for e in ("auto", "dense"))
    assert pruned.provenance["engine"]["mode"] == "graph"
    assert abs(pruned.replicates - dense.replicates).max() <= 1e-6 * dense.erf.max()  # kept in float32
    assert abs(pruned.erf - dense.erf).max() <= TOLERANCE * dense.erf.max()


@pytest.mark.representative
def test_local_networks_read_a_crop():
    model = network("fcn")
    plan = erfscope.compute_erf(model, [torch.randn(3, 769, 769)]).provenance["engine"]
    height = int(plan["reason"].split()[1].split("×")[0])
    # ResNet-18 at stride 8 and three 3×3 convolutions see 363 px or less.
    assert 200 < height < 400
    assert plan["flops_needed"] < plan["flops_dense"] / 3


def test_float32_is_as_exact_as_plain_autograd():
    """Against float64: any two float32 orders of operations differ by as much from each other."""
    errors = {}
    model = network("deeplabv3")
    images = [torch.randn(3, 97, 97, generator=torch.Generator().manual_seed(i)) for i in range(8)]
    truth = erfscope.compute_erf(model, images, precision="float64", engine="dense").gradient_sum
    for engine in ("auto", "dense"):
        erf = erfscope.compute_erf(model, images, engine=engine)
        errors[engine] = abs(erf.gradient_sum - truth).mean()
    # 1.5 is what was asked for; eight images average over which ReLUs flip.
    assert errors["auto"] <= 1.5 * errors["dense"]
