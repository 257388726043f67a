"""Read the split that `python -m training.datasets split` wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from albu_gan.data import Record, read_sides
from training.datasets.split import Split


def read_split(path: Path, records: Sequence[Record]) -> Split:
    """Read the groups of each side; see `albu_gan.data.read_sides`."""
    sides = read_sides(path, records)
    return Split(sides.get("train", ()), sides.get("held_out", ()), sides.get("validation", ()))
