"""Perlin noise as in DRAEM (Zavrtanik, Kristan and Skocaj 2021), in the shapes that all arms share."""

from __future__ import annotations

import numpy as np

from albu_gan.defects import MaskBank
from albu_gan.painting import Draw
from training.benchmark.donors import Peer
from training.benchmark.images import ImageStore

MAX_OPACITY_LOST = 0.8  # the texture's opacity is 1 - beta, beta below this
OCTAVE_RANGE = (2, 6)  # cells of the noise's lattice along a side are 2 to some power in this range, at most


class PerlinTexture(Peer):
    """Fills the shape with two pieces of training images, changed at random and mixed by Perlin noise.

    DRAEM takes foreign textures and cuts the shape out of the noise. Here the shape is given, and the training images
    are the only source of texture, as for the other arms.
    """

    def __init__(self, mask_bank: MaskBank, images: ImageStore, latent_dim: int) -> None:
        super().__init__(mask_bank, latent_dim)
        self.images = images

    def painted(self, window: np.ndarray, mask: np.ndarray, draw: Draw, origin_yx: tuple[int, int]) -> np.ndarray:
        rng = np.random.default_rng(np.frombuffer(draw.z.tobytes(), np.uint32))
        noise = perlin_noise(window.shape[:2], 2 ** int(rng.integers(*OCTAVE_RANGE)), rng)[:, :, None]
        first, second = (self._texture(window.shape, rng) for _ in range(2))
        texture = noise * first + (1 - noise) * second
        beta = rng.uniform(0, MAX_OPACITY_LOST)
        return np.where(mask[:, :, None] > 0, beta * window + (1 - beta) * texture, window)

    def _texture(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """A piece of a training image, inverted, stretched and shifted in brightness at random: (h, w, C) float."""
        image, _ = self.images[int(rng.integers(len(self.images)))]
        top, left = (int(rng.integers(side)) for side in image.shape[:2])
        rows, columns = (np.arange(start, start + n) for start, n in ((top, shape[0]), (left, shape[1])))
        piece = image[rows[:, None] % image.shape[0], columns % image.shape[1]].astype(np.float32)
        piece = 255 - piece if rng.random() < 0.5 else piece
        mean = piece.mean()
        return np.clip((piece - mean) * rng.uniform(0.5, 3.0) + mean + rng.uniform(-60, 60), 0, 255)


def perlin_noise(shape: tuple[int, int], cells: int, rng: np.random.Generator) -> np.ndarray:
    """Return gradient noise (Perlin 1985), stretched to [0, 1].

    Args:
        shape: height and width.
        cells: of the lattice along each side.
        rng: draws the gradients.
    """
    angles = rng.uniform(0, 2 * np.pi, (cells + 1, cells + 1))
    gradients = np.stack([np.sin(angles), np.cos(angles)], axis=2)
    y, x = np.meshgrid(*((np.arange(n) + 0.5) * cells / n for n in shape), indexing="ij")
    row, column = y.astype(int), x.astype(int)
    fy, fx = y - row, x - column

    def corner(dy: int, dx: int) -> np.ndarray:
        gradient = gradients[row + dy, column + dx]
        return gradient[:, :, 0] * (fy - dy) + gradient[:, :, 1] * (fx - dx)

    def fade(t: np.ndarray) -> np.ndarray:
        return t**3 * (t * (6 * t - 15) + 10)

    above = corner(0, 0) + fade(fx) * (corner(0, 1) - corner(0, 0))
    below = corner(1, 0) + fade(fx) * (corner(1, 1) - corner(1, 0))
    noise = above + fade(fy) * (below - above)
    return (noise - noise.min()) / max(float(np.ptp(noise)), 1e-9)
