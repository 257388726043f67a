"""Contact sheets: what a person looks at to judge a painter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

OUTLINE_RGB = (255, 60, 40)
GAP = 4
BACKGROUND = 24
HEADER = 22
JPEG_SUFFIXES = (".jpg", ".jpeg")
JPEG_QUALITY, LOWEST_QUALITY = 85, 40
MAX_JPEG_BYTES = 400_000  # of a picture of the docs or of a model card


def outline(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return an RGB copy of a uint8 image with the contour of the (H, W) mask drawn on it."""
    contours, _ = cv2.findContours((mask > 0).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    drawn = to_rgb(image)
    cv2.drawContours(drawn, contours, -1, OUTLINE_RGB, 1)
    return drawn


def to_rgb(image: np.ndarray) -> np.ndarray:
    """Return an (H, W, 3) uint8 copy of a gray or RGB image."""
    if image.ndim == 2 or image.shape[2] == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    return np.array(image, order="C")


def around(mask: np.ndarray, size_hw: tuple[int, int]) -> tuple[slice, slice]:
    """Return rows and columns of a view of `size_hw` (or less, if the image is smaller) centred on a mask."""
    left, top, width, height = cv2.boundingRect((mask > 0).astype(np.uint8))
    slices = []
    for start, length, want, limit in (
        (top, height, size_hw[0], mask.shape[0]),
        (left, width, size_hw[1], mask.shape[1]),
    ):
        want = min(want, limit)
        first = min(max(start + length // 2 - want // 2, 0), limit - want)
        slices.append(slice(first, first + want))
    return slices[0], slices[1]


def grid(rows: Sequence[Sequence[np.ndarray]], cell_hw: tuple[int, int], titles: Sequence[str] = ()) -> np.ndarray:
    """Lay out images in rows of equal cells, fitted with their aspect kept, column titles above.

    Args:
        rows: gray or RGB uint8 images.
        cell_hw: height and width of a cell, in pixels.
        titles: of the columns; empty for none.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    cell_h, cell_w = cell_hw
    header = HEADER if titles else 0
    columns = max(len(row) for row in rows)
    shape = (header + len(rows) * (cell_h + GAP) + GAP, columns * (cell_w + GAP) + GAP, 3)
    sheet = np.full(shape, BACKGROUND, np.uint8)
    for index, title in enumerate(titles):
        position = (GAP + index * (cell_w + GAP) + 2, 16)
        cv2.putText(sheet, title, position, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (235, 235, 235), 1, cv2.LINE_AA)
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            factor = min(cell_h / image.shape[0], cell_w / image.shape[1])
            height, width = (max(1, round(side * factor)) for side in image.shape[:2])
            method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
            top = header + GAP + y * (cell_h + GAP) + (cell_h - height) // 2
            left = GAP + x * (cell_w + GAP) + (cell_w - width) // 2
            fitted = cv2.resize(to_rgb(image), (width, height), interpolation=method)
            sheet[top : top + height, left : left + width] = fitted
    return sheet


def png_bytes(image: np.ndarray) -> bytes:
    """Encode a gray or RGB picture."""
    ok, data = cv2.imencode(".png", image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not ok:
        raise OSError("OpenCV could not encode the picture")
    return data.tobytes()


def jpeg_bytes(image: np.ndarray) -> bytes:
    """Encode a gray or RGB picture in at most `MAX_JPEG_BYTES`, with less quality where it takes that."""
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    for quality in range(JPEG_QUALITY, LOWEST_QUALITY - 1, -5):
        ok, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1])
        if not ok:
            raise OSError("OpenCV could not encode the picture")
        if data.size <= MAX_JPEG_BYTES:
            break
    return data.tobytes()


def write_picture(path: Path, image: np.ndarray) -> None:
    """Write a picture to look at: JPEG if the name ends so, else PNG; as `write_png` otherwise."""
    _write(path, jpeg_bytes(image) if path.suffix.lower() in JPEG_SUFFIXES else png_bytes(image))


def write_png(path: Path, image: np.ndarray) -> None:
    """Write a gray or RGB picture under a temporary name and rename it.

    Raises:
        ValueError: if something is there that is no file: renamed onto, a device would be lost.
    """
    _write(path, png_bytes(image))


def _write(path: Path, data: bytes) -> None:
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: is a folder or a device; give the name of a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(data)
    partial.replace(path)
