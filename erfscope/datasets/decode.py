"""Decode image files to 8-bit RGB, or say why a file can't be."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from gzip import GzipFile
from io import BufferedReader
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from erfscope.errors import ImageError

# Named, because Pillow otherwise tries every format that it knows; some of them, such as EPS, start other
# programs.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
# What Pillow raises for broken files, found by cutting and corrupting files of all these formats. Anything
# else is a bug and must surface.
_BROKEN = (
    OSError,
    EOFError,
    zlib.error,
    SyntaxError,
    ValueError,
    TypeError,
    struct.error,
    Image.DecompressionBombError,
)
# Pillow refuses about 0.18 Gpx of its own accord; this holds also where that limit was lifted.
_MAX_BYTES = 2 << 30
_BYTES_PER_PIXEL = 4
_SAMPLE_BITS, _PHOTOMETRIC, _PLANES, _SAMPLE_FORMAT = 258, 262, 284, 339  # TIFF tags


def read_image(path: Path) -> Image.Image:
    """Read an image as 8-bit RGB, upright.

    Gray is copied to three channels, palettes and CMYK are converted, alpha is dropped (not blended), as
    training loaders do. 16-bit gray is scaled by 1/257 and rounded; of 16-bit color Pillow returns the high
    byte, which is within one level of that. EXIF orientation is applied. Of several frames the first is
    read.

    Parameters
    ----------
    path
        A JPEG, PNG, BMP, GIF, TIFF, WebP or PPM/PGM file; gzipped PPM/PGM if the name ends in .gz.

    Returns
    -------
    PIL.Image.Image
        Mode RGB.

    Raises
    ------
    ImageError
        If the file is missing, empty, truncated, no image, larger than 2 GB decoded, or of a sample type
        without a fixed range (float, signed, 32-bit), naming the file and the reason in one line.
    """
    with opened_image(path) as image:
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith("I"):
            return _from_16_bit(image).convert("RGB")
        return image.convert("RGB")


@contextmanager
def opened_image(path: Path) -> Iterator[Image.Image]:
    """Open and decode a file that `read_image` takes; raises one error for whatever is wrong with it.

    Raises
    ------
    ImageError
        As `read_image` does; also where the block raises `ValueError`.
    """
    try:
        # Pillow warns of large images and of broken metadata, which don't matter here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _unzipped(path) as file, Image.open(file, formats=_formats(path)) as image:
                _refuse_unfit(image)
                image.load()
                yield image
    except _BROKEN as error:
        raise ImageError(f"{path}: {_reason(path, error)}") from error


def _unzipped(path: Path) -> BufferedReader:
    # No more is unpacked than Pillow reads: the pixels of an image of an allowed size.
    return BufferedReader(GzipFile(path)) if path.suffix == ".gz" else path.open("rb")


def _formats(path: Path) -> tuple[str, ...]:
    # Of gzipped files only PPM, as STARE's are: TIFF is read by file descriptor, past the unpacking.
    return ("PPM",) if path.suffix == ".gz" else _FORMATS


def _refuse_unfit(image: Image.Image) -> None:
    if image.width * image.height * _BYTES_PER_PIXEL > _MAX_BYTES:
        raise ValueError(f"{image.width}×{image.height} px need more than 2 GB; cut the image into tiles")
    if image.mode == "F":
        raise ValueError("float pixels have no fixed range; save the image with 8 or 16 bits")
    if image.format != "TIFF":
        return
    bits, signed = max(_tiff(image, _SAMPLE_BITS, (1,))), 2 in _tiff(image, _SAMPLE_FORMAT, (1,))
    if bits > 16 or signed:
        kind = f"{bits}-bit signed" if signed else f"{bits}-bit"
        raise ValueError(f"{kind} integer pixels have no fixed range; save the image with 8 or 16 bits")
    if bits > 8 and _tiff(image, _PLANES, (1,)) == (2,):
        # Pillow reads such planes as 8-bit ones and returns noise.
        raise ValueError("16-bit TIFF in separate planes can't be read; save it with interleaved channels")


def _tiff(image: Image.Image, tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
    tags = getattr(image, "tag_v2", {})
    value = tags.get(tag, default)
    return value if isinstance(value, tuple) else (value,)


def _from_16_bit(image: Image.Image) -> Image.Image:
    # Pillow's own conversion clips at 255. PNG and PGM always fill 16 bits, TIFF may say 12.
    full = 2 ** _tiff(image, _SAMPLE_BITS, (16,))[0] - 1
    values = np.asarray(image).astype(np.uint32)
    if _tiff(image, _PHOTOMETRIC, (1,)) == (0,):  # zero is white, which Pillow converts up to 8 bits only
        values = full - values
    return Image.fromarray(((values * 255 + full // 2) // full).astype(np.uint8))


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "the file isn't there"
    if isinstance(error, UnidentifiedImageError):
        empty = path.stat().st_size == 0
        return "the file is empty" if empty else "not a readable image (JPEG, PNG, BMP, GIF, TIFF, WebP, PPM)"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
