"""Precision, recall, density and coverage: whether painted defects look real, and whether real ones are covered."""

from __future__ import annotations

import numpy as np

from training.evaluation.distance import pairwise

NEIGHBOURS = 5


def prdc(real: np.ndarray, fake: np.ndarray, neighbours: int = NEIGHBOURS) -> dict[str, float]:
    """Compare two sets of features by balls that reach from each sample to its k-th nearest of the same set.

    Args:
        real: (N, D).
        fake: (M, D).
        neighbours: k; at most N - 1 (M - 1 for recall) are used.

    Returns:
        precision: share of fake samples inside a real ball, in [0, 1].
        recall: share of real samples inside a fake ball, in [0, 1].
        density: how many real balls a fake sample lies in, over k; may exceed 1, and one outlier weighs little.
        coverage: share of real balls with a fake sample inside, in [0, 1].
        A set of one sample has no ball: what needs it is NaN.

    References:
        Kynkaanniemi et al.: Improved precision and recall metric for assessing generative models, 2019.
        Naeem et al.: Reliable fidelity and diversity metrics for generative models, 2020, equations 3 to 6.
    """
    between = pairwise(real, fake)
    figures = dict.fromkeys(("precision", "recall", "density", "coverage"), float("nan"))
    k = min(neighbours, len(real) - 1)
    if k > 0:
        in_real_ball = between <= _radii(real, k)[:, None]
        figures["precision"] = float(in_real_ball.any(axis=0).mean())
        figures["density"] = float(in_real_ball.sum(axis=0).mean() / k)
        figures["coverage"] = float(in_real_ball.any(axis=1).mean())
    k = min(neighbours, len(fake) - 1)
    if k > 0:
        figures["recall"] = float((between <= _radii(fake, k)[None]).any(axis=1).mean())
    return figures


def coverage(real: np.ndarray, fake: np.ndarray, neighbours: int = NEIGHBOURS) -> float:
    """Coverage alone; see `prdc`."""
    return prdc(real, fake, neighbours)["coverage"]


def _radii(vectors: np.ndarray, k: int) -> np.ndarray:
    """Distance of each row to its k-th nearest other row."""
    return np.sort(pairwise(vectors, vectors), axis=1)[:, k]  # column 0 is the row itself
