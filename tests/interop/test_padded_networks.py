"""Other libraries' networks that refuse a size are scored on padded images."""

import pytest
import torch
from same_outputs import assert_same_outputs
from torch.nn import functional as F

import erfscope
from erfscope.scores.inference import Inference, Predictor

pytestmark = [pytest.mark.representative, pytest.mark.filterwarnings("ignore")]  # of the library itself


def test_a_linknet_takes_only_multiples_of_its_stride(torchvision):
    import segmentation_models_pytorch as smp

    torch.manual_seed(1)
    network = smp.Linknet("resnet18", encoder_weights=None, classes=5).eval()
    image = torch.randn(3, 70, 97)
    with torch.no_grad():
        with pytest.raises(RuntimeError, match="divisible by 32"):
            network(image[None])
        predictor = Predictor(network, Inference())
        found = predictor.scores(image)
        expected = network(F.pad(image[None], (0, 31, 0, 26)))[0, :, :70, :97]
    assert_same_outputs(found, expected)
    images = erfscope.open_dataset("synthetic-leaves", images=1, size=(70, 97))
    evaluation = erfscope.evaluate(network, images, workers=0)
    assert evaluation.inference["padded_to_multiples_of"] == 32
    assert any("padded to multiples of 32 px" in flag.message for flag in evaluation.flags)
