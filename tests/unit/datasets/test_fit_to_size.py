"""Every fit: exact where nothing is scaled, aligned with the label where something is."""

import resource

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from small_layouts import noise

from erfscope.datasets.fit_to_size import fit_pair, source_box
from erfscope.records.choices import FITS

KEY = (0, 0)


def image_of(pixels: npt.NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels)


def fitted(
    pixels: npt.NDArray[np.uint8], size: tuple[int, int], fit: str, key: tuple[int, int] = KEY
) -> Image.Image:
    return fit_pair(image_of(pixels), None, size, fit, key)[0]


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("source", [(3, 3), (1, 40), (40, 1), (20, 20), (7, 31), (8, 9)])
@pytest.mark.parametrize("size", [(1, 1), (8, 9), (33, 17), (20, 20)])
def test_every_size_comes_out(source: tuple[int, int], size: tuple[int, int], fit: str) -> None:
    pixels = noise(1, *source)
    image, label = fit_pair(image_of(pixels), image_of(pixels[..., 0]), size, fit, KEY)
    assert label is not None
    assert (image.mode, image.size) == ("RGB", size[::-1])
    assert (label.mode, label.size) == ("L", size[::-1])
    assert set(np.unique(np.asarray(label))) <= set(np.unique(pixels[..., 0]))


@pytest.mark.parametrize("fit", FITS)
def test_equal_size_is_untouched(fit: str) -> None:
    pixels = noise(2, 21, 34)
    assert np.array_equal(fitted(pixels, (21, 34), fit), pixels)


@pytest.mark.parametrize("size", [(11, 8), (12, 9), (21, 5)])
def test_center_crop_of_a_larger_image_is_a_slice(size: tuple[int, int]) -> None:
    pixels = noise(3, 21, 34)
    top, left = (21 - size[0]) // 2, (34 - size[1]) // 2
    expected = pixels[top : top + size[0], left : left + size[1]]
    assert np.array_equal(fitted(pixels, size, "center-crop"), expected)


def test_random_crop_is_a_slice_and_every_start_is_drawn() -> None:
    pixels = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3)
    starts = set()
    # 12 starts: one is missed by 400 draws in 12·(11/12)^400, less than 1e-14, of the seeds.
    for index in range(400):
        cut = np.asarray(fitted(pixels, (3, 3), "random-crop", (7, index)))
        top, left = divmod(int(cut[0, 0, 0]) // 3, 6)
        assert np.array_equal(cut, pixels[top : top + 3, left : left + 3])
        starts.add((top, left))
    assert starts == {(top, left) for top in range(3) for left in range(4)}


def test_random_crop_depends_on_seed_and_index_only() -> None:
    pixels = noise(4, 200, 200)
    boxes = {key: source_box((200, 200), (50, 50), "random-crop", key) for key in [(0, 0), (0, 1), (1, 0)]}
    assert len(set(boxes.values())) == 3
    first = fitted(pixels, (50, 50), "random-crop", (0, 1))
    fitted(pixels, (50, 50), "random-crop", (0, 0))
    assert np.array_equal(first, fitted(pixels, (50, 50), "random-crop", (0, 1)))


def test_small_images_are_enlarged_to_cover_keeping_their_shape() -> None:
    # 20 to 50 rows is 2.5 times, 30 to 60 columns 2 times: the larger covers both; 24 columns are seen.
    box, scaled = source_box((20, 30), (50, 60), "center-crop", KEY)
    assert scaled
    assert box == (3, 0, 27, 20)
    # 32 columns become 80, of which ten whole ones are cut at either side.
    even = noise(5, 20, 32)
    whole = np.asarray(image_of(even).resize((80, 50), Image.Resampling.BILINEAR), np.int16)
    part = np.asarray(fitted(even, (50, 60), "center-crop"), np.int16)
    # One level: the second pass may round a tie the other way.
    assert np.abs(part - whole[:, 10:70]).max() <= 1


def test_resize_sees_the_whole_image() -> None:
    pixels = noise(6, 21, 34)
    expected = image_of(pixels).resize((50, 40), Image.Resampling.BILINEAR)
    assert np.array_equal(fitted(pixels, (40, 50), "resize"), expected)
    assert source_box((21, 34), (40, 50), "resize", KEY) == ((0, 0, 34, 21), True)


def test_box_stays_inside() -> None:
    # At these sizes start + length of the part comes out an ulp too large.
    (_, top, _, bottom), _ = source_box((7, 12), (61, 100), "center-crop", KEY)
    assert 0 <= top < bottom <= 7
    (left, _, right, _), _ = source_box((12, 7), (100, 61), "center-crop", KEY)
    assert 0 <= left < right <= 7


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(30, 30), (60, 75), (200, 170), (257, 257)])
def test_label_stays_on_its_image(fit: str, size: tuple[int, int]) -> None:
    # Patches of 10 px, white where the label is 1: after any fit, a threshold of the image is the label.
    truth = np.kron(
        np.random.default_rng(7).integers(0, 2, (6, 7), dtype=np.uint8), np.ones((10, 10), np.uint8)
    )
    picture = np.repeat(truth[..., None] * np.uint8(255), 3, 2)
    image, label = fit_pair(image_of(picture), image_of(truth), size, fit, (1, 1))
    differs = (np.asarray(image)[..., 0] >= 128) != (np.asarray(label) == 1)
    # Interpolated corners of a patch are rounded off (up to (scale/2)² px of (10·scale)²: 0.3 % at each of
    # four corners) and ties fall either way at shrunken edges; a shift by one source pixel differs in 5 %.
    assert differs.mean() < 0.025


@pytest.mark.parametrize("source", [(1, 10000), (10000, 1)])
@pytest.mark.parametrize("fit", FITS)
def test_thin_images_take_no_gigabytes(source: tuple[int, int], fit: str) -> None:
    pixels = noise(8, *source)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    image, label = fit_pair(image_of(pixels), image_of(pixels[..., 0]), (769, 769), fit, KEY)
    # KiB. Between passes Pillow holds 769 by 10000 px of four bytes, 31 MB; the whole enlarged image: 18 GB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    assert image.size == (769, 769)
    assert label is not None
    assert len(np.unique(np.asarray(label))) >= 1
