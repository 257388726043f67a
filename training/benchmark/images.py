"""Images and masks of one side of a fold, read once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from albu_gan.data import DefectDataset, Record


class ImageStore:
    """Images of some records, kept after the first read.

    Args:
        dataset: that they belong to.
        records: in the order of the indices.
    """

    def __init__(self, dataset: DefectDataset, records: Sequence[Record]) -> None:
        self.dataset, self.records = dataset, list(records)
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return image (H, W, C) uint8 and mask (H, W) uint8."""
        if index not in self._kept:
            self._kept[index] = self.dataset.read(self.records[index])
        return self._kept[index]


def defective_and_clean(dataset: DefectDataset, records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """Return the records with a defect, and the clean ones of groups that have none."""
    return [record for record in records if record.classes], dataset.clean_records(list(records))


def at_most_per_group(records: Sequence[Record], count: int) -> list[Record]:
    """Return at most `count` records of each group and set of classes, evenly taken in the order of their names."""
    by_group: dict[tuple[str, tuple[int, ...]], list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda r: r.name):
        by_group[record.group, tuple(sorted(record.classes))].append(record)
    kept = []
    for members in by_group.values():
        chosen = np.unique(np.linspace(0, len(members) - 1, min(len(members), count)).astype(int))
        kept += [members[i] for i in chosen]
    return kept
