"""Every layout in small: real folders with real files of a few pixels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

HEIGHT, WIDTH = 12, 10

Array = npt.NDArray[np.uint8]


def noise(seed: int, height: int = HEIGHT, width: int = WIDTH) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path: Path, pixels: npt.NDArray[np.generic], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def labels(values: list[int]) -> Array:
    """Make a label of the images' size that holds the values in turn."""
    return np.resize(np.array(values, np.uint8), (HEIGHT, WIDTH))


def build_cityscapes(root: Path) -> None:
    frames = ["aachen_000000_000019", "aachen_000001_000019", "bonn_000000_000019", "bonn_000000_000020"]
    for seed, frame in enumerate(frames):
        city = frame.split("_")[0]
        save(root / f"leftImg8bit/val/{city}/{frame}_leftImg8bit.png", noise(seed))
        save(root / f"gtFine/val/{city}/{frame}_gtFine_labelIds.png", labels(list(range(34))))


def build_voc2012(root: Path) -> None:
    stems = ["2007_000033", "2007_000042", "2007_000061", "2007_000123"]
    for seed, stem in enumerate(stems):
        save(root / f"VOCdevkit/VOC2012/JPEGImages/{stem}.jpg", noise(seed))
        # Colors far from the indices, so that reading colors for indices is seen.
        palette = Image.fromarray(labels([0, 1, 20, 255]))
        palette.putpalette([(89 * k) % 256 for k in range(768)])
        path = root / f"VOCdevkit/VOC2012/SegmentationClass/{stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        palette.save(path)
    lists = root / "VOCdevkit/VOC2012/ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("\n".join(reversed(stems)) + "\n\n")


def build_ade20k(root: Path) -> None:
    for seed in range(4):
        save(root / f"images/validation/ADE_val_{seed:08d}.jpg", noise(seed))
        save(root / f"annotations/validation/ADE_val_{seed:08d}.png", labels(list(range(152))))


def build_folder(root: Path) -> None:
    for seed, name in enumerate(["b.PNG", "a/z.jpg", "a/b/c.tiff", "a.bmp"]):
        save(root / name, noise(seed))


BUILDERS: dict[str, Callable[[Path], None]] = {
    "cityscapes": build_cityscapes,
    "voc2012": build_voc2012,
    "ade20k": build_ade20k,
    "folder": build_folder,
}
