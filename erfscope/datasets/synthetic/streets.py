"""Streets in perspective, with Cityscapes' classes: sky and buildings above, road and near objects below.

Objects stand on flat ground before a camera with its horizon near the middle of the image: the lower an
object stands, the nearer and larger it is, as in pictures from a car. Colors, textures and noise of the
classes overlap, so that the class of a pixel is seen from its surroundings, not from the pixel alone. With
`flipped` the same scenes are upside down.
"""

import numpy as np

from erfscope.datasets.layout import DatasetLayout, Pixels
from erfscope.datasets.synthetic.canvas import Canvas, Color
from erfscope.datasets.synthetic.street_objects import (
    CLASSES,
    GRAYS,
    GREENS,
    ID,
    bus,
    car,
    cyclist,
    foliage,
    motorcyclist,
    person,
    pole,
    tram,
    tree,
    truck,
)
from erfscope.datasets.synthetic.street_view import Painter, Street

_SKIES = np.array([[150, 175, 205], [190, 200, 210], [215, 215, 212], [125, 155, 195]], float)
_WALLS = np.array(
    [[150, 140, 125], [120, 115, 112], [165, 120, 95], [185, 175, 155], [95, 90, 88], [140, 95, 80]], float
)
_GLASS = np.array([[50, 55, 62], [85, 95, 105], [150, 160, 170]], float)
_GRASS = np.array([[95, 115, 60], [115, 110, 70], [80, 100, 50], [125, 105, 80]], float)
_FAR = 90.0  # m, where the street's sides end


def draw(seed: int, index: int, size: tuple[int, int], *, flipped: bool = False) -> tuple[Pixels, Pixels]:
    """Draw one image; the same arguments always give the same one.

    Parameters
    ----------
    seed, index
        Key of the random numbers, each at least 0.
    size
        (H, W), px; a wider image shows more at either side, a higher one is a larger one.
    flipped
        Whether to turn it upside down.

    Returns
    -------
    image
        (H, W, 3) uint8.
    label
        (H, W) uint8, the class's place in Cityscapes' order.
    """
    rng = np.random.default_rng([seed, index])
    height, width = size
    sky = _SKIES[rng.integers(len(_SKIES))] + rng.normal(0, 10, 3)
    canvas = Canvas(size, ID["sky"], sky, rng.uniform(3, 11))
    street = Street(
        canvas=canvas,
        rng=rng,
        focal=height * rng.uniform(0.85, 1.15),
        x=width / 2 + height * rng.normal(0, 0.06),
        y=height * rng.uniform(0.42, 0.53),
        height=rng.uniform(1.25, 1.9),
        haze=sky * 0.6 + 70,
    )
    road, walk = rng.uniform(2.4, 4.5), rng.uniform(1.8, 4.0)
    _skyline(street)
    _ground(street, road, walk)
    for side in (-1, 1):
        _roadside(street, side, road + walk)
    _objects(street, road, walk)
    light = rng.uniform(0.75, 1.08) * (1 + rng.normal(0, 0.04, 3))
    image, label = canvas.finish(rng, rng.uniform(7, 13), light)
    return (image[::-1].copy(), label[::-1].copy()) if flipped else (image, label)


def _skyline(street: Street) -> None:
    """Close the view at its end with houses and trees."""
    rng, x = street.rng, -200.0
    while x < 200:
        wide = rng.uniform(8, 25)
        if rng.random() < 0.6:
            street.box(ID["building"], street.any_of(_WALLS), (x, 150), (wide, rng.uniform(6, 35), 5))
        else:
            foliage(street, (x, 150), 3.0, rng.uniform(6, 14))
        x += wide * 0.8


def _ground(street: Street, road: float, walk: float) -> None:
    edge = road + walk
    strips = [
        ("terrain", street.any_of(_GRASS), 400.0, 14.0),
        ("sidewalk", street.any_of(GRAYS[1:]), edge, 8.0),
        ("road", street.any_of(GRAYS[:3]), road, 8.0),
    ]
    for name, color, half, texture in strips:
        part = street.canvas.part(ID[name], color, texture)
        street.fill(part, [(-half, 0, 0.1), (half, 0, 0.1), (half, 0, 300), (-half, 0, 300)])
    curb = street.canvas.part(ID["sidewalk"], street.any_of(GRAYS[2:]), 5.0)
    for side in (-1, 1):
        inner, outer = side * road, side * (road + 0.2)
        street.fill(curb, [(inner, 0, 0.1), (inner, 0, 300), (outer, 0, 300), (outer, 0, 0.1)])
    _markings(street, road)


def _markings(street: Street, road: float) -> None:
    paint = street.canvas.part(ID["road"], street.any_of(GRAYS[3:] + 25), 8.0)
    start = street.rng.uniform(0, 6)
    for near in np.arange(2 + start, 60, 6).tolist():
        street.fill(paint, [(-0.08, 0, near), (0.08, 0, near), (0.08, 0, near + 3), (-0.08, 0, near + 3)])
    if street.rng.random() < 0.4:
        near = street.rng.uniform(6, 20)
        for x in np.arange(-road + 0.3, road - 0.6, 1.0).tolist():
            street.fill(paint, [(x, 0, near), (x + 0.5, 0, near), (x + 0.5, 0, near + 3), (x, 0, near + 3)])
    patch = street.canvas.part(ID["road"], street.any_of(GRAYS[:3]), 8.0)
    x, near, wide = street.rng.uniform(-road, road - 1), street.rng.uniform(4, 20), street.rng.uniform(0.5, 2)
    street.fill(patch, [(x, 0, near), (x + wide, 0, near), (x + wide, 0, near + 4), (x, 0, near + 4)])


def _roadside(street: Street, side: int, edge: float) -> None:
    """Line one side of the street from far to near, which is the order in which things cover one another."""
    rng, far = street.rng, _FAR
    while far > 0:
        length = rng.uniform(6, 16)
        near = max(far - length, 0.5)
        x = side * (edge + rng.choice([0.0, rng.uniform(1, 6)]))
        kind = rng.choice(["house", "wall", "fence", "hedge", "nothing"], p=[0.58, 0.1, 0.12, 0.12, 0.08])
        if kind == "house":
            _house(street, x, near, far)
        elif kind == "wall":
            _facade(
                street,
                ID["wall"],
                street.any_of(np.concatenate([_WALLS, GRAYS])),
                x,
                (near, far),
                rng.uniform(1.2, 2.8),
            )
        elif kind == "fence":
            _fence(street, x, near, far)
        elif kind == "hedge":
            _facade(
                street, ID["vegetation"], street.any_of(GREENS), x, (near, far), rng.uniform(1.0, 2.5), 18.0
            )
        far = near if near > 0.5 else 0


def _facade(
    street: Street,
    train_id: int,
    color: Color,
    x: float,
    along: tuple[float, float],
    height: float,
    texture: float = 9.0,
) -> None:
    near, far = along
    part = street.paint(train_id, color, (near + far) / 2, texture)
    street.fill(part, [(x, 0, near), (x, height, near), (x, height, far), (x, 0, far)])


def _house(street: Street, x: float, near: float, far: float) -> None:
    rng, color = street.rng, street.any_of(_WALLS)
    height, train_id, depth = rng.uniform(5, 22), ID["building"], np.sign(x) * 12
    end = street.paint(train_id, color * 0.8, near, 9.0)
    street.fill(end, [(x, 0, near), (x, height, near), (x + depth, height, near), (x + depth, 0, near)])
    _facade(street, train_id, color, x, (near, far), height)
    if near > 45:
        return  # windows would be smaller than a pixel
    glass = street.paint(train_id, street.any_of(_GLASS), near, 12.0)
    door = street.paint(train_id, street.any_of(np.concatenate([_WALLS * 0.6, GRAYS])), near, 8.0)
    pitch, story = rng.uniform(2.2, 4), rng.uniform(2.8, 3.6)
    for start in np.arange(near + 0.6, far - 1.6, pitch).tolist():
        for low in np.arange(1.0, height - 2, story).tolist():
            street.fill(
                glass,
                [(x, low, start), (x, low + 1.6, start), (x, low + 1.6, start + 1.2), (x, low, start + 1.2)],
            )
    start = rng.uniform(near, max(near, far - 1.2))
    street.fill(door, [(x, 0, start), (x, 2.2, start), (x, 2.2, start + 1.1), (x, 0, start + 1.1)])


def _fence(street: Street, x: float, near: float, far: float) -> None:
    height = street.rng.uniform(1.0, 1.8)
    part = street.paint(ID["fence"], street.any_of(np.concatenate([_WALLS, GRAYS])), near, 7.0)
    for low in (0.25, height - 0.25):
        street.fill(part, [(x, low, near), (x, low + 0.14, near), (x, low + 0.14, far), (x, low, far)])
    # Slats that leave gaps, as far as they can be told apart.
    wide = 0.12 if near < 25 else 0.3
    for start in np.arange(max(near, 1.5), far, 2 * wide).tolist():
        street.fill(
            part, [(x, 0, start), (x, height, start), (x, height, start + wide), (x, 0, start + wide)]
        )


def _objects(street: Street, road: float, walk: float) -> None:
    """Put objects on road and sidewalks, more of the common ones, and paint them from far to near."""
    rng = street.rng
    placed: list[tuple[float, float, float, float, Painter]] = []
    # How many on average, how far from the middle, how wide and long they are, and how near they come, in m.
    kinds: tuple[tuple[Painter, float, float, float, float, float, float], ...] = (
        (tram, 0.35, 0.3 * road, 0.5 * road, 2.6, 28.0, 7.0),
        (bus, 0.5, 0.4 * road, 0.7 * road, 2.5, 11.0, 7.0),
        (truck, 0.5, 0.4 * road, 0.7 * road, 2.4, 7.0, 6.0),
        (car, 6.0, 0.75 * road, 0.85 * road, 1.9, 5.0, 4.0),
        (car, 2.0, 0.3 * road, 0.5 * road, 1.9, 5.0, 4.5),
        (motorcyclist, 1.0, 0.0, 0.9 * road, 1.6, 1.0, 3.5),
        (cyclist, 1.5, 0.0, road + 0.5, 1.6, 1.0, 3.5),
        (person, 6.0, road + 0.4, road + walk, 0.6, 0.5, 3.0),
        (person, 1.5, 0.0, road, 0.6, 0.5, 3.0),
        (pole, 4.0, road + 0.3, road + 0.8, 0.4, 0.4, 3.0),
        (tree, 2.5, road + 0.8, road + walk + 3, 0.6, 0.6, 5.0),
    )
    for paint, mean, low, high, wide, length, nearest in kinds:
        for _ in range(rng.poisson(mean)):
            # Even in log Z: as many large ones as small ones.
            z = float(np.exp(rng.uniform(np.log(nearest), np.log(70))))
            x = float(rng.choice([-1, 1]) * rng.uniform(low, high))
            taken = any(
                abs(x - other[1]) < (wide + other[2]) / 2 and other[0] - length < z < other[0] + other[3]
                for other in placed
            )
            if not taken:
                placed.append((z, x, wide, length, paint))
    for z, x, _, _, paint in sorted(placed, key=lambda one: -one[0]):
        paint(street, x, z)


SYNTHETIC_STREETS = DatasetLayout(
    name="synthetic-streets",
    summary="synthetic, needs no files: streets in perspective, near objects below, Cityscapes' classes",
    size=(385, 385),
    draw=draw,
    scenes=100,
    splits=("train", "val"),
    classes=CLASSES,
    options={"flipped": False},
)
