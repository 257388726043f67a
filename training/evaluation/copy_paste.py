"""Feathered copy-paste: the opponent that every painter is measured against."""

from __future__ import annotations

import cv2
import numpy as np

FEATHER = 1.0  # pixels, standard deviation of the blur of the pasted mask's edge


def feathered_copy_paste(clean: np.ndarray, mask: np.ndarray, donor: np.ndarray) -> np.ndarray:
    """Paste a real defect's own pixels into a clean window, with a soft edge inside its mask.

    Args:
        clean: (H, W, C) uint8.
        mask: (H, W), nonzero on the defect.
        donor: (H, W, C) uint8, shows the defect in that very mask.

    Returns:
        (H, W, C) uint8, equal to `clean` outside the mask.
    """
    inside = (mask > 0).astype(np.float32)
    alpha = (cv2.GaussianBlur(inside, (0, 0), FEATHER) * inside)[:, :, None]
    return np.rint(alpha * donor + (1 - alpha) * clean).astype(np.uint8)
