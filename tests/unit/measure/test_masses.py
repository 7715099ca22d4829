"""How many images a map stands on."""

import json

import pytest

from erfscope.measure.masses import measure_masses
from erfscope.records.flags import Flag


def names(count):
    return [f"image {i}" for i in range(count)]


def test_equal_images_count_whole():
    found = measure_masses(names(40), [2.5] * 40)
    assert (found.count, found.effective, found.largest_share) == (40, pytest.approx(40), 1 / 40)
    assert found.flags == ()


def test_a_heavy_image_is_named():
    found = measure_masses(names(20), [1.0] * 13 + [5.0] + [1.0] * 6)
    assert found.effective == pytest.approx(24**2 / (19 + 25))
    assert found.largest_share == 5 / 24
    message = "one of 20 images, image 13, has 21% of the gradient mass"
    assert found.flags == (Flag("heavy_image", message),)


def test_few_images_are_told_apart_from_a_heavy_one():
    (flag,) = measure_masses(names(4), [1.0] * 4).flags
    assert flag.message.startswith("one of 4 images")
    assert flag.message.endswith("of fewer than ten, one always has over 10 %")
    assert measure_masses(names(10), [1.0] * 10).flags == ()


@pytest.mark.parametrize("masses", [[], [0.0, 0.0]])
def test_nothing_to_share(masses):
    assert measure_masses(names(len(masses)), masses) is None


def test_json():
    document = measure_masses(names(3), [1.0, 2.0, 3.0]).summary()
    assert set(document) == {"count", "effective", "largest_share", "largest_name", "flags", "flag_codes"}
    json.dumps(document, allow_nan=False)
