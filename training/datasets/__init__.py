"""Readers of labelled defect images, one file a layout, and group-aware splits."""

from training.datasets.formats import FORMATS, open_dataset
from training.datasets.labelme import LabelmeDataset
from training.datasets.magnetic_tile import MagneticTileDataset
from training.datasets.record import DataError, DefectDataset, Record
from training.datasets.split import Split, split_by_group

__all__ = [
    "DataError",
    "DefectDataset",
    "FORMATS",
    "LabelmeDataset",
    "MagneticTileDataset",
    "Record",
    "Split",
    "open_dataset",
    "split_by_group",
]
