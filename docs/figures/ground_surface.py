"""Compute albu_gan/samples/ground-*.jpg: ground steel as a line camera sees it, from random numbers alone.

The bundled gray weights paint ground magnetic tiles, whose photographs may not be given away. The settings of
these surfaces were chosen by eye beside such photographs, and by the spread of their columns and of what is left.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "albu_gan" / "samples"
SIZE_HW = (288, 384)
QUALITY = 92


def noise(rng: np.random.Generator, sigma_yx: tuple[float, float]) -> np.ndarray:
    """White noise, blurred, of unit variance: (H, W) float32."""
    reach = [int(4 * sigma) + 1 for sigma in sigma_yx]
    white = rng.standard_normal([side + 2 * r for side, r in zip(SIZE_HW, reach, strict=True)], dtype=np.float32)
    if max(sigma_yx) > 0:
        white = cv2.GaussianBlur(white, (0, 0), sigmaX=max(sigma_yx[1], 0.01), sigmaY=max(sigma_yx[0], 0.01))
    inner = white[reach[0] : reach[0] + SIZE_HW[0], reach[1] : reach[1] + SIZE_HW[1]]
    return (inner - inner.mean()) / inner.std()


def ground_surface(level: float, scratches: float, grain: float, seed: int) -> np.ndarray:
    """Make up a surface that was ground from top to bottom.

    Args:
        level: mean brightness, of 255.
        scratches: standard deviation of the long scratches.
        grain: that of what is short.
        seed: same seed, same surface.

    Returns:
        (288, 384) uint8.
    """
    rng = np.random.default_rng(seed)
    light = 0.10 * noise(rng, (90, 45)) + 0.03 * noise(rng, (25, 25))
    long = 0.8 * noise(rng, (400, 0.5)) + 0.35 * noise(rng, (60, 1.2)) + 0.35 * noise(rng, (300, 4))
    long = np.where(long > 0, np.abs(long) ** 1.3, 0.75 * long)  # scratches glint: the bright ones stand out
    patchy = 0.9 + 0.2 * np.clip(noise(rng, (80, 30)), -1.5, 2.5)  # and more in some places than in others
    fine = 0.6 * noise(rng, (1.0, 0.4)) + 0.5 * noise(rng, (0, 0)) + 0.4 * noise(rng, (5, 0.4))
    fine += 0.12 * np.clip(noise(rng, (1.2, 0.4)), 0, None) ** 3 * (patchy > 1)  # glints
    dirt = 0.4 * np.clip(noise(rng, (9, 7)) - 1.0, 0, None) + 0.6 * np.clip(noise(rng, (1.2, 1.2)) - 2.6, 0, None)
    image = level * (1 + light) + patchy * (scratches * long + grain * fine) - 7 * dirt
    image = hairlines(image, rng)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def hairlines(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Darken a few thin, bent marks, hardly to be seen."""
    canvas = np.zeros(SIZE_HW, np.uint8)
    for _ in range(9):
        angle, at = rng.uniform(0, 2 * np.pi), rng.uniform((0, 0), SIZE_HW[::-1])
        points = [at]
        for _ in range(int(rng.integers(8, 30))):
            angle += rng.normal(0, 0.35)
            points.append(points[-1] + 2.5 * np.array([np.cos(angle), np.sin(angle)]))
        cv2.polylines(canvas, [np.rint(np.array(points) * 16).astype(np.int32)], False, 255, 1, cv2.LINE_AA, shift=4)
    broken = np.clip(0.6 + 0.5 * noise(rng, (3, 3)), 0, 1)
    return image - 9 * broken * cv2.GaussianBlur(canvas.astype(np.float32) / 255, (0, 0), 0.7)


if __name__ == "__main__":
    for number, settings in enumerate(((124.0, 7.0, 8.0, 11), (84.0, 4.5, 5.5, 5), (150.0, 8.0, 7.0, 7)), start=1):
        surface = ground_surface(*settings)
        cv2.imwrite(str(OUT / f"ground-{number}.jpg"), surface, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
