"""Feathered copy-paste: the opponent that every painter is measured against."""

from __future__ import annotations

import cv2
import numpy as np

FEATHER = 1.5  # pixels, standard deviation of the blur of the pasted mask's edge


def feathered_copy_paste(clean: np.ndarray, mask: np.ndarray, real: np.ndarray, real_mask: np.ndarray) -> np.ndarray:
    """Paste a real defect's pixels into a mask of a clean window, with a soft edge.

    The real defect's box is scaled to the mask's box, so that the same mask is filled as by a painter.

    Args:
        clean: (H, W, C) uint8.
        mask: (H, W), nonzero where the defect goes.
        real: (H, W, C) uint8, with the defect.
        real_mask: (H, W), nonzero on the defect.

    Returns:
        (H, W, C) uint8, equal to `clean` outside the mask.
    """
    left, top, width, height = cv2.boundingRect((mask > 0).astype(np.uint8))
    x, y, w, h = cv2.boundingRect((real_mask > 0).astype(np.uint8))
    if not width or not w:
        return clean.copy()
    source = cv2.resize(real[y : y + h, x : x + w], (width, height), interpolation=cv2.INTER_LINEAR)
    inside = (mask[top : top + height, left : left + width] > 0).astype(np.float32)
    padded = cv2.copyMakeBorder(inside, 4, 4, 4, 4, cv2.BORDER_CONSTANT, value=0)
    alpha = cv2.GaussianBlur(padded, (0, 0), FEATHER)[4:-4, 4:-4] * inside
    alpha = alpha[:, :, None]
    out = clean.copy()
    region = out[top : top + height, left : left + width]
    source = source.reshape(region.shape).astype(np.float32)
    region[:] = np.rint(alpha * source + (1 - alpha) * region).astype(np.uint8)
    return out
