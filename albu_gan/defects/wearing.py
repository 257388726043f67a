"""Another appearance laid into a shape: scan line by scan line, rim on rim."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from albu_gan.defects.surface import between
from albu_gan.painting import mask_box

SCANS = 24  # lines across a mask at most, along its principal axis
PIXELS = 2.0  # of the length of a mask for each of them at least: in fewer, its corners would be seen as stripes
STEP = 3  # pixels from one to the next for which is calculated where they look
EVEN = np.array([0.25, 0.5, 0.25], np.float32)  # of a rim and its neighbours


def rim_on_rim(donor: np.ndarray, mask: np.ndarray, along: bool = False, across: bool = False) -> np.ndarray:
    """Say how the appearance of a donor is laid into another shape: scan line by scan line, rim on rim.

    Args:
        donor: (h, w) bool, with or without a rim around its shape.
        mask: (H, W) bool that the appearance is laid into.
        along: whether its ends are exchanged.
        across: whether its sides are exchanged.

    Returns:
        (H, W, 2) float32, for `lay` with the donor's appearance and the identity.
    """
    box = mask_box(donor)
    assert box is not None, "a defect has pixels"
    tight = donor[box[0] : box[0] + box[2], box[1] : box[1] + box[3]]
    source, target = scans_of(tight), scans_of(mask)
    x, y = np.meshgrid(*(_nodes(side) for side in mask.shape[::-1]))
    u, v = target.to_axes(x, y)
    t = np.clip((u - target.first) / max(target.last - target.first, 1.0), -0.05, 1.05)
    low, high = target.rims(t)
    s = np.clip((v - low) / np.maximum(high - low, 1.0), -0.2, 1.2)
    t, s = (1 - t if along else t), (1 - s if across else s)
    low, high = source.rims(t)
    there_x, there_y = source.from_axes(source.first + t * (source.last - source.first), low + s * (high - low))
    coarse = cv2.merge([(there_x - x).astype(np.float32), (there_y - y).astype(np.float32)])
    full = cv2.resize(coarse, None, fx=STEP, fy=STEP, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(full[STEP : STEP + mask.shape[0], STEP : STEP + mask.shape[1]])


def _nodes(side: int) -> np.ndarray:
    """Coordinates between whose values `cv2.resize` interpolates the pixels of a side, one step more at either end."""
    return np.asarray(np.arange(-1, -(-side // STEP) + 1, dtype=np.float32) * STEP + np.float32((STEP - 1) / 2))


@dataclass(frozen=True)
class Scans:
    """A shape about its principal axis: where it begins and ends along it, and its two rims across it."""

    centre: tuple[float, float]
    axis: tuple[float, float]
    first: float
    last: float
    low: np.ndarray
    high: np.ndarray

    def to_axes(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return coordinates along and across the axis."""
        (a, b), (cx, cy) = self.axis, self.centre
        return a * (x - cx) + b * (y - cy), a * (y - cy) - b * (x - cx)

    def from_axes(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return x and y of coordinates along and across the axis."""
        (a, b), (cx, cy) = self.axis, self.centre
        return cx + a * u - b * v, cy + b * u + a * v

    def rims(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return both rims at shares of the length."""
        both = between(np.stack([self.low, self.high], axis=1), t * np.float32(len(self.low)))
        return both[..., 0], both[..., 1]


def scans_of(mask: np.ndarray) -> Scans:
    """Measure an (h, w) bool mask about its principal axis."""
    rows, columns = np.nonzero(mask)
    x, y = columns.astype(np.float32), rows.astype(np.float32)
    cx, cy = float(x.mean()), float(y.mean())
    dx, dy = x - cx, y - cy
    angle = 0.5 * math.atan2(2 * float((dx * dy).mean()), float((dx * dx).mean() - (dy * dy).mean()))
    a, b = math.cos(angle), math.sin(angle)
    u, v = a * dx + b * dy, a * dy - b * dx
    first, last = float(u.min()) - 0.5, float(u.max()) + 0.5
    count = int(np.clip((last - first) / PIXELS, 1, SCANS))
    scan = np.minimum(((u - first) * (count / (last - first))).astype(np.int64), count - 1)
    low, high = np.full(count, np.inf, np.float32), np.full(count, -np.inf, np.float32)
    np.minimum.at(low, scan, v)
    np.maximum.at(high, scan, v)
    known = np.flatnonzero(high >= low)
    every = np.arange(count)
    rims = np.interp(every, known, low[known]) - 0.5, np.interp(every, known, high[known]) + 0.5
    return Scans((cx, cy), (a, b), first, last, *(_evened(rim.astype(np.float32)) for rim in rims))


def _evened(rim: np.ndarray) -> np.ndarray:
    """Average a rim over neighbouring lines."""
    return np.asarray(np.convolve(np.pad(rim, 1, "edge"), EVEN, "valid"))
