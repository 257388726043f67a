"""A real defect in its own shape, drawn as `GANDefectInpaint` does it, and the same whenever it is asked for."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from albu_gan.app.own import OwnExemplar
from albu_gan.defects import DefectInpainter, Shape, dress, jitter_shape, longest_side
from albu_gan.painting import Draw, Patch, paste

SCALE_RANGE, ROTATE_RANGE = (0.8, 1.25), (-15.0, 15.0)  # as `GANDefectInpaint` has them


def paint_sampled(
    painter: DefectInpainter,
    image: np.ndarray,
    donor: int,
    corner_yx: tuple[int, int],
    draw: int,
    seed: int = 0,
    variation: float = 0.5,
    strength: float = 1.0,
    shrink: float = 1.0,
) -> np.ndarray:
    """Paint a defect of the bank, mirrored, scaled, turned and varied.

    Args:
        painter: whose bank knows how its defects look.
        image: (H, W) or (H, W, 3) uint8; not changed.
        donor: number of the defect in the bank.
        corner_yx: first row and column of the result's mask.
        draw: seed of how it is mirrored, scaled and turned.
        seed: of how it is varied.
        variation: in [0, 1]; see `GANDefectInpaint`.
        strength: factor of what is added.
        shrink: further factor of its size.

    Returns:
        A new image, bit-identical outside the mask of `sampled_shape`.
    """
    size_hw = (image.shape[0], image.shape[1])
    shape = sampled_shape(painter, size_hw, donor, draw, seed, variation, shrink)
    z = np.zeros(painter.latent_dim, np.float32)
    top, left = corner_yx
    (patch,) = painter.paint(image, [Draw(shape.mask, top, left, shape.class_index, z, shape.origin, shape.look)])
    painted = np.array(image, order="C")
    paste(painted, Patch(top, left, patch.mask, patch.residual * strength, patch.class_index))
    return painted


def sampled_shape(
    painter: DefectInpainter,
    size_hw: tuple[int, int],
    donor: int,
    draw: int,
    seed: int,
    variation: float,
    shrink: float = 1.0,
) -> Shape:
    """Return the shape that `paint_sampled` paints into an image of this size, with its look if the bank knows it."""
    rng = np.random.default_rng(draw)
    shape = jitter_shape(painter.bank[donor], SCALE_RANGE, ROTATE_RANGE, rng, shrink, longest_side(size_hw))
    if not painter.paints_exemplars:
        return shape
    return dress(shape, painter.bank, variation, np.random.default_rng([draw, seed]))


@dataclass(frozen=True, eq=False)
class SampledPart:
    """A part of a drawn mask that has the shape of a real defect, and is painted as that.

    Attributes:
        class_index: that is painted.
        mask: (h, w) bool, tight.
        top: first row in the image.
        left: first column.
        edges: whether the shape belongs at the top, left, bottom or right border of its image.
        donor: number of the defect in its bank.
        own: where that bank is one of the person's own; None for that of the weights.
        draw: see `paint_sampled`; the next three too.
        seed: likewise.
        variation: likewise.
        shrink: likewise.
    """

    class_index: int
    mask: np.ndarray
    top: int
    left: int
    edges: tuple[bool, bool, bool, bool]
    donor: int
    own: OwnExemplar | None
    draw: int
    seed: int
    variation: float
    shrink: float

    def painted(self, painter: DefectInpainter, image: np.ndarray, strength: float = 1.0) -> np.ndarray:
        """Return an image with the part painted into it."""
        corner_yx = self.top, self.left
        return paint_sampled(
            painter, image, self.donor, corner_yx, self.draw, self.seed, self.variation, strength, self.shrink
        )

    def is_still(self, drawn: np.ndarray) -> bool:
        """Whether an (H, W) bool mask has this part, and nothing that touches it."""
        found, grown, own = self._around(drawn)
        return bool(((found & grown) == own).all())

    def is_free(self, taken: np.ndarray) -> bool:
        """Whether the part neither covers nor touches a pixel of an (H, W) bool mask."""
        found, grown, _ = self._around(taken)
        return not bool((found & grown).any())

    def _around(self, array: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (h, w) bool each, from a pixel around the part: of an array, what it covers or touches, and itself."""
        height, width = self.mask.shape
        top, left = max(0, self.top - 1), max(0, self.left - 1)
        found = array[top : self.top + height + 1, left : self.left + width + 1]
        own = np.zeros_like(found)
        self.lay(own, True, top, left)
        return found, cv2.dilate(own.view(np.uint8), np.ones((3, 3), np.uint8)).view(bool), own

    def lay(self, array: np.ndarray, value: int, top: int = 0, left: int = 0) -> None:
        """Write a value where the part is, into an array whose first pixel is this one of the image."""
        height, width = self.mask.shape
        y, x = self.top - top, self.left - left
        array[y : y + height, x : x + width][self.mask] = value
