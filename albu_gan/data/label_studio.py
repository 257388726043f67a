"""Label Studio: the JSON export of a project, with brush, polygon, rectangle and ellipse regions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from albu_gan.data import raster
from albu_gan.data.brush import decode_brush
from albu_gan.data.errors import DataError, Problems, counted
from albu_gan.data.groups import Groups
from albu_gan.data.images import detect_channels
from albu_gan.data.label_studio_json import Region, annotations_of, image_reference, locate, newest, read_tasks, regions
from albu_gan.data.places import check_annotated_size, existing
from albu_gan.data.record import DefectDataset, Record

IMAGE_FOLDERS = ("", "images", "upload", "media", "media/upload", "files")
SHOWN = 5  # tasks that a note names


class LabelStudioDataset(DefectDataset):
    """Images and the JSON export of Label Studio.

    Of several annotations of a task the newest counts that was not cancelled, by `created_at`. A task whose annotation
    is empty is clean; one without any, or with cancelled ones alone, was never labelled and is left out, which `notes`
    tells. Later regions lie over earlier ones. Classes are the labels in use, sorted.

    Args:
        root: the folder of the JSON, or the JSON itself. Images lie beside it, in `images/` or as in Label Studio's
            `media/upload/`; the file's name may lack the eight digits that an upload puts before it.
        group_pattern: see `Groups`.
        channels: 1 or 3; None looks at some images.
        groups: see `Groups`; files as they lie below the folder of the JSON.
        skip_bad: leave out images that are missing or have a region that cannot be read, and list them in `skipped`.

    Raises:
        DataError: naming the file, the task and the result.

    References:
        https://labelstud.io/guide/export#Label-Studio-JSON-format-of-annotated-tasks
    """

    licence = "unknown"
    has_instances = True
    source = "Label Studio annotations"

    def __init__(
        self,
        root: Path,
        group_pattern: str | None = None,
        channels: int | None = None,
        *,
        groups: Path | None = None,
        skip_bad: bool = False,
    ) -> None:
        self.path = find_export(root)
        tasks = read_tasks(self.path)
        folders = existing(self.path.parent / name for name in IMAGE_FOLDERS)
        problems = Problems(skip_bad)
        self.passed_over: Counter[str] = Counter()
        unlabelled, several = [], []
        found: dict[Path, tuple[str, list[Region]]] = {}
        for number, task in enumerate(tasks):
            place = f"{self.path}: task {task.get('id', number)}"
            annotation = newest(task)
            if annotation is None:
                unlabelled.append(str(task.get("id", number)))
                continue
            if len(annotations_of(task) or ()) > 1:
                several.append(f"{task.get('id', number)} (annotation {annotation.get('id')})")
            try:
                path, drawn = self._image(task, folders), regions(annotation, self.passed_over)
                if path in found:
                    raise ValueError(f"{path} is the image of {found[path][0]}, too; keep one of the two tasks")
                for region in drawn:
                    _check_region(region)
            except ValueError as err:
                problems.report(f"{place}: {err}")
            else:
                found[path] = (place, drawn)
        self.class_names = tuple(sorted({region.label for _, drawn in found.values() for region in drawn}))
        if len(self.class_names) > 255:
            raise DataError(f"{self.path}: {len(self.class_names)} different labels; a mask can hold 255")
        find = Groups(group_pattern, groups)
        self.regions: dict[str, tuple[str, list[Region]]] = {}
        records = []
        for path, entry in found.items():
            name = path.relative_to(self.path.parent).as_posix()
            self.regions[name] = entry
            classes = frozenset(self.class_names.index(region.label) for region in entry[1])
            records.append(Record(name, path, self.path if classes else None, find.of(name), classes))
        self._keep(records, problems)
        self.notes = self._notes(unlabelled, several)
        self.channels = channels or detect_channels([record.image_path for record in self.records])

    def _image(self, task: dict[str, Any], folders: list[Path]) -> Path:
        path = locate(task, folders)
        if path is None:
            tried = ", ".join(str(folder) for folder in folders)
            raise ValueError(
                f"image {image_reference(task)[:200]} is not there; looked in {tried}. Copy the images into "
                f"{self.path.parent / 'images'}"
            )
        return path

    def _notes(self, unlabelled: list[str], several: list[str]) -> list[str]:
        """Say which annotations were taken, and what was passed over."""
        notes = []
        if unlabelled:
            notes.append(f"{_some(unlabelled)} left out, without an annotation that was not cancelled")
        if several:
            notes.append(f"of several annotations the newest was taken in {_some(several)}")
        if self.passed_over:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.passed_over.items()))
            notes.append(f"{kinds} ignored, which have no area: what they mark counts as clean")
        return notes

    def instances(self, record: Record) -> Mapping[int, int]:
        return Counter(self.class_names.index(region.label) for region in self.regions[record.name][1])

    def read_mask(self, record: Record, image_hw: tuple[int, int]) -> np.ndarray:
        place, drawn = self.regions[record.name]
        mask = np.zeros(image_hw, np.uint8)
        for region in drawn:
            check_annotated_size(f"{place}: {region.place}", record.image_path, region.size_hw, image_hw)
            try:
                inside = draw_region(region)
            except ValueError as err:
                raise DataError(f"{place}: {region.place}: {err}") from err
            mask[inside] = self.class_names.index(region.label) + 1
        return mask


def draw_region(region: Region) -> np.ndarray:
    """Return the pixels of a region, (H, W) bool of the size it was drawn on.

    Raises:
        ValueError: if a value is missing or wrong.
    """
    if region.kind == "brush":
        return decode_brush(region.value.get("rle"), region.size_hw)
    if region.kind == "ellipse":
        (x, y), radii = _pair(region, "x", "y"), _pair(region, "radiusX", "radiusY")
        return raster.fill_ellipse((x, y), radii, _degrees(region), region.size_hw)
    if region.kind == "rectangle":
        corner, size = _pair(region, "x", "y"), _pair(region, "width", "height")
        # About the corner: x and y are where it lies after turning.
        points = raster.turned(raster.box_corners(corner, size), _degrees(region), corner)
        return raster.fill_polygon(points, region.size_hw)
    return raster.fill_polygon(_points(region), region.size_hw)


def _check_region(region: Region) -> None:
    """Raise ValueError unless a region has what it needs; a brush's code is read when it is drawn."""
    try:
        if region.kind == "brush":
            if region.value.get("format", "rle") != "rle" or not isinstance(region.value.get("rle"), list):
                raise ValueError("a brush needs 'format' rle and 'rle'; export it again")
        elif region.kind == "polygon":
            _points(region)
        else:
            _pair(region, "x", "y")
            _pair(region, *(("width", "height") if region.kind == "rectangle" else ("radiusX", "radiusY")))
            _degrees(region)
    except ValueError as err:
        raise ValueError(f"{region.place}: {err}") from err


def _points(region: Region) -> np.ndarray:
    """Return the (N, 2) points of a polygon, in pixels."""
    points = raster.as_points(region.value.get("points"), 3)
    return np.asarray(points * np.array(region.size_hw[::-1]) / 100)


def _pair(region: Region, *keys: str) -> tuple[float, float]:
    """Return two values in percent of width and height, in pixels."""
    height, width = region.size_hw
    values = [region.value.get(key) for key in keys]
    if not all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < raster.LARGEST for v in values):
        raise ValueError(f"a {region.kind} needs the numbers {' and '.join(keys)}, in percent; correct or remove it")
    return float(values[0]) * width / 100, float(values[1]) * height / 100  # type: ignore[arg-type]


def _degrees(region: Region) -> float:
    value = region.value.get("rotation", 0)
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < raster.LARGEST:
        raise ValueError("rotation must be a number of degrees; correct or remove it")
    return float(value)


def _some(tasks: list[str]) -> str:
    """Return how many tasks, and the first few of them."""
    shown = ", ".join(tasks[:SHOWN]) + (", ..." if len(tasks) > SHOWN else "")
    return f"{counted(len(tasks), 'task')} ({shown})"


def find_export(root: Path) -> Path:
    """Find the JSON export of a folder.

    Raises:
        DataError: if there is none, or more than one.
    """
    found = exports_in(root)
    if len(found) > 1:
        shown = ", ".join(path.name for path in found[:8])
        raise DataError(f"{root}: several exports of Label Studio ({shown}); give the path of one of them as the data")
    if not found:
        there = ", ".join(path.name for path in sorted(root.glob("[!.]*.json"))[:SHOWN])
        raise DataError(
            f"{root}: no JSON export of Label Studio (a list of tasks with annotations)"
            f"{f', which {there} is not' if there else ''}; export the project as JSON"
        )
    return found[0]


def exports_in(root: Path) -> list[Path]:
    """Return the JSON exports in a folder, or the path itself if it is a file."""
    return [root] if root.is_file() else [path for path in sorted(root.glob("[!.]*.json")) if looks_exported(path)]


def looks_exported(path: Path) -> bool:
    """Whether the beginning of a file is that of a list of tasks; brush exports are large, so it is not parsed."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            start = file.read(1 << 16).lstrip()
    except OSError:
        return False
    return start.startswith("[") and ('"annotations"' in start or '"completions"' in start)
