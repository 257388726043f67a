"""Ultralytics YOLO segmentation: `data.yaml`, and a text file of polygons an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from albu_gan.data.errors import DataError, Problems, counted, text_error
from albu_gan.data.groups import Groups
from albu_gan.data.images import detect_channels
from albu_gan.data.record import DefectDataset, Record
from albu_gan.data.yolo_yaml import find_yaml, read_yaml

TOLERANCE = 0.01  # by which a coordinate may leave the image, as Ultralytics allows
BOX_NUMBERS = 5  # class, centre and size


class YoloDataset(DefectDataset):
    """Images and `labels/NAME.txt` of lines "class x y x y ...", coordinates as shares of width and height.

    Labels lie where Ultralytics looks for them: beside the image, the last folder `images` of its path replaced by
    `labels`. An image without a label file, or with an empty one, is clean. Classes are all names of the data.yaml: a
    mask holds the class number + 1. Polygons are filled as `ultralytics.data.utils.polygon2mask` does, smaller ones
    over larger ones, as its `polygons2masks_overlap` does.

    Args:
        root: the folder of the data.yaml, or the file itself.
        group_pattern: see `Groups`.
        channels: 1 or 3; None looks at some images.
        groups: see `Groups`; files as below the folder of the data.yaml.
        skip_bad: leave out images whose label cannot be read, and list them in `skipped`.

    Raises:
        DataError: naming the file and the line.

    References:
        Jocher et al., Ultralytics YOLO, https://docs.ultralytics.com/datasets/segment/
    """

    licence = "unknown"
    has_instances = True
    source = "YOLO segmentation labels"

    def __init__(
        self,
        root: Path,
        group_pattern: str | None = None,
        channels: int | None = None,
        *,
        groups: Path | None = None,
        skip_bad: bool = False,
    ) -> None:
        path = find_yaml(root)
        if path is None:
            raise DataError(f"{root}: no data.yaml; give the folder that holds it, or the file")
        self.path = path
        content = read_yaml(path)
        self.class_names = content.names
        if len(self.class_names) > 255:
            raise DataError(f"{path}: {len(self.class_names)} names; a mask can hold 255 classes")
        problems = Problems(skip_bad)
        good: list[tuple[Path, Path | None, Counter[int]]] = []
        for image in content.images:
            label = label_path(image)
            try:
                numbers = Counter(number for number, _ in read_polygons(label, len(self.class_names)))
            except DataError as err:
                problems.report(str(err))
            else:
                good.append((image, label if label.is_file() else None, numbers))
        find = Groups(group_pattern, groups)
        self.counts: dict[str, Counter[int]] = {}
        records = []
        for image, found, numbers in good:
            inside = image.is_relative_to(path.parent)
            name = (image.relative_to(path.parent) if inside else Path(*image.parts[-2:])).as_posix()
            self.counts[name] = numbers
            records.append(Record(name, image, found, find.of(name), frozenset(self.counts[name])))
        self._keep(records, problems)
        unlabelled = sum(record.label_path is None for record in records)
        self.notes = [f"{split} of {path.name} is not there" for split in content.missing]
        if unlabelled:
            self.notes.append(f"{counted(unlabelled, 'image')} without a label file, clean as in Ultralytics")
        orphans = _without_image(content.images)
        if orphans:
            self.notes.append(
                f"{counted(len(orphans), 'label file')} without an image, such as {orphans[0]}, left out; an image "
                "that was renamed counts as clean"
            )
        self.channels = channels or detect_channels([record.image_path for record in self.records])

    def instances(self, record: Record) -> Mapping[int, int]:
        return self.counts[record.name]

    def read_mask(self, record: Record, image_hw: tuple[int, int]) -> np.ndarray:
        mask = np.zeros(image_hw, np.uint8)
        if record.label_path is None:
            return mask
        polygons = read_polygons(record.label_path, len(self.class_names))
        filled = [(number + 1, fill_shares(shares, image_hw)) for number, shares in polygons]
        for value, inside in sorted(filled, key=lambda entry: -int(entry[1].sum())):
            mask[inside] = value
        return mask


def label_path(image: Path) -> Path:
    """Return where Ultralytics looks for the label of an image."""
    parts = list(image.parts)
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _without_image(images: Sequence[Path]) -> list[Path]:
    """Return the files beside the labels of images that are the label of none of them."""
    labels = {label_path(image) for image in images}
    beside = {path for folder in {path.parent for path in labels} for path in folder.glob("[!.]*.txt")}
    return sorted(path for path in beside - labels if path.name != "classes.txt")


def read_polygons(path: Path, num_classes: int) -> list[tuple[int, np.ndarray]]:
    """Read a label file.

    Args:
        path: the file; none counts as an empty one.
        num_classes: that the data.yaml names.

    Returns:
        Class number and (N, 2) float32 points, as shares of width and height, of each line.

    Raises:
        DataError: naming the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines() if path.is_file() else []
    except (OSError, UnicodeDecodeError) as err:
        raise text_error(path, err) from err
    polygons = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                polygons.append(_polygon(line, num_classes))
            except ValueError as err:
                raise DataError(f"{path}:{number}: {err}") from err
    return polygons


def _polygon(line: str, num_classes: int) -> tuple[int, np.ndarray]:
    words = line.split()
    if len(words) == BOX_NUMBERS:
        raise ValueError(
            "a box (class, centre, size) and no polygon: a box is no mask; export the labels as YOLO segmentation, "
            "or leave the image out with --skip-bad"
        )
    if len(words) < 7 or len(words) % 2 == 0:
        raise ValueError(
            f"{len(words)} numbers; a line is a class and three or more points: class x y x y x y ...; correct or "
            "remove it"
        )
    try:
        values = np.array(words, np.float32)
    except ValueError as err:
        raise ValueError("a word that is no number; a line is: class x y x y x y ...; correct or remove it") from err
    if not values[0].is_integer() or not 0 <= values[0] < num_classes:
        raise ValueError(
            f"class {words[0]}; the data.yaml names the classes 0 to {num_classes - 1}; add it to names, or correct "
            "the line"
        )
    points = values[1:].reshape(-1, 2)
    if not ((points >= -TOLERANCE) & (points <= 1 + TOLERANCE)).all():
        raise ValueError("coordinates that are no shares of width and height, from 0 to 1; divide them by the size")
    return int(values[0]), points


def fill_shares(shares: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Fill a polygon as Ultralytics does: coordinates cut to whole pixels, then `cv2.fillPoly`.

    Args:
        shares: (N, 2) float32 x and y, as shares of width and height.
        size_hw: of the image.

    Returns:
        (H, W) bool.
    """
    points = shares * np.array([size_hw[1], size_hw[0]], np.float32)
    canvas = np.zeros(size_hw, np.uint8)
    cv2.fillPoly(canvas, [points.astype(np.int32)], 1)
    return canvas > 0
