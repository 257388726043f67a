"""Data sets by the name of their layout."""

from __future__ import annotations

from pathlib import Path

from training.datasets.labelme import LabelmeDataset
from training.datasets.magnetic_tile import MagneticTileDataset
from training.datasets.record import DefectDataset

FORMATS = ("labelme", "magnetic-tile")


def open_dataset(name: str, root: Path, group_pattern: str | None = None) -> DefectDataset:
    """Open a data set by the name of its layout."""
    if name == "magnetic-tile":
        return MagneticTileDataset(root)
    return LabelmeDataset(root, group_pattern)
