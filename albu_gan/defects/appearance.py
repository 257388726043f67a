"""What a real defect looks like, and how the same defect looks in another place.

A defect is kept as its pixels and the smooth surface that lay under it. What it did to that surface is read from the
two as a ratio, as a difference, or not at all (the pixels as they are), and done to the surface of another place.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from albu_gan.defects.surface import (
    BAND,
    Grain,
    box_around,
    dilate,
    enlarge,
    fill,
    grain_of,
    mean_square,
    reduce,
    smooth,
    smooth_by,
    step,
)
from albu_gan.painting import Parts, mask_box

RIM = 6  # pixels kept around a defect: a warped mask may look one or two beyond its own
MARGIN = 3  # pixels around a label that still show its defect
CONTEXT = 20  # pixels around a defect at least, that say what the surface is
REDUCE = 4  # source pixels of a side of one stored pixel of the surface
HALF = 2  # source pixels of a side of one stored pixel of the mattes
THIN = 4.0  # pixels from the edge inwards: labels of less depth are close to their defects


@dataclass(frozen=True)
class Formula:
    """How a defect depends on the surface it lies on: shares of three predictions, which sum to 1.

    Attributes:
        ratio: it takes the same share of the light everywhere; a shadow, a stain, a change of exposure.
        difference: it adds the same everywhere; scattered light, dust, a glow.
        pixels: it hides the surface; a hole, an inclusion, whatever lies on top.
    """

    ratio: float
    difference: float
    pixels: float

    def __post_init__(self) -> None:
        shares = (self.ratio, self.difference, self.pixels)
        if min(shares) < 0 or abs(sum(shares) - 1) > 1e-3:
            raise ValueError(f"the shares of a formula must not be negative and sum to 1, got {shares}")


RATIO, DIFFERENCE, PIXELS = Formula(1, 0, 0), Formula(0, 1, 0), Formula(0, 0, 1)


@dataclass(frozen=True)
class Appearance:
    """A real defect at source resolution, and the surface under it.

    Attributes:
        pixels: (h, w, C) uint8, C = 1 or 3; the tight box of the defect and a rim of up to `RIM` pixels, less at the
            border of its image. Neighbouring defects in the rim have been taken out.
        surface: (ceil(h / REDUCE), ceil(w / REDUCE), C) uint8, the smooth surface under it.
        mask: (h, w) bool, the defect in `pixels`.
        grain: of the surface around the defect.
        mattes: (ceil(h / HALF), ceil(w / HALF), 2) uint8, `cover` and `alpha` of `Laid` in 255ths.
        beyond: how much of the defect is left just outside of its label, in [0, 1]; near 0 if the label holds all.
        parts: of a compound, as large as `mask`; None for a defect of one class.
    """

    pixels: np.ndarray
    surface: np.ndarray
    mask: np.ndarray
    grain: Grain
    mattes: np.ndarray
    beyond: float
    parts: Parts | None = None

    @property
    def offset_xy(self) -> tuple[int, int]:
        """Column and row in `pixels` of the first pixel of the defect's tight box."""
        box = mask_box(self.mask)
        assert box is not None, "a defect has pixels"
        return box[1], box[0]

    def full_surface(self) -> np.ndarray:
        """Return the surface as large as the pixels, (h, w, C) float32 in [0, 1]."""
        full = enlarge(self.surface, REDUCE, (self.mask.shape[0], self.mask.shape[1]))
        return np.asarray(full * np.float32(1 / 255))

    def full_mattes(self) -> np.ndarray:
        """Return the mattes as large as the pixels, (h, w, 2) float32 in [0, 1]."""
        full = enlarge(self.mattes, HALF, (self.mask.shape[0], self.mask.shape[1]))
        return np.asarray(full * np.float32(1 / 255))


def cut_appearance(image: np.ndarray, mask: np.ndarray, labelled: np.ndarray | None = None) -> Appearance:
    """Cut a defect out of its image, and fill the surface in under it.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3) uint8; not changed.
        mask: (H, W), nonzero where this one defect is; not empty.
        labelled: (H, W), nonzero where any defect is: neither surface nor grain is read there. None if there is no
            other.
    """
    box = mask_box(mask)
    assert box is not None, "a defect has pixels"
    context = max(CONTEXT, max(box[2:]) // 3)
    rows, columns = box_around(box, context, mask.shape)
    own = np.ascontiguousarray(mask[rows, columns] != 0)
    around = image.reshape(*image.shape[:2], -1)[rows, columns].astype(np.float32)
    others = np.zeros_like(own) if labelled is None else (labelled[rows, columns] != 0) & ~own
    hole = dilate(own | others, MARGIN)
    if hole.all():
        hole = own | others
    surface = smooth(fill(around, hole)) if not hole.all() else np.broadcast_to(around.mean((0, 1)), around.shape)
    grain = grain_of(around, surface, ~hole)
    around = np.where((dilate(others, MARGIN) & ~dilate(own, 1))[:, :, None], surface, around)
    inner_rows, inner_columns = box_around(box, RIM, mask.shape)
    frame = tuple(
        slice(inner.start - outer.start, inner.stop - outer.start)
        for inner, outer in ((inner_rows, rows), (inner_columns, columns))
    )
    pixels = np.clip(np.rint(around[frame]), 0, 255).astype(np.uint8)
    reduced, inside = reduce(surface[frame], REDUCE), np.ascontiguousarray(own[frame])
    # Against the surface as it is kept, so that both give the donor back together.
    kept = enlarge(reduced, REDUCE, (inside.shape[0], inside.shape[1]))
    low, high = _bands((pixels - kept) * np.float32(1 / 255))
    mattes = reduce(255 * np.dstack(matte(low, high, inside, grain)), HALF)
    return Appearance(pixels, reduced, inside, grain, mattes, _beyond(pixels, kept, inside, others[frame]))


def effect_bands(appearance: Appearance) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the surface, and pixels less surface in a coarse and a fine band: (h, w, C) float32 each."""
    surface = appearance.full_surface()
    effect = appearance.pixels.astype(np.float32)
    effect *= np.float32(1 / 255)
    effect -= surface
    return surface, *_bands(effect)


def _bands(effect: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low = smooth_by(effect, BAND)
    return low, effect - low


def matte(low: np.ndarray, high: np.ndarray, mask: np.ndarray, grain: Grain) -> tuple[np.ndarray, np.ndarray]:
    """Tell the defect from bare surface inside its label.

    Args:
        low: (h, w, C) float32, pixels less surface, the coarse band.
        high: the same, the fine band.
        mask: (h, w) bool, the label.
        grain: of the surface.

    Returns:
        (h, w) float32 in [0, 1] each: where the grain is the defect's, and where there is a defect at all.
    """
    if thin(mask):
        whole = np.ones(mask.shape, np.float32)
        return whole, whole
    strength = np.sqrt(mean_square(low))
    energy = np.sqrt(np.maximum(cv2.blur(mean_square(high), (5, 5)), 0)) * np.float32(1 / grain.pixel)
    other_grain = np.maximum(step(energy, 1.25, 1.9), step(energy, 0.6, 0.35))
    cover = np.maximum(other_grain, step(strength, 3 * grain.pixel, 6 * grain.pixel))
    alpha = np.maximum(cover, step(strength, 0.8 * grain.mean, 2.0 * grain.mean))
    return cv2.blur(cover, (3, 3)), cv2.blur(alpha, (3, 3))


def thin(mask: np.ndarray) -> bool:
    """Whether no pixel of an (h, w) bool mask lies deeper than `THIN` pixels in it."""
    padded = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return float(cv2.distanceTransform(padded, cv2.DIST_L2, 3).max()) <= THIN


def _beyond(pixels: np.ndarray, surface: np.ndarray, mask: np.ndarray, others: np.ndarray) -> float:
    """How much of a defect is left two pixels outside of its label, of what it is inside."""
    effect = np.sqrt(mean_square(cv2.blur(pixels.astype(np.float32), (3, 3)).reshape(surface.shape) - surface))
    ring = dilate(mask, 2) & ~dilate(mask, 1) & ~dilate(others, MARGIN)
    if not ring.any():
        return 0.0
    noise = float(np.median(effect[~dilate(mask, 4)])) if (~dilate(mask, 4)).any() else 0.0
    outside, inside = float(effect[ring].mean()) - noise, float(np.percentile(effect[mask], 75)) - noise
    return min(max(outside / max(inside, 1.0), 0.0), 1.0)
