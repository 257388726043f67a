"""New defects from real ones: other contrast, warped, partly invented, with another's appearance, in another shape.

Each way is a function of its own. `draw_variation` draws what is done to one defect, `paint_variation` does it, and
draws nothing that the former has not fixed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from albu_gan.defects.appearance import Appearance, Formula
from albu_gan.defects.clarity import clarity, made_clear
from albu_gan.defects.invention import blob_mix, invented, smooth_field
from albu_gan.defects.relight import EPSILON, Laid, lay, look, refocus, relight, soften
from albu_gan.defects.traits import Traits
from albu_gan.defects.wearing import rim_on_rim
from albu_gan.painting import mask_box, thin_parts

Edges = tuple[bool, bool, bool, bool]  # top, left, bottom, right: where the border of the image cuts a shape
CONTRAST_RANGE = (0.6, 1.5)  # at full strength; what lies beyond was not believed
CELLS = 2.5  # of the coarse grid of an elastic warp, along the longer side of a shape
BEND = 0.13  # of a cell, the deviation of the coarse grid at full strength: three of them do not fold
RIPPLE = 0.08  # likewise of the fine grid
FINE_CELL = 9.0  # pixels of the fine grid
OTHER_SHARE = 1.0  # of defects at full strength that wear another's appearance
THINGS = 0.5  # of that share, for what is a thing rather than a texture
STIFF = 0.35  # of an elastic warp, that is left where stripes would be seen to bend
INVENTED_SHARE = 1.4  # of the others, that are partly invented, times the strength


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
    donor: Traits,
    others: Sequence[Appearance] = (),
    edges: Edges = (False, False, False, False),
) -> Variation:
    """Draw how a defect differs from its donor.

    Args:
        appearance: of the donor.
        mask: (h, w) bool, its shape as it was mirrored, scaled and turned.
        strength: in [0, 1]; 0 for the donor as it is.
        rng: the only source of randomness.
        donor: its traits.
        others: donors of the same class that are alike; see `alike`.
        edges: of the shape.
    """
    if strength <= 0:
        return Variation(mask)
    factor = draw_contrast(strength, rng)
    bent = elastic(mask, strength * (STIFF if donor.stiff else 1), rng, edges)
    varied = replace(bent, contrast=factor, seed=int(rng.integers(2**32)))
    turned = (bool(rng.random() < 0.5), bool(rng.random() < 0.5))
    share = OTHER_SHARE * strength * (1 if donor.inventable else THINGS)
    if donor.solid and others and rng.random() < share:
        return replace(varied, other=others[int(rng.integers(len(others)))], turned=turned)
    if not donor.inventable:  # what can be had without inventing: the donor itself, turned
        if donor.solid and not donor.stiff and rng.random() < strength:
            return replace(varied, other=appearance, turned=turned)
        return varied
    if rng.random() >= INVENTED_SHARE * strength:
        return varied
    return replace(varied, invented=rng.uniform(0.5, 1.0) * strength)


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
    least: float = 0.0,
) -> tuple[np.ndarray, float]:
    """Paint a varied defect into a place.

    Args:
        appearance: of the donor.
        matrix: (2, 3), from the donor's mask to the one that was varied; see `Origin`.
        variation: what is done to it.
        image: (H, W) or (H, W, C), uint8, or float32 in [0, 1]; only a window of it is read.
        top: first row of `variation.mask` in the image, which lies inside.
        left: first column.
        formula: how the defect depends on its surface.
        least: clarity that is wanted; see `albu_gan.defects.clarity`.

    Returns:
        (h, w, C) float32 residual for a `Patch`, 0 outside the mask, and its clarity over `least`.
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
    residual = relight(laid, place, formula)
    if laid.own == 0:
        source = appearance if variation.other is None else variation.other
        scale = math.sqrt(abs(float(np.linalg.det(matrix[:, :2])))) if variation.other is None else 1.0
        residual = refocus(residual, source.grain, scale, place)
    residual = soften(residual, mask, top, left, (image.shape[0], image.shape[1]), laid.beyond)
    return made_clear(residual, clarity(residual, mask, place.grain), 0.0 if laid.own > 0 else least)


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
    field = _field(canvas.shape, cell, bend, ripple, rng)
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


def _field(shape: tuple[int, ...], cell: float, bend: float, ripple: float, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 2) float32: a coarse field, and a fine one, whose nodes are where the former is calculated."""
    nodes = [math.ceil(side / FINE_CELL) + 2 for side in shape]
    grid = smooth_field((nodes[0], nodes[1]), cell / FINE_CELL, bend, rng)
    grid = grid + np.float32(ripple) * rng.standard_normal(grid.shape, np.float32)
    full = cv2.resize(grid, None, fx=FINE_CELL, fy=FINE_CELL, interpolation=cv2.INTER_CUBIC)
    top, left = (int(rng.integers(whole - side + 1)) for whole, side in zip(full.shape, shape, strict=False))
    return np.ascontiguousarray(full[top : top + shape[0], left : left + shape[1]])


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
