"""The images that everything is timed on, and the transforms that paint into them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import albumentations as A
import cv2
import numpy as np

from albu_gan import GANDefectInpaint

SIZES = ((256, 256), (256, 1600), (1024, 1024))
BACKENDS = ("torch", "onnx")  # of the transform, the default first


@dataclass(frozen=True)
class Case:
    """A made-up surface, without a label in its mask."""

    name: str
    image: np.ndarray
    mask: np.ndarray


def size_name(size_hw: tuple[int, int]) -> str:
    """Write a size as tables do."""
    return f"{size_hw[0]} x {size_hw[1]}"


def image_cases() -> list[Case]:
    """Return every size, gray and colour."""
    return [
        Case(f"{size_name(size)}, {kind}", surface(size, channels, seed), np.zeros(size, np.uint8))
        for seed, size in enumerate(SIZES)
        for kind, channels in (("gray", 1), ("colour", 3))
    ]


def surface(size_hw: tuple[int, int], channels: int, seed: int) -> np.ndarray:
    """Make up a brushed surface under uneven light: (H, W) or (H, W, 3) uint8.

    Its JPEG is about as large as that of a photograph of steel, which white noise's is not.
    """
    rng = np.random.default_rng(seed)
    height, width = size_hw
    light = cv2.resize(rng.normal(size=(3, 4)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    grain = cv2.GaussianBlur(rng.normal(size=size_hw).astype(np.float32), (9, 1), 0)
    gray = 125 + 18 * light + 14 * grain
    if channels == 1:
        return np.asarray(np.clip(gray, 0, 255), np.uint8)
    tint = cv2.GaussianBlur(rng.normal(size=(*size_hw, 3)).astype(np.float32), (5, 5), 0)
    return np.asarray(np.clip(gray[:, :, None] + 6 * tint, 0, 255), np.uint8)


def copy(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Copy both, which is what no transform that returns new arrays does without."""
    return np.array(image), np.array(mask)


def painting(weights: str, **arguments: Any) -> A.Compose:
    """Return a pipeline that always paints."""
    return A.Compose([GANDefectInpaint(weights=weights, **{"p": 1.0, **arguments})], seed=0)


def seeded(transforms: list[A.Compose], number: int) -> None:
    """Give all transforms the same random numbers, so that they draw the same masks."""
    for transform in transforms:
        transform.set_random_seed(number)
