"""Objects on a synthetic street; sizes are in m, and each object's foot is at (X, Z)."""

import numpy as np

from erfscope.datasets.readers.cityscapes import CITYSCAPES
from erfscope.datasets.synthetic.canvas import Color
from erfscope.datasets.synthetic.street_view import Street, disk, upright

CLASSES = CITYSCAPES.classes
ID = {name: train_id for train_id, name in enumerate(CLASSES)}

# Classes share colors on purpose: gray is road, sidewalk, building, wall, pole, car or cloth.
GREENS = np.array([[70, 95, 50], [95, 115, 60], [55, 75, 45], [110, 105, 60]], float)
GRAYS = np.array([[60, 60, 62], [95, 95, 98], [130, 130, 128], [165, 163, 160]], float)
_PAINTS = np.array(
    [[40, 40, 45], [120, 122, 125], [200, 200, 200], [150, 40, 40], [40, 60, 120], [90, 100, 80]], float
)
_CLOTHES = np.concatenate([_PAINTS, [[60, 50, 45], [170, 150, 120], [200, 90, 60], [70, 110, 70]]])
_SKIN = np.array([[205, 160, 135], [150, 110, 85], [95, 70, 55]], float)
_GLASS = np.array([[45, 52, 60], [80, 92, 105], [120, 135, 150]], float)
_DARK = np.array([[35, 35, 35], [50, 48, 46]], float)
_SIGNS = np.array([[190, 50, 50], [50, 80, 170], [210, 205, 200], [200, 170, 60]], float)
_LAMPS = np.array([[210, 60, 50], [220, 170, 60], [60, 190, 120]], float)


def car(street: Street, x: float, z: float) -> None:
    """Paint a body with a cabin on it, and wheels."""
    rng, color = street.rng, street.any_of(_PAINTS)
    width, length = rng.uniform(1.65, 1.9), rng.uniform(3.8, 4.7)
    train_id = ID["car"]
    _wheels(street, train_id, x, z, width, 0.32)
    street.box(train_id, color, (x, z), (width, 0.65, length), above=0.2)
    cabin = rng.uniform(0.5, 0.75)
    street.box(
        train_id, street.any_of(_GLASS), (x, z + 0.5), (width * 0.85, cabin * 0.8, length * 0.55), above=0.85
    )
    roof = (x, z + 0.6), (width * 0.8, cabin * 0.2, length * 0.5)
    street.box(train_id, color, *roof, above=0.85 + cabin * 0.8)
    lights = street.paint(train_id, street.any_of(_LAMPS[:2] if x < 0 else _LAMPS[1:2] + 30), z)
    for side in (-1, 1):
        street.board(lights, (x + side * width * 0.38, z), upright(0.28, 0.6, 0.75))
    street.board(street.paint(train_id, street.any_of(_SIGNS[2:]), z), (x, z), upright(0.5, 0.42, 0.54))


def truck(street: Street, x: float, z: float) -> None:
    """Paint a tall load on wheels."""
    rng = street.rng
    width, height, train_id = rng.uniform(2.2, 2.5), rng.uniform(1.9, 2.6), ID["truck"]
    _wheels(street, train_id, x, z, width, 0.48)
    street.box(train_id, street.any_of(_DARK), (x, z), (width, 0.45, 7.0), above=0.5)
    street.box(
        train_id, street.any_of(np.concatenate([_PAINTS, GRAYS])), (x, z), (width, height, 7.0), above=0.95
    )
    seam = street.paint(train_id, street.any_of(_DARK), z)
    street.board(seam, (x, z), upright(0.06, 0.95, 0.95 + height))


def bus(street: Street, x: float, z: float) -> None:
    """Paint a long box with a window in its face and a strip of them along its sides."""
    color, width, train_id = street.any_of(_PAINTS), street.rng.uniform(2.4, 2.55), ID["bus"]
    _wheels(street, train_id, x, z, width, 0.48)
    _coach(street, train_id, color, (x, z), (width, street.rng.uniform(2.5, 2.8), 11.0))


def tram(street: Street, x: float, z: float) -> None:
    """Paint a train as streets have them: longer and higher than a bus, without wheels to be seen."""
    color = street.any_of(_PAINTS[1:])
    _coach(street, ID["train"], color, (x, z), (2.6, street.rng.uniform(3.1, 3.5), 28.0), above=0.2)
    wire = street.paint(ID["train"], street.any_of(_DARK), z)
    street.board(wire, (x, z), upright(0.08, 3.4, 4.6))


def _coach(
    street: Street,
    train_id: int,
    color: Color,
    at: tuple[float, float],
    size: tuple[float, float, float],
    above: float = 0.35,
) -> None:
    (x, z), (width, height, length) = at, size
    street.box(train_id, color, at, size, above=above)
    glass = street.paint(train_id, street.any_of(_GLASS), z)
    street.board(glass, at, upright(width * 0.85, above + height * 0.45, above + height * 0.85))
    sign = street.paint(train_id, street.any_of(_LAMPS[1:]), z)
    street.board(sign, at, upright(width * 0.4, above + height * 0.88, above + height * 0.96))
    if abs(x) > width / 2:
        side = x - np.sign(x) * width / 2
        low, high = above + height * 0.5, above + height * 0.82
        for start in np.arange(0.6, length - 1.4, 1.8).tolist():
            near, far = z + start, z + start + 1.4
            street.fill(glass, [(side, low, near), (side, high, near), (side, high, far), (side, low, far)])


def _wheels(street: Street, train_id: int, x: float, z: float, width: float, radius: float) -> None:
    tire = street.paint(train_id, street.any_of(_DARK), z, 4.0)
    for side in (-1, 1):
        street.board(tire, (x + side * width * 0.4, z), upright(width * 0.14, 0.0, 2 * radius))


def person(street: Street, x: float, z: float) -> None:
    """Paint two legs, a trunk, arms, a head."""
    height = street.rng.uniform(1.5, 1.9)
    _figure(street, ID["person"], x, z, height, above=0.0)


def _figure(street: Street, train_id: int, x: float, z: float, height: float, above: float) -> None:
    rng, at = street.rng, (x, z)
    legs, trunk, skin = (
        street.paint(train_id, street.any_of(colors), z) for colors in (_CLOTHES, _CLOTHES, _SKIN)
    )
    hip, neck, stride = 0.48 * height, 0.84 * height, rng.uniform(0.05, 0.25)
    for side in (-1, 1):
        foot = [
            (side * stride - 0.06, 0),
            (side * stride + 0.06, 0),
            (side * 0.08 + 0.09, hip),
            (side * 0.08 - 0.09, hip),
        ]
        street.board(legs, at, foot, above)
    swing = rng.uniform(0.02, 0.16)
    for side in (-1, 1):
        arm = [
            (side * 0.2 - 0.05, neck),
            (side * 0.2 + 0.05, neck),
            (side * (0.2 + swing) + 0.05, hip),
            (side * (0.2 + swing) - 0.05, hip),
        ]
        street.board(trunk, at, arm, above)
    street.board(trunk, at, [(-0.16, hip), (0.16, hip), (0.22, neck), (-0.22, neck)], above)
    street.board(skin, at, disk(0.115, (0, 0.925 * height)), above)


def cyclist(street: Street, x: float, z: float) -> None:
    """Paint a rider on a bicycle that is seen from the side; some bicycles stand without."""
    at, scale = (x, z), street.scale(z)
    frame = street.paint(ID["bicycle"], street.any_of(_PAINTS), z, 3.0)
    for side in (-1, 1):
        center = street.project(np.array([[x + side * 0.52, 0.34, z]]))[0]
        street.canvas.ring(frame, (float(center[0]), float(center[1])), 0.34 * scale, 0.05 * scale)
    bars = [
        [(-0.52, 0.34), (-0.15, 0.85), (0.4, 0.8), (0, 0.3), (-0.15, 0.85)],
        [(0.52, 0.34), (0.38, 1.0), (0.55, 1.02)],
    ]
    for bar in bars:
        corners = np.array([(x + right, up, z) for right, up in bar])
        street.canvas.line(frame, street.project(corners), 0.05 * scale)
    if street.rng.random() < 0.75:
        _rider(street, at, seat=0.88, reach=0.45)


def motorcyclist(street: Street, x: float, z: float) -> None:
    """Paint a rider on a motorcycle that is seen from the side; some stand without."""
    at, scale, train_id = (x, z), street.scale(z), ID["motorcycle"]
    tire = street.paint(train_id, street.any_of(_DARK), z, 3.0)
    for side in (-1, 1):
        center = street.project(np.array([[x + side * 0.65, 0.32, z]]))[0]
        street.canvas.ring(tire, (float(center[0]), float(center[1])), 0.32 * scale, 0.13 * scale)
    body = street.paint(train_id, street.any_of(_PAINTS), z)
    street.board(
        body, at, [(-0.75, 0.6), (-0.45, 0.35), (0.4, 0.3), (0.6, 0.75), (0.3, 0.95), (0, 0.8), (-0.7, 0.85)]
    )
    if street.rng.random() < 0.75:
        _rider(street, at, seat=0.8, reach=0.4)


def _rider(street: Street, at: tuple[float, float], seat: float, reach: float) -> None:
    train_id, z = ID["rider"], at[1]
    legs, trunk, skin = (
        street.paint(train_id, street.any_of(colors), z) for colors in (_CLOTHES, _CLOTHES, _SKIN)
    )
    street.board(
        legs, at, [(-0.2, seat), (0.1, seat - 0.05), (0.12, 0.3), (-0.02, 0.28), (-0.05, seat - 0.2)]
    )
    street.board(trunk, at, [(-0.28, seat), (0.0, seat), (0.22, seat + 0.5), (0.0, seat + 0.6)])
    street.board(
        trunk, at, [(0.1, seat + 0.5), (0.18, seat + 0.42), (reach, seat + 0.1), (reach, seat + 0.2)]
    )
    street.board(skin, at, disk(0.13, (0.17, seat + 0.68)))


def pole(street: Street, x: float, z: float) -> None:
    """Paint a pole with a traffic light, a sign or a lamp."""
    rng = street.rng
    height, kind = rng.uniform(2.6, 6.0), rng.integers(3)
    gray = street.paint(ID["pole"], street.any_of(GRAYS), z, 5.0)
    street.board(gray, (x, z), upright(rng.uniform(0.1, 0.2), 0.0, height))
    if kind == 0:
        _traffic_light(street, (x, z), min(height, 3.6))
    elif kind == 1:
        _sign(street, (x, z), min(height, 2.9))
    else:
        street.board(
            gray,
            (x, z),
            [
                (0, height),
                (-np.sign(x) * 1.4, height + 0.2),
                (-np.sign(x) * 1.4, height + 0.32),
                (0, height + 0.14),
            ],
        )


def _traffic_light(street: Street, at: tuple[float, float], top: float) -> None:
    train_id, z = ID["traffic light"], at[1]
    case = street.paint(train_id, street.any_of(_DARK), z, 4.0)
    street.board(case, at, upright(0.42, top - 1.1, top))
    lit = street.rng.integers(3)
    for k in range(3):
        color = _LAMPS[k] if k == lit else _LAMPS[k] * 0.3
        lamp = street.paint(train_id, color + street.rng.normal(0, 8, 3), z, 3.0)
        street.board(lamp, at, disk(0.13, (0, top - 0.2 - 0.35 * k)))


def _sign(street: Street, at: tuple[float, float], top: float) -> None:
    train_id, z, rng = ID["traffic sign"], at[1], street.rng
    size = rng.uniform(0.34, 0.5)
    shape = [
        disk(size, corners=12),
        disk(size * 1.1, corners=4),
        upright(1.5 * size, -size, size),
        [(-size, -0.7 * size), (size, -0.7 * size), (0, size)],
    ][rng.integers(4)]
    for share in (1.0, 0.65):
        paint = street.paint(train_id, street.any_of(_SIGNS), z, 5.0)
        street.board(paint, at, [(share * right, share * up) for right, up in shape], above=top - size)


def tree(street: Street, x: float, z: float) -> None:
    """Paint a trunk and a crown of three greens; the trunk counts as vegetation, too."""
    rng, train_id = street.rng, ID["vegetation"]
    height, radius = rng.uniform(4.5, 9.0), rng.uniform(1.2, 2.4)
    trunk = street.paint(train_id, street.any_of(np.array([[75, 62, 50], [95, 85, 75]], float)), z)
    street.board(trunk, (x, z), upright(rng.uniform(0.25, 0.45), 0.0, height - radius))
    foliage(street, (x, z), height - radius, radius)


def foliage(street: Street, at: tuple[float, float], middle: float, radius: float) -> None:
    """Paint leaves around a point that is `middle` m high."""
    rng, color = street.rng, street.any_of(GREENS)
    for share, shade in ((1.0, 0.8), (0.8, 1.0), (0.55, 1.15)):
        paint = street.paint(ID["vegetation"], color * shade, at[1], 18.0)
        corners = np.array(disk(1.0, corners=14)) * rng.uniform(0.65, 1.1, (14, 1)) * radius * share
        center = rng.normal(0, 0.25 * radius, 2) * (share < 1) + [0, middle]
        street.board(paint, at, [(float(right), float(up)) for right, up in corners + center])
