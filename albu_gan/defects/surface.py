"""The smooth surface of an image, with and without what lies on it; and its grain."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

LARGEST_FILL = 192  # pixels of the longer side that a membrane is stretched at; larger holes are smoother anyway
RELAXATIONS = 16  # at every level of the membrane's pyramid
BOX = 9  # pixels, applied twice: what is finer is grain, what is coarser the surface
SPARSE = 3  # every such pixel of a place is looked at where a median is wanted
COARSE_LEFT = 1.35  # of white grain: what is coarse of it about a membrane, over that about its own surface
BLURRED_BY = (0.0, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 2.5)  # sigma in pixels of a blur of white noise
BLURRED_RATIO = (1.87, 1.83, 1.47, 0.94, 0.53, 0.29, 0.19, 0.15)  # its roughness over its deviation after that
LEAST_GRAIN = 0.7 / 255  # rounding to levels alone
BAND = 5  # pixels, applied twice: between the two bands that are matted


class Grain(NamedTuple):
    """How uneven a surface is about its smooth self, in units of the full range."""

    pixel: float  # standard deviation of single pixels
    mean: float  # of means over about `BAND` pixels
    rough: float  # ninth decile of the difference of a pixel from its neighbours


def step(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 up to `low`, 1 from `high` on, smooth between; falls if `high` is the smaller one."""
    t = np.clip((values - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def smooth(image: np.ndarray) -> np.ndarray:
    """Take out of an (H, W, C) float32 image what is finer than about `BOX` pixels."""
    once = cv2.blur(image, (BOX, BOX))
    return np.asarray(cv2.blur(once, (BOX, BOX))).reshape(image.shape)


def reduce(image: np.ndarray, factor: int) -> np.ndarray:
    """(h, w, C) float32 levels to uint8, means of `factor` x `factor` pixels."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % factor), (0, -width % factor), (0, 0)), "edge")
    size = (padded.shape[1] // factor, padded.shape[0] // factor)
    reduced = cv2.resize(padded, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)
    return np.asarray(np.clip(np.rint(reduced), 0, 255), np.uint8)


def enlarge(reduced: np.ndarray, factor: int, size_hw: tuple[int, int]) -> np.ndarray:
    """Bring what `reduce` returned back to (h, w, C), float32 levels."""
    size = (reduced.shape[1] * factor, reduced.shape[0] * factor)
    full = cv2.resize(reduced.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(full).reshape(size[1], size[0], -1)[: size_hw[0], : size_hw[1]]


def fill(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Stretch a membrane over a hole: about the solution of Laplace's equation with what lies around it.

    Args:
        image: (H, W, C) float32.
        hole: (H, W) bool, some of it False.

    Returns:
        (H, W, C) float32, the image outside of the hole.

    References:
        Grossman, Dally: Point sample rendering, 1998 (pull and push); Perez, Gangnet, Blake: Poisson image editing,
        2003, equation 2, for the membrane.
    """
    known = (~hole).astype(np.float32)
    weight = cv2.blur(cv2.blur(known, (5, 5)), (5, 5))
    # The rim is averaged first: a membrane carries the grain of single pixels far inwards.
    even = smooth_by(image * known[:, :, None], 5) / np.maximum(weight, 1e-4)[:, :, None] * known[:, :, None]
    factor = max(hole.shape) / LARGEST_FILL
    if factor > 1:
        size = (max(1, round(hole.shape[1] / factor)), max(1, round(hole.shape[0] / factor)))
        small = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
        values = _channels(cv2.resize(even, size, interpolation=cv2.INTER_AREA))
        filled = _channels(cv2.resize(_membrane(values, small), hole.shape[::-1], interpolation=cv2.INTER_LINEAR))
    else:
        filled = _membrane(even, known)
    return np.where(hole[:, :, None], filled, image)


def _membrane(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Fill an (H, W, C) image, premultiplied by its (H, W) weights, where these are 0."""
    levels = [(values, weight)]
    while levels[-1][1].min() == 0:
        height, width = (-(-side // 2) for side in levels[-1][1].shape)
        coarser, coarser_weight = (cv2.resize(a, (width, height), interpolation=cv2.INTER_AREA) for a in levels[-1])
        levels.append((coarser, coarser_weight))
    coarse, weight = levels.pop()
    filled = _channels(coarse) / weight[:, :, None]
    for finer, weight in reversed(levels):
        height, width = weight.shape
        free = (weight == 0)[:, :, None]
        wider = _channels(cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR))
        filled = np.where(free, wider, _channels(finer) / np.maximum(weight, 1e-6)[:, :, None])
        for _ in range(RELAXATIONS):
            mean = _channels(cv2.blur(filled, (3, 3), borderType=cv2.BORDER_REPLICATE))
            filled = np.where(free, mean, filled)
    return np.asarray(filled)


def roughness(image: np.ndarray, known: np.ndarray | None = None) -> float:
    """Ninth decile of the differences of pixels from the mean of their four neighbours, in the units of the image.

    Args:
        image: (H, W, C) float32.
        known: (H, W) bool, where; None for everywhere.
    """
    if min(image.shape[:2]) < 3:
        return 0.0
    step_ = 1 if known is not None else SPARSE
    inner = image[1:-1:step_, 1:-1:step_]
    beside = image[:-2:step_, 1:-1:step_] + image[2::step_, 1:-1:step_]
    beside += image[1:-1:step_, :-2:step_] + image[1:-1:step_, 2::step_]
    detail = np.abs(inner - np.float32(0.25) * beside)
    return quantile(detail if known is None else detail[known[1:-1, 1:-1]], 0.9)


def quantile(values: np.ndarray, rank: float) -> float:
    """The value at a rank in [0, 1), which needs no sorting."""
    flat = values.ravel()
    if not len(flat):
        return 0.0
    at = int(rank * len(flat))
    return float(np.partition(flat, at)[at])


def dilate(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Grow a bool mask by so many pixels on every side."""
    side = 2 * pixels + 1
    return np.asarray(cv2.dilate(mask.view(np.uint8), np.ones((side, side), np.uint8)).view(bool))


def smooth_by(image: np.ndarray, side: int) -> np.ndarray:
    """Box filter of `side` pixels, twice."""
    return _channels(cv2.blur(cv2.blur(image, (side, side)), (side, side)))


def grain_of(image: np.ndarray, surface: np.ndarray, known: np.ndarray) -> Grain:
    """Measure the grain of an (H, W, C) image in levels about its surface, where it is known."""
    if known.sum() < 16:
        return Grain(LEAST_GRAIN, LEAST_GRAIN / 2, LEAST_GRAIN / 2)
    weight = smooth_by(known.astype(np.float32), BAND)
    detail = (image - surface) * known[:, :, None]
    mean = smooth_by(detail, BAND) / np.maximum(weight, 1e-3)
    # Quartiles rather than squares: one edge of a part, or another mark, would hide the defect.
    # A surface follows its own coarse grain; under a defect it cannot, so that there is more left of it.
    fine, coarse = (1.4826 * float(np.median(np.abs(a[known]))) for a in (detail, mean))
    rough = roughness(image, known)
    return Grain(max(fine / 255, LEAST_GRAIN), max(COARSE_LEFT * coarse / 255, LEAST_GRAIN / 2), rough / 255)


def blur_of(rough: float, deviation: float) -> float:
    """Tell how blurred an image is from its grain: the sigma, in pixels, that makes such grain of white noise.

    Grain that comes after the lens is not blurred by it, so this is the least that the image may be.

    Args:
        rough: ninth decile, as `roughness` has it.
        deviation: standard deviation of pixels about the smooth surface.

    Returns:
        In [0, 2.5].
    """
    return float(np.interp(rough / max(deviation, 1e-9), BLURRED_RATIO[::-1], BLURRED_BY[::-1]))


def mean_square(image: np.ndarray) -> np.ndarray:
    """(H, W, C) to (H, W), the mean of the channels' squares."""
    squares = image * image
    if image.shape[2] == 1:
        return np.asarray(squares[:, :, 0])
    return np.asarray(squares @ np.full(image.shape[2], 1 / image.shape[2], np.float32))


def _channels(image: np.ndarray) -> np.ndarray:
    """Give an image that cv2 returned its last axis back."""
    return image if image.ndim == 3 else image[:, :, None]


def box_around(box: tuple[int, int, int, int], pixels: int, limits: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of a box, and so many pixels around it, inside an image."""
    top, left, height, width = box
    rows = slice(max(0, top - pixels), min(limits[0], top + height + pixels))
    return rows, slice(max(0, left - pixels), min(limits[1], left + width + pixels))


def between(values: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Interpolate (N, K) or (N,) values, which stand at 1/2, 3/2, ..., at the positions of an array; ends are kept."""
    at = (position - np.float32(0.5)).clip(0, len(values) - 1)
    below = np.minimum(at.astype(np.int64), max(len(values) - 2, 0))
    share = (at - below).astype(np.float32)
    share = share[..., None] if values.ndim == 2 else share
    low = values[below]
    return np.asarray(low + share * (values[np.minimum(below + 1, len(values) - 1)] - low))
