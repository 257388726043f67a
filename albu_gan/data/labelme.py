"""Labelme: an image folder and one JSON of polygons, rectangles and circles an image."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from albu_gan.data.errors import DataError, Problems
from albu_gan.data.groups import Groups
from albu_gan.data.images import by_stem, detect_channels, list_images
from albu_gan.data.record import DefectDataset, Record

POINTS = {
    "polygon": (range(3, 1_000_000), "at least three points"),
    "rectangle": ((2, 4), "two opposite corners"),
    "circle": ((2,), "its centre and one point of its line"),
}


def read_labelme(path: Path) -> dict[str, Any]:
    """Read one labelme file, checking what is used of it.

    Raises:
        DataError: if it is not labelme JSON; the message names the file and the place.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as err:
        raise DataError(f"{path}:{err.lineno}: not JSON ({err.msg}); export it again from labelme") from err
    except UnicodeDecodeError as err:
        raise DataError(f"{path}: not text in UTF-8 ({err.reason}); export it again from labelme") from err
    except OSError as err:
        raise DataError(f"{path}: cannot be read ({err.strerror})") from err
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(shapes, list):
        raise DataError(f"{path}: no list 'shapes'; this is not a labelme file")
    for number, shape in enumerate(shapes):
        kind = shape.get("shape_type", "polygon") if isinstance(shape, dict) else type(shape).__name__
        if not isinstance(shape, dict) or kind not in POINTS:
            raise DataError(
                f"{path}: shape {number} is no polygon, rectangle or circle but {kind!r}; only these can become masks"
            )
        counts, wanted = POINTS[kind]
        if (
            not isinstance(shape.get("label"), str)
            or not shape["label"]
            or not _are_points(shape.get("points"), counts)
        ):
            raise DataError(f"{path}: shape {number} needs a label and {wanted}, each two numbers")
    return dict(content)


def _are_points(points: object, counts: Sequence[int]) -> bool:
    """Whether these are as many pairs of numbers that may be pixels."""
    try:
        array = np.asarray(points, np.float64)
    except (TypeError, ValueError):
        return False
    return array.ndim == 2 and len(array) in counts and array.shape[1] == 2 and bool((np.abs(array) < 1e6).all())


def draw_shape(mask: np.ndarray, shape: dict[str, Any], value: int) -> None:
    """Write `value` into the (H, W) uint8 `mask`, in place, where a checked labelme shape is."""
    points = np.asarray(shape["points"], np.float64)
    kind = shape.get("shape_type", "polygon")
    if kind == "circle":
        (x, y), radius = points[0], float(np.hypot(*(points[1] - points[0])))
        top, left = (max(0, int(np.floor(centre - radius))) for centre in (y, x))
        part = mask[top : max(0, int(y + radius) + 2), left : max(0, int(x + radius) + 2)]
        rows, columns = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
        part[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = value
        return
    if kind == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points
        points = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    cv2.fillPoly(mask, [np.rint(points).astype(np.int32)], value)


class LabelmeDataset(DefectDataset):
    """Images and labelme shapes, later ones over earlier ones; an image without a label file counts as clean.

    Args:
        root: the folder; images in `images/` or `data/`, JSON in `labels/`, `label/` or beside the images.
        group_pattern: see `Groups`.
        channels: 1 or 3; None looks at some images.
        class_names: order of the classes; None takes the labels found, sorted, lower case.
        groups: see `Groups`.
        skip_bad: leave out images whose label file cannot be read, and list them in `skipped`.

    Raises:
        DataError: naming the file, and the line or the number of the shape.
    """

    licence = "unknown"
    source = "labelme annotations"

    def __init__(
        self,
        root: Path,
        group_pattern: str | None = None,
        channels: int | None = 3,
        class_names: tuple[str, ...] | None = None,
        *,
        groups: Path | None = None,
        skip_bad: bool = False,
    ) -> None:
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; give the folder that holds images and labelme files")
        image_folder = next((root / n for n in ("images", "data") if (root / n).is_dir()), root)
        label_folder = next((root / n for n in ("labels", "label") if (root / n).is_dir()), image_folder)
        paths = list_images(image_folder)
        by_stem(paths, "the labels {}.json")
        find = Groups(group_pattern, groups)
        problems = Problems(skip_bad)
        labels: dict[Path, list[str]] = {}
        bad: set[Path] = set()
        for path in paths:
            label = label_folder / f"{path.stem}.json"
            if label.is_file():
                try:
                    labels[path] = [shape["label"].lower() for shape in read_labelme(label)["shapes"]]
                except DataError as err:
                    problems.report(str(err))
                    bad.add(path)
        found = sorted({name for names in labels.values() for name in names})
        self.class_names = class_names or tuple(found)
        unknown = sorted(set(found) - set(self.class_names))
        if unknown:
            raise DataError(f"{label_folder}: labels {unknown} are not among the classes {list(self.class_names)}")
        if len(self.class_names) > 255:
            raise DataError(f"{label_folder}: {len(self.class_names)} different labels; a mask can hold 255")
        records = [
            Record(
                path.stem,
                path,
                label_folder / f"{path.stem}.json" if path in labels else None,
                find.of(path.name),
                frozenset(self.class_names.index(name) for name in labels.get(path, [])),
            )
            for path in paths
            if path not in bad
        ]
        self._keep(records, problems)
        self.channels = channels or detect_channels([record.image_path for record in self.records])

    def read_mask(self, record: Record, image_hw: tuple[int, int]) -> np.ndarray:
        mask = np.zeros(image_hw, np.uint8)
        if record.label_path is None:
            return mask
        content = read_labelme(record.label_path)
        drawn = content.get("imageHeight"), content.get("imageWidth")
        if all(type(side) is int for side in drawn) and drawn != image_hw:
            raise DataError(
                f"{record.label_path}: drawn on an image of {drawn[0]} x {drawn[1]} pixels, but "
                f"{record.image_path.name} has {image_hw[0]} x {image_hw[1]}; use the image that was labelled"
            )
        for shape in content["shapes"]:
            draw_shape(mask, shape, self.class_names.index(shape["label"].lower()) + 1)
        return mask
