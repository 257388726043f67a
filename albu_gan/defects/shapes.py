"""Shapes of defects, and how they are mirrored, scaled and turned."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from albu_gan.painting import Look, Origin, Parts, thin_parts


@dataclass(frozen=True)
class Shape:
    """One defect's shape.

    Attributes:
        mask: (h, w) bool, tight around the shape.
        class_index: of the defect.
        edges: whether the shape was cut off by the top, left, bottom or right border of its image. Such a shape (a
            broken edge, say) belongs at that border.
        origin: in the bank it was drawn from; None for shapes that were not.
        centre_yx: where the middle of the shape's box lay in the image it was seen in, in heights and widths of that
            image, each in [0, 1]; None if that is not known.
        donor: number in the bank of the defect that it was made from, whether its pixels can be traced or not.
        look: how it looks; None leaves that to the network.
        parts: which pixel is of which class, of a compound that has its look; None for a defect of one class.
    """

    mask: np.ndarray
    class_index: int
    edges: tuple[bool, bool, bool, bool] = (False, False, False, False)
    origin: Origin | None = None
    centre_yx: tuple[float, float] | None = None
    donor: int | None = None
    look: Look | None = None
    parts: Parts | None = None


def jitter_shape(
    shape: Shape,
    scale_range: tuple[float, float],
    rotate_range: tuple[float, float],
    rng: np.random.Generator,
    shrink: float = 1.0,
    largest: float = float("inf"),
) -> Shape:
    """Mirror, scale and rotate a shape at random.

    A shape that touches a border of its image is mirrored and scaled but not rotated, and keeps its side.

    Args:
        shape: to start from.
        scale_range: factor, both ends included.
        rotate_range: degrees, both ends included.
        rng: the only source of randomness.
        shrink: by which the drawn factor is multiplied.
        largest: pixels that the longer side has at most before `shrink` and rotation.
    """
    mask, edges, (height, width) = shape.mask, shape.edges, shape.mask.shape
    mirror = np.eye(2, 3)
    if rng.random() < 0.5:
        mask, edges = mask[::-1], (edges[2], edges[1], edges[0], edges[3])
        mirror[1] = 0, -1, height - 1
    if rng.random() < 0.5:
        mask, edges = mask[:, ::-1], (edges[0], edges[3], edges[2], edges[1])
        mirror[0] = -1, 0, width - 1
    scale, angle = rng.uniform(*scale_range), rng.uniform(*rotate_range)
    scale = shrink * min(scale, largest / max(height, width))
    warped, matrix = _warp(mask, scale, 0.0 if any(edges) else angle)
    origin = None if shape.origin is None else shape.origin.then(mirror).then(matrix)
    return Shape(warped, shape.class_index, edges, origin, shape.centre_yx, shape.donor)


def scale_shape(shape: Shape, factor: float) -> Shape:
    """Return the shape made smaller or larger."""
    warped, matrix = _warp(shape.mask, factor, 0.0)
    origin = None if shape.origin is None else shape.origin.then(matrix)
    return Shape(warped, shape.class_index, shape.edges, origin, shape.centre_yx, shape.donor)


def warp_mask(mask: np.ndarray, scale: float, angle: float) -> np.ndarray:
    """Scale and rotate a bool mask about its centre; the result is tight, never empty, and keeps thin parts whole."""
    return _warp(mask, scale, angle)[0]


def _warp(mask: np.ndarray, scale: float, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Do the work of `warp_mask`; also return the (2, 3) map of its pixels."""
    if scale == 1 and angle == 0:
        return np.ascontiguousarray(mask), np.eye(2, 3)
    height, width = mask.shape
    scale = max(scale, 1 / max(height, width))  # less is a pixel all the same
    radians = np.deg2rad(angle)
    c, s = abs(np.cos(radians)) * scale, abs(np.sin(radians)) * scale
    # Not a pixel more for a cosine of 1e-16: half a pixel of shift would double thin lines.
    out_h, out_w = (int(np.ceil(side - 1e-6)) + 2 for side in (height * c + width * s, width * c + height * s))
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
    matrix[:, 2] += [(out_w - width) / 2, (out_h - height) / 2]
    source, block = _blocks(mask, scale)
    if scale < 1:  # average what falls into one pixel
        source = cv2.GaussianBlur(source, (0, 0), 0.5 / (scale * block))
    from_blocks = np.array([[block, 0, (block - 1) / 2], [0, block, (block - 1) / 2], [0, 0, 1]])
    warped = cv2.warpAffine(source, matrix @ from_blocks, (out_w, out_h), flags=cv2.INTER_LINEAR)
    result = (warped >= 0.5).astype(np.uint8)
    # What is narrower than a pixel and a half of the result falls below that level: it is drawn as lines.
    thin = thin_parts(mask, max(2, int(np.ceil(1.5 / scale))))
    if scale <= 0.7:  # neighbours become the same pixel or neighbours: there is no gap to be bridged
        columns, rows = _moved(np.argwhere(thin)[:, ::-1], matrix).T
        result[rows, columns] = 1
    elif thin.any():
        lines = _moved(_links(mask, thin).reshape(-1, 2), matrix).reshape(-1, 2, 2)
        far = np.abs(lines[:, 0] - lines[:, 1]).max(axis=1) > 1
        columns, rows = lines[~far].reshape(-1, 2).T  # between neighbours there is nothing to be drawn
        result[rows, columns] = 1
        cv2.polylines(result, list(lines[far]), False, 1)
    if not result.any():  # less than a pixel is left: it is that pixel
        result.flat[int(warped.argmax())] = 1
    left, top, w, h = cv2.boundingRect(result)
    matrix[:, 2] -= [left, top]
    return np.ascontiguousarray(result[top : top + h, left : left + w].astype(bool)), matrix


def _blocks(mask: np.ndarray, scale: float) -> tuple[np.ndarray, int]:
    """Return a mask, float32, and the side of the blocks that its pixels average: 1 unless much is to be averaged."""
    block = max(1, int(0.25 / scale))
    source: np.ndarray = mask.astype(np.float32)
    if block > 1:
        height, width = (-(-side // block) for side in mask.shape)
        source = np.pad(source, ((0, height * block - mask.shape[0]), (0, width * block - mask.shape[1])))
        source = cv2.resize(source, (width, height), interpolation=cv2.INTER_AREA)
    return source, block


def _moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(N, 2) x and y of pixels to those, int32, that a (2, 3) map takes them to."""
    return np.asarray(np.rint(points @ matrix[:, :2].T + matrix[:, 2]), np.int32)


def _links(mask: np.ndarray, thin: np.ndarray) -> np.ndarray:
    """(N, 2, 2) x and y of both ends: every thin pixel to itself and to each of its 8 neighbours in the mask."""
    inside = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    points, steps = np.argwhere(thin)[:, ::-1], np.array([(dx, dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    ends = points[:, None] + steps
    number, step = np.nonzero(inside[ends[:, :, 1] + 1, ends[:, :, 0] + 1])
    return np.stack([points[number], ends[number, step]], axis=1)
