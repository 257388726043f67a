"""What every data set looks like to the rest: records that name a file, its group and its classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np


class DataError(ValueError):
    """A data set that cannot be read; the message names the file and says what to do."""


@dataclass(frozen=True)
class Record:
    """One image on disk.

    Attributes:
        name: unique within the data set.
        image_path: the image file.
        label_path: the file its mask is read from, or None for an image without a label file.
        group: the physical part or series the image belongs to; a split never divides a group.
        classes: indices of the classes in its mask, known without reading it where the layout says so.
    """

    name: str
    image_path: Path
    label_path: Path | None
    group: str
    classes: frozenset[int]


class DefectDataset(ABC):
    """Records of one data set, and how to read one.

    Attributes:
        class_names: names in index order; value `index + 1` in a mask.
        channels: 1 for gray images, 3 for RGB.
        licence: what may be done with images and what is trained on them, for model cards.
        source: where the data comes from and how to cite it.
    """

    class_names: tuple[str, ...]
    channels: int
    licence: str
    source: str
    records: list[Record]

    @abstractmethod
    def read_mask(self, record: Record, image_hw: tuple[int, int]) -> np.ndarray:
        """Return the (H, W) uint8 mask: 0 clean, `class index + 1` for a defect."""

    def read_image(self, record: Record) -> np.ndarray:
        """Return the (H, W, C) uint8 image, RGB order."""
        flag = cv2.IMREAD_GRAYSCALE if self.channels == 1 else cv2.IMREAD_COLOR
        image = cv2.imread(str(record.image_path), flag)
        if image is None:
            raise DataError(f"{record.image_path}: not an image that OpenCV can read; remove or repair the file")
        return image[:, :, None] if self.channels == 1 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def read(self, record: Record) -> tuple[np.ndarray, np.ndarray]:
        """Return image (H, W, C) uint8 and mask (H, W) uint8."""
        image = self.read_image(record)
        return image, self.read_mask(record, image.shape[:2])

    def clean_records(self, records: list[Record]) -> list[Record]:
        """Return those records that can serve as clean backgrounds."""
        return [record for record in records if not record.classes]
