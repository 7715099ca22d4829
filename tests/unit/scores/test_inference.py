"""Windows, scales and mirrored images, against plain loops and against mmsegmentation's own code (golden)."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from golden.score_inputs import CLASSES, CROP, RUNS, SIZE, STRIDE, image, logits
from small_networks import SmallNet, seeded
from torch import nn
from torch.nn import functional as F

from erfscope.errors import ComputeError, ScoreError
from erfscope.scores.inference import Inference, Predictor, resize_image, slide, usual_stride, window_places
from erfscope.scores.padding import Padded

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "mmsegmentation_scores.json").read_text())


class HalfSize(nn.Module):
    """The golden file's network: logits at half the size."""

    def forward(self, images):
        return logits(images)


def golden_image():
    return torch.from_numpy(image()).permute(2, 0, 1)


@pytest.mark.parametrize("name", RUNS)
def test_classes_of_mmsegmentation(name):
    mode, scales, flip = RUNS[name]
    window = (CROP, STRIDE) if mode == "slide" else (None, None)
    predictor = Predictor(HalfSize(), Inference(mode, *window, scales, flip=flip))
    found = predictor.choose(predictor.scores(golden_image()))
    assert "".join(map(str, found.flatten().tolist())) == GOLDEN["classes"][name]


def test_logits_of_mmsegmentations_windows():
    found = Predictor(HalfSize(), Inference("slide", CROP, STRIDE)).scores(golden_image())
    expected = torch.tensor(GOLDEN["slide_logits"]).view(CLASSES, *SIZE)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)  # written to 1e-5


def slow_slide(forward, image, crop, stride):
    """Window by window, pixel by pixel: sum and count of whatever covers a pixel."""
    _, _, height, width = image.shape
    tops = [0]
    while tops[-1] + crop[0] < height:
        tops.append(min(tops[-1] + stride[0], height - crop[0]))
    lefts = [0]
    while lefts[-1] + crop[1] < width:
        lefts.append(min(lefts[-1] + stride[1], width - crop[1]))
    total = {}
    for top, left in itertools.product(tops, lefts):
        window = forward(image[:, :, top : top + crop[0], left : left + crop[1]])
        for y, x in itertools.product(range(window.shape[2]), range(window.shape[3])):
            total.setdefault((top + y, left + x), []).append(window[0, :, y, x])
    found = [torch.stack(total[y, x]).mean(0) for y, x in itertools.product(range(height), range(width))]
    return torch.stack(found, 1).view(1, -1, height, width)


@pytest.mark.parametrize("size", [(20, 33), (19, 33), (21, 34), (16, 12), (17, 13), (9, 40), (5, 7), (1, 1)])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_windows_against_a_plain_loop(size, batch_size):
    network = seeded(SmallNet()).double().eval()
    pixels = torch.randn(1, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        found = slide(network, pixels, (16, 12), (7, 5), batch_size)
        expected = slow_slide(network, pixels, (16, 12), (7, 5))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_windows_cover_everything_and_stay_inside():
    for length, crop, stride in itertools.product(range(1, 40), (1, 7, 8), (1, 3, 7)):
        if stride > crop:  # which `Inference` refuses
            continue
        places = [x for _, x in window_places((1, length), (1, crop), (1, stride))]
        assert places == sorted(set(places))
        side = min(crop, length)
        covered = {x + k for x in places for k in range(side)}
        assert covered == set(range(length))
        assert all(step <= stride for step in np.diff(places))


def test_windows_of_mmsegmentations_configs():
    sides = {512: 341, 769: 513, 128: 85, 256: 170, 768: 512, 640: 426, 64: 42}
    assert {side: usual_stride((side, side))[0] for side in sides} == sides
    assert usual_stride((512, 1024)) == (341, 682)


@pytest.mark.parametrize("size", [(24, 36), (23, 37), (25, 35)])
@pytest.mark.parametrize("align_corners", [False, True])
def test_scales_and_flip_against_the_average_written_out(size, align_corners):
    network = nn.Conv2d(3, 4, 3, stride=2, padding=1).double()
    network.align_corners = align_corners
    pixels = torch.randn(3, *size, dtype=torch.float64)

    def view(height, width, mirrored):
        resized = F.interpolate(pixels[None], size=(height, width), mode="bilinear", align_corners=False)
        output = network(resized.flip(3) if mirrored else resized)
        at_input = F.interpolate(output, (height, width), mode="bilinear", align_corners=align_corners)
        at_input = at_input.flip(3) if mirrored else at_input
        return F.interpolate(at_input, size, mode="bilinear", align_corners=align_corners).softmax(1)[0]

    with torch.no_grad():
        found = Predictor(network, Inference(scales=(0.5, 1.0), flip=True)).scores(pixels)
        half = tuple(int(side * 0.5 + 0.5) for side in size)
        expected = sum(view(*sides, mirrored) for sides in (half, size) for mirrored in (False, True)) / 4
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [(24, 36), (37, 23)])
def test_the_shorter_side_is_scaled_first(size):
    network = nn.Conv2d(3, 4, 3, padding=1).double()
    pixels = torch.randn(3, *size, dtype=torch.float64)
    factor = 10 / min(size)
    scaled = tuple(int(side * factor + 0.5) for side in size)
    assert min(scaled) == 10
    with torch.no_grad():
        found = Predictor(network, Inference(short_side=10)).scores(pixels)
        small = F.interpolate(pixels[None], size=scaled, mode="bilinear", align_corners=False)
        expected = F.interpolate(network(small), size, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_a_single_view_stays_logits():
    network = seeded(SmallNet()).eval()
    pixels = torch.randn(3, 21, 18)
    with torch.no_grad():
        predictor = Predictor(network, Inference())
        assert torch.equal(predictor.scores(pixels), network(pixels[None])[0])
        assert torch.equal(predictor.choose(predictor.scores(pixels)), network(pixels[None])[0].argmax(0))


def test_one_logit_is_a_probability():
    network = nn.Conv2d(3, 1, 1)
    pixels = torch.randn(3, 9, 9)
    with torch.no_grad():
        for flip in (False, True):
            predictor = Predictor(network, Inference(threshold=0.3, flip=flip))
            expected = network(pixels[None])[0, 0].sigmoid() > 0.3
            assert torch.equal(predictor.choose(predictor.scores(pixels)), expected.long())


def test_sizes_of_scaled_images():
    pixels = torch.zeros(1, 3, 25, 50)
    assert resize_image(pixels, 0.5).shape[2:] == (13, 25)  # 12.5 rounds up, as mmcv has it
    assert resize_image(pixels, 1.75).shape[2:] == (44, 88)
    assert resize_image(pixels, 1.0) is pixels
    assert resize_image(torch.zeros(1, 3, 3, 40), 0.1).shape[2:] == (1, 4)


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ({"mode": "sliding"}, "no mode of inference is called 'sliding'; expected whole or slide"),
        ({"mode": "slide"}, "a sliding window needs its size; give --crop"),
        ({"mode": "slide", "crop": (8, 8), "stride": (8, 9)}, "leave gaps"),
        ({"mode": "slide", "crop": (8, 8), "stride": (0, 4)}, "at least 1 px"),
        ({"scales": ()}, "expected numbers from 0.05 to 20"),
        ({"scales": (1.0, -1.0)}, "expected numbers from 0.05 to 20"),
        ({"scales": (float("nan"),)}, "expected numbers from 0.05 to 20"),
        ({"short_side": 0}, "expected at least 1"),
        ({"threshold": 1.5}, "probability between 0 and 1"),
        ({"batch_size": 0}, "expected at least 1"),
    ],
)
def test_what_cannot_be_done(choices, told):
    with pytest.raises(ScoreError) as raised:
        Inference(**choices)
    assert told in str(raised.value)


class Picky(nn.Module):
    """Takes sides that are multiples of 32 only, as other libraries' U-Nets do."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, images):
        self.seen.append(tuple(images.shape[2:]))
        if any(side % 32 for side in images.shape[2:]):
            raise RuntimeError("Wrong input shape. Expected image height and width divisible by 32")
        return images[:, :2]


def test_a_network_that_refuses_a_size_gets_padded_images():
    network = Picky()
    padded = Padded(network)
    assert padded(torch.zeros(1, 3, 64, 32)).shape == (1, 2, 64, 32)
    assert padded.multiple == 1
    image = torch.randn(1, 3, 33, 65)
    assert torch.equal(padded(image), image[:, :2])
    assert padded.multiple == 32
    assert torch.equal(padded(image), image[:, :2])
    assert network.seen == [(64, 32), (33, 65), (64, 96), (64, 96)]


def test_padding_is_zero_at_the_right_and_at_the_bottom():
    seen = []

    def forward(images):
        if images.shape[2] % 32:
            raise ValueError("no")
        seen.append(images)
        return images

    Padded(forward)(torch.ones(1, 1, 30, 40))
    expected = torch.zeros(1, 1, 32, 64)
    expected[:, :, :30, :40] = 1
    assert torch.equal(seen[0], expected)


def test_a_network_that_takes_no_size_says_why():
    class Broken(nn.Module):
        def forward(self, images):
            raise IndexError(f"no place\nfor {tuple(images.shape)}")

    for side in (33, 64):
        with pytest.raises(ScoreError) as raised:
            Padded(Broken())(torch.zeros(1, 3, side, side))
        assert f"on an image of {side}×{side} px (IndexError: no place for (1, 3, {side}" in str(raised.value)


def test_memory_that_ends_is_no_reason_to_pad():
    calls = []

    def forward(images):
        calls.append(1)
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(ComputeError, match="--mode slide"):
        Padded(forward)(torch.zeros(1, 3, 33, 33))
    assert len(calls) == 1
