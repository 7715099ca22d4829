"""Augmentation: crops of a scaled image, the category ratio, padding, and that a key decides all."""

import numpy as np
import pytest
from PIL import Image
from small_training import AUGMENT, recipe

from erfscope.datasets import IGNORE
from erfscope.train.crops.augment import Cutter, is_varied, scaled_piece, scaled_size

FILL = (1, 2, 3)


def pair(height=60, width=90, seed=0, classes=4):
    """A smooth image with a label of blocks, so that interpolation matters."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (height // 6, width // 6, 3), dtype=np.uint8))
    label = Image.fromarray(rng.integers(0, classes, (height // 6, width // 6), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BILINEAR), label.resize((width, height), 0)


def cutter(size=(32, 40), **augment):
    return Cutter(recipe(augment=augment).augment, size, FILL)


def cut(image, label, key=0, **augment):
    return cutter(**augment).cut(image, label, np.random.default_rng(key))


@pytest.mark.parametrize("scale", [(45, 30), (61, 43), (90, 60), (131, 88), (180, 120)])
@pytest.mark.parametrize("resample", [Image.Resampling.BILINEAR, Image.Resampling.NEAREST])
def test_a_piece_is_the_crop_of_the_whole_scaled_image(scale, resample):
    image = pair()[resample == Image.Resampling.NEAREST]
    whole = image.resize(scale, resample)
    for box in ((0, 0, 20, 15), (5, 7, 25, 27), (scale[0] - 20, scale[1] - 15, *scale), (0, 0, *scale)):
        ours, theirs = (
            np.asarray(each, int) for each in (scaled_piece(image, scale, box, resample), whole.crop(box))
        )
        assert ours.shape == theirs.shape
        if resample == Image.Resampling.NEAREST:
            # The middle row or column of an odd size lies on a border of pixels and may go either way.
            assert (ours == theirs).mean() > 1 - sum(1 / side for side in ours.shape)
        else:
            assert abs(ours - theirs).max() <= 1  # Pillow computes in 8 bits


@pytest.mark.parametrize("size", [(2048, 1024), (1024, 2048), (700, 605), (500, 375), (333, 500)])
@pytest.mark.parametrize("frame", [(2049, 1025), (2048, 512), (896, 896), (700, 605)])
@pytest.mark.parametrize("scale", [0.5, 1.0, 1.37, 2.0])
def test_the_scaled_size_is_mmcvs(size, frame, scale):
    """mmcv's rescale_size: the largest size inside the frame, whichever way it is turned."""
    long, short = (int(side * scale) for side in frame)
    factor = min(long / max(size), short / min(size))
    assert scaled_size(size, frame, scale) == tuple(int(side * factor + 0.5) for side in size)


def test_without_a_frame_the_image_itself_is_scaled():
    assert scaled_size((90, 60), None, 1.0) == (90, 60)
    assert scaled_size((90, 60), None, 2.0) == (180, 120)
    assert scaled_size((3, 2), None, 0.01) == (1, 1)


@pytest.mark.slow
def test_scales_fill_their_range():
    """A label of known width tells the scale: it is uniform between the limits."""
    image = Image.new("RGB", (400, 400))
    label = Image.fromarray(np.repeat(np.arange(400) // 100, 400).reshape(400, 400).astype(np.uint8))
    found = []
    for key in range(200):
        classes = cut(image, label, key, size=(1000, 1000), scale=[0.5, 2.0])[1]
        found.append((classes == 1).any(1).sum() / 100)
    assert min(found) >= 0.495
    assert max(found) <= 2.005
    # Of 200 uniform draws the quartiles stray by less than 4 standard errors, 0.046 each.
    assert np.abs(np.quantile(found, [0.25, 0.5, 0.75]) - [0.875, 1.25, 1.625]).max() < 0.2


def test_category_ratio():
    """As mmsegmentation has it: more than one class, and none with the share or more; void doesn't count."""

    def label(*counts):
        return Image.fromarray(np.repeat(np.array([*range(len(counts) - 1), IGNORE], np.uint8), counts)[None])

    assert is_varied(label(74, 26, 0), 0.75)
    assert not is_varied(label(75, 25, 0), 0.75)
    assert not is_varied(label(100, 0, 50), 0.99)
    assert is_varied(label(6, 4, 90), 0.75)
    assert not is_varied(label(0, 0, 9), 0.75)


def test_crops_keep_the_category_ratio_where_they_can():
    """A tenth of the image has the second class: a crop at random seldom has a quarter of it."""
    image, classes = Image.new("RGB", (400, 40)), np.zeros((40, 400), np.uint8)
    classes[:, 180:220] = 1
    label = Image.fromarray(classes)

    def share(ratio):
        varied = [
            is_varied(Image.fromarray(cut(image, label, key, size=(40, 40), category_ratio=ratio)[1]), 0.75)
            for key in range(150)
        ]
        return np.mean(varied)

    # A crop is varied if its left edge is one of 150 to 169 or 191 to 210: p = 40/361; with eleven tries
    # 1 − (1 − p)^11 = 0.73. Four standard errors of 150 tries are 0.1 and 0.15.
    assert abs(share(1.0) - 0.11) < 0.1
    assert abs(share(0.75) - 0.73) < 0.15


def test_small_images_are_filled_up_at_the_right_and_bottom():
    image, label = pair(24, 36)
    pixels, classes = cut(image, label, size=(40, 50))
    assert np.array_equal(pixels[:24, :36], np.asarray(image))
    assert np.array_equal(classes[:24, :36], np.asarray(label))
    assert (pixels[24:] == FILL).all()
    assert (pixels[:, 36:] == FILL).all()
    assert (classes[24:] == IGNORE).all()
    assert (classes[:, 36:] == IGNORE).all()


def test_crops_come_from_everywhere():
    image = Image.fromarray(np.indices((30, 40)).sum(0, dtype=np.uint8)[..., None].repeat(3, 2))
    label = Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40).astype(np.uint8))
    corners = {tuple(cut(image, label, key, size=(28, 38))[0][0, 0, :1]) for key in range(60)}
    assert {int(corner[0]) for corner in corners} == {0, 1, 2, 3, 4}


def test_flip():
    image, label = pair()
    plain, mirrored = cut(image, label, size=(60, 90)), cut(image, label, size=(60, 90), flip=1.0)
    for one, other in zip(plain, mirrored, strict=True):
        assert np.array_equal(one[:, ::-1], other)
    flipped = [
        np.array_equal(cut(image, label, key, size=(60, 90), flip=0.5)[1], mirrored[1]) for key in range(200)
    ]
    assert abs(np.mean(flipped) - 0.5) < 0.15  # four standard errors


def test_resize():
    image, label = pair()
    pixels, classes = cut(image, label, size=(32, 40), fit="resize")
    assert np.array_equal(pixels, np.asarray(image.resize((40, 32), Image.Resampling.BILINEAR)))
    assert np.array_equal(classes, np.asarray(label.resize((40, 32), Image.Resampling.NEAREST)))


def test_image_and_label_keep_together():
    """An image that is its label's colors stays so, whatever is done to both, but at the borders."""
    label = pair(classes=3)[1]
    image = Image.merge("RGB", [label.point([0, 100, 200] * 85 + [0])] * 3)
    augment = {name: value for name, value in AUGMENT.items() if name != "photometric"}
    for key in range(20):
        pixels, classes = cut(image, label, key, **augment)
        inside = classes != IGNORE
        agree = np.abs(pixels[..., 0].astype(int) - 100 * classes) < 40
        assert agree[inside].mean() > 0.75  # blocks are 6 px wide, borders are blended


def test_a_key_decides_all():
    image, label = pair()
    first, second, other = (cut(image, label, key, **AUGMENT) for key in (3, 3, 4))
    assert all(np.array_equal(one, two) for one, two in zip(first, second, strict=True))
    assert not np.array_equal(first[0], other[0])
