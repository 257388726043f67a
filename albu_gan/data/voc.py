"""Pascal VOC: `JPEGImages/`, `SegmentationClass/` and the colours or the names of the classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from albu_gan.data.class_table import BACKGROUND_NAMES, VOID, VOID_NAMES, ClassTable, read_class_table
from albu_gan.data.errors import DataError, Problems, text_error
from albu_gan.data.folder import check_size, classes_in, match_masks
from albu_gan.data.groups import Groups
from albu_gan.data.images import by_stem, detect_channels, image_size, list_images
from albu_gan.data.mask_file import read_class_mask
from albu_gan.data.record import DefectDataset, Record

IMAGE_FOLDER = "JPEGImages"
MASK_FOLDERS = ("SegmentationClass", "SegmentationClassPNG")  # the second: old versions of labelme's converter
LISTS = Path("ImageSets", "Segmentation")
TABLES = ("labelmap.txt", "class_names.txt", "classes.txt")


class VocDataset(DefectDataset):
    """Masks with a palette or in colours, as labelme and CVAT ("PASCAL VOC 1.1", "Segmentation mask 1.1") write them.

    `labelmap.txt` (CVAT: `label:R,G,B::`) gives each class its colour; else `class_names.txt` (labelme) or
    `classes.txt` name the indices 1, 2, ... Index 255, and a class called `ignored` or `void`, is neither a class nor
    clean: it is 0 in masks, but its image is no clean background. An image without a mask is clean if a list in
    `ImageSets/Segmentation` has it or there are no lists; otherwise nobody looked at it, and it is left out.

    Args:
        root: the folder.
        group_pattern: see `Groups`.
        channels: 1 or 3; None looks at some images.
        groups: see `Groups`.
        skip_bad: leave out images whose mask cannot be read, and list them in `skipped`.

    Raises:
        DataError: if the folder does not have this layout; names the file, and the pixel.

    References:
        Everingham et al., "The Pascal Visual Object Classes Challenge", 2010,
        http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html
    """

    licence = "unknown"
    source = "Pascal VOC masks"

    def __init__(
        self,
        root: Path,
        group_pattern: str | None = None,
        channels: int | None = None,
        *,
        groups: Path | None = None,
        skip_bad: bool = False,
    ) -> None:
        mask_folder = next((root / name for name in MASK_FOLDERS if (root / name).is_dir()), None)
        if mask_folder is None:
            raise DataError(f"{root}: no folder {MASK_FOLDERS[0]}; export segmentation masks, boxes make none")
        image_folder = root / IMAGE_FOLDER
        if not image_folder.is_dir():
            raise DataError(f"{image_folder}: no such folder; export the images, too (CVAT: 'Save images')")
        self.table = read_voc_classes(root)
        self.class_names = self.table.names
        images = by_stem(list_images(image_folder, recursive=True), image_folder, "the mask {}.png")
        find = Groups(group_pattern, groups)
        problems = Problems(skip_bad)
        masks = match_masks(images, mask_folder, problems)
        listed = read_lists(root / LISTS)
        unsure: set[str] = set()
        records = []
        for stem, path in tqdm(images.items(), desc="read classes", unit="mask", leave=False, disable=None):
            label = masks.get(stem)
            classes: frozenset[int] = frozenset()
            if label is None and listed is not None and stem not in listed:
                continue
            try:
                if label is not None:
                    mask, _ = read_class_mask(label, self.table, void=True)
                    check_size(label, mask, image_size(path))
                    classes = classes_in(mask)
                    if (mask == VOID).any():
                        unsure.add(stem)
            except DataError as err:
                problems.report(str(err))
            else:
                records.append(Record(stem, path, label, find.of(path.relative_to(image_folder).as_posix()), classes))
        if listed is not None:
            unseen = sorted(stem for stem in images if stem not in masks and stem not in listed)
            if unseen:
                problems.messages.append(
                    f"{image_folder}: {len(unseen)} image(s) without a mask that no list in {root / LISTS} has, the "
                    f"first {images[unseen[0]].name}: not known whether they are clean"
                )
        self.unsure = frozenset(unsure)
        self._keep(records, problems)
        self.channels = channels or detect_channels([record.image_path for record in self.records])

    def read_mask(self, record: Record, image_hw: tuple[int, int]) -> np.ndarray:
        if record.label_path is None:
            return np.zeros(image_hw, np.uint8)
        mask, _ = read_class_mask(record.label_path, self.table, void=True)
        check_size(record.label_path, mask, image_hw)
        mask[mask == VOID] = 0
        return mask


def read_voc_classes(root: Path) -> ClassTable:
    """Read the classes of a folder: `labelmap.txt`, `class_names.txt` or `classes.txt`.

    Raises:
        DataError: if there is none, or naming the line.
    """
    if (root / "labelmap.txt").is_file() or (root / "classes.txt").is_file():
        table = read_class_table(root)
        return table if table.colours is not None else _without_background(table)
    path = root / "class_names.txt"
    if not path.is_file():
        raise DataError(f"{root}: none of {', '.join(TABLES)}; write classes.txt with one class a line, the first is 1")
    return _without_background(read_class_table(root, path.name))


def _without_background(table: ClassTable) -> ClassTable:
    """Drop the names of index 0 and 255, which labelme's converter writes before the others."""
    names = list(table.names)
    while names and names[0].lower() in (*BACKGROUND_NAMES, *VOID_NAMES):
        names.pop(0)
    if not names:
        raise DataError(f"{table.path}: no class beside the background; name the classes")
    return ClassTable(table.path, tuple(names))


def read_lists(folder: Path) -> set[str] | None:
    """Return the images that the lists of a folder have, without suffix; None if there are no lists.

    Raises:
        DataError: naming the file that cannot be read.
    """
    paths = sorted(path for path in folder.glob("*.txt") if not path.name.startswith("."))
    names = set()
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as err:
            raise text_error(path, err) from err
        names |= {line.strip().strip("\"'") for line in lines if line.strip()}
    return names if paths else None
