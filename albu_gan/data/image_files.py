"""Image files: their size is looked at before they are decoded, and a damaged one is an error, never half an image."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

MAX_MEGAPIXELS = 100.0  # of an image, unless --max-megapixels allows more
TIFF_SIGNS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: files of more than 4 GiB
NEW_SUBFILE_TYPE = 254  # the TIFF tag; its first bit marks a smaller version of another page
SENSOR_BITS = (10, 12, 14, 16)  # of cameras whose images lie in 16-bit files


def check_header(path: Path, max_megapixels: float) -> None:
    """Look at an image's size without decoding it.

    Raises:
        ValueError: if it is no image, or has more pixels than allowed.
    """
    if not path.is_file():
        raise ValueError(f"{path}: {'is a folder or a device' if path.exists() else 'no such image'}; give image files")
    try:
        with _no_pixel_limit(), Image.open(path) as image:
            width, height = image.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as err:
        raise unreadable(path, err) from err
    megapixels = width * height / 1e6
    if megapixels > max_megapixels:
        raise ValueError(
            f"{path}: {width} x {height} pixels are {megapixels:.3g} megapixels, more than {max_megapixels:g}; cut it "
            f"into tiles, or allow it with --max-megapixels {math.ceil(10 * megapixels) / 10:g}"
        )


@contextmanager
def _no_pixel_limit() -> Iterator[None]:
    """Let Pillow open the header of any image: the limit is ours, and can be set."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def read_image(path: Path) -> np.ndarray:
    """Decode an image as it is, gray or colour, turned as its EXIF orientation says.

    Returns:
        (H, W) or (H, W, 3) uint8, RGB order.

    Raises:
        ValueError: if it is missing, cut short, no image, or has more than 8 bits a channel.
    """
    image = decode(path, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    if image.dtype != np.uint8:
        raise ValueError(f"{path}: has {image.dtype} pixels, 8 bits a channel are needed; scale and convert it")
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def decode(path: Path, flags: int) -> np.ndarray:
    """Decode an image with flags of `cv2.imdecode`, BGR order.

    Raises:
        ValueError: if it is missing, cut short, no image, or a TIFF of several pages.
    """
    try:
        content = path.read_bytes()
    except OSError as err:
        raise unreadable(path, err) from err
    if is_cut_short(content):
        raise ValueError(f"{path}: the image is cut short; copy the file again, or remove it")
    if content.startswith(TIFF_SIGNS) and (pages := _count_pages(content)) > 1:
        raise ValueError(f"{path}: a TIFF of {pages} pages; save each page as an image of its own")
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags) if content else None
    except cv2.error as err:
        raise unreadable(path, err) from err
    if image is None:
        raise ValueError(f"{path}: not an image that OpenCV can read; remove or repair the file")
    return np.asarray(image)


def to_8_bits(path: Path, image: np.ndarray, value_range: tuple[float, float] | None) -> np.ndarray:
    """Bring the values of an image of more than 8 bits to 0 to 255.

    Args:
        path: for messages.
        image: (H, W) or (H, W, C), any numbers.
        value_range: what becomes 0 and 255; values outside are cut off.

    Returns:
        The same shape, uint8, contiguous.

    Raises:
        ValueError: without a range, naming one that may fit; or if no value lies in it.
    """
    low, high = float(image.min()), float(image.max())
    if value_range is None:
        bits = next((bits for bits in SENSOR_BITS if high < 2**bits), None)
        example = f"{low:g} {high:g}" if low < 0 or bits is None or image.dtype.kind == "f" else f"0 {2**bits - 1}"
        raise ValueError(
            f"{path}: has {image.dtype} pixels, from {low:g} to {high:g}; say which values are black and white, such "
            f"as --range {example}, or save it with 8 bits a channel"
        )
    black, white = value_range
    if high < black or low > white or not np.isfinite((low, high)).all():
        raise ValueError(
            f"{path}: its values, from {low:g} to {high:g}, lie outside of the range {black:g} to {white:g}; give one "
            "that fits"
        )
    scaled = (image.astype(np.float32) - black) * (255 / (white - black))
    return np.ascontiguousarray(np.rint(scaled).clip(0, 255).astype(np.uint8))


def _count_pages(content: bytes) -> int:
    """Number of pages of a TIFF, without those that are smaller versions of another; 1 if Pillow cannot tell."""
    try:
        with _no_pixel_limit(), Image.open(io.BytesIO(content)) as image:
            return sum(_is_full_size(image, page) for page in range(getattr(image, "n_frames", 1)))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, KeyError, TypeError, EOFError):
        return 1


def _is_full_size(image: Image.Image, page: int) -> bool:
    image.seek(page)
    tags = getattr(image, "tag_v2", {})
    return not int(tags.get(NEW_SUBFILE_TYPE, 0)) & 1


def is_cut_short(content: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end; OpenCV may fill up what is missing and only warn."""
    if content.startswith(b"\xff\xd8"):
        # The scan escapes 0xff bytes, so an end marker (ffd9) after the last start of a scan (ffda) is a real one.
        return content.rfind(b"\xff\xd9") <= content.rfind(b"\xff\xda")
    return content.startswith(b"\x89PNG") and content.rfind(b"IEND") < 0


def unreadable(path: Path, err: Exception) -> ValueError:
    """Return the error that says why a file could not be read, in one line."""
    reason = getattr(err, "strerror", None) or " ".join(str(err).split())
    return ValueError(f"{path}: not an image that can be read ({reason}); remove or repair the file")
