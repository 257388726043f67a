"""Image files: finding, measuring and decoding them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from albu_gan.data import image_files
from albu_gan.data.errors import DataError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
ORIENTATION = 0x0112  # the EXIF tag; OpenCV turns JPEG images by it, values from 5 on exchange height and width


def list_images(folder: Path) -> list[Path]:
    """Return the image files of a folder, sorted.

    Raises:
        DataError: if there are none.
    """
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES) if folder.is_dir() else []
    if not paths:
        raise DataError(f"{folder}: no images ({', '.join(sorted(IMAGE_SUFFIXES))}) found")
    return paths


def by_stem(paths: Sequence[Path], shared: str) -> dict[str, Path]:
    """Return the paths by their stem.

    Args:
        paths: of images.
        shared: what two images of one stem would share, with `{}` for the stem.

    Raises:
        DataError: if two images have one stem.
    """
    found: dict[str, Path] = {}
    for path in paths:
        other = found.setdefault(path.stem, path)
        if other is not path:
            raise DataError(f"{path} and {other.name}: both would have {shared.format(path.stem)}; rename one")
    return found


def image_size(path: Path) -> tuple[int, int]:
    """Read height and width from an image's header, as the decoded image will have them.

    Raises:
        DataError: if it is no image.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.format in ("JPEG", "MPO") and image.getexif().get(ORIENTATION, 1) >= 5
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as err:
        raise unreadable(path, err) from err
    return (width, height) if turned else (height, width)


def decode_image(path: Path, channels: int) -> np.ndarray:
    """Decode an image.

    Args:
        path: the file.
        channels: 1 or 3.

    Returns:
        (H, W, C) uint8, RGB order.

    Raises:
        DataError: if it is missing, cut short or no image.
    """
    try:
        image = image_files.decode(path, cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR)
    except ValueError as err:
        raise DataError(str(err)) from err
    return image[:, :, None] if channels == 1 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def unreadable(path: Path, err: Exception) -> DataError:
    """Return the error that says why a file could not be read, in one line."""
    return DataError(str(image_files.unreadable(path, err)))


def detect_channels(paths: Sequence[Path], count: int = 8) -> int:
    """Return 1 if some images, spread over the list, are all gray, else 3; gray images stored as RGB are gray.

    Files that cannot be read are passed over here; reading them will say so.
    """
    channels = []
    for index in sorted({int(i) for i in np.linspace(0, len(paths) - 1, min(count, len(paths)))}):
        try:
            image = decode_image(paths[index], 3)
        except DataError:
            continue
        gray = (image[:, :, :1] == image).all()
        channels.append(1 if gray else 3)
    return max(channels, default=3)
