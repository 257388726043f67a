"""New defects from real ones: other contrast, warped, partly invented, with another's appearance, in another shape.

Each way is a function of its own. `draw_variation` draws what is done to one defect, `paint_variation` does it, and
draws nothing that the former has not fixed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np

from albu_gan.defects.appearance import (
    EPSILON,
    Appearance,
    Formula,
    Laid,
    effect_bands,
    lay,
    look,
    relight,
    soften,
    step,
)
from albu_gan.painting import mask_box, thin_parts

Edges = tuple[bool, bool, bool, bool]  # top, left, bottom, right: where the border of the image cuts a shape

CONTRAST_RANGE = (0.6, 1.5)  # at full strength; what lies beyond was not believed
CELLS = 2.5  # of the coarse grid of an elastic warp, along the longer side of a shape
BEND = 0.11  # of a cell, the deviation of the coarse grid at full strength: three of them do not fold
RIPPLE = 0.08  # likewise of the fine grid
FINE_CELL = 9.0  # pixels of the fine grid
BANDS = (1.5, 3.0, 6.0, 12.0)  # sigma in pixels, between which a donor's texture is measured and invented
PROFILE = 8  # steps of depth from the edge of a mask to its middle
RANKS = 17  # quantiles that an invented texture takes from its donor
SCANS = 24  # lines across a mask, along its principal axis
SOLID = 0.72  # of the area between a mask's two rims: with more gaps another's appearance does not fit in
ALIKE = 1.0  # largest distance of two donors that lend each other their appearance; see `stature`
NEAREST = 3  # of them that one is drawn from
STREAKY = 0.5  # coherence of texture from which on blobs of another texture are seen in it
EXTENDED = 24.0  # pixels of depth from which on an invented texture is seen to be only that
OTHER_SHARE = 0.4  # of defects at full strength that wear another's appearance
STRUCTURED = 0.75  # see `structure`
SLENDER = 5.0  # pixels of depth up to which a shape is all outline, whatever its texture
STIFF = 0.35  # of an elastic warp, that is left where stripes would be seen to bend
LEAST_SHARE = 0.15  # of a defect that it takes to invent any


@dataclass(frozen=True)
class Variation:
    """What is done to one defect.

    Attributes:
        mask: (h, w) bool, tight, the new label.
        offset_yx: of its first pixel from that of the mask it was made from.
        displacement: (h, w, 2) float32; see `lay`. None if it is not warped.
        contrast: factor.
        invented: share of the mask, in [0, 1], that is invented.
        other: whose appearance it wears; None for its own.
        turned: whether that appearance is laid the other way round, along and across.
        seed: of what is invented.
    """

    mask: np.ndarray
    offset_yx: tuple[int, int] = (0, 0)
    displacement: np.ndarray | None = None
    contrast: float = 1.0
    invented: float = 0.0
    other: Appearance | None = None
    turned: tuple[bool, bool] = (False, False)
    seed: int = 0


def draw_variation(
    appearance: Appearance,
    mask: np.ndarray,
    strength: float,
    rng: np.random.Generator,
    others: Sequence[Appearance] = (),
    edges: Edges = (False, False, False, False),
) -> Variation:
    """Draw how a defect differs from its donor.

    Args:
        appearance: of the donor.
        mask: (h, w) bool, its shape as it was mirrored, scaled and turned.
        strength: in [0, 1]; 0 for the donor as it is.
        rng: the only source of randomness.
        others: donors of the same class that are alike; see `alike`.
        edges: of the shape.
    """
    if strength <= 0:
        return Variation(mask)
    factor = draw_contrast(strength, rng)
    extended = _depth(mask) > EXTENDED
    bent = elastic(mask, strength * (STIFF if extended or coherence(appearance) >= STREAKY else 1), rng, edges)
    varied = replace(bent, contrast=factor, seed=int(rng.integers(2**32)))
    solid = not extended and solidity(mask) >= SOLID
    turned = (bool(rng.random() < 0.5), bool(rng.random() < 0.5))
    if solid and others and rng.random() < OTHER_SHARE * strength:
        return replace(varied, other=others[int(rng.integers(len(others)))], turned=turned)
    if not inventable(appearance):  # what can be had without inventing: the donor itself, turned
        if solid and solidity(appearance.mask) >= SOLID and rng.random() < strength / 2:
            return replace(varied, other=appearance, turned=turned)
        return varied
    share = rng.uniform(max(0.0, 1.4 * strength - 0.9), 0.9 * strength)
    return replace(varied, invented=share if share >= LEAST_SHARE else 0.0)


def draw_contrast(strength: float, rng: np.random.Generator) -> float:
    """Draw the factor of `contrast` at a strength in [0, 1]."""
    return math.exp(strength * rng.uniform(math.log(CONTRAST_RANGE[0]), math.log(CONTRAST_RANGE[1])))


def paint_variation(
    appearance: Appearance,
    matrix: np.ndarray,
    variation: Variation,
    image: np.ndarray,
    top: int,
    left: int,
    formula: Formula,
) -> np.ndarray:
    """Paint a varied defect into a place.

    Args:
        appearance: of the donor.
        matrix: (2, 3), from the donor's mask to the one that was varied; see `Origin`.
        variation: what is done to it.
        image: (H, W) or (H, W, C), uint8, or float32 in [0, 1]; only a window of it is read.
        top: first row of `variation.mask` in the image, which lies inside.
        left: first column.
        formula: how the defect depends on its surface.

    Returns:
        (h, w, C) float32 residual for a `Patch`, 0 outside the mask.
    """
    mask = variation.mask
    size_hw = (mask.shape[0], mask.shape[1])
    place = look(image, top, left, size_hw)
    if variation.other is None:
        y, x = variation.offset_yx
        moved = np.asarray(matrix, np.float64) - [[0, 0, x], [0, 0, y]]
        laid = lay(appearance, moved, size_hw, variation.displacement, place)
    else:
        scanned = rim_on_rim(variation.other.mask, mask, *variation.turned)
        laid = lay(variation.other, np.eye(2, 3), size_hw, scanned, place)
    if variation.invented > 0:
        rng = np.random.default_rng(variation.seed)
        laid = blob_mix(laid, invented(laid, mask, rng), variation.invented, mask, rng)
    laid = contrast(laid, variation.contrast)
    return soften(relight(laid, place, formula), mask, top, left, (image.shape[0], image.shape[1]), laid.beyond)


def contrast(laid: Laid, factor: float) -> Laid:
    """Make a defect stronger or weaker against its surface: dark by a power of its ratio, bright by a factor."""
    if factor == 1:
        return laid
    e = np.float32(EPSILON)
    surface = laid.surface + e
    ratio = np.maximum(laid.pixels + e, np.float32(1e-3)) / surface
    scaled = np.where(ratio < 1, ratio ** np.float32(factor), 1 + np.float32(factor) * (ratio - 1))
    return replace(laid, pixels=np.clip(surface * scaled - e, 0, 1))


def elastic(mask: np.ndarray, strength: float, rng: np.random.Generator, edges: Edges) -> Variation:
    """Warp a shape, and say where its appearance is to be looked up, so that both go together.

    A coarse field bends it and a fine one ripples its outline, both smooth and in proportion to its size. Sides that
    the border of the image cuts stay at that border.

    Args:
        mask: (h, w) bool.
        strength: in [0, 1].
        rng: the only source of randomness.
        edges: of the shape.
    """
    cell = max(max(mask.shape) / CELLS, FINE_CELL)
    thickness = 2 * float(np.count_nonzero(mask)) / max(mask.shape)
    bend, ripple = strength * BEND * cell, strength * RIPPLE * min(FINE_CELL, thickness)
    pad = math.ceil(2 * bend + ripple)
    top, left, bottom, right = (0 if cut else pad for cut in edges)
    canvas = cv2.copyMakeBorder(mask.view(np.uint8), top, bottom, left, right, cv2.BORDER_CONSTANT, value=0)
    field = _field(canvas.shape, cell, bend, rng) + _field(canvas.shape, FINE_CELL, ripple, rng)
    np.clip(field, -pad, pad, out=field)
    _hold(field, edges, 2 * pad)
    x = np.arange(canvas.shape[1], dtype=np.float32) + field[:, :, 0]
    y = np.arange(canvas.shape[0], dtype=np.float32)[:, None] + field[:, :, 1]
    level = 255 * canvas
    lines = thin_parts(canvas.view(bool), 3)  # a line of a pixel that falls between two would be half of each
    level[lines] = 255
    warped = cv2.remap(level, x, y, cv2.INTER_LINEAR) >= 128
    if lines.any():
        warped |= cv2.remap(255 * lines.view(np.uint8), x, y, cv2.INTER_LINEAR) >= 90
    box = mask_box(warped)
    if box is None:
        return Variation(mask)
    first = (0 if edges[0] else box[0], 0 if edges[1] else box[1])
    last = (
        warped.shape[0] if edges[2] else box[0] + box[2],
        warped.shape[1] if edges[3] else box[1] + box[3],
    )
    rows, columns = slice(first[0], last[0]), slice(first[1], last[1])
    return Variation(
        np.ascontiguousarray(warped[rows, columns]),
        (first[0] - top, first[1] - left),
        np.ascontiguousarray(field[rows, columns]),
    )


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
    coarse = _even_within(even, mask, BANDS[0])
    fine = _elsewhere((even - coarse) * mask, mask, rng)
    texture = np.zeros(mask.shape, np.float32)
    noise = rng.standard_normal(mask.shape, np.float32)
    for real, made in zip(_bands(coarse, mask), _bands(noise, None), strict=True):
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
    blobs = _field(mask.shape, size, 1.0, rng)[:, :, 0]
    threshold = float(np.quantile(blobs[mask], 1 - share))
    weight = step(blobs, threshold - 0.35, threshold + 0.35)
    wide = weight[:, :, None]
    return replace(
        one,
        pixels=one.pixels + wide * (two.pixels - one.pixels),
        cover=one.cover + weight * (two.cover - one.cover),
        alpha=one.alpha + weight * (two.alpha - one.alpha),
    )


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
    source, target = _scans(tight), _scans(mask)
    x, y = np.meshgrid(np.arange(mask.shape[1], dtype=np.float32), np.arange(mask.shape[0], dtype=np.float32))
    u, v = target.to_axes(x, y)
    t = np.clip((u - target.first) / max(target.last - target.first, 1.0), -0.05, 1.05)
    low, high = target.rims(t)
    s = np.clip((v - low) / np.maximum(high - low, 1.0), -0.2, 1.2)
    t, s = (1 - t if along else t), (1 - s if across else s)
    low, high = source.rims(t)
    there_x, there_y = source.from_axes(source.first + t * (source.last - source.first), low + s * (high - low))
    return np.stack([there_x - x, there_y - y], axis=2).astype(np.float32)


def solidity(mask: np.ndarray) -> float:
    """Share of the area between the two rims of a bool mask, seen across its principal axis, that is inside."""
    scans = _scans(mask)
    return float(np.count_nonzero(mask)) / max(float((scans.high - scans.low).mean()) * (scans.last - scans.first), 1.0)


def stature(appearance: Appearance) -> np.ndarray:
    """Size and texture of a donor: (6,) float32 that differ by about `ALIKE` where the eye sees another kind.

    Logarithms of length and thickness, mean of what it adds to its surface, that of its lower and upper quarter, and
    the share of its contrast that is fine.
    """
    scans = _scans(appearance.mask)
    area = float(np.count_nonzero(appearance.mask))
    length = max(scans.last - scans.first, 1.0)
    _, low, high = effect_bands(appearance)
    effect = (low + high).mean(axis=2)[appearance.mask]
    fine = float(np.std(high.mean(axis=2)[appearance.mask]) / max(float(effect.std()), 1e-6))
    quarters = (6 * float(np.percentile(effect, q)) for q in (15, 85))
    size = 2 * math.log(length), 2 * math.log(area / length)
    return np.array([*size, 6 * float(effect.mean()), *quarters, 2 * fine], np.float32)


def alike(statures: np.ndarray, index: int) -> list[int]:
    """Numbers of the donors, at most `NEAREST`, whose appearance another one may wear, the most alike first.

    Args:
        statures: (N, 6) of the donors of a class.
        index: of the one that is to wear it.
    """
    distance = np.sqrt(((statures - statures[index]) ** 2).mean(axis=1))
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
    inside = cv2.erode(appearance.mask.view(np.uint8), np.ones((5, 5), np.uint8)).view(bool)
    if np.count_nonzero(inside) < 64:
        return None
    _, low, high = effect_bands(appearance)
    effect = cv2.GaussianBlur((low + high).mean(axis=2), (0, 0), 0.8)
    return cv2.Sobel(effect, cv2.CV_32F, 1, 0)[inside], cv2.Sobel(effect, cv2.CV_32F, 0, 1)[inside]


def _depth(mask: np.ndarray) -> float:
    """Pixels from the edge of a bool mask to its middle."""
    padded = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return float(cv2.distanceTransform(padded, cv2.DIST_L2, 3).max())


@dataclass(frozen=True)
class _Scans:
    """A shape about its principal axis: where it begins and ends along it, and its two rims across it."""

    centre: tuple[float, float]
    axis: tuple[float, float]
    first: float
    last: float
    low: np.ndarray
    high: np.ndarray

    def to_axes(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        (a, b), (cx, cy) = self.axis, self.centre
        return a * (x - cx) + b * (y - cy), a * (y - cy) - b * (x - cx)

    def from_axes(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        (a, b), (cx, cy) = self.axis, self.centre
        return cx + a * u - b * v, cy + b * u + a * v

    def rims(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        at = (np.arange(SCANS) + 0.5) / SCANS
        return np.interp(t, at, self.low).astype(np.float32), np.interp(t, at, self.high).astype(np.float32)


def _scans(mask: np.ndarray) -> _Scans:
    rows, columns = np.nonzero(mask)
    x, y = columns.astype(np.float32), rows.astype(np.float32)
    cx, cy = float(x.mean()), float(y.mean())
    dx, dy = x - cx, y - cy
    angle = 0.5 * math.atan2(2 * float((dx * dy).mean()), float((dx * dx).mean() - (dy * dy).mean()))
    a, b = math.cos(angle), math.sin(angle)
    u, v = a * dx + b * dy, a * dy - b * dx
    first, last = float(u.min()) - 0.5, float(u.max()) + 0.5
    scan = np.minimum(((u - first) * (SCANS / (last - first))).astype(np.int64), SCANS - 1)
    low, high = np.full(SCANS, np.inf, np.float32), np.full(SCANS, -np.inf, np.float32)
    np.minimum.at(low, scan, v)
    np.maximum.at(high, scan, v)
    known = np.flatnonzero(high >= low)
    every = np.arange(SCANS)
    low, high = np.interp(every, known, low[known]) - 0.5, np.interp(every, known, high[known]) + 0.5
    return _Scans((cx, cy), (a, b), first, last, low.astype(np.float32), high.astype(np.float32))


def _field(shape: tuple[int, ...], cell: float, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 2) float32: two smooth random fields, values on a grid of `cell` pixels and a cubic between."""
    size = [math.ceil(side / cell) + 3 for side in shape[:2]]
    grid = (deviation * rng.standard_normal((*size, 2))).astype(np.float32)
    shift = rng.uniform(0.5, 1.5, 2)  # no node of the grid has a fixed place in the mask
    matrix = np.array([[1 / cell, 0, shift[0]], [0, 1 / cell, shift[1]]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(grid, matrix, (shape[1], shape[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE))


def _hold(field: np.ndarray, edges: Edges, reach: int) -> None:
    """Let a displacement fall to 0 across the borders that cut a shape, in place."""
    for axis, start, end in ((1, edges[0], edges[2]), (0, edges[1], edges[3])):
        side = field.shape[1 - axis]
        ramp = np.ones(side, np.float32)
        rising = np.arange(side, dtype=np.float32) / max(reach, 1)
        if start:
            ramp = np.minimum(ramp, rising)
        if end:
            ramp = np.minimum(ramp, rising[::-1])
        field[:, :, axis] *= ramp[:, None] if axis == 1 else ramp[None]


def _profile(channels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean of (h, w, K) channels at each depth into a mask, laid out again: (h, w, K)."""
    padded = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    deepest = float(depth.max())
    steps = max(1, min(PROFILE, round(deepest)))
    position = depth * np.float32(steps / max(deepest, 1e-6))
    number = np.minimum(position, steps - 1e-3).astype(np.int64)[mask]
    count = np.maximum(np.bincount(number, minlength=steps), 1)
    at = np.arange(steps) + 0.5
    profile = np.empty_like(channels)
    for k in range(channels.shape[2]):
        means = np.bincount(number, channels[:, :, k][mask], steps) / count
        profile[:, :, k] = np.interp(position, at, means)
    return profile


def _even_within(image: np.ndarray, mask: np.ndarray | None, sigma: float) -> np.ndarray:
    """Blur an (h, w) image without what lies outside of a mask."""
    blurred = cv2.GaussianBlur(image, (0, 0), sigma)
    if mask is None:
        return blurred
    return np.asarray(blurred / np.maximum(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma), 1e-3))


def _bands(image: np.ndarray, mask: np.ndarray | None) -> list[np.ndarray]:
    """Split what is coarser than the first of `BANDS` into bands, the finest first, and leave the rest out."""
    levels = [_even_within(image, mask, sigma) for sigma in BANDS if sigma == BANDS[0] or sigma < max(image.shape)]
    return [finer - coarser for finer, coarser in pairwise(levels)] or levels


def _elsewhere(detail: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Take (h, w) detail from other parts of a mask: turned and shifted, in some blobs one way, in others another."""
    height, width = mask.shape
    cx, cy = (width - 1) / 2, (height - 1) / 2
    inside = mask.astype(np.float32)
    blobs = _field(mask.shape, max(4.0, max(mask.shape) / 4), 1.0, rng)[:, :, 0]
    weights = step(blobs, -0.4, 0.4)
    total, weight = np.zeros_like(detail), np.full_like(detail, 1e-3)
    for share in (weights, 1 - weights):
        matrix = cv2.getRotationMatrix2D((cx, cy), 180 * float(rng.integers(2)) + rng.uniform(-15, 15), 1.0)
        if rng.random() < 0.5:
            matrix[:, 0], matrix[:, 2] = -matrix[:, 0], matrix[:, 2] + matrix[:, 0] * (width - 1)
        matrix[:, 2] += rng.uniform(-0.15, 0.15, 2) * (width, height)
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
    return np.interp(texture, have, want).astype(np.float32)


def _quantiles(values: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    ordered = np.sort(values[:: 1 + len(values) // 2048])
    return np.asarray(ordered[np.rint(ranks * (len(ordered) - 1)).astype(np.int64)])
