"""FID and KID of two sets of features, by torchmetrics."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

KID_SUBSETS = 50


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


def fid(real: np.ndarray, fake: np.ndarray) -> float:
    """Frechet distance between Gaussians fitted to two sets of features (torchmetrics, float64).

    With fewer samples than features the covariances have no full rank, and the distance is biased upward: compare it
    with another one of as many samples, never with a published figure.

    Args:
        real: (N, D), N at least 2.
        fake: (M, D), M at least 2.

    References:
        Heusel et al.: GANs trained by a two time-scale update rule converge to a local Nash equilibrium, 2017.
        Chong, Forsyth: Effectively unbiased FID and Inception score, 2020 (the bias).
    """
    metric = FrechetInceptionDistance(feature=_Given(real.shape[1]), sync_on_compute=False)
    metric.update(torch.from_numpy(real).double(), real=True)
    metric.update(torch.from_numpy(fake).double(), real=False)
    return max(0.0, float(metric.compute()))  # rounding can leave -1e-13 for equal sets
