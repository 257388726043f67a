"""Real defects taken out again: the surface as it may have been, so that a painted defect has a real one beside it.

Brightness and colour are carried in from around the defect as a membrane would stretch over the hole. What a membrane
lacks, the texture, is the image's own, from beside the defect.
"""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np

MARGIN = 2  # pixels around a label that still show its defect
LARGEST_SHARE = 0.5  # of an image that a fill may cover: less than half of it would be too little to go by
TEXTURE_SIGMA = 6.0  # pixels; what is coarser than this is the membrane's
RELAXATIONS = 20  # at every level of the membrane's pyramid
STEPS = (-1.5, -1.0, -0.75, -0.5, 0.0, 0.5, 0.75, 1.0, 1.5)  # from where texture comes, in sides of the hole
REACH = 16  # pixels more, for what is small
MOST_PIECES = 6  # of texture


def fill_defects(image: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """Take every labelled pixel of an image away, and two pixels around it.

    Args:
        image: (H, W, C) uint8; not changed.
        mask: (H, W), nonzero = defect.

    Returns:
        (H, W, C) uint8, the image itself away from the labels; None if defects cover more than half of it.
    """
    side = 2 * MARGIN + 1
    hole = cv2.dilate((mask > 0).astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    if hole.mean() > LARGEST_SHARE:
        return None
    filled = image.copy()
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(hole.view(np.uint8), connectivity=8)
    for index in range(1, count):
        left, top, width, height = (int(value) for value in boxes[index, :4])
        rows, columns = _grown(top, height, image.shape[0]), _grown(left, width, image.shape[1])
        around, gap, own = image[rows, columns], hole[rows, columns], labels[rows, columns] == index
        surface = membrane(around, gap) + _texture(around, gap, (height, width))
        np.copyto(filled[rows, columns], np.clip(np.rint(surface), 0, 255).astype(np.uint8), where=own[:, :, None])
    return np.asarray(filled)


def _grown(start: int, side: int, limit: int) -> slice:
    """Rows or columns around a hole, from as far off as texture is taken."""
    reach = math.ceil(max(STEPS) * side) + REACH
    return slice(max(0, start - reach), min(start + side + reach, limit))


def membrane(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Stretch a smooth surface over a hole: about the solution of Laplace's equation with the rim as its border.

    A pyramid of means of what is known is filled in from the coarsest level on, and relaxed at every level.

    Args:
        image: (H, W, C).
        hole: (H, W) bool, some of it False.

    Returns:
        (H, W, C) float32, the image outside the hole.

    References:
        Grossman, Dally: Point sample rendering, 1998 (pull and push); Perez, Gangnet, Blake: Poisson image editing,
        2003, equation 2, for the membrane.
    """
    known = (~hole).astype(np.float32)[:, :, None]
    levels = [(image.astype(np.float32) * known, known)]
    while levels[-1][1].min() == 0:
        levels.append((_halved(levels[-1][0]), _halved(levels[-1][1])))
    filled, weight = levels.pop()
    filled = filled / weight
    for values, weight in reversed(levels):
        height, width = weight.shape[:2]
        open_ = weight == 0
        wider = cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, -1)
        filled = np.where(open_, wider, values / np.maximum(weight, 1e-6))
        for _ in range(RELAXATIONS):
            mean = cv2.blur(filled, (3, 3), borderType=cv2.BORDER_REPLICATE).reshape(filled.shape)
            filled = np.where(open_, mean, filled)
    return np.asarray(filled)


def _halved(array: np.ndarray) -> np.ndarray:
    height, width = (-(-side // 2) for side in array.shape[:2])
    return cv2.resize(array, (width, height), interpolation=cv2.INTER_AREA).reshape(height, width, -1)


def _texture(image: np.ndarray, hole: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W, C) float32: in the hole, what the image has beside its local mean a little way off; 0 where it has none.

    What covers most of the hole is taken first, the nearest among equals, from so many parts of `size_hw` away.
    """
    known = (~hole).astype(np.float32)[:, :, None]
    weight = np.maximum(_smooth(known), 1e-3)
    detail = (image - _smooth(image * known) / weight) * known
    texture, missing = np.zeros_like(detail), hole.copy()
    shifts = {(round(y * size_hw[0]), round(x * size_hw[1])) for y, x in itertools.product(STEPS, STEPS)} - {(0, 0)}
    covered = {shift: _moved(~hole, shift) & hole for shift in sorted(shifts, key=lambda s: (np.hypot(*s), s))}
    for _ in range(MOST_PIECES):
        shift = max(covered, key=lambda s: int(np.count_nonzero(covered[s] & missing)))
        piece = covered[shift] & missing
        if not piece.any():
            break
        texture[piece] = _moved(detail, shift)[piece]
        missing &= ~piece
    return np.asarray(texture)


def _smooth(image: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), TEXTURE_SIGMA).reshape(image.shape)


def _moved(array: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    """What lies `shift` rows and columns away from every pixel; 0 or False beyond the image."""
    moved = np.zeros_like(array)
    there, here = [], []
    for step, side in zip(shift, array.shape, strict=False):
        there.append(slice(max(0, step), max(0, min(side, side + step))))
        here.append(slice(max(0, -step), max(0, min(side, side - step))))
    moved[tuple(here)] = array[tuple(there)]
    return moved
