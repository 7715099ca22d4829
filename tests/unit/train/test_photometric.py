"""Photometric distortion against a second derivation in floating point, and the ranges it draws from."""

import colorsys

import numpy as np
import pytest
from PIL import Image

from erfscope.train.crops.photometric import BRIGHTNESS, CONTRAST, HUE, SATURATION, distort


class Scripted:
    """Random numbers that were written down: coins, and places in a range."""

    def __init__(self, coins, places):
        self.coins, self.places = iter(coins), iter(places)

    def random(self):
        return next(self.coins)

    def uniform(self, low, high):
        return low + next(self.places) * (high - low)


HEADS, TAILS = 0.1, 0.9
# The order of the coins: contrast first, brightness, contrast, saturation, hue.
ORDER = ("first", "brightness", "contrast", "saturation", "hue")


def scripted(**places):
    """Do what is named, at a place in its range; `first`: contrast before the colors."""
    coins = [HEADS if name in places else TAILS for name in ORDER]
    return Scripted(coins, [places[name] for name in ORDER[1:] if name in places])


def photo(seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 14, 3), dtype=np.uint8))


def test_nothing_is_done_if_all_coins_say_so():
    assert np.array_equal(distort(photo(), scripted()), photo())


@pytest.mark.parametrize("place", [0.0, 0.3, 1.0])
def test_brightness(place):
    expected = np.clip(np.asarray(photo(), float) + BRIGHTNESS * (2 * place - 1), 0, 255).astype(np.uint8)
    assert np.array_equal(distort(photo(), scripted(brightness=place, first=1)), expected)


@pytest.mark.parametrize("place", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("order", [{}, {"first": 1}])
def test_contrast(place, order):
    factor = CONTRAST[0] + place * (CONTRAST[1] - CONTRAST[0])
    expected = np.clip(np.asarray(photo(), float) * factor, 0, 255).astype(np.uint8)
    assert np.array_equal(distort(photo(), scripted(contrast=place, **order)), expected)


def in_hsv(image, change):
    """Change hue, saturation and value, each in 0 to 1, pixel by pixel."""
    pixels = np.asarray(image).reshape(-1, 3) / 255
    changed = [colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*pixel))) for pixel in pixels]
    return np.array(changed).reshape(image.height, image.width, 3) * 255


@pytest.mark.parametrize("place", [0.0, 0.6, 1.0])
def test_saturation(place):
    factor = SATURATION[0] + place * (SATURATION[1] - SATURATION[0])
    expected = in_hsv(photo(), lambda h, s, v: (h, min(s * factor, 1), v))
    # Hue, saturation and value are rounded to 8 bits on the way; a level of hue is up to 6 of a channel.
    assert np.abs(np.asarray(distort(photo(), scripted(saturation=place)), float) - expected).max() < 8


@pytest.mark.parametrize("place", [0.0, 0.8, 1.0])
def test_hue(place):
    shift = HUE * (2 * place - 1)
    expected = in_hsv(photo(), lambda h, s, v: ((h + shift) % 1, s, v))
    assert np.abs(np.asarray(distort(photo(), scripted(hue=place)), float) - expected).max() < 12


def test_ranges():
    """On gray, what changes is brightness and contrast: within 0.5 to 1.5 times the value ± 32."""
    gray = Image.new("RGB", (1, 1), (100, 100, 100))
    values = [np.asarray(distort(gray, np.random.default_rng(key)))[0, 0, 0] for key in range(500)]
    assert 33 <= min(values) < 50
    assert 170 < max(values) <= 198
    # A quarter of the images has neither.
    assert abs(np.mean(np.array(values) == 100) - 0.25) < 0.1


def test_colors_are_left_in_half_of_the_images_of_each_kind():
    red = Image.new("RGB", (1, 1), (150, 90, 90))
    ratios = []
    for key in range(400):
        _, g, b = (float(v) for v in np.asarray(distort(red, np.random.default_rng(key)))[0, 0])
        ratios.append(abs(g - b) <= 1.5)
    assert abs(np.mean(ratios) - 0.5) < 0.15  # hue parts green from blue, in half of them
