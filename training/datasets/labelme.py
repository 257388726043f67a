"""Labelme: an image folder and one JSON of polygons an image."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from training.datasets.record import DataError, DefectDataset, Record

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"}


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
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(shapes, list):
        raise DataError(f"{path}: no list 'shapes'; this is not a labelme file")
    for number, shape in enumerate(shapes):
        if not isinstance(shape, dict) or shape.get("shape_type", "polygon") != "polygon":
            raise DataError(f"{path}: shape {number} is no polygon; only polygons can become masks")
        if not isinstance(shape.get("label"), str) or not shape["label"] or not _is_polygon(shape.get("points")):
            raise DataError(f"{path}: shape {number} needs a label and at least three points, each two numbers")
    return content


def _is_polygon(points: object) -> bool:
    """Whether these are at least three pairs of numbers that may be pixels."""
    try:
        array = np.asarray(points, np.float64)
    except (TypeError, ValueError):
        return False
    return array.ndim == 2 and len(array) >= 3 and array.shape[1] == 2 and bool((np.abs(array) < 1e6).all())


class LabelmeDataset(DefectDataset):
    """Images and labelme polygons; an image without a label file counts as clean.

    Args:
        root: the folder; images in `images/` or `data/`, JSON in `labels/`, `label/` or beside the images.
        group_pattern: a regular expression searched in each stem; its first matching group (or the whole match) names
            the group. None makes every image a group of its own.
        channels: 1 or 3.
        class_names: order of the classes; None takes the labels found, sorted, lower case.
    """

    licence = "unknown"
    source = "labelme annotations"

    def __init__(
        self,
        root: Path,
        group_pattern: str | None = None,
        channels: int = 3,
        class_names: tuple[str, ...] | None = None,
    ) -> None:
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; give the folder that holds images and labelme files")
        image_folder = next((root / n for n in ("images", "data") if (root / n).is_dir()), root)
        label_folder = next((root / n for n in ("labels", "label") if (root / n).is_dir()), image_folder)
        paths = sorted(p for p in image_folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        if not paths:
            raise DataError(f"{image_folder}: no images ({', '.join(sorted(IMAGE_SUFFIXES))}) found")
        by_stem: dict[str, Path] = {}
        for path in paths:
            other = by_stem.setdefault(path.stem, path)
            if other is not path:
                raise DataError(f"{path} and {other.name}: both would have the labels {path.stem}.json; rename one")
        self.channels = channels
        labels: dict[str, list[str]] = {}
        for path in paths:
            label = label_folder / f"{path.stem}.json"
            if label.is_file():
                labels[path.stem] = [shape["label"].lower() for shape in read_labelme(label)["shapes"]]
        found = sorted({name for names in labels.values() for name in names})
        self.class_names = class_names or tuple(found)
        unknown = sorted(set(found) - set(self.class_names))
        if unknown:
            raise DataError(f"{label_folder}: labels {unknown} are not among the classes {list(self.class_names)}")
        self.records = [
            Record(
                path.stem,
                path,
                label_folder / f"{path.stem}.json" if path.stem in labels else None,
                group_of(path.stem, group_pattern),
                frozenset(self.class_names.index(name) for name in labels.get(path.stem, [])),
            )
            for path in paths
        ]

    def read_mask(self, record: Record, image_hw: tuple[int, int]) -> np.ndarray:
        mask = np.zeros(image_hw, np.uint8)
        if record.label_path is not None:
            for shape in read_labelme(record.label_path)["shapes"]:
                points = np.rint(np.asarray(shape["points"], np.float64)).astype(np.int32)
                cv2.fillPoly(mask, [points], self.class_names.index(shape["label"].lower()) + 1)
        return mask


def group_of(stem: str, pattern: str | None) -> str:
    """Return the group that `pattern` finds in a file's stem, or the stem itself without a pattern.

    Raises:
        DataError: if the pattern does not match, or is none.
    """
    if pattern is None:
        return stem
    try:
        match = re.search(pattern, stem)
    except re.error as err:
        raise DataError(f"the group pattern {pattern!r} is no regular expression: {err}") from err
    if match is None:
        raise DataError(f"the group pattern {pattern!r} does not match {stem!r}; every image needs a group")
    return next((part for part in match.groups() if part is not None), match.group(0))
