"""COCO: one JSON of polygons and run-length codes for many images."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from albu_gan.data.coco_segmentation import check_segmentation, decode_segmentation
from albu_gan.data.errors import DataError, Problems
from albu_gan.data.groups import Groups
from albu_gan.data.images import detect_channels, is_left_behind
from albu_gan.data.json_file import read_json
from albu_gan.data.record import DefectDataset, Record

# Where the usual tools put the file; the first row that matches anything counts.
PLACES = (
    ("annotations.json", "_annotations.coco.json", "instances_*.json", "annotations/*.json"),
    ("*.json",),
)


class CocoDataset(DefectDataset):
    """Images and COCO instance annotations: polygons, run-length codes as lists or compressed strings.

    Classes are the categories that have annotations, in the order of their ids, which may be sparse. Where annotations
    overlap, the later one counts. `iscrowd` is no matter: it marks a region of several objects, which for a mask are
    pixels of the class like any others. An image without annotations is clean.

    Args:
        root: the folder of the JSON (`annotations.json`, `_annotations.coco.json`, `instances_*.json` or one in
            `annotations/`), or the JSON itself. Images lie beside it, in `images/`, or in the folder above.
        group_pattern: see `Groups`.
        channels: 1 or 3; None looks at some images.
        groups: see `Groups`; files as in `file_name`.
        skip_bad: leave out images that are missing or have an annotation that cannot be read, and list them in
            `skipped`.

    Raises:
        DataError: naming the file and the annotation.

    References:
        Lin et al., "Microsoft COCO: Common Objects in Context", 2014, https://cocodataset.org/#format-data
    """

    licence = "unknown"
    has_instances = True
    source = "COCO annotations"

    def __init__(
        self,
        root: Path,
        group_pattern: str | None = None,
        channels: int | None = None,
        *,
        groups: Path | None = None,
        skip_bad: bool = False,
    ) -> None:
        self.path = find_annotations(root)
        content = _read_coco(self.path)
        problems = Problems(skip_bad)
        files = self._images(content["images"])
        folders = _image_folders(self.path)
        located = {image_id: _locate(folders, files[image_id]["file_name"]) for image_id in files}
        bad = set()
        for image_id, found in located.items():
            if found is None:
                tried = ", ".join(str(folder) for folder in folders)
                problems.report(
                    f"{self.path}: image {files[image_id]['file_name']} is not there; looked in {tried}. "
                    "Copy it there, or leave such images out with --skip-bad"
                )
                bad.add(image_id)
        names, used = self._categories(content)
        self.class_names = tuple(names[category] for category in used)
        index_of = {category: index for index, category in enumerate(used)}
        self.annotations: dict[str, list[tuple[int, str, Any]]] = defaultdict(list)
        for number, annotation in enumerate(content["annotations"]):
            place = f"annotation {number} (id {annotation.get('id')})"
            image_id, category_id = _identity(annotation, "image_id"), _identity(annotation, "category_id")
            if image_id not in files:
                problems.report(
                    f"{self.path}: {place}: no image has the id {annotation.get('image_id')!r}; add it to "
                    "'images', or remove the annotation"
                )
                continue
            try:
                check_segmentation(annotation.get("segmentation"))
                if category_id not in index_of:
                    raise ValueError(
                        f"no category has the id {annotation.get('category_id')!r}; add it to 'categories', or correct "
                        "the annotation"
                    )
            except ValueError as err:
                problems.report(f"{self.path}: {place}: {err}")
                bad.add(image_id)
                continue
            self.annotations[files[image_id]["file_name"]].append(
                (index_of[category_id], place, annotation["segmentation"])
            )
        find = Groups(group_pattern, groups)
        records = []
        self.sizes: dict[str, tuple[Any, Any]] = {}
        for image_id, image in files.items():
            name, found = image["file_name"], located[image_id]
            if image_id not in bad and found is not None:
                classes = frozenset(index for index, _, _ in self.annotations.get(name, ()))
                self.sizes[name] = (image.get("height"), image.get("width"))
                records.append(Record(name, found, self.path if classes else None, find.of(name), classes))
        self._keep(records, problems)
        self.channels = channels or detect_channels([record.image_path for record in self.records])

    def _images(self, images: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
        """Return the entries of the images by id."""
        found: dict[Any, dict[str, Any]] = {}
        names: set[str] = set()
        for number, image in enumerate(images):
            name = image.get("file_name")
            if not isinstance(name, str) or not name or not isinstance(image.get("id"), int | str):
                raise DataError(f"{self.path}: image {number} needs a file_name and an id")
            if image["id"] in found or name in names:
                raise DataError(f"{self.path}: image {number} ({name}) has the id or the name of another one")
            found[image["id"]] = image
            names.add(name)
        if not found:
            raise DataError(f"{self.path}: 'images' is empty")
        return found

    def _categories(self, content: dict[str, Any]) -> tuple[dict[Any, str], list[Any]]:
        """Return the names of the categories by id, and the ids that have annotations, sorted."""
        names: dict[int, str] = {}
        for number, category in enumerate(content["categories"]):
            key, name = category.get("id"), category.get("name")
            if not isinstance(key, int) or not isinstance(name, str) or not name:
                raise DataError(f"{self.path}: category {number} needs a name and a whole number as id")
            if key in names:
                raise DataError(f"{self.path}: category {number} ({name}) has the id of another one")
            names[key] = name
        used = sorted(names.keys() & {_identity(annotation, "category_id") for annotation in content["annotations"]})
        for key in used:
            twin = next(other for other in used if names[other] == names[key])
            if twin != key:  # one that has no annotation, such as the root of Roboflow's export, does no harm
                raise DataError(
                    f"{self.path}: the categories {twin} and {key} are both called {names[key]!r} and both have "
                    "annotations; give one of them another name, or join them"
                )
        if len(used) > 255:
            raise DataError(f"{self.path}: {len(used)} categories; a mask can hold 255")
        return names, used

    def instances(self, record: Record) -> Mapping[int, int]:
        return Counter(index for index, _, _ in self.annotations.get(record.name, ()))

    def read_mask(self, record: Record, image_hw: tuple[int, int]) -> np.ndarray:
        size = self.sizes[record.name]
        if all(type(side) is int and side > 0 for side in size) and size != image_hw:
            raise DataError(
                f"{self.path}: {record.name} is annotated as {size[0]} x {size[1]} pixels, but {record.image_path} has "
                f"{image_hw[0]} x {image_hw[1]}; use the image that was annotated"
            )
        mask = np.zeros(image_hw, np.uint8)
        for index, place, segmentation in self.annotations.get(record.name, ()):
            try:
                mask[decode_segmentation(segmentation, image_hw)] = index + 1
            except ValueError as err:
                raise DataError(f"{self.path}: {place}: {err}") from err
        return mask


def _identity(entry: dict[str, Any], key: str) -> int | str | None:
    """Return an id, or None where it is none."""
    value = entry.get(key)
    return value if isinstance(value, int | str) else None


def find_annotations(root: Path) -> Path:
    """Find the JSON of a folder.

    Raises:
        DataError: if there is none, or more than one.
    """
    if root.is_file():
        return root
    if not root.is_dir():
        raise DataError(f"{root}: no such file or folder; give the folder of the images and their JSON, or the JSON")
    for patterns in PLACES:
        matches = {path for pattern in patterns for path in root.glob(pattern)}
        found = sorted(path for path in matches if not is_left_behind(path, root))
        if len(found) > 1:
            shown = ", ".join(str(path.relative_to(root)) for path in found[:8])
            raise DataError(
                f"{root}: {len(found)} annotation files ({shown}); give the path of one of them as the data"
            )
        if found:
            return found[0]
    raise DataError(f"{root}: no annotations.json, _annotations.coco.json, instances_*.json or annotations/*.json")


def _read_coco(path: Path) -> dict[str, Any]:
    content = read_json(path)
    for key in ("images", "annotations", "categories"):
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DataError(f"{path}: no list {key!r} of objects; this is no COCO instance file")
    assert isinstance(content, dict)
    return content


def _image_folders(path: Path) -> list[Path]:
    """Folders in which images may lie: those beside the JSON first, then the parent's for `annotations/NAME.json`."""
    subset = path.stem.removeprefix("instances_")  # "train2017" of instances_train2017.json
    parents = [path.parent, path.parent.parent] if path.parent.name == "annotations" else [path.parent]
    folders = [parent / name for parent in parents for name in ("", "images", subset, f"images/{subset}")]
    return [folder for folder in folders if folder.is_dir()]


def _locate(folders: list[Path], file_name: str) -> Path | None:
    """Find an image; tools that write the paths of another machine are forgiven."""
    plain = file_name.replace("\\", "/")
    for name in (plain, Path(plain).name):
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
    return None
