#!/usr/bin/env bash
# datumaro's masks_to_polygons loses straight cracks one pixel wide, of any length, fills holes, and makes the rest smaller:
# its polygons go through the centres of the outermost pixels.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q datumaro==1.13.12
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import datumaro as dm
import numpy as np

SIZE = (200, 300)
masks = {name: np.zeros(SIZE, np.uint8) for name in ("straight crack", "diagonal crack", "ring", "square")}
masks["straight crack"][100, 10:290] = 1
masks["diagonal crack"][np.arange(10, 190), np.arange(10, 190)] = 1
masks["ring"][50:150, 50:150] = 1
masks["ring"][60:140, 60:140] = 0
masks["square"][50:60, 50:60] = 1
items = [
    dm.DatasetItem(name, media=dm.Image.from_numpy(np.zeros((*SIZE, 3), np.uint8)), annotations=[dm.Mask(mask, label=0)])
    for name, mask in masks.items()
]
dataset = dm.Dataset.from_iterable(items, categories=["defect"])
dataset.transform("masks_to_polygons")
dataset.transform("polygons_to_masks")
left = {item.id: sum(int(annotation.image.sum()) for annotation in item.annotations) for item in dataset}
print(f"datumaro {version('datumaro')}: masks_to_polygons, then polygons_to_masks")
for name, mask in masks.items():
    print(f"{name}: {int(mask.sum())} pixels before, {left[name]} after")
assert {name: int(mask.sum()) for name, mask in masks.items()} == {
    "straight crack": 280, "diagonal crack": 180, "ring": 3600, "square": 100
}
assert left == {"straight crack": 0, "diagonal crack": 0, "ring": 9801, "square": 81}
PYTHON
