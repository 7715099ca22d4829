"""Patches whose size and phase are known, and everything else that is periodic, stepped or rough."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from simulated_maps import Blob, clipped_sums, star_variance

import erfscope
from erfscope.measure.patches import MIN_PATCHES, MIN_TEXTURE_SHARE, THRESHOLD, measure_patches
from erfscope.records.flags import Flag

SIZE = 257
SIZES = [8, 14, 16, 32]


def envelope(width=70.0, size=(SIZE, SIZE)):
    y, x = (np.arange(side) - side // 2 for side in size)
    return np.exp(-0.5 * np.add.outer(y**2, x**2) / width**2) + 0.1


def noise(images, rng, size=(SIZE, SIZE)):
    """The mean over images of a clipped normal gradient, relative."""
    return sum(np.maximum(rng.normal(size=size), 0) for _ in range(images)) / images


def texture(period, depth, phase, rng, size=(SIZE, SIZE)):
    """What patches repeat, the first whole one beginning at `phase`."""
    tiles = [side // period + 2 for side in size]
    tiled = np.tile(rng.lognormal(0, depth, (period, period)), tiles)
    return _shifted(tiled, period, phase, size)


def steps(period, depth, phase, rng, size=(SIZE, SIZE)):
    """What each patch has of its own."""
    strength = rng.lognormal(0, depth, [side // period + 2 for side in size])
    return _shifted(np.kron(strength, np.ones((period, period))), period, phase, size)


def _shifted(values, period, phase, size):
    (top, left), (height, width) = ((period - at for at in phase), size)
    return values[top : top + height, left : left + width]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("images", [3, 40])
@pytest.mark.parametrize("size", SIZES)
def test_texture_tells_the_size(size, images, seed):
    rng = np.random.default_rng([seed, size])
    phase = tuple(rng.integers(size, size=2).tolist())
    found = measure_patches(texture(size, 0.6, phase, rng) * envelope() * noise(images, rng))
    assert found.size_px == size
    assert found.score >= THRESHOLD
    assert found.phase is None  # a wallpaper has no first pattern
    assert any("phase unknown" in flag.message for flag in found.flags)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("images", [5, 40])
@pytest.mark.parametrize("size", SIZES)
def test_steps_tell_size_and_phase(size, images, seed):
    rng = np.random.default_rng([seed, size])
    phase = tuple(rng.integers(size, size=2).tolist())
    found = measure_patches(steps(size, 0.8, phase, rng) * envelope() * noise(images, rng))
    assert (found.size_px, found.phase) == (size, phase)
    assert found.score >= THRESHOLD
    assert found.texture_share < MIN_TEXTURE_SHARE


@pytest.mark.parametrize("size", SIZES)
def test_texture_and_steps_tell_both(size):
    rng = np.random.default_rng(size)
    data = texture(size, 0.6, (3, 5), rng) * steps(size, 0.6, (3, 5), rng) * envelope() * noise(10, rng)
    found = measure_patches(data)
    assert (found.size_px, found.phase) == (size, (3, 5))


def test_the_phase_counts_from_the_map_not_from_the_part_looked_at():
    rng, size = np.random.default_rng(0), (600, 777)
    data = steps(16, 0.8, (7, 11), rng, size) * envelope(150, size) * noise(10, rng, size)
    found = measure_patches(data)
    assert (found.size_px, found.phase) == (16, (7, 11))
    turned = measure_patches(data.T)
    assert (turned.size_px, turned.phase) == (16, (11, 7))


def test_the_scale_does_not_matter():
    rng = np.random.default_rng(0)
    data = texture(16, 0.6, (0, 0), rng) * envelope() * noise(5, rng)
    assert asdict(measure_patches(data * 2.0**-900)) == asdict(measure_patches(data))


def stride_grid(rng):
    """As convolutions of strides 2, 4, … 32 leave it: ever fainter, as in maps of untrained networks."""
    depths = {2: 0.3, 4: 0.15, 8: 0.07, 16: 0.03, 32: 0.015}
    pattern = 1 + sum(
        depth * np.tile(rng.normal(size=(period, period)), [SIZE // period + 1] * 2)[:SIZE, :SIZE]
        for period, depth in depths.items()
    )
    return np.maximum(pattern, 0)


def scrambled(values, rng):
    """The same spectrum with the phases of noise."""
    phases = np.angle(np.fft.rfft2(rng.normal(size=values.shape)))
    mixed = np.fft.irfft2(np.abs(np.fft.rfft2(values)) * np.exp(1j * phases), s=values.shape)
    return mixed - mixed.min()


STAR = star_variance((SIZE, SIZE), (128, 128), (30, 60, 90), Blob(6))
NEGATIVES = {
    "noise": lambda rng: np.ones((SIZE, SIZE)),
    "gaussian": lambda rng: envelope(40),
    "stride grid": lambda rng: stride_grid(rng) * envelope(),
    "stripes": lambda rng: np.ones((SIZE, 1)) * rng.lognormal(0, 1, 33).repeat(8)[:SIZE],
    "scrambled star": lambda rng: scrambled(
        star_variance((SIZE, SIZE), (128, 128), (30, 60, 90), Blob(6)), rng
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("images", [1, 20])
@pytest.mark.parametrize("kind", NEGATIVES)
def test_no_patches_in_what_has_none(kind, images):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        found = measure_patches(NEGATIVES[kind](rng) * noise(images, rng))
        assert (found.size_px, found.phase) == (None, None)
        assert found.score < THRESHOLD


@pytest.mark.slow
@pytest.mark.parametrize("grid", [False, True])
@pytest.mark.parametrize("distance", [16, 24, 32, 40])
@pytest.mark.parametrize("width", [0.15, 0.4])
def test_the_blobs_of_a_star_are_no_patches(distance, width, grid):
    rings = (distance, 2 * distance) if grid else (distance, 2 * distance, 3 * distance)
    variance = star_variance((SIZE, SIZE), (128, 128), rings, Blob(width * distance), floor=0.01, grid=grid)
    for images in (2, 100):
        found = measure_patches(clipped_sums(variance, images=images, groups=1)[0])
        assert (found.size_px, found.score < THRESHOLD) == (None, True)


def test_maps_too_small_or_empty():
    small = measure_patches(np.ones((8 * MIN_PATCHES - 1, 300)))
    message = "no patches looked for: the map is too small for 6 patches a side"
    assert small.flags == (Flag("patches_not_sought", message),)
    empty = Flag("patches_not_sought", "no patches looked for: the map is empty")
    assert measure_patches(np.zeros((300, 300))).flags == (empty,)
    with np.errstate(all="raise", under="ignore"):
        for data in (np.ones((64, 64)), np.eye(300) * 1e-300, -np.ones((64, 64)), np.ones((1, 1))):
            found = measure_patches(data)
            assert found.size_px is None
            json.dumps(found.summary(), allow_nan=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["setr-naive", "segmenter-linear", "dpt"])
def test_real_transformers(name):
    model = erfscope.load_model(name, backbone="vit-t16")
    images = erfscope.open_dataset("synthetic-leaves", images=6, size=256, labels=False)
    found = measure_patches(erfscope.compute_erf(model, images, engine="dense").erf)
    assert (found.size_px, found.phase) == (16, (0, 0))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fcn", "pspnet", "deeplabv3", "unet"])
def test_real_convolutional_networks(name):
    options = {} if name == "unet" else {"backbone": "resnet18"}
    size = 224 if name == "unet" else 225  # a multiple of its stride
    images = erfscope.open_dataset("synthetic-leaves", images=4, size=size, labels=False)
    found = measure_patches(erfscope.compute_erf(erfscope.load_model(name, **options), images).erf)
    assert (found.size_px, found.score < THRESHOLD) == (None, True)
