"""Dead leaves: their statistics, their labels, and that one image doesn't depend on another."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from relative_cost import cost_in_noise

from erfscope.datasets import open_dataset
from erfscope.datasets.synthetic.leaves import (
    _MAX_RADIUS,
    _MIN_RADIUS,
    _REACH,
    CLASSES,
    _outline,
    draw,
    radii,
)


@pytest.fixture(scope="module")
def pictures() -> list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]:
    return [draw(0, index, (512, 512)) for index in range(6)]


def test_amplitude_falls_like_one_over_frequency(pictures: list[tuple[npt.NDArray[np.uint8], ...]]) -> None:
    side = 512
    window = np.hanning(side)[:, None] * np.hanning(side)  # or the frame's own edges would add a cross
    total = np.zeros((side, side))
    for image, _ in pictures:
        gray = image.mean(-1)
        total += np.abs(np.fft.fft2((gray - gray.mean()) * window))
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    # From four periods a frame, below which one large leaf decides, to 0.4 a pixel, above which the corners
    # of the spectrum do.
    edges = np.geomspace(4 / side, 0.4, 16)
    ring = np.digitize(frequency, edges)
    amplitude = [total[ring == k].mean() for k in range(1, len(edges))]
    slope = np.polyfit(np.log(np.sqrt(edges[1:] * edges[:-1])), np.log(amplitude), 1)[0]
    # Photographs have -1 with a scatter of about a quarter from one to another; a picture of edges without
    # sizes (one radius) has -1.5, white noise 0.
    assert -1.25 < slope < -0.75


def test_radii_have_density_r_to_the_minus_3() -> None:
    drawn = np.sort(radii(np.random.default_rng(0), 20_000))
    assert drawn[0] >= _MIN_RADIUS
    assert drawn[-1] <= _MAX_RADIUS
    # The integral of r^-3 from the lower limit.
    expected = (_MIN_RADIUS**-2 - drawn**-2) / (_MIN_RADIUS**-2 - _MAX_RADIUS**-2)
    distance = np.abs(expected - (np.arange(20_000) + 0.5) / 20_000).max()
    # Kolmogorov-Smirnov: 1.95/sqrt(n) is exceeded once in a thousand seeds; density r^-2 gives 0.25.
    assert distance < 1.95 / np.sqrt(20_000)


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("aspect", [0.4, 0.8])
def test_shapes_have_the_disks_area_and_reach(kind: int, aspect: float) -> None:
    corners = _outline(kind, 200.0, aspect)
    area = 0.5 * abs(
        np.sum(corners.real * np.roll(corners.imag, -1) - corners.imag * np.roll(corners.real, -1))
    )
    # A circle of 64 corners lacks 0.2 % of its area.
    assert area == pytest.approx(np.pi, rel=0.003)
    assert np.abs(corners).max() < _REACH


def test_labels_are_kinds_and_some_ground(pictures: list[tuple[npt.NDArray[np.uint8], ...]]) -> None:
    shares = np.mean([np.bincount(label.ravel(), minlength=5) / label.size for _, label in pictures], 0)
    assert len(shares) == len(CLASSES) == 5
    # Four kinds of equal area share the frame; large leaves make that uneven: 0.1 is half a share and less.
    assert (np.abs(shares[:4] - 0.25) < 0.12).all()
    # e^-4 = 0.018 is expected; a few large leaves halve or double it.
    assert 0.004 < shares[4] < 0.06


def test_labels_change_where_the_picture_does(pictures: list[tuple[npt.NDArray[np.uint8], ...]]) -> None:
    image, label = pictures[0]
    step = np.abs(np.diff(image.astype(np.int16), axis=1)).mean(-1)
    at_edge = np.diff(label.astype(np.int16), axis=1) != 0
    # Colors of leaves differ by some 50 levels, texture by a few from pixel to pixel. Edges between leaves of
    # one kind count as inside, hence not more than four times.
    assert step[at_edge].mean() > 4 * step[~at_edge].mean()
    # A label that was off by one pixel would lose most of that.
    assert step[:, 1:][at_edge[:, :-1]].mean() < 0.6 * step[at_edge].mean()


def test_colors_aren_t_clipped(pictures: list[tuple[npt.NDArray[np.uint8], ...]]) -> None:
    values = np.stack([image for image, _ in pictures])
    assert np.mean((values == 0) | (values == 255)) < 0.01
    # Natural pictures spread over the range.
    assert 30 < values.std() < 80


def test_an_image_depends_on_seed_and_index_only() -> None:
    ten = open_dataset("synthetic-leaves", size=(40, 60), images=10)
    three = open_dataset("synthetic-leaves", size=(40, 60), images=3)
    assert ten.names[:3] == three.names == ("leaves-00000", "leaves-00001", "leaves-00002")
    backward = [ten[index].image for index in (2, 1, 0)][::-1]
    for index in range(3):
        assert torch.equal(backward[index], three[index].image)
    assert not torch.equal(ten[0].image, ten[1].image)
    other = open_dataset("synthetic-leaves", size=(40, 60), images=3, seed=1)
    assert not torch.equal(other[0].image, three[0].image)


def test_defaults() -> None:
    dataset = open_dataset("synthetic-leaves")
    assert len(dataset) == 100
    assert dataset.size == (769, 769)
    assert dataset.names[12] == "leaves-00012"
    assert dataset.classes == CLASSES
    assert dataset.describe()["root"] is None


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (5, 300)])
def test_small_frames(size: tuple[int, int]) -> None:
    image, label = draw(0, 0, size)
    assert image.shape == (*size, 3)
    assert label.shape == size
    assert label.max() < 5


def test_drawing_is_fast() -> None:
    # 10 times as long on the machine of the first measurement: half a second.
    assert cost_in_noise(lambda index: draw(0, index, (769, 769)), (769, 769), 3) < 30
