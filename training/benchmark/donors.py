"""Painters that take real pixels instead of a GAN's: the same shapes, and the defects they were cut from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from albu_gan.data import DefectDataset, Record
from albu_gan.defects import DefectBank, DefectInpainter
from albu_gan.painting import Draw, Patch
from training.benchmark.images import ImageStore
from training.evaluation.copy_paste import feathered_copy_paste
from training.gan.export import find_shapes

MARGIN = 12  # pixels around a donor's shape that are kept, and around a place that is painted
ERODED = 3  # pixels by which cv2.seamlessClone erodes the mask it is given


@dataclass(frozen=True)
class Donor:
    """The image around a shape of the bank: (h + 2 MARGIN, w + 2 MARGIN, C) uint8, mirrored outside of its image."""

    image: np.ndarray


def cut_donors(dataset: DefectDataset, records: Sequence[Record]) -> tuple[DefectBank, list[Donor]]:
    """Return the mask bank of the records, as a painter trained on them has it, and the donor of each of its shapes."""
    found = find_shapes(dataset, records)
    store = ImageStore(dataset, [f.record for f in found])
    first = {record.name: index for index, record in reversed(list(enumerate(store.records)))}
    donors = []
    for f in found:
        image, _ = store[first[f.record.name]]
        height, width = f.shape.mask.shape
        padded = cv2.copyMakeBorder(image, MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_REFLECT_101)
        cut = padded[f.top : f.top + height + 2 * MARGIN, f.left : f.left + width + 2 * MARGIN]
        donors.append(Donor(np.ascontiguousarray(cut).reshape(*cut.shape[:2], -1)))
    return DefectBank([f.shape for f in found], len(dataset.class_names)), donors


class Peer(ABC):
    """A painter for `DefectSampler` that draws from its generator exactly what `DefectInpainter` draws.

    Args:
        bank: shapes to draw from.
        latent_dim: of the painter it is compared with.
    """

    paints_exemplars = False  # it paints in a way of its own

    def __init__(self, bank: DefectBank, latent_dim: int) -> None:
        self.bank, self.latent_dim = bank, latent_dim

    def draw_latent(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a standard normal z; a peer that needs randomness takes it from there."""
        return rng.standard_normal(self.latent_dim, dtype=np.float32)

    def paint(self, image: np.ndarray, draws: Sequence[Draw]) -> list[Patch]:
        """Return one patch a draw; see `DefectInpainter.paint`."""
        pixels = image.reshape(*image.shape[:2], -1)
        patches = []
        for draw in draws:
            window, mask, origin_yx = surroundings(pixels, draw)
            painted = self.painted(window, mask, draw, origin_yx).astype(np.float32)
            y, x = origin_yx
            height, width = draw.mask.shape
            residual = (painted - window)[y : y + height, x : x + width] / np.float32(255)
            patches.append(Patch(draw.top, draw.left, draw.mask, np.ascontiguousarray(residual), draw.class_index))
        return patches

    @abstractmethod
    def painted(self, window: np.ndarray, mask: np.ndarray, draw: Draw, origin_yx: tuple[int, int]) -> np.ndarray:
        """Paint one defect.

        Args:
            window: (h, w, C) uint8, the place with up to MARGIN pixels around it.
            mask: (h, w) uint8, the shape in that window.
            draw: what is painted.
            origin_yx: of the draw's mask in the window.

        Returns:
            (h, w, C), levels of 255.
        """


def surroundings(image: np.ndarray, draw: Draw) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Cut the place of a draw with a margin that ends at the image's border.

    Returns:
        Window (h, w, C) uint8, the draw's mask in it (h, w) uint8, and where that mask begins.
    """
    (H, W), (h, w) = image.shape[:2], draw.mask.shape
    top, left = max(0, draw.top - MARGIN), max(0, draw.left - MARGIN)
    window = image[top : min(H, draw.top + h + MARGIN), left : min(W, draw.left + w + MARGIN)]
    mask = np.zeros(window.shape[:2], np.uint8)
    y, x = draw.top - top, draw.left - left
    mask[y : y + h, x : x + w] = draw.mask
    return window, mask, (y, x)


class CopyPaste(Peer):
    """Pastes the very defect that the shape came from, mirrored, scaled and turned with it, with feathered edges."""

    def __init__(self, bank: DefectBank, donors: Sequence[Donor], latent_dim: int) -> None:
        super().__init__(bank, latent_dim)
        self.donors = donors

    def moved(self, window: np.ndarray, draw: Draw, origin_yx: tuple[int, int]) -> np.ndarray:
        """Return the donor as the draw's shape was moved, in the window's pixels: (h, w, C) uint8."""
        assert draw.origin is not None, "the shape of a draw comes from the bank"
        donor = self.donors[draw.origin.index].image
        matrix = draw.origin.matrix.copy()
        matrix[:, 2] += [origin_yx[1], origin_yx[0]]
        matrix[:, 2] -= matrix[:, :2] @ np.array([MARGIN, MARGIN])  # the donor's image begins before its mask
        moved = cv2.warpAffine(
            donor, matrix, window.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        return moved.reshape(window.shape)

    def painted(self, window: np.ndarray, mask: np.ndarray, draw: Draw, origin_yx: tuple[int, int]) -> np.ndarray:
        return feathered_copy_paste(window, mask, self.moved(window, draw, origin_yx))


class Poisson(CopyPaste):
    """Blends the donor's gradients (`cv2.seamlessClone`; Perez, Gangnet and Blake 2003), feathered like copy-paste."""

    def painted(self, window: np.ndarray, mask: np.ndarray, draw: Draw, origin_yx: tuple[int, int]) -> np.ndarray:
        donor = self.moved(window, draw, origin_yx)
        border = ERODED + 2  # so that the mask it is given does not touch the border
        source, target = (
            cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE).reshape(
                image.shape[0] + 2 * border, image.shape[1] + 2 * border, -1
            )
            for image in (donor, window)
        )
        channels = window.shape[2]
        if channels == 1:
            source, target = np.repeat(source, 3, axis=2), np.repeat(target, 3, axis=2)
        # Widened by what the function takes away, or thin cracks would vanish.
        wide = cv2.dilate(np.pad(mask, border), np.ones((3, 3), np.uint8), iterations=ERODED) * np.uint8(255)
        left, top, width, height = cv2.boundingRect(wide)
        centre = (left + width // 2, top + height // 2)
        blended = cv2.seamlessClone(source, target, wide, centre, cv2.NORMAL_CLONE)[border:-border, border:-border]
        return feathered_copy_paste(window, mask, blended[:, :, :channels])


class FixedLatent:
    """A GAN painter that is given one latent for all defects; it draws as many random numbers as with new ones."""

    paints_exemplars = False

    def __init__(self, inpainter: DefectInpainter, seed: int) -> None:
        self.inpainter = inpainter
        self.z = inpainter.draw_latent(np.random.default_rng(seed))

    @property
    def bank(self) -> DefectBank:
        """The painter's shapes."""
        return self.inpainter.bank

    def draw_latent(self, rng: np.random.Generator) -> np.ndarray:
        """Return the fixed z."""
        self.inpainter.draw_latent(rng)
        return self.z

    def paint(self, image: np.ndarray, draws: Sequence[Draw]) -> list[Patch]:
        """Return one patch a draw."""
        return self.inpainter.paint(image, draws)
