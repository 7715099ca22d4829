"""Streets: classes where they belong, near things below and large, and no class told by a pixel's color."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import find_objects
from scipy.ndimage import label as components

from erfscope.datasets import LAYOUTS
from erfscope.datasets.synthetic.streets import CLASSES, draw

ID = {name: train_id for train_id, name in enumerate(CLASSES)}
SIDE = 193

Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def scenes() -> tuple[Pixels, Pixels]:
    drawn = [draw(0, index, (SIDE, SIDE)) for index in range(80)]
    return np.stack([image for image, _ in drawn]), np.stack([label for _, label in drawn])


@pytest.mark.slow
def test_classes_are_those_of_cityscapes(scenes: tuple[Pixels, Pixels]) -> None:
    assert LAYOUTS["cityscapes"].classes == CLASSES
    counts = np.bincount(scenes[1].ravel(), minlength=256)
    assert not counts[len(CLASSES) :].any()
    # Rare ones as rare as in pictures from cars, but none so rare that 80 scenes don't show it.
    assert (counts[: len(CLASSES)] > 1e-4 * scenes[1].size).all()
    assert counts[ID["road"]] < 0.6 * scenes[1].size


def test_sky_is_above_and_road_below(scenes: tuple[Pixels, Pixels]) -> None:
    rows = np.arange(SIDE)[None, :, None] / SIDE
    middle = {
        name: float((rows * (scenes[1] == ID[name])).sum() / (scenes[1] == ID[name]).sum())
        for name in CLASSES
    }
    assert middle["sky"] < 0.3
    assert middle["building"] < 0.45
    for name in ("road", "sidewalk", "terrain", "car", "person", "bicycle"):
        assert middle[name] > 0.5, name
    assert middle["road"] > 0.7
    # The last row is road or what stands on it; the first never is.
    assert (scenes[1][:, 0] != ID["road"]).all()
    assert (scenes[1][:, -1] != ID["sky"]).all()


def objects(labels: Pixels, name: str) -> tuple[list[int], list[int]]:
    """Return the lowest row and the height of each connected region that no edge cuts."""
    feet, heights = [], []
    for label in labels:
        for rows, columns in find_objects(components(label == ID[name])[0]):
            cut = rows.start == 0 or rows.stop == SIDE or columns.start == 0 or columns.stop == SIDE
            if not cut and rows.stop - rows.start > 3:
                feet.append(rows.stop)
                heights.append(rows.stop - rows.start)
    return feet, heights


@pytest.mark.parametrize(("name", "correlation"), [("person", 0.8), ("car", 0.5)])
def test_things_are_larger_the_lower_they_stand(
    scenes: tuple[Pixels, Pixels], name: str, correlation: float
) -> None:
    feet, heights = objects(scenes[1], name)
    assert len(feet) > 40
    # Height over depth below the horizon is constant on flat ground; parked cars hide much of one another.
    assert np.corrcoef(feet, heights)[0, 1] > correlation
    low, high = np.array(feet) > np.quantile(feet, 0.75), np.array(feet) < np.quantile(feet, 0.25)
    assert np.mean(np.array(heights)[low]) > 3 * np.mean(np.array(heights)[high])


def share_right(train: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], kinds: int) -> float:
    """Return how often the most frequent class of each kind of pixel is right, learned on half of them."""
    half = len(train) // 2
    counts = np.zeros((kinds, len(CLASSES)))
    np.add.at(counts, (train[:half].ravel(), labels[:half].ravel()), 1)
    best = counts.argmax(1)
    return float((best[train[half:]] == labels[half:]).mean())


def test_a_pixels_color_does_not_tell_its_class(scenes: tuple[Pixels, Pixels]) -> None:
    images, labels = scenes[0].astype(np.int64), scenes[1].astype(np.int64)
    bins = images // 32
    color = (bins[..., 0] * 8 + bins[..., 1]) * 8 + bins[..., 2]
    row = np.broadcast_to((np.arange(SIDE) * 12 // SIDE)[None, :, None], color.shape)
    always_road = float((labels == ID["road"]).mean())
    by_color, by_both = share_right(color, labels, 512), share_right(color * 12 + row, labels, 512 * 12)
    assert by_color < 0.6
    assert by_color > always_road  # it tells something
    assert by_both > by_color + 0.1  # and the place much more


def test_flipped_is_the_same_upside_down() -> None:
    for index in range(3):
        upright, turned = draw(4, index, (60, 90)), draw(4, index, (60, 90), flipped=True)
        for one, other in zip(upright, turned, strict=True):
            assert np.array_equal(one[::-1], other)
            assert other.flags.c_contiguous


@pytest.mark.slow
def test_a_wider_image_is_not_a_stretched_one() -> None:
    narrow, wide = (
        np.concatenate([draw(0, k, (SIDE, w))[1] for k in range(40)], 1) for w in (SIDE, 2 * SIDE)
    )
    # Sky and road end at the same height.
    for name in ("sky", "road"):
        above = [
            (np.arange(SIDE)[:, None] * (label == ID[name])).sum() / (label == ID[name]).sum()
            for label in (narrow, wide)
        ]
        assert abs(above[0] - above[1]) < 0.08 * SIDE
