"""Invented shapes that resemble real ones."""

from __future__ import annotations

import cv2
import numpy as np

from albu_gan.defects.shapes import Shape

VARIATION = 1.5  # factor of length and of thickness by which an invented shape may differ from its model


def procedural_shape(like: Shape, rng: np.random.Generator) -> Shape:
    """Invent a shape of about the size and stoutness of a real one.

    Slender shapes (less than a quarter of their box filled, or long boxes) become a wandering line of varying width,
    stout ones a star-shaped blob with a random Fourier radius; longer or shorter, and thicker or thinner, by up to
    `VARIATION`. What was cut off by a border of its image is cut off again: it is drawn beyond that border, and lies
    flush with it.

    Args:
        like: a real shape; its class and edges are kept.
        rng: the only source of randomness.
    """
    extent, area = max(like.mask.shape), float(like.mask.sum())
    height, width = (max(1, round(side * _factor(rng))) for side in like.mask.shape)
    top, left, bottom, right = like.edges
    across = like.mask.shape[0] < like.mask.shape[1]
    along_a_border = (top or bottom) if across else (left or right)
    slender = area < 0.25 * like.mask.size or extent > 4 * min(like.mask.shape)
    if slender and not along_a_border:
        # Twice as long as is wanted, if one end or both are to be cut off.
        length, cut_off = (width, left or right) if across else (height, top or bottom)
        thickness = max(1.0, _factor(rng) * _thickness(like.mask))
        mask = _wandering_line(2 * length if cut_off else length, thickness, across, rng)
        if cut_off:
            begin = max(0, (mask.shape[across] - length) // 2)  # 0 for one that turned back
            mask = mask[:, begin : begin + length] if across else mask[begin : begin + length]
    else:
        # A blob's centre is on the border that cuts it, or between two opposite ones.
        size = [height * (1 + top + bottom), width * (1 + left + right)]
        mask = _blob(size[0], size[1], rng)
        rows, columns = _kept(mask.shape[0], top, bottom), _kept(mask.shape[1], left, right)
        mask = mask[rows, columns]
    return Shape(_largest_part(mask), like.class_index, like.edges, None, like.centre_yx)


def _thickness(mask: np.ndarray) -> float:
    """About how many pixels a slender mask is wide; area over length would be too much for what bends."""
    depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1][mask]
    # In a bar of W pixels the distance to the nearest pixel outside has the mean W / 4 + 1 / 2.
    return min(4 * float(depth.mean()) - 2, float(mask.sum() / np.hypot(*mask.shape)))


def _factor(rng: np.random.Generator) -> float:
    return float(VARIATION ** rng.uniform(-1, 1))


def _kept(side: int, start: bool, end: bool) -> slice:
    """What is left of a blob's side when it is cut off at its start, its end, or both."""
    if start and end:
        return slice(side // 3, side - side // 3)
    return slice(side // 2, None) if start else slice(None, side - side // 2) if end else slice(None)


def _largest_part(mask: np.ndarray) -> np.ndarray:
    """Largest connected part of a mask, tight."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    left, top, w, h = (int(v) for v in stats[largest, :4])
    return np.ascontiguousarray(labels[top : top + h, left : left + w] == largest)


def _wandering_line(length: int, thickness: float, across: bool, rng: np.random.Generator) -> np.ndarray:
    steps = max(8, length // 3)
    turns = np.cumsum(rng.normal(0, 0.12, steps))
    heading = (0.0 if across else np.pi / 2) + turns - turns.mean()
    points = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0) * (length / steps)
    widths = thickness * np.exp(np.convolve(rng.normal(0, 0.5, steps + 6), np.ones(7) / 7, mode="valid"))
    points += thickness * 2 + 4 - points.min(axis=0)
    size = np.ceil(points.max(axis=0) + thickness * 2 + 4).astype(int)
    # Drawn four times as large and averaged: OpenCV's lines of a few pixels are a pixel too wide.
    canvas = np.zeros((4 * size[1], 4 * size[0]), np.uint8)
    corners = np.rint(4 * points + 1.5).astype(int).tolist()
    for begin, end, w in zip(corners[:-1], corners[1:], widths, strict=False):
        cv2.line(canvas, begin, end, 255, max(4, round(4 * float(w))))
    drawn = cv2.resize(canvas, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
    return np.asarray(drawn > 110)


def _blob(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A (height, width) bool mask with a blob about its centre; it need not reach the sides."""
    y, x = np.mgrid[0:height, 0:width]
    v, u = (y - (height - 1) / 2) / max(height / 2, 0.5), (x - (width - 1) / 2) / max(width / 2, 0.5)
    angle, radius = np.arctan2(v, u), np.hypot(v, u)
    limit = np.full_like(radius, 0.85)
    for frequency in range(2, 7):
        limit += rng.normal(0, 0.25 / frequency) * np.cos(frequency * angle + rng.uniform(0, 2 * np.pi))
    mask = radius <= np.clip(limit, 0.3, 1.0)
    mask[(height - 1) // 2 : height // 2 + 1, (width - 1) // 2 : width // 2 + 1] = True
    return np.asarray(mask)
