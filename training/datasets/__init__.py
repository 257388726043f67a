"""Group-aware splits, near-duplicates and statistics of data sets that `albu_gan.data` reads."""

from training.datasets.near_duplicates import Leak, NearDuplicates, leaks
from training.datasets.split import Split, k_folds, split_by_group, with_validation
from training.datasets.statistics import measure

__all__ = [
    "Leak",
    "NearDuplicates",
    "Split",
    "k_folds",
    "leaks",
    "measure",
    "split_by_group",
    "with_validation",
]
