"""Contact sheets: what a person looks at to judge a painter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

OUTLINE_RGB = (255, 60, 40)


def outline(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return an RGB copy of a uint8 image with the contour of the mask drawn on it."""
    contours, _ = cv2.findContours((mask > 0).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    drawn = to_rgb(image)
    cv2.drawContours(drawn, contours, -1, OUTLINE_RGB, 1)
    return drawn


def to_rgb(image: np.ndarray) -> np.ndarray:
    """Return an (H, W, 3) uint8 copy of a gray or RGB image."""
    image = np.ascontiguousarray(image)
    if image.ndim == 2 or image.shape[2] == 1:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB))
    return image.copy()


def grid(rows: Sequence[Sequence[np.ndarray]], cell: int, titles: Sequence[str] = ()) -> np.ndarray:
    """Lay out square images in rows of cells `cell` pixels wide, column titles above.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    gap, header = 4, 22 if titles else 0
    columns = max(len(row) for row in rows)
    sheet = np.full((header + len(rows) * (cell + gap) + gap, columns * (cell + gap) + gap, 3), 24, np.uint8)
    for index, title in enumerate(titles):
        position = (gap + index * (cell + gap) + 2, 16)
        cv2.putText(sheet, title, position, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (235, 235, 235), 1, cv2.LINE_AA)
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            method = cv2.INTER_AREA if image.shape[0] > cell else cv2.INTER_CUBIC
            top, left = header + gap + y * (cell + gap), gap + x * (cell + gap)
            sheet[top : top + cell, left : left + cell] = cv2.resize(to_rgb(image), (cell, cell), interpolation=method)
    return sheet


def write_png(path: Path, image: np.ndarray) -> None:
    """Write an RGB picture under a temporary name and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ok, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not ok:
        raise OSError(f"{path}: OpenCV could not encode the picture")
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(data.tobytes())
    partial.replace(path)
