"""A plain folder: images, masks of the same name, and the names of the classes."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from tqdm import tqdm

from albu_gan.data.class_table import EXAMPLE, VOID, ClassTable, read_class_table
from albu_gan.data.errors import DataError, Problems
from albu_gan.data.groups import Groups
from albu_gan.data.images import IMAGE_SUFFIXES, by_stem, detect_channels, find_files, image_size, list_images
from albu_gan.data.mask_file import MASK_SUFFIXES, Code, read_class_mask
from albu_gan.data.record import DefectDataset, Record

ENDINGS = ("", "_mask", "_label", "_labels", "_gt")  # of a mask's stem, after that of its image


class FolderDataset(DefectDataset):
    """`images/NAME.jpg` (or png, bmp, tif, webp), `masks/NAME.png` and `classes.txt`; subfolders alike.

    A mask holds 0 where the image is clean and value `i` where it shows the class of line `i` of `classes.txt`; it is a
    gray or a palette PNG, of a palette the indices count. With one class, 0 and 255, or black and one colour, will do.
    Where `classes.txt` gives colours, or CVAT's `labelmap.txt` does, masks have those. A mask may be called
    `NAME_mask.png` or `NAME_label.png`. An image without a mask is clean.

    Args:
        root: the folder.
        group_pattern: see `Groups`.
        channels: 1 or 3; None looks at some images.
        groups: see `Groups`.
        skip_bad: leave out images whose mask cannot be read, and list them in `skipped`.

    Raises:
        DataError: if the folder does not have this layout; names the file, and the pixel value.
    """

    licence = "unknown"
    source = "a folder of images and masks"

    def __init__(
        self,
        root: Path,
        group_pattern: str | None = None,
        channels: int | None = None,
        *,
        groups: Path | None = None,
        skip_bad: bool = False,
    ) -> None:
        self.table = read_class_table(root)
        self.class_names = self.table.names
        image_folder, mask_folder = root / "images", root / "masks"
        images = by_stem(list_images(image_folder, recursive=True), image_folder, "the mask {}.png")
        if not mask_folder.is_dir():
            raise DataError(f"{mask_folder}: no such folder; the layout is images/, masks/ and classes.txt")
        find = Groups(group_pattern, groups)
        problems = Problems(skip_bad)
        masks = match_masks(images, mask_folder, problems)
        codes: dict[Code, Path] = {}
        unsure: set[str] = set()
        records = []
        for stem, path in tqdm(images.items(), desc="read classes", unit="mask", leave=False, disable=None):
            classes: frozenset[int] = frozenset()
            try:
                if stem in masks:
                    mask, code = read_class_mask(masks[stem], self.table)
                    check_size(masks[stem], mask, image_size(path))
                    classes = classes_in(mask)
                    if (mask == VOID).any():
                        unsure.add(stem)
                    if code is not None:
                        codes.setdefault(code, masks[stem])
            except DataError as err:
                problems.report(str(err))
            else:
                place = path.relative_to(image_folder).as_posix()
                records.append(Record(stem, path, masks.get(stem), find.of(place), classes))
        _check_codes(codes, self.table)
        self.unsure = frozenset(unsure)
        self._keep(records, problems)
        self.channels = channels or detect_channels([record.image_path for record in self.records])

    def read_mask(self, record: Record, image_hw: tuple[int, int]) -> np.ndarray:
        if record.label_path is None:
            return np.zeros(image_hw, np.uint8)
        mask, _ = read_class_mask(record.label_path, self.table)
        check_size(record.label_path, mask, image_hw)
        mask[mask == VOID] = 0
        return mask


def match_masks(images: Collection[str], folder: Path, problems: Problems) -> dict[str, Path]:
    """Return the mask of each image that has one, by the image's stem.

    Args:
        images: their places below the folder of the images, without suffix.
        folder: of the masks; `NAME.png`, `NAME_mask.png`, `NAME.jpg.png` belong to `NAME`.
        problems: hears of masks without an image, of images with two masks, and of masks that are no lossless images.
    """
    found: dict[str, Path] = {}
    for path in find_files(folder, {*IMAGE_SUFFIXES, *MASK_SUFFIXES}, recursive=True):
        if path.suffix.lower() not in MASK_SUFFIXES:
            problems.report(f"{path}: not a PNG; compression changes the values of a mask, export masks as PNG")
            continue
        place = path.relative_to(folder).with_suffix("")
        if place.suffix.lower() in IMAGE_SUFFIXES and place.as_posix() not in images:
            place = place.with_suffix("")
        name = place.as_posix()
        ends = [ending for ending in ENDINGS if name.endswith(ending) and name.removesuffix(ending) in images]
        if not ends:
            problems.report(f"{path}: no image of this stem; rename or remove the mask")
            continue
        stem = name.removesuffix(ends[0])
        if stem in found:
            problems.report(f"{path}: the image has the mask {found[stem].name} already; keep one of the two")
            continue
        found[stem] = path
    return found


def classes_in(mask: np.ndarray) -> frozenset[int]:
    """Return the indices of the classes of a mask."""
    return frozenset(int(value) - 1 for value in np.flatnonzero(np.bincount(mask.ravel())) if value not in (0, VOID))


def check_size(path: Path, mask: np.ndarray, image_hw: tuple[int, int]) -> None:
    """Raise unless a mask has the size of its image."""
    if mask.shape != image_hw:
        raise DataError(
            f"{path}: the mask is {mask.shape[0]} x {mask.shape[1]}, its image {image_hw[0]} x {image_hw[1]}; use the "
            "image that was annotated"
        )


def _check_codes(codes: dict[Code, Path], table: ClassTable) -> None:
    """Refuse masks of one class that some have in one way and some in another."""
    if len(table.names) == 1 and len(codes) > 1:
        shown = ", ".join(f"{code} in {path}" for code, path in list(codes.items())[:3])
        raise DataError(
            f"{table.path}: there is one class, but masks have it in {len(codes)} ways: {shown}. If they are several "
            f"classes, give each its colour, such as {EXAMPLE}; if not, write them alike"
        )
