"""Severstal steel defects: `train.csv` with run-length codes and `train_images/`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from albu_gan.data.background import bright_region
from albu_gan.data.errors import DataError, Problems
from albu_gan.data.groups import Groups, read_header, read_table
from albu_gan.data.images import image_size, list_images
from albu_gan.data.record import DefectDataset, Record
from albu_gan.data.rle import decode_pairs, read_pairs

LAYOUTS = (("ImageId", "ClassId", "EncodedPixels"), ("ImageId_ClassId", "EncodedPixels"))
SIZE_HW = (256, 1600)  # of the competition's images
Rows = dict[str, dict[int, tuple[int, str]]]  # image, class index: line and code


class SeverstalDataset(DefectDataset):
    """Gray images of steel strips, four classes of defect; an image without a row is clean.

    Both published layouts of the table are read: `ImageId,ClassId,EncodedPixels`, and `ImageId_ClassId,EncodedPixels`
    with rows such as `name.jpg_1` whose code may be empty. Classes may be written `1.0`, as pandas does, and a row may
    have the name of a clean image alone. The competition does not say which images show one strip, so
    every image is a group of its own unless groups are given.

    Args:
        root: the folder.
        group_pattern: see `Groups`.
        channels: 1 or 3.
        groups: see `Groups`.
        skip_bad: leave out images whose label cannot be read, and list them in `skipped`.

    Raises:
        DataError: naming the file and the line.
    """

    class_names = ("defect-1", "defect-2", "defect-3", "defect-4")
    licence = "the competition's rules; PAO Severstal allows research use"
    dataset_id = "severstal-steel-defect-detection"
    source = "PAO Severstal: Severstal: Steel Defect Detection, Kaggle, 2019"

    def __init__(
        self,
        root: Path,
        group_pattern: str | None = None,
        channels: int = 1,
        *,
        groups: Path | None = None,
        skip_bad: bool = False,
    ) -> None:
        self.channels = channels
        self.table = root / "train.csv"
        problems = Problems(skip_bad)
        self.rows, bad = _read_rows(self.table, len(self.class_names), problems)
        paths = list_images(root / "train_images")
        find = Groups(group_pattern, groups)
        for name in sorted(self.rows.keys() - {path.name for path in paths}):
            line, _ = next(iter(self.rows[name].values()))
            problems.report(f"{self.table}:{line}: no image {name} in {root / 'train_images'}")
        records = []
        for path in tqdm(paths, desc="read classes", unit="image", leave=False, disable=None):
            classes = frozenset(self.rows.get(path.name, ()))
            record = Record(path.stem, path, self.table if classes else None, find.of(path.name), classes)
            try:
                if classes:
                    self._check_rows(path)
            except DataError as err:
                problems.report(str(err))
                continue
            if path.name not in bad:
                records.append(record)
        self._keep(records, problems)

    def read_mask(self, record: Record, image_hw: tuple[int, int]) -> np.ndarray:
        mask = np.zeros(image_hw, np.uint8)
        for index, (line, code) in self.rows.get(record.image_path.name, {}).items():
            try:
                mask[decode_pairs(code, image_hw)] = index + 1
            except ValueError as err:
                raise self._wrong_row(line, record.image_path, err) from err
        return mask

    def _check_rows(self, path: Path) -> None:
        """Read the codes of an image, without painting the mask."""
        size_hw = image_size(path)
        for line, code in self.rows[path.name].values():
            try:
                _check_height(read_pairs(code, size_hw)[0], size_hw)
            except ValueError as err:
                raise self._wrong_row(line, path, err) from err

    def _wrong_row(self, line: int, path: Path, err: ValueError) -> DataError:
        return DataError(f"{self.table}:{line}: {path.name}: {err}; correct the row")

    def background_region(self, image: np.ndarray) -> np.ndarray:
        return bright_region(image)


def _check_height(starts: np.ndarray, size_hw: tuple[int, int]) -> None:
    """Raise ValueError if the runs are those of a whole image of the competition, but the image is a resized one.

    The runs of a defect lie in columns side by side, so most begin as far apart as the coded image is high.
    """
    gaps = np.diff(np.sort(starts))
    if size_hw[0] != SIZE_HW[0] and gaps.size and abs(float(np.median(gaps)) - SIZE_HW[0]) < 4:
        raise ValueError(
            f"the runs are for {SIZE_HW[0]} x {SIZE_HW[1]} pixels, but the image has {size_hw[0]} x {size_hw[1]}; use "
            "the images that were labelled, or code the masks of these"
        )


def _read_rows(path: Path, num_classes: int, problems: Problems) -> tuple[Rows, set[str]]:
    """Return the codes of each image, and the images with a row that cannot be understood."""
    layout = LAYOUTS[1] if "ImageId_ClassId" in read_header(path) else LAYOUTS[0]
    rows: Rows = {}
    bad: set[str] = set()
    for line, row in read_table(path, layout, optional=("EncodedPixels", "ClassId")):
        if layout == LAYOUTS[0]:
            name, number = row["ImageId"], row["ClassId"].strip().removesuffix(".0")
            if not number and not row["EncodedPixels"].strip():
                continue  # a clean image
        else:
            name, _, number = row["ImageId_ClassId"].rpartition("_")
        if number not in {str(n) for n in range(1, num_classes + 1)}:
            problems.report(f"{path}:{line}: class {number!r} of image {name!r}; the classes are 1 to {num_classes}")
            bad.add(name)
        elif row["EncodedPixels"].strip():
            codes = rows.setdefault(name, {})
            if int(number) - 1 in codes:
                problems.report(f"{path}:{line}: a second row for class {number} of {name}; join or remove it")
                bad.add(name)
            codes[int(number) - 1] = (line, row["EncodedPixels"])
    return rows, bad
