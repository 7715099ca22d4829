"""What all synthetic layouts keep: one scene for one key, apart splits, any size, fast."""

import numpy as np
import pytest
import torch
from relative_cost import cost_in_noise

from erfscope.datasets import LAYOUTS, DatasetLayout, open_dataset
from erfscope.datasets.synthetic_options import choose_options
from erfscope.errors import DatasetError

DRAWN = [name for name, layout in LAYOUTS.items() if not layout.needs_root]
# Context needs room for a distance.
ROOMY = {"synthetic-context": {"distance": 20, "spacing": 12, "side": 5}}


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("size", [(60, 60), (64, 150), (150, 64)])
def test_scenes_hang_on_seed_index_and_size_only(name: str, size: tuple[int, int]) -> None:
    def opened(images: int, seed: int = 0) -> list[torch.Tensor]:
        dataset = open_dataset(name, size=size, images=images, seed=seed, options=ROOMY.get(name))
        return [dataset[index].image for index in range(images)]

    five, three = opened(5), opened(3)
    assert all(torch.equal(one, other) for one, other in zip(five, three, strict=False))
    assert not torch.equal(five[0], five[1])
    assert not torch.equal(opened(1, seed=1)[0], five[0])


@pytest.mark.parametrize("name", DRAWN)
def test_training_scenes_are_others(name: str) -> None:
    both = [
        open_dataset(name, split=split, size=60, images=3, options=ROOMY.get(name))
        for split in ("train", "val")
    ]
    prefix = name.removeprefix("synthetic-")
    assert both[0].names[2] == f"{prefix}-train-00002"
    assert both[1].names[2] == f"{prefix}-00002"
    assert [dataset.describe()["split"] for dataset in both] == ["train", "val"]
    for first in both[0]:
        assert not any(torch.equal(first.image, second.image) for second in both[1])


@pytest.mark.parametrize("name", [name for name in DRAWN if name != "synthetic-leaves"])
def test_drawing_is_fast(name: str) -> None:
    draw, options = LAYOUTS[name].draw, LAYOUTS[name].options
    assert draw is not None
    # 1 to 7 times as long on the machine of the first measurement: 10 to 35 ms.
    assert cost_in_noise(lambda index: draw(0, index, (385, 385), **options), (385, 385), 8) < 20


@pytest.mark.parametrize("name", ["synthetic-streets", "synthetic-vessels"])
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (5, 300), (300, 5)])
def test_small_frames(name: str, size: tuple[int, int]) -> None:
    layout = LAYOUTS[name]
    assert layout.draw is not None
    image, label = layout.draw(0, 0, size, **layout.options)
    assert (image.shape, image.dtype) == ((*size, 3), np.uint8)
    assert (label.shape, label.dtype) == (size, np.uint8)


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("synthetic-leaves", {"depth": 3}, "synthetic-leaves has no options; leave depth out"),
        ("synthetic-streets", {"flip": True}, "no option 'flip'; did you mean flipped?"),
        ("synthetic-streets", {"flipped": "yes"}, "flipped of synthetic-streets is 'yes'; expected true or"),
        ("folder", {"flipped": True}, "folder has no options"),
    ],
)
def test_options_that_there_are_not(name: str, options: dict[str, object], reason: str) -> None:
    with pytest.raises(DatasetError) as caught:
        open_dataset(name, options=options, root=".")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_and_words_as_options() -> None:
    layout = DatasetLayout("x", "", (9, 9), options={"share": 0.5, "kind": "plain"})
    assert choose_options(layout, None, (9, 9)) == {"share": 0.5, "kind": "plain"}
    # The command line hands over 0.25 as a word.
    for value in (0.25, "0.25"):
        assert choose_options(layout, {"share": value}, (9, 9))["share"] == 0.25
    assert choose_options(layout, {"share": 1}, (9, 9))["share"] == 1.0
    for value in ("much", True, "nan", None, (1, 2)):
        with pytest.raises(DatasetError, match=r"share of x is .*; expected a number such as 0\.5"):
            choose_options(layout, {"share": value}, (9, 9))
    assert choose_options(layout, {"kind": "odd"}, (9, 9))["kind"] == "odd"
    with pytest.raises(DatasetError, match="kind of x is 3; expected a word such as plain"):
        choose_options(layout, {"kind": 3}, (9, 9))
