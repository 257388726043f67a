"""Where an image of a strip shows steel and not the black beside it."""

from __future__ import annotations

import cv2
import numpy as np

DARK_RANGE = (8, 20)  # levels of 255; black beside a strip was seen up to 19, well lit steel from 25 on
DARK_SHARE = 0.35  # of the brightest steel: between those levels, what counts as black is relative, for dim steel
SMOOTH = 9  # pixels of the median that takes out the black's noise, and thin dark scratches
MIN_BORDER_SHARE = 0.003  # of the image; a dark area that touches the border counts from here, 5 columns of 1600
MIN_INNER_SHARE = 0.02  # of the image; and one that does not from here, so that dark stains stay steel
MARGIN = 8  # pixels; the strip's edge is blurred


def bright_region(image: np.ndarray) -> np.ndarray:
    """Find all but the large black areas.

    Args:
        image: (H, W, C) uint8.

    Returns:
        (H, W) bool, False in large areas that are nearly black and within a small margin of them.
    """
    smooth = cv2.medianBlur(image.max(axis=2), SMOOTH)
    threshold = np.clip(DARK_SHARE * np.percentile(smooth, 99), *DARK_RANGE)
    dark = (smooth < threshold).astype(np.uint8)
    height, width = dark.shape
    count, labels, stats, _ = cv2.connectedComponentsWithStats(dark, connectivity=8)
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    right, bottom = left + stats[:, cv2.CC_STAT_WIDTH], top + stats[:, cv2.CC_STAT_HEIGHT]
    at_border = (left == 0) | (top == 0) | (right == width) | (bottom == height)
    share = stats[:, cv2.CC_STAT_AREA] / dark.size
    black = np.where(at_border, share >= MIN_BORDER_SHARE, share >= MIN_INNER_SHARE)
    black[0] = False  # label 0 is what is not dark
    if count == 1 or not black.any():
        return np.ones(dark.shape, bool)
    kernel = np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8)
    return np.asarray(cv2.dilate(black[labels].astype(np.uint8), kernel) == 0)
