"""Bands about boundaries against the definition: the nearest pixel of another class, pair by pair."""

import numpy as np
import pytest

from erfscope.scores.boundaries import boundary_distance, keep_band

IGNORE = 255


def brute_force(label, void_is_boundary):
    """From each labeled pixel to the nearest one of another class, by looking at all of them."""
    places = np.argwhere(np.ones_like(label))
    values = label[tuple(places.T)]
    distance = np.full(label.shape, np.inf)
    for (y, x), value in zip(places, values, strict=True):
        if value == IGNORE:
            continue
        others = values != value
        if not void_is_boundary:
            others &= values != IGNORE
        if others.any():
            distance[y, x] = np.sqrt(((places[others] - (y, x)) ** 2).sum(1).min())
    return distance


def blobs(seed, size, classes):
    rng = np.random.default_rng(seed)
    coarse = rng.choice([*range(classes), IGNORE], (-(-size[0] // 5), -(-size[1] // 4)))
    label = np.kron(coarse, np.ones((5, 4), int))[: size[0], : size[1]]
    label[rng.random(size) < 0.01] = rng.integers(0, classes)
    return label.astype(np.uint8)


@pytest.mark.parametrize("void_is_boundary", [False, True])
@pytest.mark.parametrize(("size", "classes"), [((24, 31), 3), ((17, 40), 12), ((1, 50), 2), ((30, 30), 1)])
def test_every_distance(size, classes, void_is_boundary):
    label = blobs(len(size) + classes, size, classes)
    expected = brute_force(label, void_is_boundary)
    far = 4.0
    assert (expected > far).any()
    for reach in (far, 100.0):
        found = boundary_distance(label, reach, void_is_boundary=void_is_boundary)
        np.testing.assert_array_equal(found, np.where(expected <= reach, expected, np.inf))


def test_a_straight_boundary():
    label = np.zeros((5, 12), np.uint8)
    label[:, 6:] = 1
    distance = boundary_distance(label, 4)
    np.testing.assert_array_equal(distance[2], [np.inf, np.inf, 4, 3, 2, 1, 1, 2, 3, 4, np.inf, np.inf])
    for width in (1, 2, 3):
        kept = keep_band(label, distance, width)
        assert (kept != IGNORE).sum() == 5 * 2 * width
        assert set(kept[:, :6].ravel()) == {0, IGNORE}


def test_void_is_no_class_unless_asked():
    label = np.zeros((3, 11), np.uint8)
    label[:, 4:7] = IGNORE
    assert np.isinf(boundary_distance(label, 9)).all()
    bound = boundary_distance(label, 9, void_is_boundary=True)
    np.testing.assert_array_equal(bound[1], [4, 3, 2, 1, np.inf, np.inf, np.inf, 1, 2, 3, 4])
    label[:, 7:] = 1  # now void parts two classes, as in VOC
    np.testing.assert_array_equal(
        boundary_distance(label, 9)[1], [7, 6, 5, 4, np.inf, np.inf, np.inf, 4, 5, 6, 7]
    )


def test_an_image_of_one_class_or_none_has_no_boundary():
    for value in (0, 3, IGNORE):
        label = np.full((6, 7), value, np.uint8)
        for void in (False, True):
            assert np.isinf(boundary_distance(label, 5, void_is_boundary=void)).all()
    # The transform of an image without background measures to outside; a class in a corner must not.
    label = np.zeros((9, 9), np.uint8)
    label[0, 0] = 254
    assert boundary_distance(label, 3)[0, 0] == 1
