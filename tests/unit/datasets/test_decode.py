"""Every kind of file comes out as the right 8-bit RGB, or is refused with a reason."""

import gzip
import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from small_layouts import noise, save

from erfscope.datasets import IMAGENET_MEAN, IMAGENET_STD, open_dataset
from erfscope.datasets.decode import read_image
from erfscope.errors import ImageError

ORIENTATION = 274
RGB = noise(0)
GREY = RGB[..., 0]
DEEP = np.random.default_rng(1).integers(0, 65536, (12, 10), dtype=np.uint16)


def pixels(path: Path) -> npt.NDArray[np.uint8]:
    image = read_image(path)
    assert image.mode == "RGB"
    return np.asarray(image)


def grey3(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.repeat(values[..., None], 3, 2)


def refusal(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def write_tiff(path: Path, values: npt.NDArray[Any], **tags: int) -> Path:
    """Write an uncompressed TIFF by hand, for the kinds that Pillow doesn't write."""
    order = {"little": "<", "big": ">"}[path.stem.split("-")[-1]] if "-" in path.stem else "<"
    height, width = values.shape[:2]
    planar = tags.get("planes", 1) == 2
    channels = values.shape[2] if values.ndim == 3 else 1
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    stored = np.moveaxis(values, 2, 0) if planar else values
    data = stored.astype(values.dtype.newbyteorder(order)).tobytes()
    if tags.get("bits") == 12:
        data = b"".join(
            struct.pack(">I", int(first) << 12 | int(second))[1:] for first, second in values.reshape(-1, 2)
        )
    plane = len(data) // channels if planar else len(data)
    starts = [8 + k * plane for k in range(channels if planar else 1)]
    entries = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [tags.get("bits", values.dtype.itemsize * 8)] * channels),
        259: (3, [1]),
        262: (3, [tags.get("photometric", 2 if channels > 1 else 1)]),
        273: (4, starts),
        277: (3, [channels]),
        278: (4, [height]),
        279: (4, [plane] * len(starts)),
        284: (3, [tags.get("planes", 1)]),
        339: (3, [kind] * channels),
    }
    if channels == 4:
        entries[338] = (3, [2])
    directory, extra = struct.pack(f"{order}H", len(entries)), b""
    beyond = 8 + len(data) + 2 + 12 * len(entries) + 4
    for tag, (code, numbers) in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(numbers)}{'H' if code == 3 else 'I'}", *numbers)
        if len(packed) > 4:
            packed, extra = struct.pack(f"{order}I", beyond + len(extra)), extra + packed
        directory += struct.pack(f"{order}HHI", tag, code, len(numbers)) + packed.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(data))
    path.write_bytes(head + data + directory + struct.pack(f"{order}I", 0) + extra)
    return path


def write_png(path: Path, values: npt.NDArray[np.uint16], color: int) -> Path:
    """Write a 16-bit PNG by hand: Pillow writes gray ones only."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return path


@pytest.mark.parametrize("end", ["png", "bmp", "tif", "ppm"])
def test_rgb(tmp_path: Path, end: str) -> None:
    assert np.array_equal(pixels(save(tmp_path / f"x.{end}", RGB)), RGB)


@pytest.mark.parametrize("end", ["png", "bmp", "tif", "pgm", "gif"])
def test_gray(tmp_path: Path, end: str) -> None:
    assert np.array_equal(pixels(save(tmp_path / f"x.{end}", GREY)), grey3(GREY))


@pytest.mark.parametrize("end", ["png", "bmp", "tif", "pgm"])
def test_one_bit(tmp_path: Path, end: str) -> None:
    path = save(tmp_path / f"x.{end}", GREY > 100)
    assert np.array_equal(pixels(path), grey3(np.where(GREY > 100, 255, 0)))


@pytest.mark.parametrize("end", ["png", "bmp", "tif", "gif"])
def test_palette(tmp_path: Path, end: str) -> None:
    colors = noise(3, 1, 16)[0]
    image = Image.fromarray(GREY % 16)
    image.putpalette(colors.flatten().tolist())
    image.save(tmp_path / f"x.{end}")
    assert np.array_equal(pixels(tmp_path / f"x.{end}"), colors[GREY % 16])


@pytest.mark.parametrize("transparency", [3, bytes([0, 128, 255, 7])])
def test_transparent_palette_entries_keep_their_color(tmp_path: Path, transparency: int | bytes) -> None:
    colors = noise(3, 1, 4)[0]
    image = Image.fromarray(GREY % 4)
    image.putpalette(colors.flatten().tolist())
    image.save(tmp_path / "x.png", transparency=transparency)
    assert np.array_equal(pixels(tmp_path / "x.png"), colors[GREY % 4])


@pytest.mark.parametrize("end", ["png", "tif"])
def test_alpha_is_dropped_not_blended(tmp_path: Path, end: str) -> None:
    alpha = noise(5)[..., :1]
    assert np.array_equal(pixels(save(tmp_path / f"x.{end}", np.concatenate([RGB, alpha], 2))), RGB)
    path = tmp_path / f"la.{end}"
    Image.merge("LA", (Image.fromarray(GREY), Image.fromarray(alpha[..., 0]))).save(path)
    assert np.array_equal(pixels(path), grey3(GREY))


def test_a_transparent_color_keeps_its_value(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "x.png", transparency=tuple(RGB[0, 0].tolist()))
    assert np.array_equal(pixels(tmp_path / "x.png"), RGB)


@pytest.mark.parametrize("name", ["x.png", "x.pgm", "x-little.tif", "x-big.tif"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix == ".tif":
        write_tiff(path, DEEP)
    elif path.suffix == ".png":
        write_png(path, DEEP, color=0)
    else:
        path.write_bytes(b"P5\n10 12\n65535\n" + DEEP.astype(">u2").tobytes())
    assert np.array_equal(pixels(path), grey3(np.rint(DEEP / 257)))


@pytest.mark.parametrize("name", ["x.png", "x-little.tif", "x-big.tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_color_is_scaled_not_clipped(tmp_path: Path, name: str, channels: int) -> None:
    deep = np.random.default_rng(2).integers(0, 65536, (12, 10, channels), dtype=np.uint16)
    path = tmp_path / name
    write_tiff(path, deep) if path.suffix == ".tif" else write_png(
        path, deep, color=2 if channels == 3 else 6
    )
    # Pillow hands out the high byte, v // 256, which is less than one level from v / 257.
    assert np.abs(pixels(path) - deep[..., :3] / 257).max() < 1


def test_16_bit_grey_with_alpha(tmp_path: Path) -> None:
    both = np.stack([DEEP, DEEP[::-1]], 2)
    assert np.abs(pixels(write_png(tmp_path / "x.png", both, color=4)) - grey3(DEEP) / 257).max() < 1


def test_tiff_with_white_at_zero(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "x.tif", DEEP, photometric=0)
    assert np.array_equal(pixels(path), grey3(np.rint((65535 - DEEP.astype(int)) / 257)))
    path = write_tiff(tmp_path / "y.tif", GREY, photometric=0)
    assert np.array_equal(pixels(path), grey3(255 - GREY))


def test_12_bit_tiff_fills_the_range(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "x.tif", DEEP >> 4, bits=12)
    assert np.array_equal(pixels(path), grey3(np.rint((DEEP >> 4) * (255 / 4095))))


def test_8_bit_tiff_in_planes(tmp_path: Path) -> None:
    assert np.array_equal(pixels(write_tiff(tmp_path / "x.tif", RGB, planes=2)), RGB)


def test_16_bit_tiff_in_planes_is_refused(tmp_path: Path) -> None:
    # Pillow reads it without complaint, as noise.
    assert "separate planes" in refusal(write_tiff(tmp_path / "x.tif", RGB.astype(np.uint16), planes=2))


@pytest.mark.parametrize(
    ("dtype", "reason"),
    [
        (np.float32, "float"),
        (np.int16, "16-bit signed"),
        (np.int32, "32-bit signed"),
        (np.uint32, "32-bit integer"),
        (np.int8, "8-bit signed"),
    ],
)
def test_samples_without_a_fixed_range_are_refused(tmp_path: Path, dtype: Any, reason: str) -> None:
    assert reason in refusal(write_tiff(tmp_path / "x.tif", GREY.astype(dtype)))


def upright(orientation: int, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Show a picture as the EXIF standard says: where its first row and first column belong."""
    turned = {
        1: lambda a: a,  # row 0 at the top, column 0 at the left
        2: lambda a: a[:, ::-1],  # top, right
        3: lambda a: a[::-1, ::-1],  # bottom, right
        4: lambda a: a[::-1],  # bottom, left
        5: lambda a: a.swapaxes(0, 1),  # left, top
        6: lambda a: a.swapaxes(0, 1)[:, ::-1],  # right, top
        7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],  # right, bottom
        8: lambda a: a.swapaxes(0, 1)[::-1],  # left, bottom
    }
    return np.asarray(turned[orientation](stored))


@pytest.mark.parametrize("end", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, orientation: int, end: str) -> None:
    stored = np.kron(noise(6, 3, 2), np.ones((16, 16, 1), np.uint8))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    lossless = (
        {"lossless": True} if end == "webp" else {"quality": 100, "subsampling": 0} if end == "jpg" else {}
    )
    path = save(tmp_path / f"x.{end}", stored, exif=exif, **lossless)
    result = pixels(path).astype(int)
    # JPEG keeps flat 16 px blocks to within a few levels; neighbors differ by dozens.
    tolerance = 6 if end == "jpg" else 0
    assert result.shape == upright(orientation, stored).shape
    assert np.abs(result - upright(orientation, stored)).max() <= tolerance


def test_exif_orientation_of_16_bits(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    path = save(tmp_path / "x.png", DEEP, exif=exif)
    assert np.array_equal(pixels(path), grey3(upright(6, np.rint(DEEP / 257))))


@pytest.mark.parametrize("end", ["jpg", "tif"])
def test_cmyk(tmp_path: Path, end: str) -> None:
    # Cyan, magenta, yellow, black and paper white. Pillow writes JPEG as Adobe does, inverted and marked so.
    inks = np.zeros((16, 80, 4), np.uint8)
    for k in range(4):
        inks[:, 16 * k : 16 * k + 16, k] = 255
    path = tmp_path / f"x.{end}"
    options = {"quality": 100} if end == "jpg" else {}
    Image.frombytes("CMYK", (80, 16), inks.tobytes()).save(path, **options)
    if end == "jpg":
        assert b"Adobe" in path.read_bytes()[:200]
    seen = pixels(path)[8, 8::16]
    expected = [[0, 255, 255], [255, 0, 255], [255, 255, 0], [0, 0, 0], [255, 255, 255]]
    assert np.abs(seen.astype(int) - expected).max() <= 3  # JPEG rounding


def test_first_frame_counts(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((12, 10), value, np.uint8)) for value in (40, 200)]
    for end in ("gif", "tif", "webp"):
        path = tmp_path / f"x.{end}"
        frames[0].save(
            path, save_all=True, append_images=frames[1:], **({"lossless": True} if end == "webp" else {})
        )
        assert np.array_equal(pixels(path), np.full((12, 10, 3), 40))


def test_camera_jpeg_with_a_preview(tmp_path: Path) -> None:
    picture = Image.fromarray(np.full((16, 16, 3), 90, np.uint8))
    picture.save(tmp_path / "x.jpg", "MPO", save_all=True, append_images=[picture.resize((8, 8))])
    with Image.open(tmp_path / "x.jpg") as image:
        assert image.format == "MPO"
    assert np.array_equal(pixels(tmp_path / "x.jpg"), np.full((16, 16, 3), 90))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html><html>404</html>", "not a readable image"),
        (bytes(range(256)) * 4, "not a readable image"),
        (b"\xff\xd8\xff\xe0", "not a readable image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a readable image"),
    ],
)
def test_no_image(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    assert refusal(path).startswith(reason)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path / "x.jpg") == "the file isn't there"
    assert refusal(tmp_path) == "Is a directory"


@pytest.mark.parametrize("end", ["jpg", "png", "bmp", "tif", "ppm", "webp", "gif"])
def test_files_cut_short(tmp_path: Path, end: str) -> None:
    path = save(tmp_path / f"x.{end}", noise(7, 60, 60))
    content = path.read_bytes()
    for share in (0.02, 0.3, 0.9):
        path.write_bytes(content[: int(len(content) * share)])
        assert refusal(path)


@pytest.mark.parametrize("end", ["jpg", "png", "bmp", "tif", "ppm", "webp", "gif"])
def test_corrupted_files_are_read_or_refused(tmp_path: Path, end: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    content = save(tmp_path / f"x.{end}", noise(8, 20, 20), exif=exif).read_bytes()
    rng = np.random.default_rng(0)
    path, refused = tmp_path / "broken", 0
    for _ in range(300):
        broken = bytearray(content)
        for _ in range(4):
            broken[rng.integers(min(len(broken), 150))] = rng.integers(256)
        path.write_bytes(broken)
        try:
            read_image(path)
        except ImageError:
            refused += 1
    # Whatever else was raised would have ended the test; headers rarely survive this.
    assert refused > 30


def test_broken_chunk_between_pixels(tmp_path: Path) -> None:
    # Pillow raises SyntaxError here: the first 64 KiB of pixels are whole, the next chunk has no name.
    path = save(tmp_path / "x.png", noise(9, 200, 200))
    content = bytearray(path.read_bytes())
    second = content.index(b"IDAT", content.index(b"IDAT") + 4)
    content[second : second + 4] = b"\0\1\2\3"
    path.write_bytes(content)
    assert "broken PNG" in refusal(path)


def test_broken_metadata_of_a_turned_image(tmp_path: Path) -> None:
    # Pillow raises struct.error here: a description that calls itself a width.
    exif = Image.Exif()
    exif[270], exif[ORIENTATION] = "text", 6
    path = save(tmp_path / "x.jpg", RGB, exif=exif)
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack(">HH", 270, 2), struct.pack(">HH", 256, 2), 1))
    assert refusal(path)


def test_tiff_with_a_fraction_for_a_place(tmp_path: Path) -> None:
    # Pillow raises TypeError here: the place of the pixels (tag 273, type 4) is said to be of type 5.
    path = write_tiff(tmp_path / "x.tif", GREY)
    path.write_bytes(path.read_bytes().replace(struct.pack("<HH", 273, 4), struct.pack("<HH", 273, 5), 1))
    assert "integer" in refusal(path)


def bomb() -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (8, 8)).save(buffer, "PNG")
    content = bytearray(buffer.getvalue())
    content[16:24] = struct.pack(">II", 50_000, 50_000)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    return bytes(content)


def test_bombs_are_refused_also_where_pillows_limit_was_lifted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.png").write_bytes(bomb())
    assert "exceeds limit" in refusal(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert "50000×50000 px need more than 2 GB" in refusal(tmp_path / "x.png")


def test_large_images_don_t_warn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "x.png", RGB)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # the image has 120, which Pillow warns of
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(path).close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(pixels(path), RGB)


def test_gzipped_ppm(tmp_path: Path) -> None:
    content = save(tmp_path / "x.ppm", RGB).read_bytes()
    path = tmp_path / "y.ppm.gz"
    path.write_bytes(gzip.compress(content))
    assert np.array_equal(pixels(path), RGB)
    packed = gzip.compress(save(tmp_path / "z.ppm", noise(7, 60, 60)).read_bytes())
    for broken in (packed[:-200], packed[:300] + b"\0\1\2\3" * 50 + packed[500:], b"", packed[:5], content):
        path.write_bytes(broken)
        assert refusal(path)


def test_a_gzipped_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "x.ppm.gz"
    path.write_bytes(gzip.compress(b"P6\n100000 100000\n255\n" + bytes(1000)))
    assert "exceeds limit" in refusal(path)


def test_a_three_pixel_image_goes_all_the_way(tmp_path: Path) -> None:
    save(tmp_path / "x.png", noise(0, 3, 3))
    image = open_dataset("folder", root=tmp_path)[0].image
    assert image.shape == (3, 513, 513)
    # Enlarged, not padded: the corner keeps the corner's color.
    expected = (noise(0, 3, 3)[0, 0] / 255 - IMAGENET_MEAN) / IMAGENET_STD
    assert np.abs(image[:, 0, 0].numpy() - expected).max() < 1e-6  # float32
