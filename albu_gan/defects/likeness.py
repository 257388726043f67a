"""Places like the one a defect was seen in: brightness, colour and grain, under it and around it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from albu_gan.defects.appearance import MARGIN, Appearance
from albu_gan.defects.surface import dilate
from albu_gan.painting import mask_box

UNDER = 32  # points that are looked at under a mask
RING = 24  # and around it
UNDER_RANKS, RING_RANKS = np.array([3, 16, 28]), np.array([2, 12, 21])  # of their points, by value
#: From red, green and blue to brightness, red against green, and blue against both.
OPPONENT = np.array([[1 / 3, 1, -0.5], [1 / 3, -1, -0.5], [1 / 3, 0, 1]], np.float32)
RING_REACH = 0.3  # of the mask's box, by which the ring lies outside of it
LEAST_REACH = 5.0  # pixels, likewise
LEAST_SPREAD = 0.06  # of the full range: what the surroundings of one class differ by at least
NEAR_PAIRS = 0.1  # of the pairs of a class are taken to have been seen on one kind of surface
FEW = 10  # donors, with which half of what goes together is believed
TOLERANCE = 0.5  # by which a place may be less like the donor's than the best one, at `place_like` = 0.5
MOST_DONORS = 100  # of a class whose surroundings are compared, each with each
STRANGE = 2.0  # a place that differs by more is never taken while there is a better one


def probe_points(mask: np.ndarray) -> np.ndarray:
    """Choose the pixels that say what a mask lies on.

    Args:
        mask: (h, w) bool, not empty.

    Returns:
        (UNDER + RING, 2) int64 rows and columns, relative to the mask's first pixel: some of the mask, evenly over
        its area, then some of an ellipse around its box, which may be negative or beyond it.
    """
    inside = np.flatnonzero(mask)
    chosen = inside[(np.arange(UNDER) * len(inside) + len(inside) // 2) // UNDER]
    height, width = mask.shape
    angle = np.arange(RING) * (2 * math.pi / RING)
    rows = (height - 1) / 2 + _ring(height) * np.sin(angle)
    columns = (width - 1) / 2 + _ring(width) * np.cos(angle)
    points = np.empty((UNDER + RING, 2), np.int64)
    points[:UNDER, 0], points[:UNDER, 1] = chosen // width, chosen % width
    points[UNDER:, 0], points[UNDER:, 1] = np.rint(rows), np.rint(columns)
    return points


def describe(image: np.ndarray, points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Describe what a mask would lie on at several places, in time that grows with neither mask nor image.

    Args:
        image: (H, W) or (H, W, C), uint8, or float32 in [0, 1].
        points: of the mask; see `probe_points`.
        places: (K, 2) int rows and columns of the mask's first pixel.

    Returns:
        (K, 6 C + 1) float32: a lower, middle and upper value of each channel under the mask, the same around it, and
        the grain, stretched to about the same range. C is 1 unless the image has three channels; those are brightness
        and two differences of colours.
    """
    height, width = image.shape[:2]
    rows = (places[:, :1] + points[:, 0]).clip(0, height - 1)
    columns = (places[:, 1:] + points[:, 1]).clip(0, width - 1)
    # Beside the points of the ring; under a donor, where the surface was filled in, there is no grain.
    beside = (rows[:, UNDER:] + 1).clip(0, height - 1), (columns[:, UNDER:] + 1).clip(0, width - 1)
    values = _values(image, np.concatenate([rows, beside[0]], axis=1), np.concatenate([columns, beside[1]], axis=1))
    around = values[:, UNDER : UNDER + RING]
    grain = np.sqrt(np.abs(around[:, :, :1] - values[:, UNDER + RING :, :1]).mean(axis=1) * np.float32(1 / 4))
    under = np.sort(values[:, :UNDER], axis=1)[:, UNDER_RANKS].reshape(len(places), -1)
    around = np.sort(around, axis=1)[:, RING_RANKS].reshape(len(places), -1)
    return np.concatenate([under, around, grain], axis=1)


def describe_donor(image: np.ndarray, mask: np.ndarray, appearance: Appearance) -> np.ndarray:
    """Describe what a defect was seen on, as `describe` would without the defect.

    Args:
        image: (H, W) or (H, W, C) uint8 that the defect was cut from.
        mask: (H, W), nonzero where the defect is.
        appearance: that was cut.

    Returns:
        (6 C + 1,) float32.
    """
    box = mask_box(mask)
    assert box is not None, "a defect has pixels"
    top, left, height, width = box
    x, y = appearance.offset_xy
    reach = math.ceil(max(_ring(height), _ring(width))) + 2
    row, column = max(0, top - reach), max(0, left - reach)
    window = image[row : top + height + reach, column : left + width + reach]
    window = window.reshape(*window.shape[:2], -1)
    C = appearance.pixels.shape[2]
    window = window.copy() if window.shape[2] == C else window.mean(axis=2, keepdims=True).astype(np.uint8)
    h, w = appearance.mask.shape
    frame = window[top - y - row : top - y - row + h, left - x - column : left - x - column + w]
    surface = np.rint(255 * appearance.full_surface()).astype(np.uint8)
    np.copyto(frame, surface, where=dilate(appearance.mask, MARGIN)[:, :, None])
    points = probe_points(mask[top : top + height, left : left + width] != 0)
    found: np.ndarray = describe(window, points, np.array([[top - row, left - column]]))[0]
    return found


def gray(description: np.ndarray) -> np.ndarray:
    """Return (..., 7), what is left of (..., 6 C + 1) descriptions without colour."""
    C = (description.shape[-1] - 1) // 6
    return np.concatenate([description[..., :-1:C], description[..., -1:]], axis=-1)


@dataclass(frozen=True)
class Metric:
    """What counts as alike among the surroundings of one class.

    Attributes:
        full: (D, D) float32; a difference of descriptions times it has the length 1 where it is usual.
        gray: (7, 7), the same without colour; `full` itself for a class that was seen in gray.
    """

    full: np.ndarray
    gray: np.ndarray


def metric(descriptions: np.ndarray) -> Metric:
    """Learn from (N, D) descriptions of a class what its surroundings differ by."""
    return Metric(_whitening(descriptions), _whitening(gray(descriptions)))


def unlikeness(found: np.ndarray, donor: np.ndarray, usual: Metric) -> np.ndarray:
    """How much places differ from a donor's surroundings: (K,) float32, 1 where it is usual for its class.

    Args:
        found: (K, D) of the places.
        donor: (D,) of the donor; a gray one, or a gray image, is compared without colour.
        usual: of the donor's class.
    """
    if found.shape[1] != len(donor):
        found, donor = gray(found), gray(donor)
    whitened = (found - donor) @ (usual.full if len(usual.full) == len(donor) else usual.gray)
    return np.asarray(np.sqrt((whitened * whitened).mean(axis=1)))


def fitting_odds(
    views: np.ndarray, donors: np.ndarray, usual: Metric, passing: float, strength: float, possible: np.ndarray
) -> np.ndarray:
    """How probable each donor of a class is for an image: all that could have been seen in it the same.

    Args:
        views: (V, D) of some spots of the image.
        donors: (N, D) of the donors.
        usual: of their class.
        passing: unlikeness up to which a donor fits a spot.
        strength: as `place_like` in `pick`.
        possible: (N,) bool, the donors that may be drawn, not none.

    Returns:
        (N,) float64, not negative, not all 0; see `choose`.
    """
    if views.shape[1] != donors.shape[1]:
        views, donors = gray(views), gray(donors)
    whitening = usual.full if len(usual.full) == donors.shape[1] else usual.gray
    there, own = views @ whitening, donors @ whitening
    square = (there * there).sum(axis=1) - 2 * (own @ there.T) + (own * own).sum(axis=1)[:, None]
    least = np.sqrt(np.maximum(square.min(axis=1), 0) / donors.shape[1]).astype(np.float64)
    least[~possible] = np.inf
    worse = np.maximum(least - max(passing, float(least.min())), 0)
    odds = (worse == 0).astype(np.float64) if strength >= 1 else np.exp(-worse * strength / (1 - strength) / TOLERANCE)
    return np.asarray(odds)


def _whitening(descriptions: np.ndarray) -> np.ndarray:
    """(D, D) float32, from the differences of those pairs that are rather alike.

    A class that is seen on two kinds of surface differs as much as it does on either, not as far as these lie apart.
    And what always goes together, green and bright say, is stranger apart than each alone.
    """
    n, D = descriptions.shape
    chosen = descriptions[np.arange(min(n, MOST_DONORS)) * n // min(n, MOST_DONORS)]
    one, two = np.triu_indices(len(chosen), 1)
    least = LEAST_SPREAD**2 * np.eye(D)
    if not len(one):
        return np.asarray(np.linalg.cholesky(np.linalg.inv(least)), np.float32)
    differences = (chosen[one] - chosen[two]).astype(np.float64)
    typical = np.maximum(np.quantile(np.abs(differences), 0.35, axis=0), LEAST_SPREAD)
    length = np.square(differences / typical).sum(axis=1)
    near = differences[length <= np.quantile(length, NEAR_PAIRS)]
    covariance = near.T @ near / (2 * len(near))
    few = FEW / (len(chosen) + FEW)
    blended = (1 - few) * covariance + few * np.diag(np.diag(covariance)) + least
    return np.asarray(np.linalg.cholesky(np.linalg.inv(blended)), np.float32)


def pick(unlike: np.ndarray, place_like: float, rng: np.random.Generator) -> int:
    """Choose one of several places.

    Args:
        unlike: (K,) of the places; see `unlikeness`.
        place_like: in [0, 1]; 0 for any place with the same probability, 1 for the most alike. Between, what is less
            alike is less probable, and what is altogether strange is not taken while there is a better one.
        rng: the only source of randomness.
    """
    if place_like <= 0:
        return int(rng.integers(len(unlike)))
    if place_like >= 1:
        return int(np.argmin(unlike))
    worse = unlike - unlike.min()
    odds = np.exp(-worse * (place_like / (1 - place_like) / TOLERANCE))
    odds[worse > STRANGE * (1 - place_like)] = 0
    return choose(odds, rng)


def choose(odds: np.ndarray, rng: np.random.Generator) -> int:
    """Draw a number with probabilities in proportion to (N,) odds; in less time than `rng.choice` takes."""
    upto = np.cumsum(odds)
    return min(int(np.searchsorted(upto, rng.random() * upto[-1], side="right")), len(odds) - 1)


def place_like(
    image: np.ndarray,
    mask: np.ndarray,
    places: np.ndarray,
    donor: np.ndarray,
    usual: Metric,
    strength: float,
    rng: np.random.Generator,
) -> tuple[int, float]:
    """Choose the place whose surroundings are like those that the donor was seen in.

    Args:
        image: as in `describe`.
        mask: (h, w) bool that is placed.
        places: (K, 2) int rows and columns at which it fits.
        donor: its description.
        usual: of its class.
        strength: `place_like` of `pick`.
        rng: the only source of randomness.

    Returns:
        Number of the place, and how unlike the donor's it is; see `unlikeness`. Above `STRANGE` others had better be
        tried.
    """
    unlike = unlikeness(describe(image, probe_points(mask), places), donor, usual)
    chosen = pick(unlike, strength, rng)
    return chosen, float(unlike[chosen])


def _ring(side: int) -> float:
    """Half an axis of the ellipse around a box's side."""
    return side / 2 + max(LEAST_REACH, RING_REACH * side)


def _values(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(K, N, C) float32 in [0, 1], of opponent colours where there are three channels."""
    scale = np.float32(1 / 255 if image.dtype == np.uint8 else 1)
    values: np.ndarray = image[rows, columns].astype(np.float32)
    if values.ndim == 2:
        return np.asarray(values * scale)[:, :, None]
    if values.shape[2] == 3:
        return np.asarray(values.reshape(-1, 3) @ (OPPONENT * scale)).reshape(values.shape)
    return np.asarray((values * scale).mean(axis=2, keepdims=True))
