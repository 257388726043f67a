"""One defect that is to be painted, and where its shape comes from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Origin:
    """Which shape of a bank another one was made from, and how.

    With it, whatever lies in the image that the shape was cut from can be moved as the shape was.

    Attributes:
        index: of the shape in its `MaskBank`.
        matrix: (2, 3) float64, takes x, y, 1 of a pixel's centre in the bank's mask to x, y in the new one.
    """

    index: int
    matrix: np.ndarray

    def then(self, matrix: np.ndarray) -> Origin:
        """Return the origin after one more (2, 3) map."""
        return Origin(self.index, matrix[:, :2] @ self.matrix + np.array([[0, 0, 1]]) * matrix[:, 2:])


@dataclass(frozen=True)
class Draw:
    """One defect to be painted.

    Attributes:
        mask: (h, w) bool, tight around the shape.
        top: first row of the mask in the image.
        left: first column of the mask in the image.
        class_index: of the defect.
        z: (latent_dim,) float32.
        origin: of the shape, if it came from a mask bank.
    """

    mask: np.ndarray
    top: int
    left: int
    class_index: int
    z: np.ndarray
    origin: Origin | None = None
