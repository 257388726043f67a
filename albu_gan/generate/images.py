"""The images to paint into, and the masks that say where."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from albu_gan.data import read_image
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
