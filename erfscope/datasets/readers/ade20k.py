"""ADE20K in the form of the scene parsing challenge: 150 classes, 0 in a label file means none of them."""

from pathlib import Path

from erfscope.datasets.labels import IGNORE, LabelKind, label_map
from erfscope.datasets.layout import DatasetLayout
from erfscope.datasets.listing import Listing, pair_folders, split_folder

_SUMMARY = "[ADEChallengeData2016/]: images/{training,validation}/*.jpg, annotations/{split}/*.png"
# In one string, because 150 lines of names would hide the one fact that matters: their order.
_NAMES = """
    wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person, earth,
    door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea, mirror, rug,
    field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion, base, box, column,
    signboard, chest of drawers, counter, sand, sink, skyscraper, fireplace, refrigerator, grandstand, path,
    stairs, runway, case, pool table, pillow, screen door, stairway, river, bridge, bookcase, blind, coffee
    table, toilet, flower, book, hill, bench, countertop, stove, palm, kitchen island, computer, swivel chair,
    boat, bar, arcade machine, hovel, bus, towel, light, truck, tower, chandelier, awning, streetlight, booth,
    television receiver, airplane, dirt track, apparel, pole, land, bannister, escalator, ottoman, bottle,
    buffet, poster, stage, van, ship, fountain, conveyer belt, canopy, washer, plaything, swimming pool,
    stool, barrel, basket, waterfall, tent, bag, minibike, cradle, oven, ball, food, step, tank, trade name,
    microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood, sconce, vase, traffic
    light, tray, ashcan, fan, pier, crt screen, plate, monitor, bulletin board, shower, radiator, glass,
    clock, flag
"""
_CLASSES = tuple(" ".join(name.split()) for name in _NAMES.split(","))
_LABELS = {".png": LabelKind(label_map(((k + 1, k) for k in range(len(_CLASSES))), ignored=(0, IGNORE)))}


def find(root: Path, split: str) -> Listing:
    """List one split.

    Parameters
    ----------
    root
        The folder ADEChallengeData2016, or the one that holds it.
    split
        training or validation.

    Raises
    ------
    DatasetError
        If images/{split} isn't there.
    """
    inner = root / "ADEChallengeData2016"
    folder = inner if inner.is_dir() else root
    split_folder(folder, f"images/{split}", _SUMMARY)
    return pair_folders(folder, f"images/{split}", ".jpg", f"annotations/{split}", _LABELS)


ADE20K = DatasetLayout(
    name="ade20k",
    summary=_SUMMARY,
    size=(512, 512),
    find=find,
    splits=("training", "validation"),
    aliases={"train": "training", "val": "validation"},
    classes=_CLASSES,
)
