"""Readers of labelled defect images, one file a layout; group-aware splits; statistics."""

from training.datasets.coco import CocoDataset
from training.datasets.errors import DataError
from training.datasets.folder import FolderDataset
from training.datasets.formats import FORMATS, add_data_arguments, dataset_from_arguments, open_dataset
from training.datasets.labelme import LabelmeDataset
from training.datasets.magnetic_tile import MagneticTileDataset
from training.datasets.near_duplicates import Leak, NearDuplicates, leaks
from training.datasets.record import DefectDataset, Record
from training.datasets.severstal import SeverstalDataset
from training.datasets.split import Split, k_folds, split_by_group, with_validation
from training.datasets.statistics import measure

__all__ = [
    "CocoDataset",
    "DataError",
    "DefectDataset",
    "FORMATS",
    "FolderDataset",
    "LabelmeDataset",
    "Leak",
    "MagneticTileDataset",
    "NearDuplicates",
    "Record",
    "SeverstalDataset",
    "Split",
    "add_data_arguments",
    "dataset_from_arguments",
    "k_folds",
    "leaks",
    "measure",
    "open_dataset",
    "split_by_group",
    "with_validation",
]
