"""Figures of a painter, class by class."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchmetrics.image.kid import KernelInceptionDistance

from training.evaluation.features import DefectFeatures

KID_SUBSETS = 50


def kid(features: DefectFeatures, real: Tensor, fake: Tensor, seed: int = 0) -> float:
    """Kernel distance between two sets of packed windows (torchmetrics; unbiased, mean over subsets).

    Args:
        features: used in place of Inception.
        real: (N, C + 1, H, W) uint8, see `training.evaluation.features.pack`.
        fake: (M, C + 1, H, W) uint8.
        seed: of the subsets.

    References:
        Binkowski et al.: Demystifying MMD GANs, 2018.
    """
    size = min(len(real), len(fake), 50)
    metric = KernelInceptionDistance(feature=features, subsets=KID_SUBSETS, subset_size=size)
    for packed, is_real in ((real, True), (fake, False)):
        for part in packed.split(64):
            metric.update(part, real=is_real)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mean, _ = metric.compute()
    return float(mean)


def embed(features: DefectFeatures, packed: Tensor) -> np.ndarray:
    """(N, C + 1, H, W) uint8 to (N, D) float64."""
    return torch.cat([features(part) for part in packed.split(64)]).double().numpy()


def mean_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean Euclidean distance of paired rows."""
    return float(np.linalg.norm(a - b, axis=1).mean())


def within_class_distance(vectors: np.ndarray, groups: np.ndarray) -> float:
    """Mean Euclidean distance of two vectors from different groups; of any two if there is one group only."""
    distance = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    other = groups[:, None] != groups[None]
    if not other.any():
        other = ~np.eye(len(vectors), dtype=bool)
    return float(distance[other].mean())
