"""How clearly a defect stands out of the grain of its surface.

Nobody labels what cannot be seen. A faint defect that was labelled on a smooth surface would be lost on a coarse one:
there it is made somewhat stronger, or another one is painted.
"""

from __future__ import annotations

import numpy as np

from albu_gan.defects.surface import LEAST_GRAIN

LEAST_QUANTILE = 0.1  # of the clarity of the donors of a class: what is painted stands out at least as much
PLAIN = 1.0  # clarity that is enough for any class
MIXED = 4.0  # between the lower and the upper sixth of a defect, in grains: twice what the grain alone makes
MOST_GAIN = 1.4  # by which a defect is made stronger, at most


def clarity(residual: np.ndarray, mask: np.ndarray, grain: float) -> float:
    """Mean of what is added in a mask, over the grain of the surface.

    Args:
        residual: (h, w, C) float32, 0 outside of the mask.
        mask: (h, w) bool, not empty.
        grain: standard deviation of the pixels of the surface, in units of the full range.
    """
    mean = abs(float(residual.sum())) / (residual.shape[2] * int(np.count_nonzero(mask)))
    return float(mean / max(grain, LEAST_GRAIN))


def clarities_of(statures: np.ndarray, grains: np.ndarray) -> np.ndarray:
    """Return how clearly donors stood out where they were seen.

    Args:
        statures: (N, 8), see `albu_gan.defects.traits.stature`.
        grains: (N,) of their surfaces, as in `clarity`.

    Returns:
        (N,) float64; infinite for one whose mean says little, since parts of it are bright and others dark.
    """
    grains = np.maximum(grains, LEAST_GRAIN)
    mean, low, high = (statures[:, entry].astype(np.float64) / (6 * grains) for entry in (2, 3, 4))
    mixed = high - low > np.maximum(2 * np.abs(mean), MIXED)
    return np.where(mixed, np.inf, np.abs(mean))


def least_clarity(clarities: np.ndarray) -> float:
    """Return what the (N,) clarities of the donors of a class ask of what is painted."""
    known = clarities[np.isfinite(clarities)]
    return min(float(np.quantile(known, LEAST_QUANTILE)), PLAIN) if len(known) else 0.0


def made_clear(residual: np.ndarray, found: float, least: float) -> tuple[np.ndarray, float]:
    """Make a defect stronger that stands out less than it should; return it, and its clarity over `least`.

    Args:
        residual: (h, w, C) float32.
        found: its clarity.
        least: wanted; 0 for any.

    Returns:
        Its share of what is wanted is below 1 if it cannot be made as clear.
    """
    if least <= 0:
        return residual, float("inf")
    if found >= least:
        return residual, found / least
    gain = min(least / max(found, 1e-9), MOST_GAIN)
    return residual * np.float32(gain), gain * found / least


def seen_clearly(clarities: np.ndarray, grains: np.ndarray, views: np.ndarray, least: float) -> np.ndarray:
    """Say which donors of a class would be seen in an image.

    Args:
        clarities: (N,) of the donors.
        grains: (N,) of what they were seen on, as `albu_gan.defects.likeness.describe` has it: a square root.
        views: (V,) likewise, of spots of the image.
        least: clarity that their class asks for.

    Returns:
        (N,) bool; all True if no donor would.
    """
    there = clarities * np.square(grains / max(float(views.min()), 1e-3))
    seen: np.ndarray = there * MOST_GAIN >= least
    return seen if seen.any() else ~seen
