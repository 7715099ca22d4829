"""Vessels: trees on a round ground, of every width, the thin ones hard to see."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.ndimage import label as components

from erfscope.datasets.synthetic.vessels import CLASSES, draw

SIDE = 385

Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def retinas() -> list[tuple[Pixels, Pixels]]:
    return [draw(0, index, (SIDE, SIDE)) for index in range(8)]


def test_vessels_are_some_and_lie_on_the_disk(retinas: list[tuple[Pixels, Pixels]]) -> None:
    assert CLASSES == ("background", "vessel")
    away = np.hypot(*(np.indices((SIDE, SIDE)) - SIDE // 2))
    for image, label in retinas:
        # Observers mark 7 to 13 % of the pixels in the three datasets of this kind.
        assert 0.05 < label.mean() < 0.16
        assert not label[away > SIDE / 2].any()
        assert image[away < 0.8 * SIDE / 2].mean() > 60
        assert image[away > SIDE / 2].mean() < 15


def test_they_are_trees(retinas: list[tuple[Pixels, Pixels]]) -> None:
    for _, label in retinas:
        regions, count = components(label, np.ones((3, 3)))
        sizes = np.bincount(regions.ravel())[1:]
        # All grow from the optic disc; only at the retina's edge a loop may come back alone.
        assert sizes.max() > 0.95 * label.sum()
        assert count < 12


def test_widths_vary_and_thin_ones_are_hard_to_see(retinas: list[tuple[Pixels, Pixels]]) -> None:
    thin, wide, thickest = [], [], 0.0
    for image, label in retinas:
        green = image[..., 1].astype(float)
        beside = gaussian_filter(np.where(label, 0, green), 6) / gaussian_filter(np.where(label, 0, 1.0), 6)
        darker = beside - gaussian_filter(green, 1)
        inside = distance_transform_edt(label)
        # Wide where a pixel some 2.5 px from the vessel's edge is within reach.
        is_wide = distance_transform_edt(inside < 2.5) <= 3
        thin.append(darker[(label == 1) & ~is_wide].mean())
        wide.append(darker[(label == 1) & is_wide].mean())
        thickest = max(thickest, inside.max())
    assert thickest > 3.5  # px, half a width
    # Each pixel's own noise is 5 to 9 levels.
    assert min(thin) > 2
    assert np.mean(thin) < 20
    assert np.mean(thin) < 0.6 * np.mean(wide)


def test_every_size_shows_a_whole_retina() -> None:
    for size in ((64, 64), (96, 200), (300, 150)):
        image, label = draw(0, 0, size)
        radius = min(size) / 2
        away = np.hypot(*(np.indices(size) - np.array(size)[:, None, None] / 2))
        assert image[away < 0.7 * radius].mean() > 5 * image[away > radius + 1].mean()
        assert label[away < radius].mean() > 0.05
