"""Image files: their size is looked at before they are decoded, and a damaged one is an error, never half an image."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

MAX_MEGAPIXELS = 100.0  # of an image, unless --max-megapixels allows more


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
        ValueError: if it is missing, cut short or no image.
    """
    try:
        content = path.read_bytes()
    except OSError as err:
        raise unreadable(path, err) from err
    if is_cut_short(content):
        raise ValueError(f"{path}: the image is cut short; copy the file again, or remove it")
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags) if content else None
    except cv2.error as err:
        raise unreadable(path, err) from err
    if image is None:
        raise ValueError(f"{path}: not an image that OpenCV can read; remove or repair the file")
    return np.asarray(image)


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
