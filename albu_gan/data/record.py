"""What every data set looks like to the rest: records that name a file, its group and its classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from albu_gan.data.errors import DataError, Problems
from albu_gan.data.images import decode_image, image_size


@dataclass(frozen=True)
class Record:
    """One image on disk.

    Attributes:
        name: unique within the data set.
        image_path: the image file.
        label_path: the file its mask is read from, or None for an image without a label.
        group: the physical part or series the image belongs to; a split never divides a group.
        classes: indices of the classes in its mask, known without reading it where the layout says so.
    """

    name: str
    image_path: Path
    label_path: Path | None
    group: str
    classes: frozenset[int]


class DefectDataset(ABC):
    """Records of one data set, and how to read one; images and masks stay on disk until they are asked for.

    Attributes:
        class_names: names in index order; value `index + 1` in a mask.
        channels: 1 for gray images, 3 for RGB.
        licence: what may be done with images and what is trained on them, for model cards.
        source: where the data comes from and how to cite it.
        dataset_id: as the Hub names it, `org/name`, or a word that names a well-known one; None for a format only.
        records: one an image.
        has_instances: whether labels tell one defect from the next, as shapes do, and masks do not.
        value_range: the values of images of more than 8 bits that become 0 and 255; None refuses such images.
        unsure: names of images with pixels that are marked as neither clean nor a class; in masks these are 0, but the
            images are no clean backgrounds.
        skipped: what was left out because it could not be read, one "file:line: why" each.
        notes: what else a person should know of how the data was read: what was ignored, guessed or left out, and why.
    """

    class_names: tuple[str, ...]
    channels: int
    licence: str
    source: str
    dataset_id: str | None = None
    has_instances: bool = False
    records: list[Record]
    value_range: tuple[float, float] | None = None
    unsure: frozenset[str] = frozenset()
    skipped: Sequence[str] = ()
    notes: Sequence[str] = ()

    @abstractmethod
    def read_mask(self, record: Record, image_hw: tuple[int, int]) -> np.ndarray:
        """Return the (H, W) uint8 mask: 0 clean, `class index + 1` for a defect."""

    def read_image(self, record: Record) -> np.ndarray:
        """Return the (H, W, C) uint8 image, RGB order.

        Raises:
            DataError: naming the file, if it is missing, cut short, no image, or has more than 8 bits and no range.
        """
        return decode_image(record.image_path, self.channels, self.value_range)

    def read(self, record: Record) -> tuple[np.ndarray, np.ndarray]:
        """Return image (H, W, C) uint8 and mask (H, W) uint8."""
        image = self.read_image(record)
        return image, self.read_mask(record, image.shape[:2])

    def instances(self, record: Record) -> Mapping[int, int]:
        """Return how many defects of each class index an image has: as labels tell, else connected patches of its mask.

        Raises:
            DataError: if the label cannot be read.
        """
        if not record.classes:
            return {}
        mask = self.read_mask(record, image_size(record.image_path))
        return {
            index: cv2.connectedComponents((mask == index + 1).astype(np.uint8), connectivity=8)[0] - 1
            for index in record.classes
        }

    def clean_records(self, records: list[Record]) -> list[Record]:
        """Return those records that can serve as clean backgrounds."""
        return [record for record in records if not record.classes and record.name not in self.unsure]

    def background_region(self, image: np.ndarray) -> np.ndarray | None:
        """Return where a background window may be cut.

        Args:
            image: (H, W, C) uint8, as `read_image` returns it.

        Returns:
            (H, W) bool, or None where the whole image will do.
        """
        return None

    def check(self, *, skip_bad: bool = False, progress: bool = True) -> None:
        """Read every image and mask once.

        Args:
            skip_bad: take what cannot be read out of `records` and add the reason to `skipped`.
            progress: show a progress bar.

        Raises:
            DataError: the first problem, or with `skip_bad` if nothing is left.
        """
        problems = Problems(skip_bad)
        good = []
        for record in tqdm(
            self.records, desc="check files", unit="image", leave=False, disable=None if progress else True
        ):
            try:
                self.read(record)
            except DataError as err:
                problems.report(str(err))
            else:
                good.append(record)
        self._keep(good, problems)

    def _keep(self, records: list[Record], problems: Problems) -> None:
        """Take over the records that could be read, and what could not."""
        self.records, self.skipped = records, [*self.skipped, *problems.messages]
        if not records:
            raise DataError(f"none of the images can be read; the first problem: {self.skipped[0]}")
