"""Fifty thousand calls in a worker take no more memory than the first few hundred."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from albu_gan import GANDefectInpaint

CALLS = 50_000
WARM_UP = 5_000
MOST_GROWTH = 4 * 2**20  # bytes: 90 a call would be seen


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


class Endless(Dataset[torch.Tensor]):
    """The worker's memory after each call, with boxes, a region and images of changing size."""

    def __init__(self, weights: str) -> None:
        self.pipeline = A.Compose(
            [
                A.HorizontalFlip(p=0.5),
                GANDefectInpaint(
                    weights, region_key="roi", bbox_labels={"pit": "a", "scratch": "b", "stain": "c"}, p=0.9
                ),
            ],
            additional_targets={"roi": "mask"},
            bbox_params=A.BboxParams(format="pascal_voc", label_fields=["kind"]),
        )
        self.levels = np.random.default_rng(0).integers(90, 160, (96, 96, 3)).astype(np.uint8)

    def __len__(self) -> int:
        return CALLS

    def __getitem__(self, index: int) -> torch.Tensor:
        height, width = 40 + index % 7 * 8, 40 + index % 5 * 8
        blank = np.zeros((height, width), np.uint8)
        result: dict[str, Any] = self.pipeline(
            image=self.levels[:height, :width], mask=blank, roi=blank + 1, bboxes=[[1, 1, 5, 5]], kind=["a"]
        )
        assert result["image"].shape == (height, width, 3)
        return torch.tensor(resident_bytes())


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_of_a_worker_stays_flat(weights: str) -> None:
    batches = DataLoader(Endless(weights), batch_size=500, num_workers=1, timeout=600)
    used = torch.cat([batch.clone() for batch in batches])
    assert len(used) == CALLS
    settled, last = (float(part.double().median()) for part in (used[WARM_UP : 2 * WARM_UP], used[-WARM_UP:]))
    assert last - settled < MOST_GROWTH, [int(value) // 2**20 for value in used[:: CALLS // 20]]
