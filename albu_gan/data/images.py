"""Image files of a data set: finding, measuring and decoding them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from albu_gan.data import image_files
from albu_gan.data.errors import DataError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
ORIENTATION = 0x0112  # the EXIF tag; OpenCV turns JPEG images by it, values from 5 on exchange height and width
LEFT_BEHIND = ("__MACOSX", "@eaDir")  # folders that archives of macOS and network storage add


def is_left_behind(path: Path, root: Path) -> bool:
    """Whether a file is hidden below `root`, or one that an operating system put there: `._NAME`, `__MACOSX/`."""
    return any(part.startswith(".") or part in LEFT_BEHIND for part in path.relative_to(root).parts)


def find_files(folder: Path, suffixes: Collection[str], recursive: bool = False) -> list[Path]:
    """Return the files of a folder with these suffixes, in any case, sorted; hidden ones are passed over.

    Args:
        folder: one that is not there has no files.
        suffixes: lower case, with the dot.
        recursive: look into its subfolders, too.
    """
    if not folder.is_dir():
        return []
    found = folder.rglob("*") if recursive else folder.iterdir()
    return sorted(
        path
        for path in found
        if path.suffix.lower() in suffixes and not is_left_behind(path, folder) and path.is_file()
    )


def list_images(folder: Path, recursive: bool = False) -> list[Path]:
    """Return the image files of a folder, sorted.

    Raises:
        DataError: if there are none.
    """
    paths = find_files(folder, IMAGE_SUFFIXES, recursive)
    if not paths:
        raise DataError(f"{folder}: no images ({', '.join(sorted(IMAGE_SUFFIXES))}) found")
    return paths


def by_stem(paths: Sequence[Path], root: Path, shared: str) -> dict[str, Path]:
    """Return the paths by their place below `root` without the suffix, such as `part1/a`.

    Args:
        paths: of images.
        root: the folder that they lie in.
        shared: what two images of one stem would share, with `{}` for the stem.

    Raises:
        DataError: if two images have one stem.
    """
    found: dict[str, Path] = {}
    for path in paths:
        stem = path.relative_to(root).with_suffix("").as_posix()
        other = found.setdefault(stem, path)
        if other is not path:
            raise DataError(f"{path} and {other.name}: both would have {shared.format(stem)}; rename one")
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


def decode_image(path: Path, channels: int, value_range: tuple[float, float] | None = None) -> np.ndarray:
    """Decode an image.

    Args:
        path: the file.
        channels: 1 or 3.
        value_range: the values of an image of more than 8 bits that become 0 and 255; those outside become the nearer
            of the two. Images of 8 bits are taken as they are.

    Returns:
        (H, W, C) uint8, RGB order.

    Raises:
        DataError: if it is missing, cut short or no image, or has more than 8 bits and no range fits it.
    """
    try:
        flags = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR
        image = image_files.decode(path, flags | cv2.IMREAD_ANYDEPTH)
        if image.dtype != np.uint8:
            image = image_files.to_8_bits(path, image, value_range)
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
            image = image_files.decode(paths[index], cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        except ValueError:
            continue
        gray = (image[:, :, :1] == image).all()
        channels.append(1 if gray else 3)
    return max(channels, default=3)
