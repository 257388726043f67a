"""The parts of a compound defect: touching labels of several classes that are painted as one, and labelled each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from albu_gan.painting.compositing import Patch
from albu_gan.painting.windows import mask_box

MAX_PARTS = 255  # of one compound


@dataclass(frozen=True)
class Parts:
    """Which pixel of a compound defect belongs to which of its parts.

    Attributes:
        numbers: (h, w) uint8, number of the part from 1 on; 0 outside of the defect.
        classes: class index of each part, in the order of the numbers.
    """

    numbers: np.ndarray
    classes: tuple[int, ...]

    def class_map(self) -> np.ndarray:
        """Return (h, w) int64, class index + 1; 0 outside."""
        values = np.array([0, *(index + 1 for index in self.classes)], np.int64)
        return np.asarray(values[self.numbers])

    def split(self, patch: Patch) -> list[Patch]:
        """Cut what was painted as one into a patch a part.

        Args:
            patch: whose mask is where a number is.

        Returns:
            Tight patches whose masks share no pixel and together are the whole; pasted, they change an image to the bit
            as the whole does.
        """
        patches = []
        for number, class_index in enumerate(self.classes, 1):
            own = self.numbers == number
            box = mask_box(own)
            if box is None:  # it was too small to be labelled
                continue
            top, left, height, width = box
            cut = slice(top, top + height), slice(left, left + width)
            mask = np.ascontiguousarray(own[cut])
            residual = np.where(mask[:, :, None], patch.residual[cut], np.float32(0))
            patches.append(Patch(patch.top + top, patch.left + left, mask, residual, class_index))
        return patches
