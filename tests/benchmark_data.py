"""A small data set of parts, for the tests of the benchmark."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tests.conftest import CLASSES

PATTERN = r"part\d+"
GROUPS_A_CLASS, CLEAN_GROUPS = 4, 4


def write_parts(root: Path, groups_a_class: int = GROUPS_A_CLASS) -> Path:
    """Parts with two exposures each: four of every class with one defect, and four clean ones, 100 x 110 pixels."""
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    (root / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    for part in range(len(CLASSES) * groups_a_class + CLEAN_GROUPS):
        mask = np.zeros((100, 110), np.uint8)
        if part < len(CLASSES) * groups_a_class:
            x, y = (int(v) for v in rng.integers(10, 60, 2))
            w, h = ((12, 10), (30, 3), (22, 20))[part % 3]
            mask[y : y + h, x : x + w] = part % 3 + 1
        for exposure in range(2):
            image = rng.normal(110 + 20 * exposure, 6, mask.shape)
            image[mask > 0] += (-50, 60, -30)[part % 3]
            stem = f"part{part:02d}_{exposure}"
            cv2.imwrite(str(root / "images" / f"{stem}.png"), image.clip(0, 255).astype(np.uint8))
            if mask.any():
                cv2.imwrite(str(root / "masks" / f"{stem}.png"), mask)
    return root
