"""What is in a data set: class balance, defects per image, areas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from albu_gan.data import DefectDataset

DEFINITION = "a polygon is a connected part of one class in the mask, 8-connected, of any size"
ALL = "all"  # key of the figures over all classes


def polygon_areas(mask: np.ndarray) -> dict[int, list[int]]:
    """Measure the connected parts of an index mask.

    Args:
        mask: (H, W) uint8, class index + 1.

    Returns:
        Areas in pixels by class index.
    """
    areas = {}
    for value in np.flatnonzero(np.bincount(mask.ravel())):
        if value:
            parts = cv2.connectedComponentsWithStats((mask == value).astype(np.uint8), connectivity=8)[2]
            areas[int(value) - 1] = [int(area) for area in parts[1:, cv2.CC_STAT_AREA]]
    return areas


def measure(dataset: DefectDataset, progress: bool = True) -> dict[str, Any]:
    """Read every mask and count.

    Args:
        dataset: all its records are read.
        progress: show a progress bar.

    Returns:
        Plain JSON: numbers of images and polygons by class and in all, polygons per image (of the images that have any)
        and areas of polygons as distributions, classes per image, image sizes. `classes[name]["areas"]` lists every
        area in pixels, for other plots.

    Raises:
        DataError: naming the file that cannot be read.
    """
    names = dataset.class_names
    per_image: dict[str, list[int]] = {name: [] for name in (*names, ALL)}
    areas: dict[str, list[int]] = {name: [] for name in names}
    shares: dict[str, list[float]] = {name: [] for name in names}
    sizes: Counter[str] = Counter()
    classes_per_image: Counter[int] = Counter()
    for record in tqdm(dataset.records, desc="measure", unit="image", leave=False, disable=None if progress else True):
        mask = dataset.read(record)[1]
        sizes[f"{mask.shape[0]}x{mask.shape[1]}"] += 1
        found = polygon_areas(mask)
        classes_per_image[len(found)] += 1
        for index, parts in found.items():
            per_image[names[index]].append(len(parts))
            areas[names[index]] += parts
            shares[names[index]] += [area / mask.size for area in parts]
        if found:
            per_image[ALL].append(sum(map(len, found.values())))
    with_defects = len(per_image[ALL])
    return {
        "definition": DEFINITION,
        "images": {
            "total": len(dataset.records),
            "with_defects": with_defects,
            "without_defects": len(dataset.records) - with_defects,
        },
        "image_sizes": dict(sizes.most_common()),
        "classes_per_image": _by_number(classes_per_image),
        ALL: _figures(per_image[ALL], [a for n in names for a in areas[n]], [s for n in names for s in shares[n]]),
        "classes": {
            name: {**_figures(per_image[name], areas[name], shares[name]), "areas": areas[name]} for name in names
        },
    }


def _figures(per_image: list[int], areas: list[int], shares: list[float]) -> dict[str, Any]:
    return {
        "images": len(per_image),
        "polygons": len(areas),
        "pixels": sum(areas),
        "polygons_per_image": {**distribution(per_image), "images_by_count": _by_number(Counter(per_image))},
        "area_pixels": distribution(areas),
        "area_share_of_image": distribution(shares),
    }


def distribution(values: Sequence[float]) -> dict[str, float | None]:
    """Return least, quartiles, greatest and mean; None of nothing."""
    keys = ("min", "q1", "median", "q3", "max", "mean")
    if not len(values):
        return dict.fromkeys(keys)
    quartiles = np.percentile(values, (0, 25, 50, 75, 100)).tolist()
    return dict(zip(keys, (*quartiles, float(np.mean(values))), strict=True))


def _by_number(counts: Counter[int]) -> dict[str, int]:
    return {str(number): counts[number] for number in sorted(counts)}
