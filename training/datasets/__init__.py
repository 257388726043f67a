"""Group-aware splits, near-duplicates and statistics of data sets that `albu_gan.data` reads."""

from albu_gan.data import DataError, open_dataset
from training.datasets.check import KINDS, Finding, check_dataset
from training.datasets.near_duplicates import Leak, NearDuplicates, leaks
from training.datasets.split import Split, k_folds, split_by_group, with_validation
from training.datasets.statistics import measure

__all__ = [
    "DataError",
    "Finding",
    "KINDS",
    "Leak",
    "NearDuplicates",
    "Split",
    "check_dataset",
    "k_folds",
    "leaks",
    "measure",
    "open_dataset",
    "split_by_group",
    "with_validation",
]
