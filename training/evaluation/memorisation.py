"""Whether a painter repeats its training defects: distances to the nearest of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.evaluation.distance import pairwise
from training.evaluation.features import DefectFeatures, pack
from training.windows import DefectWindow, flip

FLIPS = ((False, False), (False, True), (True, False), (True, True))  # a mirrored copy is a copy


@dataclass(frozen=True)
class TrainingBank:
    """Every real training defect of a class, as it is and mirrored.

    Attributes:
        windows: once each.
        vectors: (4 * len(windows), D); row `i` shows window `i // 4`.
    """

    windows: Sequence[DefectWindow]
    vectors: np.ndarray

    @classmethod
    def of(cls, windows: Sequence[DefectWindow], class_index: int, features: DefectFeatures) -> TrainingBank:
        """Embed the windows; there must be one."""
        rows = [
            features.embed(pack([flip(w.image, f) for f in FLIPS], [flip(w.mask == class_index + 1, f) for f in FLIPS]))
            for w in windows
        ]
        return cls(windows, np.concatenate(rows))

    def nearest(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return, for every row of (N, D), its distance to the nearest training defect and that window's index."""
        distance = pairwise(vectors, self.vectors)
        rows = distance.argmin(axis=1)
        return distance[np.arange(len(vectors)), rows], rows // len(FLIPS)
