"""What a real defect looks like, and how the same defect looks in another place.

A defect is kept as its pixels and the smooth surface that lay under it. What it did to that surface is read from the
two as a ratio, as a difference, or not at all (the pixels as they are), and done to the surface of another place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from albu_gan.painting import edge_weight, mask_box

RIM = 6  # pixels kept around a defect: a warped mask may look one or two beyond its own
MARGIN = 3  # pixels around a label that still show its defect
CONTEXT = 20  # pixels around a defect at least, that say what the surface is
LARGEST_FILL = 192  # pixels of the longer side that a membrane is stretched at; larger holes are smoother anyway
RELAXATIONS = 16  # at every level of the membrane's pyramid
REDUCE = 4  # source pixels of a side of one stored pixel of the surface
BOX = 9  # pixels, applied twice: what is finer is grain, what is coarser the surface
EPSILON = 8 / 255  # added before logarithms: what a camera shows of black
LEAST_GRAIN = 0.7 / 255  # rounding to levels alone
COARSE = 2.0  # sigma in pixels, between the two bands that are matted
STRANGE_HUE = (0.15, 0.45)  # of a channel over the mean of the channels: differences from which on colours are others
LEAST_BEYOND = 0.15  # see `Appearance.beyond`: what is less goes unseen
SOFTEST = 5.0  # sigma in pixels of the edge of a defect whose label cuts off most of it
OPAQUE = (2.0, 4.5)  # of light left, or added: where the surface under a defect begins not to show, and no more does
SEEN_THROUGH = (1.05, 1.5)  # likewise, where pixels as they are would carry the donor's surface along, and no more do
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


class Grain(NamedTuple):
    """How uneven a surface is about its smooth self, in units of the full range."""

    pixel: float  # standard deviation of single pixels
    mean: float  # of means over about `COARSE` pixels
    rough: float  # median difference of a pixel from its neighbours


@dataclass(frozen=True)
class Appearance:
    """A real defect at source resolution, and the surface under it.

    Attributes:
        pixels: (h, w, C) uint8, C = 1 or 3; the tight box of the defect and a rim of up to `RIM` pixels, less at the
            border of its image. Neighbouring defects in the rim have been taken out.
        surface: (ceil(h / REDUCE), ceil(w / REDUCE), C) uint8, the smooth surface under it.
        mask: (h, w) bool, the defect in `pixels`.
        grain: of the surface around the defect.
        beyond: how much of the defect is left just outside of its label, in [0, 1]; near 0 if the label holds all.
    """

    pixels: np.ndarray
    surface: np.ndarray
    mask: np.ndarray
    grain: Grain
    beyond: float

    @property
    def offset_xy(self) -> tuple[int, int]:
        """Column and row in `pixels` of the first pixel of the defect's tight box."""
        box = mask_box(self.mask)
        assert box is not None, "a defect has pixels"
        return box[1], box[0]

    def full_surface(self) -> np.ndarray:
        """Return the surface as large as the pixels, (h, w, C) float32 in [0, 1]."""
        return enlarge(self.surface, (self.mask.shape[0], self.mask.shape[1])) * np.float32(1 / 255)


@dataclass(frozen=True)
class Laid:
    """An appearance brought into the frame of a mask, not yet relit. Everything is float32 in [0, 1].

    Attributes:
        pixels: (h, w, C) of the defect; where the donor shows its bare surface, that surface without its grain.
        surface: (h, w, C) under it.
        cover: (h, w) how far the defect hides the grain of what it lies on.
        alpha: (h, w) how far there is a defect at all.
        own: how far the place is as smooth as the filled-in surface itself, 0 or 1 but for a narrow range: nothing is
            told from the surface then, the donor comes as a whole.
        beyond: as in `Appearance`.
    """

    pixels: np.ndarray
    surface: np.ndarray
    cover: np.ndarray
    alpha: np.ndarray
    own: float
    beyond: float = 0.0


@dataclass(frozen=True)
class Place:
    """The part of an image that a defect is laid into, float32 in [0, 1].

    Attributes:
        pixels: (h, w, C) of the image.
        surface: (h, w, C), the same without what is finer than `BOX`.
        grain: standard deviation of the one about the other, around the place.
        rough: as in `Grain`.
    """

    pixels: np.ndarray
    surface: np.ndarray
    grain: float
    rough: float


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
    rows, columns = _around(box, context, mask.shape)
    own = np.ascontiguousarray(mask[rows, columns] != 0)
    around = image.reshape(*image.shape[:2], -1)[rows, columns].astype(np.float32)
    others = np.zeros_like(own) if labelled is None else (labelled[rows, columns] != 0) & ~own
    hole = dilate(own | others, MARGIN)
    if hole.all():
        hole = own | others
    surface = smooth(fill(around, hole)) if not hole.all() else np.broadcast_to(around.mean((0, 1)), around.shape)
    grain = _grain(around, surface, ~hole)
    around = np.where((dilate(others, MARGIN) & ~dilate(own, 1))[:, :, None], surface, around)
    inner_rows, inner_columns = _around(box, RIM, mask.shape)
    frame = tuple(
        slice(inner.start - outer.start, inner.stop - outer.start)
        for inner, outer in ((inner_rows, rows), (inner_columns, columns))
    )
    pixels = np.clip(np.rint(around[frame]), 0, 255).astype(np.uint8)
    reduced, inside = reduce_surface(surface[frame]), np.ascontiguousarray(own[frame])
    return Appearance(pixels, reduced, inside, grain, _beyond(pixels, surface[frame], inside, others[frame]))


def lay(
    appearance: Appearance,
    matrix: np.ndarray,
    size_hw: tuple[int, int],
    displacement: np.ndarray | None = None,
    place: Place | None = None,
) -> Laid:
    """Warp an appearance into the frame of a mask.

    Args:
        appearance: of the donor.
        matrix: (2, 3), takes x, y, 1 of a pixel's centre in the donor's tight mask to x, y in the new one; see
            `Origin`.
        size_hw: of the new mask.
        displacement: (h, w, 2) float32 x and y, pixels: where, off itself, every pixel of the new mask looks; None
            for an affine warp.
        place: that it will be laid into; None for one with a grain.
    """
    own = 0.0 if place is None else _own(appearance.grain, place)
    stacks = _matted(appearance, own)
    x, y = appearance.offset_xy
    forward = np.vstack([matrix, [0, 0, 1]]) @ np.array([[1.0, 0, -x], [0, 1, -y], [0, 0, 1]])
    scale = math.sqrt(max(abs(float(np.linalg.det(forward[:2, :2]))), 1e-6))
    if scale < 0.7:  # average what falls into one pixel
        stacks = [cv2.GaussianBlur(stack, (0, 0), 0.4 / scale) for stack in stacks]
    stacks = [_warped(stack, forward, size_hw, displacement) for stack in stacks]
    C = appearance.pixels.shape[2]
    if C == 1:
        (stack,) = stacks
        pixels, surface, cover, alpha = stack[:, :, :1], stack[:, :, 1:2], stack[:, :, 2], stack[:, :, 3]
    else:
        pixels, surface, cover, alpha = stacks[0][:, :, :C], stacks[1][:, :, :C], stacks[0][:, :, C], stacks[1][:, :, C]
    return Laid(pixels, surface, cover, alpha, own, appearance.beyond)


def look(image: np.ndarray, top: int, left: int, size_hw: tuple[int, int]) -> Place:
    """Read the surface of a place, and its grain, from a window a little larger.

    Args:
        image: (H, W) or (H, W, C), uint8, or float32 in [0, 1]; what is read is of the size of the place.
        top: first row of the place.
        left: first column.
        size_hw: of the place, which lies inside the image.
    """
    rows, columns = _around((top, left, *size_hw), BOX, image.shape)
    window = image[rows, columns]
    window = window.reshape(*window.shape[:2], -1)
    if window.shape[2] not in (1, 3):
        window = window.mean(axis=2, keepdims=True, dtype=np.float32)
        if image.dtype == np.uint8:
            window *= np.float32(1 / 255)
    elif window.dtype == np.uint8:
        window = window.astype(np.float32)
        window *= np.float32(1 / 255)
    surface = smooth(window)
    detail = cv2.absdiff(window, surface)[::2, ::2]
    grain = 1.4826 * float(np.median(detail))
    y, x = top - rows.start, left - columns.start
    inside = (slice(y, y + size_hw[0]), slice(x, x + size_hw[1]))
    return Place(window[inside], surface[inside], grain, roughness(window))


def relight(laid: Laid, place: Place, formula: Formula) -> np.ndarray:
    """Do to a place what a defect did to its own surface.

    Whatever the formula: where a defect leaves less than half of the light, or more than twice of it, the surface
    under it does not show, and its pixels come as they are; where it leaves nearly all of it, the surface is what
    shows, and no pixels come; on surfaces near black, where ratios say nothing, the difference stands in for the ratio;
    and of a bright defect no ratio makes more than twice of what it added.

    Args:
        laid: in the frame of the place. One of another number of channels is averaged, or goes to every channel.
        place: that it is laid into.
        formula: how a defect depends on its surface.

    Returns:
        (h, w, C) float32, what is to be added, in units of the full range; C is the place's. The edge of the mask is
        not softened; see `soften`.
    """
    pixels, surface = laid.pixels, laid.surface
    if pixels.shape[2] > place.pixels.shape[2]:
        pixels, surface = (array.mean(axis=2, keepdims=True) for array in (pixels, surface))
    cover, alpha = laid.cover[:, :, None], laid.alpha[:, :, None]
    limit = np.float32(2.5 * place.grain * (1 - laid.own))  # what differs more is no grain
    base = place.pixels - cover * np.clip(place.pixels - place.surface, -limit, limit)
    e = np.float32(EPSILON)
    effect = pixels - surface
    factor = (pixels + e) / (surface + e)
    if effect.shape[2] == 3:
        effect, factor = _without_strange_colour(effect, factor, surface, place.surface)
    bright = effect > 0
    by_difference = base + effect
    by_ratio = (base + e) * factor - e
    by_ratio = np.where(bright, np.minimum(by_ratio, by_difference + effect), by_ratio)
    as_they_are = np.where(bright, np.maximum(pixels, base + effect / 2), np.minimum(pixels, by_ratio))
    as_they_are = base + alpha * (as_they_are - base)
    share = formula.ratio + formula.difference
    dark = np.minimum(np.minimum(surface, place.surface) * np.float32(1 / (2 * EPSILON)), 1)
    mixed = by_difference + np.float32(formula.ratio / share if share > 0 else 1) * dark * (by_ratio - by_difference)
    opposed = np.maximum(factor, 1 / factor)
    hidden = np.float32(formula.pixels) * step(opposed, *SEEN_THROUGH) if formula.pixels > 0 else 0
    hidden = hidden + np.float32(1 - formula.pixels) * step(opposed, *OPAQUE) if share > 0 else hidden
    mixed += hidden * (as_they_are - mixed)
    np.clip(mixed, 0, 1, out=mixed)
    return np.asarray(mixed - place.pixels, np.float32)


def _without_strange_colour(
    effect: np.ndarray, factor: np.ndarray, surface: np.ndarray, place_surface: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Make difference and ratio the same in every channel, as far as two surfaces are of different colour.

    What is missing of red where brick is broken is not missing of gray stone.
    """
    hue, place_hue = (
        (array + np.float32(EPSILON)) / (array.mean(axis=2, keepdims=True) + np.float32(EPSILON))
        for array in (surface, place_surface)
    )
    share = step(np.abs(hue - place_hue).max(axis=2, keepdims=True), *STRANGE_HUE)
    if not share.any():
        return effect, factor
    effect = effect + share * (effect.mean(axis=2, keepdims=True) - effect)
    return effect, factor + share * (np.exp(np.log(factor).mean(axis=2, keepdims=True)) - factor)


def soften(
    residual: np.ndarray, mask: np.ndarray, top: int, left: int, image_hw: tuple[int, int], beyond: float = 0.0
) -> np.ndarray:
    """Let a residual rise from the edge of its mask inwards, and make it 0 outside.

    Over as much as `edge_weight` says; over more for a defect of which its label cuts off the outer part, since in its
    own image it ends softly. A thin one keeps its contrast.

    Args:
        residual: (h, w, C) float32.
        mask: (h, w) bool.
        top: first row of the mask in the image.
        left: first column.
        image_hw: height and width of the image.
        beyond: as in `Appearance`.
    """
    weight = edge_weight(mask, top, left, image_hw)
    if beyond > LEAST_BEYOND:
        sigma = min(SOFTEST * beyond, float(np.count_nonzero(mask)) / (2.5 * sum(mask.shape)))
        if sigma > 0.4:
            pad = math.ceil(3 * sigma)
            at_border = top == 0, top + mask.shape[0] == image_hw[0], left == 0, left + mask.shape[1] == image_hw[1]
            pads = [0 if cut else pad for cut in at_border]
            padded = cv2.copyMakeBorder(mask.astype(np.float32), *pads, cv2.BORDER_CONSTANT, value=0)
            even = cv2.GaussianBlur(padded, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
            even = even[pads[0] : pads[0] + mask.shape[0], pads[2] : pads[2] + mask.shape[1]]
            weight = np.minimum(weight, step(even, 0.45, 0.95))
    return np.asarray(residual * weight[:, :, None])


def step(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 up to `low`, 1 from `high` on, smooth between; falls if `high` is the smaller one."""
    t = np.clip((values - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def smooth(image: np.ndarray) -> np.ndarray:
    """Take out of an (H, W, C) float32 image what is finer than about `BOX` pixels."""
    once = cv2.blur(image, (BOX, BOX))
    return np.asarray(cv2.blur(once, (BOX, BOX))).reshape(image.shape)


def reduce_surface(surface: np.ndarray) -> np.ndarray:
    """(h, w, C) float32 levels to uint8, means of `REDUCE` x `REDUCE` pixels."""
    height, width = surface.shape[:2]
    padded = np.pad(surface, ((0, -height % REDUCE), (0, -width % REDUCE), (0, 0)), "edge")
    size = (padded.shape[1] // REDUCE, padded.shape[0] // REDUCE)
    reduced = cv2.resize(padded, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)
    return np.asarray(np.clip(np.rint(reduced), 0, 255), np.uint8)


def enlarge(reduced: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Bring what `reduce_surface` returned back to (h, w, C), float32 levels."""
    size = (reduced.shape[1] * REDUCE, reduced.shape[0] * REDUCE)
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
        levels.append(tuple(cv2.resize(a, (width, height), interpolation=cv2.INTER_AREA) for a in levels[-1]))
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
    return filled


def roughness(image: np.ndarray, known: np.ndarray | None = None) -> float:
    """Median difference of a pixel from its 3 x 3 neighbourhood, in the units of an (H, W, C) float32 image.

    Args:
        image: to measure.
        known: (H, W) bool, where; None for everywhere.
    """
    detail = cv2.absdiff(image, cv2.blur(image, (3, 3)).reshape(image.shape))
    return float(np.median(detail[::2, ::2] if known is None else detail[known]))


def _own(grain: Grain, place: Place) -> float:
    """How far a place is as smooth as a filled-in surface, which rounding alone makes uneven."""
    least = max(0.3 / 255, 0.15 * grain.rough)
    return min(max(2 - place.rough / least, 0.0), 1.0)


def _matted(appearance: Appearance, own: float) -> list[np.ndarray]:
    """Pixels, surface, cover and alpha in stacks of at most four channels: what `cv2` warps at once.

    In two bands the donor is told from its bare surface. Where a label is wider than its defect, or a stain leaves
    the weave as it was, the grain is not the defect's, and stays behind.
    """
    surface, low, high = effect_bands(appearance)
    cover, alpha = matte(low, high, appearance.mask, appearance.grain)
    if own > 0:
        cover, alpha = (whole + np.float32(own) * (1 - whole) for whole in (cover, alpha))
    pixels = surface + alpha[:, :, None] * low + cover[:, :, None] * high
    if pixels.shape[2] == 1:
        return [cv2.merge([pixels, surface, cover, alpha])]
    return [np.dstack([pixels, cover]), np.dstack([surface, alpha])]


def effect_bands(appearance: Appearance) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the surface, and pixels less surface in a coarse and a fine band: (h, w, C) float32 each."""
    surface = appearance.full_surface()
    effect = appearance.pixels.astype(np.float32)
    effect *= np.float32(1 / 255)
    effect -= surface
    low = _channels(cv2.GaussianBlur(effect, (0, 0), COARSE))
    return surface, low, effect - low


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
    strength = np.sqrt(_mean_square(low))
    energy = np.sqrt(np.maximum(cv2.blur(_mean_square(high), (5, 5)), 0)) * np.float32(1 / grain.pixel)
    other_grain = np.maximum(step(energy, 1.25, 1.9), step(energy, 0.6, 0.35))
    cover = np.maximum(other_grain, step(strength, 3 * grain.pixel, 6 * grain.pixel))
    alpha = np.maximum(cover, step(strength, 0.8 * grain.mean, 2.2 * grain.mean))
    return cv2.blur(cover, (3, 3)), cv2.blur(alpha, (3, 3))


def thin(mask: np.ndarray) -> bool:
    """Whether no pixel of an (h, w) bool mask lies deeper than `THIN` pixels in it."""
    padded = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return float(cv2.distanceTransform(padded, cv2.DIST_L2, 3).max()) <= THIN


def dilate(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Grow a bool mask by so many pixels on every side."""
    side = 2 * pixels + 1
    return np.asarray(cv2.dilate(mask.view(np.uint8), np.ones((side, side), np.uint8)).view(bool))


def smooth_by(image: np.ndarray, side: int) -> np.ndarray:
    """Box filter of `side` pixels, twice."""
    return _channels(cv2.blur(cv2.blur(image, (side, side)), (side, side)))


def _warped(
    stack: np.ndarray, forward: np.ndarray, size_hw: tuple[int, int], displacement: np.ndarray | None
) -> np.ndarray:
    """Warp (h, w, 4) by a (3, 3) affine map, after the displacement if there is one."""
    height, width = size_hw
    whole = np.array_equal(forward, np.rint(forward)) and displacement is None
    method = cv2.INTER_NEAREST if whole else cv2.INTER_LINEAR
    if displacement is None:
        return cv2.warpAffine(stack, forward[:2], (width, height), flags=method, borderMode=cv2.BORDER_REPLICATE)
    back = np.linalg.inv(forward)[:2].astype(np.float32)
    x = np.arange(width, dtype=np.float32) + displacement[:, :, 0]
    y = np.arange(height, dtype=np.float32)[:, None] + displacement[:, :, 1]
    return cv2.remap(
        stack,
        back[0, 0] * x + back[0, 1] * y + back[0, 2],
        back[1, 0] * x + back[1, 1] * y + back[1, 2],
        method,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _grain(image: np.ndarray, surface: np.ndarray, known: np.ndarray) -> Grain:
    """Measure the grain of an (H, W, C) image in levels about its surface, where it is known."""
    if known.sum() < 16:
        return Grain(LEAST_GRAIN, LEAST_GRAIN / 2, LEAST_GRAIN / 2)
    weight = cv2.GaussianBlur(known.astype(np.float32), (0, 0), COARSE)
    detail = (image - surface) * known[:, :, None]
    mean = _channels(cv2.GaussianBlur(detail, (0, 0), COARSE)) / np.maximum(weight, 1e-3)[:, :, None]
    # Quartiles rather than squares: one edge of a part, or another mark, would hide the defect.
    fine, coarse = (1.4826 * float(np.median(np.abs(a[known]))) for a in (detail, mean))
    rough = roughness(image, known)
    return Grain(max(fine / 255, LEAST_GRAIN), max(coarse / 255, LEAST_GRAIN / 2), rough / 255)


def _beyond(pixels: np.ndarray, surface: np.ndarray, mask: np.ndarray, others: np.ndarray) -> float:
    """How much of a defect is left two pixels outside of its label, of what it is inside."""
    effect = np.sqrt(_mean_square(cv2.blur(pixels.astype(np.float32), (3, 3)).reshape(surface.shape) - surface))
    ring = dilate(mask, 2) & ~dilate(mask, 1) & ~dilate(others, MARGIN)
    if not ring.any():
        return 0.0
    noise = float(np.median(effect[~dilate(mask, 4)])) if (~dilate(mask, 4)).any() else 0.0
    outside, inside = float(effect[ring].mean()) - noise, float(np.percentile(effect[mask], 75)) - noise
    return min(max(outside / max(inside, 1.0), 0.0), 1.0)


def _mean_square(image: np.ndarray) -> np.ndarray:
    """(H, W, C) to (H, W), the mean of the channels' squares."""
    squares = image * image
    if image.shape[2] == 1:
        return np.asarray(squares[:, :, 0])
    return np.asarray(squares @ np.full(image.shape[2], 1 / image.shape[2], np.float32))


def _channels(image: np.ndarray) -> np.ndarray:
    """Give an image that cv2 returned its last axis back."""
    return image if image.ndim == 3 else image[:, :, None]


def _around(box: tuple[int, int, int, int], pixels: int, limits: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of a box, and so many pixels around it, inside an image."""
    top, left, height, width = box
    rows = slice(max(0, top - pixels), min(limits[0], top + height + pixels))
    return rows, slice(max(0, left - pixels), min(limits[1], left + width + pixels))
