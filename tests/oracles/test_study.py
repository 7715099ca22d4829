"""What the study saw, on untrained networks: stars, grids and patches where they should be."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from tiers import representatives

import erfscope

SIZE = 385


def ring_positions(distance, rotated=False):
    """Offsets (dy, dx) of the eight blobs of a ring, or of the points halfway between them."""
    blobs = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
    if rotated:
        sides = (-1, -0.5, 0.5, 1)
        blobs = [(dy, dx) for dy in sides for dx in sides if abs(dy) + abs(dx) == 1.5]
    return np.array(blobs) * distance


def level(erf, positions, radius):
    """Mean of the map around positions relative to its center, those inside the map."""
    smooth = gaussian_filter(erf.erf, radius)
    at = np.rint(np.asarray(erf.projected_center) + positions).astype(int)
    inside = ((at >= 0) & (at < erf.erf.shape)).all(1)
    return smooth[tuple(at[inside].T)].mean()


def compute(name, size=SIZE, images=2, **options):
    model = erfscope.load_model(name, **options)
    return erfscope.compute_erf(model, erfscope.open_dataset("synthetic-leaves", size=size, images=images))


STARS = [
    ("deeplabv2", {"backbone": "resnet18", "output_stride": 8, "rates": (10, 20)}),
    ("deeplabv3", {"backbone": "resnet18", "output_stride": 8, "rates": (10, 20)}),
    ("deeplabv3", {"backbone": "resnet18", "output_stride": 16, "rates": (5, 10)}),
    ("deeplabv3plus", {"backbone": "resnet18", "output_stride": 8, "rates": (10, 20)}),
    ("deeplabv3plus-paper", {"backbone": "resnet18", "output_stride": 8, "rates": (10, 20)}),
    ("fastfcn-aspp", {"backbone": "resnet18", "rates": (10, 20)}),
    ("setr-aspp", {"backbone": "vit-t16", "rates": (5, 10)}),
    ("unet-aspp", {"rates": (80, 160)}),
    ("unet-aspp", {"rates": (5, 10), "reads": "deepest"}),
]
REPRESENTATIVES = [STARS[2]]


@pytest.mark.parametrize(
    ("name", "options"),
    representatives(STARS, REPRESENTATIVES),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_aspp_leaves_a_star(name, options):
    erf = compute(name, **options)
    distance = erf.provenance["prediction"]["center_to_center_px"] / 2
    assert distance == 160
    on, off = (level(erf, ring_positions(distance, rotated), 8) for rotated in (False, True))
    # The least is FastFCN's, whose joint upsampling blurs its blobs to a hundred pixels.
    assert on > 1.15 * off


def test_fcn_d6_leaves_a_grid_of_five_by_five():
    erf = compute("fcn-d6", size=513, backbone="resnet18", output_stride=16, rates=(7, 7))
    assert erf.provenance["prediction"]["center_to_center_px"] == 448
    steps = 112 * np.arange(-2, 3)
    for fixed in (-224, -112, 112, 224):  # lines of five; those through the middle are outshone by it
        on, between = steps, steps[:-1] + 56
        for line in (lambda t, fixed=fixed: (fixed, t), lambda t, fixed=fixed: (t, fixed)):
            assert level(erf, [line(t) for t in on], 8) > 1.1 * level(erf, [line(t) for t in between], 8)


@pytest.mark.parametrize("name", ["segmenter-linear", "setr-aspp"])
def test_a_plain_vit_leaves_patches(name):
    """The two halves of a patch of 16 px get alike, neighboring halves of two patches don't."""
    erf = compute(name, size=256, backbone="vit-t16").erf
    halves = np.log(erf.reshape(16, 16, 32, 8).mean((1, 3)))
    steps = abs(np.diff(halves, axis=1))
    within, across = steps[:, ::2], steps[:, 1::2]
    assert across.mean() > 2 * within.mean()


@pytest.mark.parametrize("align_corners", [False, True])
def test_the_same_star_at_both_strides(align_corners):
    """Eq. 2 of the study: r = 12 at stride 8, 6 at 16."""
    eight, sixteen = (
        erfscope.predict_fov(
            erfscope.load_model(
                "deeplabv3", backbone="resnet18", output_stride=stride, align_corners=align_corners
            ),
            769,
        )
        for stride in (8, 16)
    )
    assert eight.center_to_center_px == sixteen.center_to_center_px == 576
    assert set(eight.lattice) == set(sixteen.lattice)
    assert len(eight.lattice) == 25


@pytest.mark.parametrize(("name", "pattern"), [("aspp", "star"), ("psp", "none"), ("enc", "none")])
def test_joint_upsampling_is_no_head(name, pattern):
    """Its atrous convolutions are the neck's; deeper maps are resized to the cells of its finest."""
    predicted = erfscope.predict_fov(erfscope.load_model(f"fastfcn-{name}", backbone="resnet18"), 513)
    assert (predicted.pattern, predicted.read_stride) == (pattern, 8 if pattern == "star" else None)


def test_the_same_star_at_every_size():
    """In pixels: a small input crops it and doesn't shrink it."""
    model = erfscope.load_model("deeplabv3", backbone="resnet18", output_stride=16)
    whole = set(erfscope.predict_fov(model, 1025).lattice)
    for size in (129, 257, 513, 769):
        predicted = erfscope.predict_fov(model, size)
        assert predicted.center_to_center_px == 576
        reach = size // 2 + 16  # a cell beyond the border is padding
        assert set(predicted.lattice) == {p for p in whole if max(map(abs, p)) < reach}
