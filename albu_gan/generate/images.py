"""The images to paint into: finding them, looking at their size before they are decoded, decoding them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from albu_gan.generate.settings import GenerateError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff")


def list_images(root: Path, leave_out: Path) -> list[Path]:
    """Return the images of a folder and its subfolders, sorted by their path in it; hidden ones are passed over.

    Args:
        root: the folder.
        leave_out: a folder whose images do not count, as they are made of the others.

    Raises:
        GenerateError: if it is no folder, or holds no image.
    """
    if not root.is_dir():
        raise GenerateError(f"{root}: {'is a file' if root.exists() else 'no such folder'}; give a folder of images")
    left_out = leave_out.resolve()
    found = []
    for path in root.rglob("*"):
        parts = path.relative_to(root).parts
        hidden = any(part.startswith(".") for part in parts)
        if path.suffix.lower() in SUFFIXES and not hidden and path.is_file() and left_out not in path.resolve().parents:
            found.append(path)
    for path in found:
        if not path.name.isprintable():
            raise GenerateError(f"{path!r}: a name that is no text cannot be written into a manifest; rename the file")
    if not found:
        raise GenerateError(f"{root}: no images ({', '.join(SUFFIXES)}) in this folder or its subfolders")
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def find_regions(root: Path, images_root: Path, images: Sequence[Path]) -> list[Path]:
    """Return the region mask of every image: a PNG of the same path but for the suffix.

    Raises:
        GenerateError: naming the first that is missing.
    """
    regions = [root / path.relative_to(images_root).with_suffix(".png") for path in images]
    for image, region in zip(images, regions, strict=True):
        if not region.is_file():
            raise GenerateError(f"{region}: no such file; it should say where defects may go in {image}")
    return regions


def check_header(path: Path, max_megapixels: float) -> None:
    """Look at an image's size without decoding it.

    Raises:
        GenerateError: if it is no image, or has more pixels than allowed.
    """
    try:
        with _no_pixel_limit(), Image.open(path) as image:
            width, height = image.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as err:
        raise unreadable(path, err) from err
    if width * height > max_megapixels * 1e6:
        raise GenerateError(
            f"{path}: {width} x {height} pixels are {width * height / 1e6:.1f} megapixels, more than "
            f"{max_megapixels:g}; cut it into tiles, or allow it with --max-megapixels {width * height / 1e6:.0f}"
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
        GenerateError: if it is missing, cut short, no image, or has more than 8 bits a channel.
    """
    try:
        content = path.read_bytes()
    except OSError as err:
        raise unreadable(path, err) from err
    if is_cut_short(content):
        raise GenerateError(f"{path}: the image is cut short; copy the file again, or remove it")
    try:
        flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags) if content else None
    except cv2.error as err:
        raise unreadable(path, err) from err
    if image is None:
        raise GenerateError(f"{path}: not an image that OpenCV can read; remove or repair the file")
    if image.dtype != np.uint8:
        raise GenerateError(f"{path}: has {image.dtype} pixels, 8 bits a channel are needed; scale and convert it")
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_region(path: Path, image_hw: tuple[int, int]) -> np.ndarray:
    """Decode a region mask: (H, W) uint8, nonzero where defects may go.

    Raises:
        GenerateError: if it cannot be read, or is not of its image's size.
    """
    region = read_image(path)
    region = region if region.ndim == 2 else region.max(axis=2)
    if region.shape != image_hw:
        raise GenerateError(
            f"{path}: the region is {region.shape[0]} x {region.shape[1]}, its image {image_hw[0]} x {image_hw[1]}"
        )
    return region


def is_cut_short(content: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end; OpenCV may fill up what is missing and only warn."""
    if content.startswith(b"\xff\xd8"):
        # The scan escapes 0xff bytes, so an end marker (ffd9) after the last start of a scan (ffda) is a real one.
        return content.rfind(b"\xff\xd9") <= content.rfind(b"\xff\xda")
    return content.startswith(b"\x89PNG") and content.rfind(b"IEND") < 0


def unreadable(path: Path, err: Exception) -> GenerateError:
    """Return the error that says why a file could not be read, in one line."""
    reason = getattr(err, "strerror", None) or " ".join(str(err).split())
    return GenerateError(f"{path}: not an image that can be read ({reason}); remove or repair the file")
