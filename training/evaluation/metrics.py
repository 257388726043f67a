"""Figures of a painter, from features of real and painted defects."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics.image.kid import KernelInceptionDistance

KID_SUBSETS = 50
NEIGHBOURS = 5


class _Given(nn.Module):
    """Stands where torchmetrics expects its feature network: the features are given."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, vectors: Tensor) -> Tensor:
        """Return what came."""
        return vectors


def kid(real: np.ndarray, fake: np.ndarray, seed: int = 0) -> float:
    """Kernel distance between two sets of features (torchmetrics; unbiased, mean over subsets).

    Args:
        real: (N, D).
        fake: (M, D).
        seed: of the subsets.

    References:
        Binkowski et al.: Demystifying MMD GANs, 2018.
    """
    size = min(len(real), len(fake), 50)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*save all extracted features.*")  # that is what it is for
        metric = KernelInceptionDistance(
            feature=_Given(real.shape[1]),
            subsets=KID_SUBSETS,
            subset_size=size,
            sync_on_compute=False,  # one process measures while the others wait
        )
    metric.update(torch.from_numpy(real).float(), real=True)
    metric.update(torch.from_numpy(fake).float(), real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mean, _ = metric.compute()
    return float(mean)


def coverage(real: np.ndarray, fake: np.ndarray, neighbours: int = NEIGHBOURS) -> float:
    """Share of real features that have a fake one nearer than their k-th nearest real neighbour.

    Args:
        real: (N, D).
        fake: (M, D).
        neighbours: k; at most N - 1 are used.

    References:
        Naeem et al.: Reliable fidelity and diversity metrics for generative models, 2020, equation 6.
    """
    k = min(neighbours, len(real) - 1)
    if k < 1:
        return float("nan")
    between_real = np.sort(np.linalg.norm(real[:, None] - real[None], axis=2), axis=1)
    radius = between_real[:, k]  # column 0 is the sample itself
    nearest_fake = np.linalg.norm(real[:, None] - fake[None], axis=2).min(axis=1)
    return float((nearest_fake <= radius).mean())


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
