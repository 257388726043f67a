"""Draw docs/images/filled.jpg: real defects, and the surface that training holds them against.

`python docs/figures/filled.py DIR` with BSData in DIR.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from albu_gan.data import LabelmeDataset
from albu_gan.painting import window_shapes
from albu_gan.pictures import grid, outline
from training.windows import DefectWindow, cut_defects

OUT = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent.parent / "images" / "filled.jpg"
COLUMNS, CELL = 6, 160
LARGE = 0.08  # of a window: smaller defects are easy to take away


def picture(windows: list[DefectWindow]) -> np.ndarray:
    """A column a window: real with its label, filled in."""
    rows = [[outline(w.image, w.mask > 0) for w in windows], [w.filled for w in windows if w.filled is not None]]
    return grid(rows, (CELL, CELL))


if __name__ == "__main__":
    dataset = LabelmeDataset(Path(sys.argv[1]), group_pattern=r"(\d{6}_\d{3}(?=_crop)|^KGT\d-[SV])")
    shapes = window_shapes((64, 128), True, 16)
    last = {record.group: record for record in dataset.records if record.classes}
    windows = cut_defects(dataset, list(last.values()), shapes)
    groups = {window.group: window for window in windows if (window.mask > 0).mean() > LARGE}
    cv2.imwrite(str(OUT), cv2.cvtColor(picture(list(groups.values())[:COLUMNS]), cv2.COLOR_RGB2BGR))
