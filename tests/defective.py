"""An image with defects, made on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from albu_gan import DefectInpainter
from albu_gan.defects import annotated_images, collect

SPOTS = ((10, 12, 14, 18), (40, 20, 9, 30), (60, 80, 16, 12), (30, 70, 12, 14))  # top, left, height, width
NAMES = ("pit", "scratch")


def defective(shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """An even surface with dark spots of two classes, and its mask."""
    rng = np.random.default_rng(seed)
    image, mask = rng.integers(140, 150, shape).astype(np.uint8), np.zeros(shape[:2], np.uint8)
    for index, (top, left, height, width) in enumerate(SPOTS):
        spot = (slice(top, top + height), slice(left, left + width))
        image[spot] = image[spot] // 2 + rng.integers(0, 30, image[spot].shape).astype(np.uint8)
        mask[spot] = 1 + index % 2
    return image, mask


def make_bank_weights(folder: Path) -> Path:
    """Write weights that hold real defects of two classes alone."""
    samples = [defective((90, 120, 3), seed) for seed in range(3)]
    bank = collect(annotated_images([i for i, _ in samples], [m for _, m in samples], NAMES)).bank(NAMES)
    DefectInpainter.from_bank(bank, NAMES).save_pretrained(folder)
    return folder
