"""Known context length: a place's class is told by its cue, `distance` px away, and by nothing else."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import uniform_filter
from scipy.stats import f_oneway

from erfscope.datasets import IGNORE, open_dataset
from erfscope.datasets.synthetic.known_context import (
    _COLORS,
    _GROUND,
    _PLACE,
    CLASSES,
    DIRECTIONS,
    ContextScene,
    draw,
    paint,
    plan,
)
from erfscope.errors import DatasetError

SIDE = 11
OPTIONS = {"distance": 96, "cue": True, "spacing": 19, "side": SIDE}
SIZE = (257, 257)
RING = np.array(DIRECTIONS)

Floats = npt.NDArray[np.float32]
Samples = tuple[list[ContextScene], list[Floats]]


def scene(index: int, size: tuple[int, int] = SIZE, **options: int | bool) -> ContextScene:
    return plan(0, index, size, **{**OPTIONS, **options})


@pytest.mark.parametrize(
    ("size", "options"),
    [
        (SIZE, {}),
        ((257, 513), {}),
        ((400, 230), {"distance": 97, "spacing": 24}),  # of which no whole number of steps makes 97
        (SIZE, {"distance": 30, "spacing": 12, "side": 9}),
        ((203, 203), {"distance": 96, "spacing": 96}),
    ],
)
def test_each_place_has_one_cue_and_each_cue_one_place(
    size: tuple[int, int], options: dict[str, int]
) -> None:
    distance = options.get("distance", 96)
    side = options.get("side", SIDE)
    for index in range(5):
        shown = scene(index, size, **options)
        assert len(shown.places) > 0
        offsets = shown.cues[None] - shown.places[:, None]
        away = np.abs(offsets).max(-1)
        # In one of eight directions exactly so far: its own.
        on_ring = (away == distance) & np.isin(np.abs(offsets), [0, distance]).all(-1)
        assert np.array_equal(on_ring, np.eye(len(shown.places), dtype=bool))
        # And no square reaches into any of the other seven positions, nor into another square.
        ring = shown.places[:, None, None] + distance * RING[None, None]
        near = np.abs(ring - shown.cues[None, :, None]).max(-1) < side
        assert np.array_equal(near.any(-1), on_ring)
        squares = np.concatenate([shown.places, shown.cues])
        apart = np.abs(squares[:, None] - squares[None]).max(-1)
        assert (apart[~np.eye(len(squares), dtype=bool)] >= options.get("spacing", 19)).all()
        assert (squares >= side // 2).all()
        assert (squares < np.array(size) - side // 2).all()


def test_labels_count_the_places_alone() -> None:
    shown = scene(3)
    _, label = draw(0, 3, SIZE, **OPTIONS)
    assert (label != IGNORE).sum() == len(shown.places) * SIDE**2
    for (y, x), train_id in zip(shown.places, shown.classes, strict=True):
        assert (label[y - 5 : y + 6, x - 5 : x + 6] == train_id).all()


def test_only_the_cues_square_hangs_on_the_class() -> None:
    # The proof: the same image under another class differs there and nowhere else.
    shown = scene(0)
    image, _ = paint(shown, 0, 0, SIZE)
    for place in (0, 5, 11):
        colors = shown.colors.copy()
        colors[place] = (colors[place] + 1) % len(CLASSES)
        other, _ = paint(replace(shown, colors=colors, classes=colors), 0, 0, SIZE)
        rows, columns = np.nonzero((image != other).any(-1))
        y, x = shown.cues[place]
        assert np.abs(rows - y).max() <= SIDE // 2
        assert np.abs(columns - x).max() <= SIDE // 2
        assert len(rows) > 100  # of 121


def test_where_things_lie_is_drawn_before_the_classes() -> None:
    # Classes are the last draw of the plan, so that with another one places and cues stay.
    with_cue, without = scene(0), scene(0, cue=False)
    assert np.array_equal(with_cue.places, without.places)
    assert np.array_equal(with_cue.classes, without.classes)
    assert np.array_equal(with_cue.colors, with_cue.classes)


@pytest.fixture(scope="module")
def samples() -> dict[bool, Samples]:
    """Scenes, and images averaged over squares, what a look at one place sees; with cues and without."""
    result = {}
    for cue in (True, False):
        scenes = [scene(index, cue=cue) for index in range(60)]
        images = [paint(shown, 0, index, SIZE)[0] for index, shown in enumerate(scenes)]
        means = [uniform_filter(image.astype(np.float32), (SIDE, SIDE, 1)) for image in images]
        result[cue] = (scenes, means)
    return result


def look(samples: Samples, offset: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return mean colors at an offset from each place, where that lies in the image, and the classes."""
    colors, classes = [], []
    for shown, means in zip(*samples, strict=True):
        at = shown.places + offset
        inside = ((at >= SIDE // 2) & (at < np.array(SIZE) - SIDE // 2)).all(1)
        colors.append(means[at[inside, 0], at[inside, 1]])
        classes.append(shown.classes[inside])
    return np.concatenate(colors), np.concatenate(classes)


def significance(samples: Samples, offset: npt.NDArray[np.int64]) -> float:
    colors, classes = look(samples, offset)
    groups = [colors[classes == k] for k in range(len(CLASSES))]
    return float(f_oneway(*groups).pvalue.min())


@pytest.mark.slow
def test_the_class_shows_at_the_eight_positions_and_nowhere_else(
    samples: dict[bool, Samples],
) -> None:
    grid = np.arange(-132, 133, 12)  # every look reaches over 11 px, hence few gaps
    offsets = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    from_ring = np.abs(offsets[:, None] - 96 * RING[None]).max(-1).min(-1)
    elsewhere = offsets[from_ring >= SIDE]
    assert len(elsewhere) > 450
    values = np.array([significance(samples[True], offset) for offset in elsewhere])
    # Three channels at some 460 offsets: the least p-value of fair draws is below 1e-5 once in 70 times.
    assert values.min() > 1e-5
    assert max(significance(samples[True], 96 * direction) for direction in RING) < 1e-15
    assert min(significance(samples[False], 96 * direction) for direction in RING) > 1e-4


def score_of_a_ring(samples: Samples, distance: int) -> float:
    """Return how often a linear look at what eight positions hold is right, fitted to half of the scenes."""
    kinds = np.concatenate([_COLORS, [[_GROUND] * 3, [_PLACE] * 3]])
    features, classes = [], []
    for shown, means in zip(*samples, strict=True):
        at = shown.places[:, None] + distance * RING[None]
        inside = ((at >= 0) & (at < np.array(SIZE))).all(-1)
        colors = means[tuple(np.moveaxis(np.clip(at, 0, SIZE[0] - 1), -1, 0))]
        nearest = ((colors[..., None, :] - kinds) ** 2).sum(-1).argmin(-1)
        features.append((np.eye(len(kinds))[nearest] * inside[..., None]).sum(1))
        classes.append(shown.classes)
    x, y = np.concatenate(features), np.concatenate(classes)
    half = len(x) // 2
    weights = np.linalg.lstsq(x[:half], np.eye(len(CLASSES))[y[:half]], rcond=None)[0]
    return float(((x[half:] @ weights).argmax(1) == y[half:]).mean())


def test_a_ring_at_the_distance_is_enough_and_no_other_helps(
    samples: dict[bool, Samples],
) -> None:
    assert score_of_a_ring(samples[True], 96) == 1.0
    # Chance is 1/4 with a standard error of 0.014 over some 960 places.
    for distance in (24, 48, 72, 84, 108, 120, 144, 192):
        assert score_of_a_ring(samples[True], distance) < 0.31
    assert score_of_a_ring(samples[False], 96) < 0.31


def test_all_directions_and_classes_come_up(
    samples: dict[bool, Samples],
) -> None:
    scenes, _ = samples[True]
    classes = np.concatenate([shown.classes for shown in scenes])
    assert len(classes) / len(scenes) > 24  # dozens an image
    # Fair draws: 1/4 ± 0.01 over some 1900.
    assert (np.abs(np.bincount(classes, minlength=4) / len(classes) - 0.25) < 0.04).all()
    steps = np.concatenate([(shown.cues - shown.places) // 96 for shown in scenes])
    counts = [int((steps == direction).all(1).sum()) for direction in RING]
    assert sum(counts) == len(classes)
    # 1/8 each, ± 0.008 by chance.
    assert min(counts) > 0.09 * len(classes)
    assert max(counts) < 0.16 * len(classes)


def test_pictures_without_cues_look_the_same(
    samples: dict[bool, Samples],
) -> None:
    def colors(cue: bool) -> npt.NDArray[np.float64]:
        drawn = np.concatenate([shown.colors for shown in samples[cue][0]])
        return np.bincount(drawn, minlength=4) / len(drawn)

    assert np.abs(colors(True) - colors(False)).max() < 0.05  # ± 0.014 each
    scenes = samples[False][0]
    told = np.concatenate([shown.colors == shown.classes for shown in scenes])
    assert abs(told.mean() - 0.25) < 0.05


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"side": 10}, "side 10: expected an odd number"),
        ({"side": -1}, "side -1: expected an odd number"),
        ({"spacing": 11}, "spacing 11: expected more than side, 11 px, and at most distance, 96 px"),
        ({"spacing": 97}, "spacing 97"),
        ({"distance": 124}, "need 259 px a side; enlarge"),
        ({"distance": "far"}, "distance of synthetic-context is 'far'; expected a whole number such as 96"),
        ({"distance": 96.5}, "expected a whole number"),
        ({"cue": 1}, "expected true or false"),
        ({"cues": True}, "no option 'cues'; did you mean cue?"),
    ],
)
def test_options_are_checked_before_anything_is_drawn(options: dict[str, object], reason: str) -> None:
    with pytest.raises(DatasetError) as caught:
        open_dataset("synthetic-context", options=options)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_are_recorded_and_obeyed() -> None:
    dataset = open_dataset("synthetic-context", options={"distance": 40, "cue": False}, images=2)
    assert dataset.describe()["options"] == {"distance": 40, "cue": False, "spacing": 19, "side": 11}
    expected, _ = draw(0, 1, SIZE, **{**OPTIONS, "distance": 40, "cue": False})
    sample = dataset[1]
    shown = sample.image.permute(1, 2, 0).numpy() * dataset.std + dataset.mean
    assert np.abs(shown * 255 - expected).max() < 1e-3  # float32
