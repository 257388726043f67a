"""Labelme: images, and one JSON of shapes for each that shows a defect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from albu_gan.data.errors import DataError, Problems
from albu_gan.data.groups import Groups
from albu_gan.data.images import by_stem, detect_channels
from albu_gan.data.labelme_files import find_images, match_labels
from albu_gan.data.labelme_shapes import class_of, count_defects, draw_shapes, read_labelme
from albu_gan.data.record import DefectDataset, Record


class LabelmeDataset(DefectDataset):
    """Images and labelme shapes, later ones over earlier ones; an image without a label file counts as clean.

    Files of X-AnyLabeling are the same.

    Args:
        root: the folder; images in `images/` or a folder of a like name, or in the folder itself; JSON beside them or
            in a folder such as `labels/`, `json/` or `annotations/`. See `match_labels`.
        group_pattern: see `Groups`.
        channels: 1 or 3; None looks at some images.
        class_names: order of the classes; None takes the labels found, sorted, lower case.
        groups: see `Groups`.
        skip_bad: leave out images whose label file cannot be read, and list them and label files without an image in
            `skipped`.

    Raises:
        DataError: naming the file, and the line or the number of the shape.
    """

    licence = "unknown"
    has_instances = True
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
        image_folder, paths = find_images(root)
        images = by_stem(paths, image_folder, "the labels {}.json")
        find = Groups(group_pattern, groups)
        problems = Problems(skip_bad)
        files = match_labels(root, image_folder, paths, problems)
        defects: dict[Path, Counter[str]] = {}
        bad: set[Path] = set()
        for path, file in files.items():
            try:
                defects[path] = count_defects(read_labelme(file)["shapes"])
            except DataError as err:
                problems.report(str(err))
                bad.add(path)
        found = sorted({name for counts in defects.values() for name in counts})
        self.class_names = class_names or tuple(found)
        unknown = sorted(set(found) - set(self.class_names))
        if unknown:
            raise DataError(f"{root}: labels {unknown} are not among the classes {list(self.class_names)}")
        if len(self.class_names) > 255:
            raise DataError(f"{root}: {len(self.class_names)} different labels; a mask can hold 255")
        records = [
            Record(
                name,
                path,
                files.get(path),
                find.of(path.relative_to(image_folder).as_posix()),
                frozenset(self.class_names.index(label) for label in defects.get(path, ())),
            )
            for name, path in images.items()
            if path not in bad
        ]
        self.counts = {
            name: Counter({self.class_names.index(label): count for label, count in defects[path].items()})
            for name, path in images.items()
            if path in defects
        }
        self._keep(records, problems)
        self.channels = channels or detect_channels([record.image_path for record in self.records])

    def instances(self, record: Record) -> Mapping[int, int]:
        return self.counts.get(record.name, {})

    def read_mask(self, record: Record, image_hw: tuple[int, int]) -> np.ndarray:
        if record.label_path is None:
            return np.zeros(image_hw, np.uint8)
        content = read_labelme(record.label_path)
        drawn = content.get("imageHeight"), content.get("imageWidth")
        if all(type(side) is int for side in drawn) and drawn != image_hw:
            raise DataError(
                f"{record.label_path}: drawn on an image of {drawn[0]} x {drawn[1]} pixels, but "
                f"{record.image_path.name} has {image_hw[0]} x {image_hw[1]}; use the image that was labelled"
            )
        values = [self.class_names.index(class_of(shape)) + 1 for shape in content["shapes"]]
        try:
            return draw_shapes(content["shapes"], values, image_hw)
        except ValueError as err:
            raise DataError(f"{record.label_path}: {err}") from err
