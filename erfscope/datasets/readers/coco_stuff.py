"""COCO-Stuff, 10k and 164k images: 80 things and 91 kinds of stuff."""

from pathlib import Path

from erfscope.datasets.labels import IGNORE, LabelKind, label_map
from erfscope.datasets.layout import DatasetLayout
from erfscope.datasets.listing import Listing, pair_folders, split_folder
from erfscope.errors import DatasetError

_SUMMARY = (
    "images/{split}/*.jpg, annotations/{split}/*_labelTrainIds.png, or *.png as shipped; the split is a "
    "folder train2017 or val2017 (164k), train2014 or test2014 (10k)"
)
_FOLDERS = {"train": ("train2017", "train2014"), "val": ("val2017", "test2014")}
# In one string, because 171 lines of names would hide the one fact that matters: their order.
_NAMES = """
    person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop
    sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe,
    backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat,
    baseball glove, skateboard, surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon,
    bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch,
    potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard, cell phone, microwave,
    oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear, hair drier, toothbrush,
    banner, blanket, branch, bridge, building-other, bush, cabinet, cage, cardboard, carpet,
    ceiling-other, ceiling-tile, cloth, clothes, clouds, counter, cupboard, curtain, desk-stuff, dirt,
    door-stuff, fence, floor-marble, floor-other, floor-stone, floor-tile, floor-wood, flower, fog,
    food-other, fruit, furniture-other, grass, gravel, ground-other, hill, house, leaves, light, mat,
    metal, mirror-stuff, moss, mountain, mud, napkin, net, paper, pavement, pillow, plant-other, plastic,
    platform, playingfield, railing, railroad, river, road, rock, roof, rug, salad, sand, sea, shelf,
    sky-other, skyscraper, snow, solid-other, stairs, stone, straw, structural-other, table, tent,
    textile-other, towel, tree, vegetable, wall-brick, wall-concrete, wall-other, wall-panel, wall-stone,
    wall-tile, wall-wood, water-other, waterdrops, window-blind, window-other, wood
"""
_CLASSES = tuple(" ".join(name.split()) for name in _NAMES.split(","))
# Ids up to 181 that COCO once meant to use; the others are the classes in their order.
_UNUSED_IDS = {11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90}
_IDS = [value for value in range(182) if value not in _UNUSED_IDS]
_TRAIN_IDS = "_labelTrainIds.png"
_OF_164K = {
    _TRAIN_IDS: LabelKind(label_map((k, k) for k in range(len(_CLASSES)))),
    ".png": LabelKind(label_map((value, k) for k, value in enumerate(_IDS))),
}
# In this release train ids count from 1 and 0 means none; the labels as shipped are no images.
_OF_10K = {_TRAIN_IDS: LabelKind(label_map(((k + 1, k) for k in range(len(_CLASSES))), ignored=(0, IGNORE)))}


def find(root: Path, split: str) -> Listing:
    """List one split.

    Parameters
    ----------
    root
        The folder that holds images and annotations of either release.
    split
        train or val, of the release that is there; or the folder's own name.

    Raises
    ------
    DatasetError
        If the folder of the images isn't there, or there are those of both releases.
    """
    folder = _folder(root, split)
    split_folder(root, f"images/{folder}", _SUMMARY)
    kinds = _OF_164K if folder.endswith("2017") else _OF_10K
    return pair_folders(root, f"images/{folder}", ".jpg", f"annotations/{folder}", kinds)


def _folder(root: Path, split: str) -> str:
    names = _FOLDERS.get(split, (split,))
    there = [name for name in names if (root / "images" / name).is_dir()]
    if len(there) > 1:
        raise DatasetError(
            f"{root} holds both releases of COCO-Stuff; pass --split {' or --split '.join(there)}"
        )
    return (there or names)[0]


COCO_STUFF = DatasetLayout(
    name="coco-stuff",
    summary=_SUMMARY,
    size=(512, 512),
    find=find,
    splits=("train", "val", "train2017", "val2017", "train2014", "test2014"),
    classes=_CLASSES,
)
