"""Read an image that someone uploaded: checked before it is decoded, then brought to 8 bits gray or RGB."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
MIN_SIDE = 16
DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras put into a 16-bit file
WIDE_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")
GRAY_MODES = ("1", "L", "LA", *WIDE_MODES)
ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
MAX_STEM = 48  # characters of a file's name that downloads keep


@dataclass(frozen=True)
class Upload:
    """An image to paint into.

    Attributes:
        image: (H, W) or (H, W, 3) uint8.
        stem: a file name without suffix, letters, digits, `-`, `_` and `.` only.
        notes: what was changed on the way, for the person who uploaded it.
    """

    image: np.ndarray
    stem: str
    notes: tuple[str, ...] = ()


def read_upload(path: Path, max_megapixels: float) -> Upload:
    """Read an image file.

    The size is taken from the header, so that a file that would fill the memory is never decoded.

    Args:
        path: of the file.
        max_megapixels: millions of pixels that are accepted.

    Raises:
        ValueError: if the file is no image of a known format, is damaged, or is too large or too small.
    """
    name = path.name
    try:
        with warnings.catch_warnings():
            # Pillow warns of sizes that are checked here, and of metadata that nothing here reads.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as file:
                _check_size(name, file.size, max_megapixels)
                return _decode(file, clean_stem(path.stem))
    except UnidentifiedImageError as err:
        raise ValueError(f"{name} is not an image that can be read; use one of {', '.join(FORMATS)}") from err
    except Image.DecompressionBombError as err:
        raise ValueError(f"{name} has far more than {max_megapixels:g} megapixels; crop or shrink it") from err
    except (OSError, SyntaxError, EOFError, MemoryError) as err:
        raise ValueError(f"{name} is damaged or incomplete ({err}); save or export it again") from err


def clean_stem(stem: str) -> str:
    """Return a file name that is safe on every system and in a line of Python."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")[:MAX_STEM] or "image"


def _check_size(name: str, size_wh: tuple[int, int], max_megapixels: float) -> None:
    width, height = size_wh
    if width * height > round(max_megapixels * 1e6):
        raise ValueError(
            f"{name} is {width} x {height}, {width * height / 1e6:.1f} megapixels; this app takes "
            f"{max_megapixels:g}. Crop or shrink it, or start the app with a larger --max-megapixels"
        )
    if min(width, height) < MIN_SIDE:
        raise ValueError(f"{name} is {width} x {height}; both sides must have at least {MIN_SIDE} pixels")


def _decode(file: Image.Image, stem: str) -> Upload:
    notes = []
    if getattr(file, "n_frames", 1) > 1:
        notes.append("The file holds several pictures; the first is used.")
    mode = file.mode
    if mode == "F":
        raise ValueError("images of floating-point numbers have no known range; save it with 8 or 16 bits a channel")
    tiles = getattr(file, "tile", None)  # of image files alone: how their bytes are laid out
    raw = str(tiles[0][3]) if tiles else ""
    turned = ImageOps.exif_transpose(file)
    if turned.size != file.size or file.getexif().get(0x0112, 1) != 1:
        notes.append("The image was turned as its metadata says.")
    has_alpha = mode in ALPHA_MODES or "transparency" in file.info
    if mode in WIDE_MODES:
        image, bits = reduce_depth(np.asarray(turned))
        notes.append(f"16-bit image, brightest value in {bits} bits: reduced to 8 bits.")
    else:
        if "16" in raw:
            notes.append("16 bits a channel were reduced to 8.")
        if has_alpha and np.asarray(turned.convert("RGBA"))[:, :, 3].min() < 255:
            notes.append("Transparency was dropped.")
        if mode in ("CMYK", "YCbCr", "LAB", "HSV"):
            notes.append(f"{mode} colours were converted to RGB.")
        image = np.asarray(turned.convert("L" if mode in GRAY_MODES else "RGB"))
    return Upload(np.array(image, np.uint8, order="C"), stem, tuple(notes))


def reduce_depth(image: np.ndarray) -> tuple[np.ndarray, int]:
    """Bring integers of up to 16 bits to 8 by a shift, from the depth that holds the largest value.

    Cameras of 10 or 12 bits store their values in 16: shifted by 8, the image would be black.

    Returns:
        (H, W) uint8 and the depth in bits.

    Raises:
        ValueError: if a value is negative or needs more than 16 bits.
    """
    low, high = int(image.min()), int(image.max())
    if low < 0 or high >= 1 << 16:
        raise ValueError(f"values from {low} to {high} are not those of a 16-bit image; save it with 8 or 16 bits")
    bits = next(depth for depth in DEPTHS if high < 1 << depth)
    return (image.astype(np.int64) >> (bits - 8)).astype(np.uint8), bits
