"""Windows around a mask: which part of an image a network sees, and at which scale.

Small masks get small windows and long ones long windows, so that cost follows the defect and not the image. A mask
larger than the largest window is seen at a reduced scale; only its residual and alpha are enlarged again, so the
background keeps its resolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

Box = tuple[int, int, int, int]  # top, left, height, width
WindowShape = tuple[int, int]  # rows, columns

SIDE_MULTIPLE = 16  # of the sides of a window that is not square
LONGEST = 4  # times as long as wide


@dataclass(frozen=True)
class Window:
    """A rectangle of the image, `height` x `width` source pixels, that the network sees as `shape`.

    `top` and `left` may be negative and the rectangle may end beyond the image: what lies outside is mirrored.
    """

    top: int
    left: int
    height: int
    width: int
    shape: WindowShape

    @property
    def reduced(self) -> bool:
        """Whether the network sees it at another scale than 1."""
        return (self.height, self.width) != self.shape


@lru_cache(maxsize=64)
def window_shapes(window_sizes: tuple[int, ...], long: bool = True, size_multiple: int = 1) -> tuple[WindowShape, ...]:
    """Return the shapes of window that go with sizes: squares, and rectangles of no more pixels than the largest.

    A window of 64 x 256 shows a scratch of 200 pixels at its own scale, at the cost of one of 128 x 128 that would
    show it at half of it.

    Args:
        window_sizes: sides of the squares, ascending, in pixels.
        long: whether there are rectangles at all.
        size_multiple: what the network's sides must be multiples of.

    Returns:
        (rows, columns), by rising area, the squarest first among equals. A rectangle's sides are a size, its half or
        its double, as far as they are multiples of 16 and of `size_multiple`.
    """
    squares = tuple((size, size) for size in window_sizes)
    if not long:
        return squares
    multiple = math.lcm(SIDE_MULTIPLE, size_multiple)
    doubled = {twice // 2 for size in window_sizes for twice in (size, 2 * size, 4 * size)}
    sides = sorted(side for side in doubled if side % multiple == 0)
    smallest, largest = window_sizes[0] ** 2, window_sizes[-1] ** 2
    rectangles = tuple(
        (rows, columns)
        for rows in sides
        for columns in sides
        if rows != columns and smallest <= rows * columns <= largest
        if max(rows, columns) <= LONGEST * min(rows, columns)
    )
    return tuple(sorted(squares + rectangles, key=lambda shape: (shape[0] * shape[1], max(shape))))


def mask_box(mask: np.ndarray) -> Box | None:
    """Return the bounding box of the nonzero pixels of an (H, W) mask, or None if there are none."""
    left, top, width, height = cv2.boundingRect((mask != 0).view(np.uint8))
    return (top, left, height, width) if width else None


def choose_window(box: Box, image_hw: tuple[int, int], shapes: tuple[WindowShape, ...]) -> Window:
    """Choose the smallest window that shows a mask's box with context on every side.

    Args:
        box: top, left, height and width of the mask, in source pixels.
        image_hw: height and width of the image; the window is moved inside it where it fits.
        shapes: of windows, by rising area, in pixels; see `window_shapes`.

    Returns:
        A window whose scale is 1 unless the mask is too large for every shape; then the one of the largest scale.
    """
    context = max(8, math.isqrt(box[2] * box[3]) // 6)
    height, width = box[2] + 2 * context, box[3] + 2 * context
    shape = next((s for s in shapes if s[0] >= height and s[1] >= width), None)
    if shape is None:
        shape = max(shapes, key=lambda s: min(s[0] / height, s[1] / width))
        scale = min(shape[0] / height, shape[1] / width)
        height, width = max(height, round(shape[0] / scale)), max(width, round(shape[1] / scale))
    else:
        height, width = shape
    corner = []
    for start, length, side, limit in zip(box[:2], box[2:], (height, width), image_hw, strict=True):
        centred = start + length // 2 - side // 2
        corner.append(min(max(centred, 0), limit - side) if limit >= side else (limit - side) // 2)
    return Window(corner[0], corner[1], height, width, shape)


def extract(image: np.ndarray, window: Window, gray: bool = False) -> np.ndarray:
    """Cut a window out of an image, mirroring what lies outside and reducing the scale where it is reduced.

    Args:
        image: (H, W) or (H, W, C) uint8 or float32.
        window: where and how large.
        gray: whether to return the mean of the channels alone, float32.

    Returns:
        (rows, columns) or (rows, columns, C) of the image's dtype; (rows, columns, 1) float32 if `gray`; a copy.
    """
    if image.ndim == 3 and image.shape[2] > 4 and not gray:  # more than cv2 resizes at once
        return np.dstack([extract(image[:, :, i : i + 4], window) for i in range(0, image.shape[2], 4)])
    inner, outside = image, []
    for axis, (start, side) in enumerate(((window.top, window.height), (window.left, window.width))):
        if start >= 0 and start + side <= image.shape[axis]:
            inner = inner[(slice(None),) * axis + (slice(start, start + side),)]
        else:
            outside.append((axis, mirrored(start, side, image.shape[axis])))
    for axis, positions in outside:  # after the slices: only what is in the window is copied
        inner = inner.take(positions, axis=axis)
    if gray:  # a product, since numpy's mean over a short last axis takes three times as long
        inner = inner.reshape(window.height, window.width, -1).astype(np.float32)
        inner = inner @ np.full((inner.shape[2], 1), 1 / inner.shape[2], np.float32)
    if window.reduced:
        method = cv2.INTER_AREA if window.height > window.shape[0] else cv2.INTER_LINEAR
        inner = cv2.resize(inner, window.shape[::-1], interpolation=method)
    inner = np.ascontiguousarray(inner).reshape(*window.shape, *((1,) if gray else image.shape[2:]))
    return inner.copy() if np.may_share_memory(inner, image) else inner


def mirrored(start: int, count: int, limit: int) -> np.ndarray:
    """Pixels that `count` positions from `start` on show: fedcba|abcdef|fedcba."""
    position = np.arange(start, start + count) % (2 * limit)
    return np.minimum(position, 2 * limit - 1 - position)


def extract_mask(mask: np.ndarray, window: Window) -> np.ndarray:
    """Cut a window out of a binary (H, W) mask; outside the image it is 0. Thin shapes survive a reduced scale.

    Returns:
        (rows, columns) uint8 in {0, 1}.
    """
    canvas = np.zeros((window.height, window.width), np.uint8)
    top, left = max(window.top, 0), max(window.left, 0)
    inner = mask[top : window.top + window.height, left : window.left + window.width]
    y, x = top - window.top, left - window.left
    canvas[y : y + inner.shape[0], x : x + inner.shape[1]] = inner != 0
    if not window.reduced:
        return canvas
    covered = cv2.resize(canvas.astype(np.float32), window.shape[::-1], interpolation=cv2.INTER_AREA)
    reduced = (covered > 0.2).astype(np.uint8)
    # Lines that cover less of a network pixel: each of their pixels marks the one it falls into.
    steps = window.height / window.shape[0], window.width / window.shape[1]
    rows, columns = np.nonzero(thin_parts(canvas, math.ceil(max(steps))))
    reduced[rows * window.shape[0] // window.height, columns * window.shape[1] // window.width] = 1
    return reduced


def patch_residual(residual: np.ndarray, window: Window, box: Box) -> np.ndarray:
    """Bring what the network added to a window back to source pixels and cut out a mask's box.

    Args:
        residual: (rows, columns, C) float32, 0 outside the window's mask.
        window: that the residual belongs to.
        box: top, left, height, width in the image; inside the window.

    Returns:
        (height, width, C) float32.
    """
    top, left, height, width = box
    if window.reduced:
        residual = cv2.resize(residual, (window.width, window.height), interpolation=cv2.INTER_LINEAR)
        residual = residual.reshape(window.height, window.width, -1)
    y, x = top - window.top, left - window.left
    return residual[y : y + height, x : x + width]


def thin_parts(mask: np.ndarray, width: int) -> np.ndarray:
    """Return the (H, W) bool pixels of a binary mask that no square of `width` pixels inside the mask covers."""
    if width > min(mask.shape):
        return np.asarray(mask != 0)
    kernel = np.ones((width, width), np.uint8)
    inside = (mask != 0).view(np.uint8)
    # Opposite anchors, because cv2 does not reflect the kernel: an even opening would move by a pixel.
    eroded = cv2.erode(inside, kernel, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(inside > cv2.dilate(eroded, kernel, anchor=(width - 1, width - 1)))
