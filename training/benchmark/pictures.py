"""Predictions of the arms side by side, on the same test images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from albu_gan.data import DefectDataset
from albu_gan.pictures import grid, to_rgb, write_png
from training.benchmark.runs import PREDICTIONS, ResultError, read_runs
from training.benchmark.settings import ARMS

CELL_HW = (150, 150)
COLOURS = ((230, 80, 60), (70, 160, 240), (250, 200, 40), (90, 200, 100), (200, 100, 220), (240, 140, 200))


def write_pictures(dataset: DefectDataset, out: Path, folder: Path) -> None:
    """Write one sheet a fold, fraction and seed: image, truth, and what each arm predicted.

    Raises:
        ResultError: if no run kept its predictions.
    """
    sheets: dict[tuple[float, int, int], dict[str, Path]] = {}
    for name, run in read_runs(out).items():
        if (out / PREDICTIONS / name).is_dir():
            key = (run["fraction"], run["fold"], run["seed"])
            sheets.setdefault(key, {})[run["arm"]] = out / PREDICTIONS / name
    if not sheets:
        raise ResultError(f"{out / PREDICTIONS}: no predictions; they are written with the runs")
    records = {record.name: record for record in dataset.records}
    for (fraction, fold, seed), folders in sheets.items():
        arms = [arm for arm in ARMS if arm in folders]
        names = sorted(
            p.relative_to(folders[arms[0]]).with_suffix("").as_posix() for p in folders[arms[0]].rglob("*.png")
        )
        rows = []
        for name in (name for name in names if name in records):
            image, mask = dataset.read(records[name])
            predicted = [_read(folders[arm] / f"{name}.png", mask) for arm in arms]
            rows.append([to_rgb(image), overlay(image, mask), *(overlay(image, found) for found in predicted)])
        if not rows:
            raise ResultError(f"{folders[arms[0]]}: its images are not of this data; give the data of the runs")
        path = folder / f"predictions-fraction{fraction:g}-fold{fold}-seed{seed}.png"
        write_png(path, grid(rows, CELL_HW, ["image", "truth", *arms]))
        print(path)


def overlay(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return an RGB copy with every class's pixels tinted and outlined.

    Args:
        image: (H, W, C) uint8.
        mask: (H, W) uint8, class index + 1.
    """
    drawn = to_rgb(image)
    for value in np.unique(mask[mask > 0]):
        colour = COLOURS[(int(value) - 1) % len(COLOURS)]
        inside = mask == value
        drawn[inside] = (0.6 * drawn[inside] + 0.4 * np.array(colour)).astype(np.uint8)
        contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, contours, -1, colour, 1)
    return drawn


def _read(path: Path, like: np.ndarray) -> np.ndarray:
    """Read a predicted index mask; empty if it was not kept."""
    found = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
    return np.zeros_like(like) if found is None else found
