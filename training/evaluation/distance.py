"""Distances of features: between paired windows, and within a class."""

from __future__ import annotations

import numpy as np


def mean_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean Euclidean distance of paired rows."""
    return float(np.linalg.norm(a - b, axis=1).mean())


def within_class_distance(vectors: np.ndarray, groups: np.ndarray) -> float:
    """Mean Euclidean distance of two vectors from different groups; of any two if there is one group only."""
    distance = pairwise(vectors, vectors)
    other = groups[:, None] != groups[None]
    if not other.any():
        other = ~np.eye(len(vectors), dtype=bool)
    return float(distance[other].mean())


def pairwise(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distances of every row of (N, D) to every row of (M, D), as (N, M)."""
    return np.stack([np.linalg.norm(row[None] - b, axis=1) for row in a])
