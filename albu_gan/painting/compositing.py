"""Painted defects laid into images: soft at the edge, bit-identical outside; and how visible the result is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import Any

import cv2
import numpy as np

EDGE = 2.0  # pixels from the edge of a mask inwards, over which what is painted rises


@dataclass(frozen=True)
class Patch:
    """A painted defect, ready to be added to an image of the same size as the one it was made for.

    Attributes:
        top: first row in the image.
        left: first column in the image.
        mask: (h, w) bool, the label; nothing else changes.
        residual: (h, w, 1 or 3) float32, what is added, in units of the full range of the image.
        class_index: of the defect.
        clarity: how far it stands out of the grain around it, over what is the least for its class: below 1 it would
            be missed. Infinite if that is not known.
    """

    top: int
    left: int
    mask: np.ndarray
    residual: np.ndarray
    class_index: int
    clarity: float = math.inf


def edge_weight(mask: np.ndarray, top: int, left: int, image_hw: tuple[int, int]) -> np.ndarray:
    """Say how much of what is painted a pixel gets: less at the edge of its mask, since no lens shows a step.

    It rises over `EDGE` pixels from the edge inwards, over less in a mask that is not twelve times as wide, and not at
    all in one of up to six pixels: a crack keeps its contrast. Where the border of the image cuts a mask, there is no
    edge.

    Args:
        mask: (h, w) bool.
        top: first row of the mask in the image.
        left: first column.
        image_hw: height and width of the image.

    Returns:
        (h, w) float32 in [0, 1], above 0 in the mask and 0 outside.
    """
    padded = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.uint8)
    padded[1:-1, 1:-1] = mask
    if left == 0:
        padded[:, 0] = padded[:, 1]
    if left + mask.shape[1] == image_hw[1]:
        padded[:, -1] = padded[:, -2]
    if top == 0:
        padded[0] = padded[1]
    if top + mask.shape[0] == image_hw[0]:
        padded[-1] = padded[-2]
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1]
    over = min(max(float(depth.max()) / 6, 0.5), EDGE)
    weight = np.subtract(depth, np.float32(0.5))
    weight *= np.float32(1 / over)
    return np.asarray(weight.clip(0, 1, out=weight))


def paste(image: np.ndarray, patch: Patch) -> None:
    """Add a patch to `image` in place; pixels outside `patch.mask` stay bit-identical.

    Args:
        image: (H, W) or (H, W, C), uint8, or float32 in [0, 1].
        patch: inside the image. Where its channels are not the image's, their mean goes to every channel.
    """
    height, width = patch.mask.shape
    region = image[patch.top : patch.top + height, patch.left : patch.left + width]
    residual = _fit_channels(patch.residual, image)
    if image.dtype == np.uint8:  # rounds and saturates in one pass
        residual = np.float32(255) * residual
        if image.ndim == 3 and residual.shape[2] != image.shape[2]:
            residual = cv2.merge([residual] * image.shape[2])
        painted = cv2.add(region, residual, dtype=cv2.CV_8U).reshape(region.shape)
    else:
        painted = np.clip(region + residual, 0, 1, dtype=image.dtype)
    if region[0].flags.c_contiguous and region.strides[0] > 0:  # what cv2 writes to in place
        cv2.copyTo(painted, patch.mask.view(np.uint8), region)
    else:
        np.copyto(region, painted, where=patch.mask if image.ndim == 2 else patch.mask[:, :, None])


def _fit_channels(residual: np.ndarray, image: np.ndarray) -> np.ndarray:
    channels = 1 if image.ndim == 2 else image.shape[2]
    if residual.shape[2] not in (1, channels):
        residual = residual.mean(axis=2, keepdims=True)
    return residual[:, :, 0] if image.ndim == 2 else residual


def contrast(before: np.ndarray, after: np.ndarray, mask: np.ndarray) -> float:
    """How visible a defect is: the 75th percentile, over its mask, of the largest absolute channel change.

    Args:
        before: (h, w) or (h, w, C), uint8, or float32 in [0, 1].
        after: the same after painting.
        mask: (h, w), nonzero where the defect is.

    Returns:
        Levels of 255.
    """
    if not mask.any():
        return 0.0
    change = cv2.absdiff(before, after).reshape(*mask.shape, -1)
    largest = reduce(np.maximum, (change[:, :, channel] for channel in range(change.shape[2])))
    if largest.dtype == np.uint8:  # counted, which for a large mask takes half as long as sorting
        painted = (mask != 0).view(np.uint8)
        counts = cv2.calcHist([np.ascontiguousarray(largest)], [0], painted, [256], [0, 256]).ravel()
        up_to = np.cumsum(counts, dtype=np.int64)
        at = 0.75 * (int(up_to[-1]) - 1)
        low, high = (int(np.searchsorted(up_to, rank, side="right")) for rank in (math.floor(at), math.ceil(at)))
        return low + (at - math.floor(at)) * (high - low)
    values = largest[mask != 0]
    at = 0.75 * (len(values) - 1)
    below, above = math.floor(at), math.ceil(at)
    ordered = np.partition(values, (below, above, len(values) - 1))  # what is no number comes last
    if np.isnan(ordered[-1]):
        return math.nan
    return 255.0 * (float(ordered[below]) + (at - below) * (float(ordered[above]) - float(ordered[below])))


def check_image(image: Any) -> None:
    """Raise unless `image` is something that can be painted.

    Raises:
        TypeError: if it is no array of uint8 or float32.
        ValueError: if it is not (H, W) or (H, W, C), or has no pixels.
    """
    if not isinstance(image, np.ndarray):
        raise TypeError(f"image must be a numpy array, got {type(image).__name__}; convert it with np.asarray(image)")
    if image.dtype not in (np.uint8, np.float32):
        raise TypeError(
            f"image must be uint8 or float32 in [0, 1], got {image.dtype}; "
            "scale it and convert it with image.astype(np.float32), or use A.ToFloat before"
        )
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(f"image must be (H, W) or (H, W, C) with at least one pixel, got shape {image.shape}")


def check_scale(key: str, frame: np.ndarray) -> None:
    """Raise if a float image is plainly not in [0, 1]; what interpolation overshoots is let pass.

    An image that overshoots reaches 1 where it is bright, and is negative at the edges of what is dark alone.
    """
    if frame.dtype != np.float32:
        return
    sparse = frame[::8, ::8]
    low, high = float(sparse.min()), float(sparse.max())
    negative = float((sparse < -0.02).mean()) if low < -0.02 else 0.0
    if high > 1.5 or low < -0.5 or negative > (0.1 if high <= 1 else 0.4):
        raise ValueError(
            f"{key} must hold float32 in [0, 1], got values from {low:g} to {high:g}; divide by 255, "
            "or put GANDefectInpaint before A.Normalize"
        )
