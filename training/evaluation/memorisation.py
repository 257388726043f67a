"""Whether a painter repeats its training defects: how alike the nearest of them is.

Distances of features do not show it: in the encoder's features, training blowholes pasted onto other magnetic tiles lay
farther from the training blowholes than unseen ones did. What is compared is the pattern inside the mask, whatever its
brightness and size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from training.windows import DefectWindow, flip

FLIPS = ((False, False), (False, True), (True, False), (True, True))  # a mirrored copy is a copy
SIDE = 32  # pixels that a defect's box is scaled to
MARGIN = 2  # pixels around it


@dataclass(frozen=True)
class TrainingBank:
    """Every real training defect of a class, as it is and mirrored.

    Attributes:
        windows: once each; none where only `nearest` is asked for its likeness.
        patches: (4 * defects, SIDE * SIDE) float32; row `i` shows defect `i // 4`.
    """

    windows: Sequence[DefectWindow]
    patches: np.ndarray

    @classmethod
    def of(cls, windows: Sequence[DefectWindow], class_index: int) -> TrainingBank:
        """Cut the defects out of their windows; there must be one."""
        return cls(windows, _patches([w.image for w in windows], [w.mask == class_index + 1 for w in windows]))

    @classmethod
    def of_masks(cls, images: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> TrainingBank:
        """Cut the defects out of (H, W, C) uint8 images by (H, W) bool masks; only their patches are kept."""
        return cls((), _patches(images, masks))

    def nearest(self, images: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Find the training defect that is most like each given one.

        Args:
            images: (H, W, C) uint8.
            masks: (H, W) bool, true somewhere.

        Returns:
            (N,) correlation of brightness inside the given mask, boxes laid over each other, in [-1, 1]: 1 for a copy,
            also a brighter or a mirrored one; and (N,) the index of the training window.
        """
        likeness, indices = [], []
        for image, mask in zip(images, masks, strict=True):
            gray, inside = patch(image, mask)
            given, bank = gray[inside], self.patches[:, inside.ravel()]
            given, bank = given - given.mean(), bank - bank.mean(axis=1, keepdims=True)
            norms = np.linalg.norm(bank, axis=1) * np.linalg.norm(given)
            correlation = (bank @ given) / np.maximum(norms, 1e-6)
            best = int(correlation.argmax())
            likeness.append(float(correlation[best]))
            indices.append(best // len(FLIPS))
        return np.array(likeness), np.array(indices)


def _patches(images: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> np.ndarray:
    cut = [patch(image, mask)[0] for image, mask in zip(images, masks, strict=True)]
    return np.stack([flip(p, f).ravel() for p in cut for f in FLIPS])


def patch(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut the box of a mask out of an image and scale it.

    Args:
        image: (H, W, C) uint8.
        mask: (H, W) bool, true somewhere.

    Returns:
        (SIDE, SIDE) float32, mean of the channels, and (SIDE, SIDE) bool, the mask there.
    """
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    box = (slice(max(0, top - MARGIN), top + height + MARGIN), slice(max(0, left - MARGIN), left + width + MARGIN))
    gray = cv2.resize(image[box].mean(axis=2, dtype=np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return gray, cv2.resize(mask[box].astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST_EXACT) > 0
