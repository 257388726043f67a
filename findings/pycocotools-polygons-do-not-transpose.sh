#!/usr/bin/env bash
# pycocotools does not treat x and y alike when it fills a polygon: turn or transpose an image and its polygons, and the
# mask is not the turned mask. An augmentation of polygons is not the augmentation of the mask they stand for.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q numpy==2.2.6 pycocotools==2.0.11
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from pycocotools import mask as mask_api


def fill(points, height, width):
    return mask_api.decode(mask_api.frPyObjects([np.ravel(points).tolist()], height, width))[:, :, 0]


rng = np.random.default_rng(0)
side, count = 64, 500
different = {"transposed": [], "mirrored": [], "reversed": [], "shifted by one pixel": []}
for _ in range(count):
    points = np.round(rng.uniform(2, 60, (rng.integers(3, 8), 2)), 2)
    mask = fill(points, side, side)
    mirrored = np.stack([side - points[:, 0], points[:, 1]], axis=1)
    different["transposed"].append((fill(points[:, ::-1], side, side).T != mask).sum())
    different["mirrored"].append((fill(mirrored, side, side)[:, ::-1] != mask).sum())
    different["reversed"].append((fill(points[::-1], side, side) != mask).sum())
    different["shifted by one pixel"].append((fill(points + 1, side + 1, side + 1)[1:, 1:] != mask).sum())
print(f"pycocotools {version('pycocotools')}: frPyObjects of {count} random polygons with two decimals, {side} x {side} pixels")
for name, pixels in different.items():
    print(f"{name}: {np.count_nonzero(pixels)} masks differ from the {name} mask, by up to {max(pixels)} pixels")
assert np.count_nonzero(different["transposed"]) > 350 and max(different["transposed"]) > 10
assert np.count_nonzero(different["mirrored"]) > 75
assert not any(different["reversed"]) and not any(different["shifted by one pixel"])
PYTHON
