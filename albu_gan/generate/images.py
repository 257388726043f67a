"""The images to paint into, and the masks that say where."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from albu_gan.data import check_header, read_image
from albu_gan.generate.settings import GenerateError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
LABEL_FOLDERS = ("masks", "mask", "labels", "ground_truth", "segmentationclass", "segmentationobject")
LABEL_ENDINGS = ("_mask", "_label", "_gt")  # of a file's stem, where there is an image of the stem without it


def list_images(root: Path, leave_out: Path) -> list[Path]:
    """Return the images of a folder and its subfolders, sorted by their path in it.

    Hidden files are passed over, and so are the masks of a data set: what lies in a subfolder such as `masks/`, and
    `NAME_mask.png` beside an image `NAME`.

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
    places = {path.relative_to(root).with_suffix("").as_posix() for path in found}
    found = [path for path in found if not _is_label(path.relative_to(root), places)]
    for path in found:
        if not path.name.isprintable():
            raise GenerateError(f"{path!r}: a name that is no text cannot be written into a manifest; rename the file")
    if not found:
        raise GenerateError(f"{root}: no images ({', '.join(SUFFIXES)}) in this folder or its subfolders")
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def _is_label(place: Path, places: set[str]) -> bool:
    """Whether a file of a data set is a mask: by its folder, or by its name and an image that has the mask."""
    if any(part.lower() in LABEL_FOLDERS for part in place.parts[:-1]):
        return True
    name = place.with_suffix("").as_posix()
    return any(name.endswith(ending) and name.removesuffix(ending) in places for ending in LABEL_ENDINGS)


def readable(images: Sequence[Path], max_megapixels: float, progress: bool = True) -> tuple[list[Path], list[str]]:
    """Decode every image once; return those that can be read, and what is wrong with the others.

    Raises:
        GenerateError: if none can be read.
    """
    good: list[Path] = []
    problems: list[str] = []
    for path in tqdm(images, desc="check files", unit="image", leave=False, disable=None if progress else True):
        try:
            check_header(path, max_megapixels)
            read_image(path)
        except ValueError as err:
            problems.append(str(err))
        else:
            good.append(path)
    if not good:
        raise GenerateError(f"none of the images can be read; the first problem: {problems[0]}")
    return good, problems


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
