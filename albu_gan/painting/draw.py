"""One defect that is to be painted, and where its shape comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from albu_gan.painting.parts import Parts


@dataclass(frozen=True)
class Origin:
    """Which shape of a bank another one was made from, and how.

    With it, whatever lies in the image that the shape was cut from can be moved as the shape was.

    Attributes:
        index: of the shape in its `DefectBank`.
        matrix: (2, 3) float64, takes x, y, 1 of a pixel's centre in the bank's mask to x, y in the new one.
    """

    index: int
    matrix: np.ndarray

    def then(self, matrix: np.ndarray) -> Origin:
        """Return the origin after one more (2, 3) map."""
        return Origin(self.index, matrix[:, :2] @ self.matrix + np.array([[0, 0, 1]]) * matrix[:, 2:])


class Look(Protocol):
    """How a defect looks, where that is known before it is painted."""

    def paint(self, image: np.ndarray, top: int, left: int) -> tuple[np.ndarray, float]:
        """Return what is to be added to an image where the defect's mask lies, and how clear that is.

        Args:
            image: (H, W) or (H, W, C), uint8, or float32 in [0, 1]; read only.
            top: first row of the mask in the image.
            left: first column.

        Returns:
            (h, w, C) float32 in units of the full range, 0 outside the mask; and `clarity` of `Patch`.
        """


@dataclass(frozen=True)
class Draw:
    """One defect to be painted.

    Attributes:
        mask: (h, w) bool, tight around the shape.
        top: first row of the mask in the image.
        left: first column of the mask in the image.
        class_index: of the defect.
        z: (latent_dim,) float32.
        origin: of the shape, if it came from a bank.
        look: how it looks; None leaves that to the network.
        parts: of a compound, which is labelled part by part; None for a defect of one class.
    """

    mask: np.ndarray
    top: int
    left: int
    class_index: int
    z: np.ndarray
    origin: Origin | None = None
    look: Look | None = None
    parts: Parts | None = None
