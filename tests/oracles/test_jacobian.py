"""The map against `torch.autograd.functional.jacobian`, and the formulas against few-line versions."""

import numpy as np
import pytest
from small_networks import SmallNet, noise_images, seeded
from tiers import representatives
from torch import nn
from torch.autograd.functional import jacobian

import erfscope

pytestmark = pytest.mark.representative

SIZE = (19, 23)
# Strong enough that the images differ in their highest class.
IMAGES = [5 * image for image in noise_images(5, SIZE)]


def values_at(network, image, unit):
    return network(image[None])[0, :, unit[0], unit[1]]


def target_jacobian(network, image, unit, target, relu):
    """(3, H, W) gradient from the full Jacobian (K, 3, H, W) of the unit's values, without autograd.grad."""
    rows = jacobian(lambda x: values_at(network, x, unit), image)
    values = values_at(network, image, unit)
    rows = rows * (values > 0)[:, None, None, None] if relu else rows
    best = int(values.argmax())
    if target == "logits":
        return rows.sum(0)
    if target == "predicted":
        return rows[best]
    if target == "margin":
        others = [k for k in range(len(rows)) if k != best]
        return rows[best] - rows[others].mean(0)
    return rows[target]


FEW_LINES = {
    "paper": lambda g: np.maximum(g.sum(0), 0),
    "replknet": lambda g: np.maximum(g, 0).sum(0),
    "openerf": lambda g: np.maximum(g.mean(0), 0),
    "luo2016": lambda g: np.abs(g.sum(0)),
}


@pytest.mark.parametrize("unit", representatives([(None,), ((0, 0),), ((18, 5),)], [((18, 5),)]))
@pytest.mark.parametrize("target", ["logits", "predicted", "margin", 2])
@pytest.mark.parametrize("formula", FEW_LINES)
def test_map_is_the_clipped_jacobian(formula, target, unit):
    network = seeded(SmallNet()).double().eval()
    erf = erfscope.compute_erf(
        network, IMAGES, formula=formula, target=target, unit=unit, precision="float64"
    )
    where = unit or (SIZE[0] // 2, SIZE[1] // 2)
    gradients = [
        target_jacobian(network, image.double(), where, target, formula == "replknet").numpy()
        for image in IMAGES
    ]
    expected = sum(FEW_LINES[formula](gradient) for gradient in gradients)
    # Two orders of the same float64 sums.
    np.testing.assert_allclose(erf.erf, expected, rtol=1e-12, atol=1e-12 * expected.max())


def test_predicted_class_differs_between_images():
    """Otherwise "predicted" would be tested no better than one class."""
    network = seeded(SmallNet()).double().eval()
    best = {int(values_at(network, i.double(), (9, 11)).argmax()) for i in IMAGES}
    assert len(best) > 1


def test_layer_unit_is_the_jacobian_of_its_central_feature():
    network = seeded(SmallNet()).double().eval()
    image = noise_images(1, SIZE)[0]
    erf = erfscope.compute_erf(network, [image], unit="norm", precision="float64")

    def center(x):  # before the in-place ReLU that follows the layer
        features = network.norm(network.stem(x[None]))[0]
        return features[:, features.shape[1] // 2, features.shape[2] // 2].sum()

    expected = jacobian(center, image.double()).sum(0).numpy()
    np.testing.assert_allclose(erf.gradient_sum, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())
    assert (erf.unit.y, erf.unit.x, erf.unit.layer) == (5, 6, "norm")


def test_low_resolution_logits_are_resized_before_the_unit_is_taken():
    network = nn.Sequential(nn.Conv2d(3, 2, 3, stride=4, padding=1), nn.Tanh()).double()
    image = noise_images(1, SIZE)[0].double()

    def full(x):
        return nn.functional.interpolate(network(x[None]), size=SIZE, mode="bilinear")[0, :, 9, 11].sum()

    def coarse(x):
        logits = network(x[None])[0]
        return logits[:, logits.shape[1] // 2, logits.shape[2] // 2].sum()

    for resize, function in ((True, full), (False, coarse)):
        erf = erfscope.compute_erf(network, [image], resize=resize, precision="float64")
        expected = jacobian(function, image).sum(0).numpy()
        np.testing.assert_allclose(
            erf.gradient_sum, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max()
        )
        assert (erf.unit.layer is None) == resize
