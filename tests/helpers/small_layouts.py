"""Every layout in small: real folders with real files of a few pixels."""

import gzip
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
        save(root / f"annotations/validation/ADE_val_{seed:08d}.png", labels(list(range(151))))


def build_coco_stuff(root: Path) -> None:
    for seed in range(4):
        save(root / f"images/val2017/{seed:012d}.jpg", noise(seed))
        name = f"annotations/val2017/{seed:012d}"
        save(root / f"{name}_labelTrainIds.png", labels([*range(171), 255]))
        save(root / f"{name}.png", labels([7]))  # the file as shipped stands beside the converted one


def build_coco_stuff_10k(root: Path) -> None:
    for seed in range(4):
        name = f"COCO_train2014_{seed:012d}"
        save(root / f"images/test2014/{name}.jpg", noise(seed))
        save(root / f"annotations/test2014/{name}_labelTrainIds.png", labels([*range(172)]))
        (root / f"annotations/{name}.mat").write_bytes(b"as shipped")


def build_stare(root: Path) -> None:
    """Two images for training and four for validation, half of them packed."""
    for seed, stem in enumerate(["im0001", "im0139", "im0162", "im0163", "im0240", "im0324"]):
        files = {
            f"stare-images/{stem}.ppm": noise(seed),
            f"labels-ah/{stem}.ah.ppm": labels([0, 255, 255]),
            f"labels-vk/{stem}.vk.ppm": labels([0]),
        }
        for name, pixels in files.items():
            path = save(root / name, pixels)
            if seed % 2:
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
                path.unlink()


def build_chase_db1(root: Path) -> None:
    for seed, stem in enumerate(
        ["Image_01L", "Image_10R", "Image_11L", "Image_11R", "Image_12L", "Image_14R"]
    ):
        save(root / f"{stem}.jpg", noise(seed))
        save(root / f"{stem}_1stHO.png", labels([0, 1, 1]) > 0)  # one bit, as shipped
        save(root / f"{stem}_2ndHO.png", labels([0]) > 0)


def build_hrf(root: Path) -> None:
    for seed, stem in enumerate(["01_h", "05_dr", "06_h", "06_g", "06_dr", "15_g"]):
        save(root / f"images/{stem}.{'JPG' if stem.endswith('dr') else 'jpg'}", noise(seed))
        save(root / f"manual1/{stem}.tif", labels([0, 255, 255]))
        save(root / f"mask/{stem}_mask.tif", noise(seed))


def build_refuge(root: Path) -> None:
    for seed in range(4):
        save(root / f"REFUGE-Validation400/V{seed:04d}.jpg", noise(seed))
        save(root / f"REFUGE-Validation400-GT/Disc_Cup_Masks/V{seed:04d}.bmp", labels([255, 128, 0]))
        kind = "Glaucoma" if seed % 2 else "Non-Glaucoma"
        save(root / f"Training400/{kind}/n{seed:04d}.jpg", noise(seed + 9))
        save(root / f"Annotation-Training400/Disc_Cup_Masks/{kind}/n{seed:04d}.bmp", labels([255]))
    save(root / "Annotation-Training400/Illustration/n0000.jpg", noise(0))


def converted(ends: dict[str, list[int]]) -> Callable[[Path], None]:
    """Build what mmsegmentation's converters make: a label of these values for each end of a name."""

    def build(root: Path) -> None:
        for seed in range(4):
            save(root / f"images/validation/x{seed}.png", noise(seed))
            for end, values in ends.items():
                save(root / f"annotations/validation/x{seed}{end}", labels(values))

    return build


def build_isaid(root: Path) -> None:
    for seed, stem in enumerate(["P0003_0_896_0_896", "P0003_0_896_512_1408", "P0004_0_896_0_896", "P0007"]):
        # The converter writes bitmaps and calls them .png.
        save(root / f"img_dir/val/{stem}.png", noise(seed), format="BMP")
        palette = Image.fromarray(labels([*range(16), 255]))
        palette.putpalette([(89 * k) % 256 for k in range(768)])
        (root / "ann_dir/val").mkdir(parents=True, exist_ok=True)
        palette.save(root / f"ann_dir/val/{stem}_instance_color_RGB.png")


def build_loveda(root: Path) -> None:
    for seed in range(4):
        save(root / f"img_dir/val/{2522 + seed}.png", noise(seed))
        save(root / f"ann_dir/val/{2522 + seed}.png", labels(list(range(8))))


def build_folder(root: Path) -> None:
    for seed, name in enumerate(["b.PNG", "a/z.jpg", "a/b/c.tiff", "a.bmp"]):
        save(root / name, noise(seed))


BUILDERS: dict[str, Callable[[Path], None]] = {
    "cityscapes": build_cityscapes,
    "voc2012": build_voc2012,
    "ade20k": build_ade20k,
    "coco-stuff": build_coco_stuff,
    "stare": build_stare,
    "chase_db1": build_chase_db1,
    "hrf": build_hrf,
    "refuge": build_refuge,
    "isaid": build_isaid,
    "loveda": build_loveda,
    "folder": build_folder,
}
# Other forms of a layout on disk, named LAYOUT: FORM.
OTHER_FORMS: dict[str, Callable[[Path], None]] = {
    "coco-stuff: 10k": build_coco_stuff_10k,
    "stare: converted": converted({".ah.png": [0, 1, 1], ".vk.png": [0]}),
    "chase_db1: converted": converted({"_1stHO.png": [0, 1, 1], "_2ndHO.png": [0]}),
    "hrf: converted": converted({".png": [0, 1, 1]}),
    "refuge: converted": converted({".png": [0, 1, 2]}),
}
