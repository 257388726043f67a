"""What of a donor decides how it may be varied, and by whom."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from albu_gan.defects.appearance import Appearance, effect_bands
from albu_gan.defects.wearing import scans_of

SOLID = 0.72  # of the area between a mask's two rims: with more gaps another's appearance does not fit in
ALIKE = 0.7  # largest distance of two donors that lend each other their appearance; see `stature`
NEAREST = 3  # of them that one is drawn from
STREAKY = 0.5  # coherence of texture from which on blobs of another texture are seen in it
EXTENDED = 24.0  # pixels of depth from which on an invented texture is seen to be only that
STRUCTURED = 0.5  # see `structure`
SLENDER = 3.0  # pixels of depth up to which a shape is all outline, whatever its texture


@dataclass(frozen=True)
class Traits:
    """What of a donor decides how it may be varied; see `traits`.

    Attributes:
        inventable: whether a partly invented appearance can pass for the donor's; see `inventable`.
        solid: whether appearances can be laid rim on rim; see `solidity`.
        stiff: whether stripes would be seen to bend.
    """

    inventable: bool
    solid: bool
    stiff: bool


def traits(appearance: Appearance) -> Traits:
    """Measure a donor, once."""
    extended = _depth(appearance.mask) > EXTENDED
    solid = not extended and solidity(appearance.mask) >= SOLID
    return Traits(inventable(appearance), solid, extended or coherence(appearance) >= STREAKY)


def solidity(mask: np.ndarray) -> float:
    """Share of the area between the two rims of a bool mask, seen across its principal axis, that is inside."""
    scans = scans_of(mask)
    return float(np.count_nonzero(mask)) / max(float((scans.high - scans.low).mean()) * (scans.last - scans.first), 1.0)


def stature(appearance: Appearance) -> np.ndarray:
    """Size, texture and colour of a donor: (8,) float32 that differ by about `ALIKE` where the eye sees another kind.

    Logarithms of length and thickness, mean of what it adds to its surface, that of its lower and upper quarter, the
    share of its contrast that is fine, and how far its red and its blue are from its green.
    """
    scans = scans_of(appearance.mask)
    area = float(np.count_nonzero(appearance.mask))
    length = max(scans.last - scans.first, 1.0)
    _, low, high = effect_bands(appearance)
    effect = (low + high).mean(axis=2)[appearance.mask]
    fine = float(np.std(high.mean(axis=2)[appearance.mask]) / max(float(effect.std()), 1e-6))
    quarters = (6 * float(np.percentile(effect, q)) for q in (15, 85))
    size = 2 * math.log(length), 2 * math.log(area / length)
    colour = appearance.pixels[appearance.mask].mean(axis=0) / 255
    hue = 10 * (colour[[0, -1]] - colour[len(colour) // 2])
    return np.array([*size, 6 * float(effect.mean()), *quarters, 2 * fine, *hue], np.float32)


def alike(statures: np.ndarray, index: int) -> list[int]:
    """Numbers of the donors, at most `NEAREST`, whose appearance another one may wear, the most alike first.

    Args:
        statures: (N, 8) of the donors of a class.
        index: of the one that is to wear it.
    """
    distance = np.sqrt(((statures - statures[index]) ** 2).sum(axis=1) / 6)
    distance[index] = np.inf
    return [int(i) for i in np.argsort(distance)[:NEAREST] if distance[i] <= ALIKE]


def coherence(appearance: Appearance) -> float:
    """How far the texture inside a defect runs one way, in [0, 1]; the outline itself is not looked at.

    References:
        Bigun, Granlund: Optimal orientation detection of linear symmetry, 1987.
    """
    gradient = _inner_gradient(appearance)
    if gradient is None:
        return 0.0
    dx, dy = gradient
    xx, yy, xy = float((dx * dx).mean()), float((dy * dy).mean()), float((dx * dy).mean())
    return math.hypot(xx - yy, 2 * xy) / max(xx + yy, 1e-12)


def structure(appearance: Appearance) -> float:
    """How far the inside of a defect is a thing, with outlines and highlights of its own, rather than a texture.

    The fourth moment of the gradient over the square of the second, which is 2 for random fields, times how much of
    the contrast is not the defect's mean.
    """
    gradient = _inner_gradient(appearance)
    if gradient is None:
        return 0.0
    square = gradient[0] ** 2 + gradient[1] ** 2
    sparse = float((square * square).mean()) / max(float(square.mean()) ** 2, 1e-12)
    _, low, high = effect_bands(appearance)
    effect = (low + high).mean(axis=2)[appearance.mask]
    deviation, mean = float(effect.std()), abs(float(effect.mean()))
    return sparse / 2 * deviation / max(deviation + mean, 1e-6)


def inventable(appearance: Appearance) -> bool:
    """Whether a partly invented appearance can pass for this donor's: no thing in itself, not streaky, not extended."""
    depth = _depth(appearance.mask)
    if depth <= SLENDER:
        return True
    return depth <= EXTENDED and coherence(appearance) < STREAKY and structure(appearance) < STRUCTURED


def _inner_gradient(appearance: Appearance) -> tuple[np.ndarray, np.ndarray] | None:
    """(N,) float32 along x and y of what a donor adds to its surface, away from its outline; None for a small one."""
    side = 5 if _depth(appearance.mask) > 6 else 3
    inside = cv2.erode(appearance.mask.view(np.uint8), np.ones((side, side), np.uint8)).view(bool)
    if np.count_nonzero(inside) < 32:
        return None
    _, low, high = effect_bands(appearance)
    effect = cv2.GaussianBlur((low + high).mean(axis=2), (0, 0), 0.8)
    return cv2.Sobel(effect, cv2.CV_32F, 1, 0)[inside], cv2.Sobel(effect, cv2.CV_32F, 0, 1)[inside]


def _depth(mask: np.ndarray) -> float:
    """Pixels from the edge of a bool mask to its middle."""
    padded = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return float(cv2.distanceTransform(padded, cv2.DIST_L2, 3).max())
