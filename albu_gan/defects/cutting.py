"""Shapes that are larger than the image they go into are cut by its border, as real defects are."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from albu_gan.defects.shapes import Shape, jitter_shape
from albu_gan.defects.touching import connected

MOST_OF_IMAGE = 0.5  # that a part may fill: there is nothing to be seen of a defect without its surface

OFF_BORDER = 0.2  # of a side of the image, between its border and the pixel that is cut around: not a mere corner


def jitter_and_cut(
    shape: Shape,
    image_hw: tuple[int, int],
    scale_range: tuple[float, float],
    rotate_range: tuple[float, float],
    rng: np.random.Generator,
) -> Shape:
    """Mirror, scale and turn a shape at random, see `jitter_shape`, and cut what does not fit into an image.

    Args:
        shape: to start from.
        image_hw: height and width of the image.
        scale_range: factor, both ends included.
        rotate_range: degrees, both ends included.
        rng: the only source of randomness.

    Returns:
        The part; the whole, no longer than the diagonal, if the part would fill most of the image.
    """
    whole, scale = shape, rng.uniform(*scale_range)
    reach = int(np.ceil((1 - OFF_BORDER) * np.hypot(*image_hw) / scale)) + 1
    anchor = None
    if max(shape.mask.shape) > 2 * reach and shape.origin is not None:
        # Most of it will not be seen. The cut made here lies beyond the one that is made below, whatever the turn.
        anchor = _drawn_pixel(shape.mask, rng)
        windows = [
            (max(at - reach, 0), min(at + reach + 1, side)) for at, side in zip(anchor, shape.mask.shape, strict=True)
        ]
        shape, anchor = _part(shape, windows, anchor, cut=False)
    jittered = jitter_shape(shape, (scale, scale), rotate_range, rng)
    if all(side <= limit for side, limit in zip(jittered.mask.shape, image_hw, strict=True)):
        return jittered
    if anchor is not None and shape.origin is not None and jittered.origin is not None:
        anchor = _moved(anchor, shape.origin.matrix, jittered.origin.matrix, jittered.mask)
    part = cut_to_fit(jittered, image_hw, rng, anchor)
    fills = int(np.count_nonzero(part.mask)) > MOST_OF_IMAGE * image_hw[0] * image_hw[1]
    return jitter_shape(whole, (scale, scale), rotate_range, rng, largest=longest_side(image_hw)) if fills else part


def longest_side(image_hw: tuple[int, int]) -> float:
    """Pixels of a shape's longer side at most: about the diagonal of a square image, beyond which none fits."""
    return float(2**0.5 * (max(image_hw) + 2))


def cut_to_fit(
    shape: Shape, image_hw: tuple[int, int], rng: np.random.Generator, anchor: tuple[int, int] | None = None
) -> Shape:
    """Cut a connected part out of a shape that does not fit into an image; it belongs at the borders that cut it.

    Args:
        shape: to cut; returned as it is if it fits.
        image_hw: height and width of the image.
        rng: the only source of randomness.
        anchor: row and column of a pixel of the mask that is to be kept; None for a random one. A shape that its own
            image cut off keeps that side instead.
    """
    (H, W), (h, w) = image_hw, shape.mask.shape
    if h <= H and w <= W:
        return shape
    at = anchor if anchor is not None and not any(shape.edges) else None
    windows = [(0, h), (0, w)]
    for axis, (side, limit) in enumerate(((h, H), (w, W))):
        first, last = shape.edges[axis], shape.edges[axis + 2]
        if side <= limit:
            continue
        bound = list(windows)
        bound[axis] = (0, limit) if first else (side - limit, side)
        if first != last and at is None and _within(shape.mask, bound).any():  # it belongs at one of the two
            windows = bound
            continue
        at = at or _drawn_pixel(_within(shape.mask, windows), rng)
        near = int(OFF_BORDER * limit)
        start = int(np.clip(at[axis] - rng.integers(near, limit - near), 0, side - limit))
        windows[axis] = start, start + limit
    return _part(shape, windows, at or _drawn_pixel(_within(shape.mask, windows), rng), cut=True)[0]


def _part(
    shape: Shape, windows: list[tuple[int, int]], anchor: tuple[int, int], cut: bool
) -> tuple[Shape, tuple[int, int]]:
    """Return the part of a shape in rows and columns that is connected with a pixel, and that pixel in it.

    Args:
        shape: to cut.
        windows: first row and the one after the last, and likewise of columns.
        anchor: row and column of the pixel.
        cut: whether a side that was cut off here is one where a border cut it.
    """
    (top, bottom), (left, right) = windows
    labels = connected(np.ascontiguousarray(shape.mask[top:bottom, left:right]))
    own = (labels == labels[anchor[0] - top, anchor[1] - left]).astype(np.uint8)
    x, y, w, h = cv2.boundingRect(own)
    edges = []
    for axis, (before, length) in enumerate(((y, h), (x, w))):
        (start, end), side = windows[axis], shape.mask.shape[axis]
        at_start, at_end = before == 0, start + before + length == end
        edges.append(
            (
                at_start and (cut if start else shape.edges[axis]),
                at_end and (cut if end < side else shape.edges[axis + 2]),
            )
        )
    moved = np.array([[1.0, 0, -(left + x)], [0, 1, -(top + y)]])
    part = replace(
        shape,
        mask=np.ascontiguousarray(own[y : y + h, x : x + w].astype(bool)),
        edges=(edges[0][0], edges[1][0], edges[0][1], edges[1][1]),
        origin=None if shape.origin is None else shape.origin.then(moved),
    )
    return part, (anchor[0] - top - y, anchor[1] - left - x)


def _within(mask: np.ndarray, windows: list[tuple[int, int]]) -> np.ndarray:
    """Return a mask with nothing outside of rows and columns; the mask itself if they are all of it."""
    if all(span == (0, side) for span, side in zip(windows, mask.shape, strict=True)):
        return mask
    inside = np.zeros_like(mask)
    area = tuple(slice(*span) for span in windows)
    inside[area] = mask[area]
    return inside


def _drawn_pixel(mask: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """Draw a row and column where a mask is set."""
    flat = np.flatnonzero(mask)
    row, column = divmod(int(flat[rng.integers(len(flat))]), mask.shape[1])
    return row, column


def _moved(pixel: tuple[int, int], before: np.ndarray, after: np.ndarray, mask: np.ndarray) -> tuple[int, int]:
    """Return the pixel of a mask nearest to where a row and column went; both maps are from the bank's shape."""
    back = np.linalg.inv(np.vstack([before, [0, 0, 1]]))
    x, y, _ = np.vstack([after, [0, 0, 1]]) @ back @ [pixel[1], pixel[0], 1.0]
    rows, columns = np.nonzero(mask)
    nearest = int(np.argmin((rows - y) ** 2 + (columns - x) ** 2))
    return int(rows[nearest]), int(columns[nearest])
