"""Appearances that are invented after a donor's, and laid over it in soft blobs."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np

from albu_gan.defects.relight import EPSILON, Laid
from albu_gan.defects.surface import between, step

BANDS = (1.5, 3.0, 6.0, 12.0)  # sigma in pixels, between which a donor's texture is measured and invented
PROFILE = 8  # steps of depth from the edge of a mask to its middle
RANKS = 17  # quantiles that an invented texture takes from its donor


def invented(laid: Laid, mask: np.ndarray, rng: np.random.Generator) -> Laid:
    """Invent an appearance with a donor's statistics.

    What the donor is at each depth into the mask; plus random fields with its contrast in every band of `BANDS`, and
    of its distribution: what is mostly dark spots stays mostly dark spots; plus its fine detail, from elsewhere in the
    mask, since random fields have none of the edges that make detail look like matter.

    Args:
        laid: the donor's appearance in the frame of the mask.
        mask: (h, w) bool.
        rng: the only source of randomness.
    """
    e = np.float32(EPSILON)
    log = np.log(np.maximum(laid.pixels + e, np.float32(1e-3)) / (laid.surface + e))
    C = log.shape[2]
    profile = _profile(cv2.merge([log, laid.cover, laid.alpha]), mask)
    rest = log - profile[:, :, :C]
    even = rest.mean(axis=2)
    # Beyond the mask lies another surface; its edge would be measured as texture.
    even = np.where(mask, even, 0)
    coarse = _even(even, BANDS[0]) / np.maximum(_even(mask.astype(np.float32), BANDS[0]), np.float32(1e-3))
    fine = _elsewhere((even - coarse) * mask, mask, rng)
    texture = np.zeros(mask.shape, np.float32)
    noise = rng.standard_normal(mask.shape, np.float32)
    for real, made in zip(_bands(coarse * mask), _bands(noise), strict=True):
        texture += made * (_deviation(real, mask) / max(_deviation(made, mask), 1e-6))
    texture = _distributed_as(texture, coarse, mask) + fine
    overall = max(_deviation(even, mask), 1e-6)
    strength = np.array([_deviation(rest[:, :, c], mask) / overall for c in range(C)], np.float32)
    made_log = profile[:, :, :C] + texture[:, :, None] * np.minimum(strength, 2)
    pixels = np.clip((laid.surface + e) * np.exp(made_log) - e, 0, 1)
    return replace(laid, pixels=pixels, cover=profile[:, :, C], alpha=profile[:, :, C + 1])


def blob_mix(one: Laid, two: Laid, share: float, mask: np.ndarray, rng: np.random.Generator) -> Laid:
    """Take one appearance in some soft blobs of a mask and another in the rest.

    Args:
        one: appearance in the frame of the mask.
        two: another on the same surface.
        share: of the mask that the second one takes, in [0, 1].
        mask: (h, w) bool.
        rng: the only source of randomness.
    """
    if share >= 1:
        return two
    size = max(2.0, math.sqrt(float(np.count_nonzero(mask))) / 5)
    blobs = smooth_field(mask.shape, size, 1.0, rng)[:, :, 0]
    threshold = float(np.quantile(blobs[mask], 1 - share))
    weight = step(blobs, threshold - 0.35, threshold + 0.35)
    wide = weight[:, :, None]
    return replace(
        one,
        pixels=one.pixels + wide * (two.pixels - one.pixels),
        cover=one.cover + weight * (two.cover - one.cover),
        alpha=one.alpha + weight * (two.alpha - one.alpha),
    )


def smooth_field(shape: tuple[int, ...], cell: float, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 2) float32: two smooth random fields, values on a grid of `cell` pixels and a cubic between."""
    nodes = [math.ceil(side / cell) + 2 for side in shape[:2]]
    grid = (deviation * rng.standard_normal((*nodes, 2))).astype(np.float32)
    size = [max(math.ceil(count * cell), side) for count, side in zip(nodes, shape, strict=False)]
    full = cv2.resize(grid, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    # No node of the grid has a fixed place in the mask.
    top, left = (int(rng.integers(whole - side + 1)) for whole, side in zip(size, shape, strict=False))
    return np.asarray(full[top : top + shape[0], left : left + shape[1]])


def _profile(channels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean of (h, w, K) channels at each depth into a mask, laid out again: (h, w, K)."""
    padded = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    deepest = float(depth.max())
    steps = max(1, min(PROFILE, round(deepest)))
    position = depth * np.float32(steps / max(deepest, 1e-6))
    number = np.minimum(position, steps - 1e-3).astype(np.int64)[mask]
    count = np.maximum(np.bincount(number, minlength=steps), 1)
    inside = channels[mask]
    sums = np.stack([np.bincount(number, inside[:, k], steps) for k in range(channels.shape[2])], axis=1)
    return between((sums / count[:, None]).astype(np.float32), position)


def _even(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur an (h, w) image by two boxes, about as a normal distribution would."""
    side = 2 * round((math.sqrt(6 * sigma * sigma + 1) - 1) / 2) + 1
    return np.asarray(cv2.blur(cv2.blur(image, (side, side)), (side, side)))


def _bands(image: np.ndarray) -> list[np.ndarray]:
    """Split what is coarser than the first of `BANDS` into bands, the finest first, and leave the rest out."""
    levels = [_even(image, sigma) for sigma in BANDS if sigma == BANDS[0] or sigma < max(image.shape)]
    return [finer - coarser for finer, coarser in pairwise(levels)] or levels


def _elsewhere(detail: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Take (h, w) detail from other parts of a mask: turned and shifted, in some blobs one way, in others another."""
    height, width = mask.shape
    cx, cy = (width - 1) / 2, (height - 1) / 2
    inside = mask.astype(np.float32)
    blobs = smooth_field(mask.shape, max(4.0, max(mask.shape) / 4), 1.0, rng)[:, :, 0]
    weights = step(blobs, -0.4, 0.4)
    total, weight = np.zeros_like(detail), np.full_like(detail, 1e-3)
    for share in (weights, 1 - weights):
        matrix = cv2.getRotationMatrix2D((cx, cy), 180 * float(rng.integers(2)) + rng.uniform(-15, 15), 1.0)
        if rng.random() < 0.5:
            matrix[:, 0], matrix[:, 2] = -matrix[:, 0], matrix[:, 2] + matrix[:, 0] * (width - 1)
        matrix[:, 2] = matrix[:, 2] + rng.uniform(-0.15, 0.15, 2) * (width, height)
        both = cv2.warpAffine(cv2.merge([detail, inside]), matrix, (width, height), flags=cv2.INTER_LINEAR)
        total += share * both[:, :, 0]
        weight += share * both[:, :, 1]
    return np.asarray(total / np.maximum(weight, 0.25))


def _deviation(image: np.ndarray, mask: np.ndarray) -> float:
    return float(cv2.meanStdDev(image, mask=mask.view(np.uint8))[1][0, 0])


def _distributed_as(texture: np.ndarray, real: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Give an (h, w) texture the quantiles inside the mask that a real one has."""
    ranks = np.linspace(0.02, 0.98, RANKS)
    have, want = (_quantiles(array[mask], ranks) for array in (texture, real))
    return np.asarray(np.interp(texture, have, want), np.float32)


def _quantiles(values: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    ordered = np.sort(values[:: 1 + len(values) // 2048])
    return np.asarray(ordered[np.rint(ranks * (len(ordered) - 1)).astype(np.int64)])
