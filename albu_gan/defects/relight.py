"""An appearance in another place: warped into a mask, and relit for the surface there."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import reduce as reduce_by

import cv2
import numpy as np

from albu_gan.defects.appearance import Appearance, Formula, effect_bands
from albu_gan.defects.surface import BOX, SPARSE, Grain, blur_of, box_around, quantile, roughness, smooth, step
from albu_gan.defects.touching import spread, without_small_parts
from albu_gan.painting import Parts, edge_weight

EPSILON = 8 / 255  # added before logarithms: what a camera shows of black
LEAST_BLUR, MOST_BLUR = 0.4, 1.0  # sigma in pixels: less of a difference goes unseen, more is not believed
STRANGE_HUE = (0.15, 0.45)  # of a channel over the mean of the channels: differences from which on colours are others
LEAST_BEYOND = 0.15  # see `Appearance.beyond`: what is less goes unseen
SOFTER, SOFTEST = 7.0, 6.0  # pixels over which such a defect rises from its edge: for each unit of it, and at most
ROUND = 1.5  # sigma in pixels, by which the outline of such a defect loses its corners
OPAQUE = (2.0, 4.5)  # of light left, or added: where the surface under a defect begins not to show, and no more does
SEEN_THROUGH = (1.05, 1.5)  # likewise, where pixels as they are would carry the donor's surface along, and no more do
EVEN = np.full((3, 3), 1 / 3, np.float32)  # to the mean of the channels, in each


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
    forward = _forward(appearance, matrix)
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


def lay_parts(
    appearance: Appearance, matrix: np.ndarray, mask: np.ndarray, displacement: np.ndarray | None = None
) -> Parts:
    """Warp the parts of a compound into a mask, as `lay` warps how it looks: every pixel is of the part that it shows.

    What the mask holds beyond the compound is of the nearest part, and so are the pixels of parts that would be too
    small to be a label.

    Args:
        appearance: of the compound.
        matrix: see `lay`.
        mask: (h, w) bool, not empty.
        displacement: see `lay`.

    Returns:
        Of the size of the mask, numbered in the mask alone.
    """
    assert appearance.parts is not None, "it is a compound"
    numbers = spread(appearance.parts.numbers)
    size_hw = (mask.shape[0], mask.shape[1])
    warped = _warped(numbers, _forward(appearance, matrix), size_hw, displacement, cv2.INTER_NEAREST)
    return replace(appearance.parts, numbers=without_small_parts(warped, mask))


def _forward(appearance: Appearance, matrix: np.ndarray) -> np.ndarray:
    """(3, 3), from pixels of an appearance to those of a mask; see `lay`."""
    x, y = appearance.offset_xy
    return np.asarray(np.vstack([matrix, [0, 0, 1]]) @ np.array([[1.0, 0, -x], [0, 1, -y], [0, 0, 1]]))


def look(image: np.ndarray, top: int, left: int, size_hw: tuple[int, int]) -> Place:
    """Read the surface of a place, and its grain, from a window a little larger.

    Args:
        image: (H, W) or (H, W, C), uint8, or float32 in [0, 1]; what is read is of the size of the place.
        top: first row of the place.
        left: first column.
        size_hw: of the place, which lies inside the image.
    """
    rows, columns = box_around((top, left, *size_hw), BOX, image.shape)
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
    grain = 1.4826 * quantile(np.abs(window[::SPARSE, ::SPARSE] - surface[::SPARSE, ::SPARSE]), 0.5)
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
    by_ratio = (base + e) * factor
    by_ratio -= e
    by_ratio = np.where(bright, np.minimum(by_ratio, by_difference + effect), by_ratio)
    as_they_are = np.where(bright, np.maximum(pixels, base + np.float32(0.5) * effect), np.minimum(pixels, by_ratio))
    as_they_are -= base
    as_they_are *= alpha
    as_they_are += base
    share = formula.ratio + formula.difference
    dark = np.minimum(np.minimum(surface, place.surface) * np.float32(1 / (2 * EPSILON)), 1)
    mixed = by_difference + np.float32(formula.ratio / share if share > 0 else 1) * dark * (by_ratio - by_difference)
    # Of the channel that changes most: a hole in red brick hides green and blue as well.
    opposed = _largest(np.maximum(factor, 1 / factor))
    hidden = np.float32(formula.pixels) * step(opposed, *SEEN_THROUGH) if formula.pixels > 0 else 0
    hidden = hidden + np.float32(1 - formula.pixels) * step(opposed, *OPAQUE) if share > 0 else hidden
    mixed += hidden * (as_they_are - mixed)
    np.clip(mixed, 0, 1, out=mixed)
    return np.asarray(mixed - place.pixels, np.float32)


def refocus(residual: np.ndarray, donor: Grain, scale: float, place: Place) -> np.ndarray:
    """Blur what is added as far as the place is less sharp than the image that the defect was seen in.

    Args:
        residual: (h, w, C) float32.
        donor: grain around the defect, which tells how sharp its image is.
        scale: by which it was enlarged since.
        place: that it is laid into.
    """
    there, own = blur_of(place.rough, place.grain), scale * blur_of(donor.rough, donor.pixel)
    sigma = math.sqrt(max(there * there - own * own, 0.0))
    if sigma < LEAST_BLUR or 255 * place.grain < 1:  # rounding alone says nothing
        return residual
    sigma = min(sigma, MOST_BLUR)
    blurred = cv2.GaussianBlur(residual, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred).reshape(residual.shape)


def _without_strange_colour(
    effect: np.ndarray, factor: np.ndarray, surface: np.ndarray, place_surface: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Make difference and ratio the same in every channel, as far as two surfaces are of different colour.

    What is missing of red where brick is broken is not missing of gray stone.
    """
    colour, place_colour = (np.array(cv2.mean(array)[:3]) + EPSILON for array in (surface, place_surface))
    strange = np.abs(colour / colour.mean() - place_colour / place_colour.mean()).max()
    share = step(np.float32(strange), *STRANGE_HUE)
    if share == 0:
        return effect, factor
    effect = effect + share * (effect @ EVEN - effect)
    return effect, factor + share * (np.exp(np.log(np.maximum(factor, np.float32(1e-3))) @ EVEN) - factor)


def _largest(image: np.ndarray) -> np.ndarray:
    """(h, w, C) to (h, w, 1), the largest channel."""
    return reduce_by(np.maximum, [image[:, :, c : c + 1] for c in range(image.shape[2])])


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
        weight = np.minimum(weight, _faded(mask, top, left, image_hw, min(2 + SOFTER * beyond, SOFTEST)))
    return np.asarray(residual * weight[:, :, None])


def _faded(mask: np.ndarray, top: int, left: int, image_hw: tuple[int, int], over: float) -> np.ndarray:
    """Rise from 0 at the edge of a mask to 1 at a depth of `over` pixels, or in its middle where it is thin.

    Without the corners of its outline, which nothing that ends softly has.
    """
    height, width = mask.shape
    pad = math.ceil(over) + 2
    cut = top == 0, top + height == image_hw[0], left == 0, left + width == image_hw[1]
    padded = cv2.copyMakeBorder(mask.view(np.uint8), pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
    if any(cut):
        beside = cv2.copyMakeBorder(mask.view(np.uint8), pad, pad, pad, pad, cv2.BORDER_REPLICATE)
        rows, columns = (slice(None if a else pad, None if b else -pad) for a, b in (cut[:2], cut[2:]))
        padded[rows, columns] = beside[rows, columns]
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_5)
    side = 2 * math.ceil(over) + 1
    middle = cv2.dilate(depth, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    rounded = cv2.GaussianBlur(255 * padded, (0, 0), ROUND) >= 128
    rounded |= (middle < 2 * ROUND) & (padded != 0)  # what is thinner would be gone
    depth = cv2.distanceTransform(rounded.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    weight = step(depth / np.clip(middle, 1, np.float32(over)), 0.0, 1.0)
    return np.asarray(weight[pad : pad + height, pad : pad + width])


def _own(grain: Grain, place: Place) -> float:
    """How far a place is as smooth as a filled-in surface, which rounding alone makes uneven."""
    least = max(0.77 / 255, 0.1 * grain.rough)
    return min(max(4 - 3 * place.rough / least, 0.0), 1.0)


def _matted(appearance: Appearance, own: float) -> list[np.ndarray]:
    """Pixels, surface, cover and alpha in stacks of at most four channels: what `cv2` warps at once.

    In two bands the donor is told from its bare surface. Where a label is wider than its defect, or a stain leaves
    the weave as it was, the grain is not the defect's, and stays behind.
    """
    if appearance.mattes.min() == 255 or own == 1:  # all of it is defect, or comes along
        surface = appearance.full_surface()
        pixels = appearance.pixels * np.float32(1 / 255)
        cover = alpha = np.ones(surface.shape[:2], np.float32)
    else:
        surface, low, high = effect_bands(appearance)
        mattes = appearance.full_mattes()
        mattes += np.float32(own) * (1 - mattes)
        cover, alpha = mattes[:, :, 0], mattes[:, :, 1]
        pixels = cv2.merge([alpha] * surface.shape[2]).reshape(surface.shape) * low
        pixels += surface
        pixels += cv2.merge([cover] * surface.shape[2]).reshape(surface.shape) * high
    if pixels.shape[2] == 1:
        return [cv2.merge([pixels, surface, cover, alpha])]
    return [cv2.merge([pixels, cover]), cv2.merge([surface, alpha])]


def _warped(
    stack: np.ndarray,
    forward: np.ndarray,
    size_hw: tuple[int, int],
    displacement: np.ndarray | None,
    method: int = cv2.INTER_LINEAR,
) -> np.ndarray:
    """Warp (h, w[, 4]) by a (3, 3) affine map, after the displacement if there is one."""
    height, width = size_hw
    whole = np.array_equal(forward, np.rint(forward)) and displacement is None
    method = cv2.INTER_NEAREST if whole else method
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
