"""Label files come out as classes; a value that means nothing is refused, with the file and the value."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_layouts import noise, save

from erfscope.datasets.labels import IGNORE, OUTSIDE, LabelKind, LabelReading, label_map, read_label
from erfscope.errors import ImageError

IDENTITY = LabelKind(label_map((k, k) for k in range(254)))
MASK = LabelKind(label_map([(0, 0), (255, 1)], ignored=()), "two levels")


def classes(path: Path, kind: LabelKind) -> list[list[int]]:
    image = read_label(path, kind)
    assert image.mode == "L"
    rows: list[list[int]] = np.asarray(image).tolist()
    return rows


def refusal(path: Path, kind: LabelKind) -> str:
    with pytest.raises(ImageError) as caught:
        read_label(path, kind)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_tables_say_what_is_legitimate() -> None:
    table = label_map([(7, 0), (0, 1)], ignored=(0, 3))
    assert len(table) == 256
    assert (table[7], table[0], table[3], table[5], table[255]) == (0, 1, IGNORE, OUTSIDE, OUTSIDE)
    assert label_map([])[255] == IGNORE


@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_labels_keep_their_values(tmp_path: Path, name: str) -> None:
    kind = LabelKind(label_map([(0, 7), (255, 3), (9, 253)], ignored=(10,)))
    path = save(tmp_path / name, np.array([[0, 255, 9, 10]], np.uint8))
    assert classes(path, kind) == [[7, 3, 253, IGNORE]]


def test_palette_files_count_by_index(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([200, 100, 50] * 256)
    image.save(tmp_path / "x.png")
    assert classes(tmp_path / "x.png", IDENTITY) == [[0, 1, 2]]


def test_values_outside_the_classes_are_named_and_counted(tmp_path: Path) -> None:
    kind = LabelKind(label_map((k, k) for k in range(19)))
    path = save(tmp_path / "x.png", np.array([[0, 200, 18, 255], [200, 19, 3, 3]], np.uint8))
    assert refusal(path, kind) == (
        "values 19 (1 px), 200 (2 px) belong to no class; expected 0 to 18, 255; "
        "mend the label file or leave it out"
    )
    path = save(tmp_path / "y.png", np.arange(40, dtype=np.uint8).reshape(5, 8))
    assert "23 (1 px) and 16 more" in refusal(path, kind)


def test_wide_and_narrow_labels(tmp_path: Path) -> None:
    path = save(tmp_path / "x.png", np.array([[0, 5, 256, 65535]], np.uint16))
    # 256 and above must not be taken for their low byte, nor for 255.
    assert refusal(path, IDENTITY).startswith("values 256 (1 px), 65535 (1 px)")
    path = save(tmp_path / "z.png", np.array([[0, 5, 255]], np.uint16))
    assert classes(path, IDENTITY) == [[0, 5, IGNORE]]
    path = save(tmp_path / "y.png", np.array([[True, False]]))
    assert classes(path, IDENTITY) == [[1, 0]]


@pytest.mark.parametrize("reading", ["index", "brightness"])
def test_labels_in_color_are_refused(tmp_path: Path, reading: LabelReading) -> None:
    path = save(tmp_path / "x.png", noise(0))
    reason = "one channel, this one is RGB" if reading == "index" else "must be gray"
    assert reason in refusal(path, LabelKind(IDENTITY.table, reading))


def test_masks_of_two_levels_count_from_128(tmp_path: Path) -> None:
    # Anything between is what an observer's drawing program or a lossy format left at the edges.
    path = save(tmp_path / "x.png", np.array([[0, 1, 127, 128, 255]], np.uint8))
    assert classes(path, MASK) == [[0, 0, 0, 1, 1]]


@pytest.mark.parametrize(
    "pixels",
    [
        np.array([[False, True]]),
        np.array([[0, 1]], np.uint8),
        np.array([[0, 255]], np.uint8),
        np.repeat(np.array([[0, 255]], np.uint8)[..., None], 3, 2),
    ],
    ids=["one bit", "zeros and ones", "black and white", "three channels"],
)
@pytest.mark.parametrize("end", ["png", "tif", "bmp"])
def test_masks_of_two_levels_in_every_form(tmp_path: Path, pixels: np.ndarray, end: str) -> None:
    path = save(tmp_path / f"x.{end}", np.repeat(pixels, 2, 0))
    assert classes(path, MASK) == [[0, 1], [0, 1]]


def test_an_empty_mask_is_background(tmp_path: Path) -> None:
    assert classes(save(tmp_path / "x.png", np.zeros((1, 2), np.uint8)), MASK) == [[0, 0]]


def test_brightness_counts_by_color_not_index(tmp_path: Path) -> None:
    # A palette bitmap whose indices say nothing.
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([255, 255, 255, 128, 128, 128, 0, 0, 0])
    image.save(tmp_path / "x.bmp")
    kind = LabelKind(label_map([(255, 0), (0, 1), (128, 2)], ignored=()), "brightness")
    assert classes(tmp_path / "x.bmp", kind) == [[0, 2, 1]]
    path = save(tmp_path / "y.bmp", np.array([[0, 127, 255]], np.uint8))
    assert refusal(path, kind).startswith("values 127 (1 px) belong to no class; expected 0, 128, 255;")


def test_deep_masks_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "x.png", np.array([[0, 65535]], np.uint16))
    assert "must have 8 bits" in refusal(path, MASK)
