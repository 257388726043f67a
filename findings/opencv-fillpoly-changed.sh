#!/usr/bin/env bash
# cv2.fillPoly fills other pixels from OpenCV 4.11 on. Masks that readers draw with it (Ultralytics,
# supervision) depend on the version: the same label file, another mask.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 4.10.0.84 4.11.0.86; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/python" -m pip install -q numpy==2.2.6 "opencv-python-headless==$version"
  "$folder/$version/bin/python" - >"$folder/$version.txt" <<'PYTHON'
import cv2
import numpy as np

print(cv2.__version__)
rng = np.random.default_rng(1)
for number in range(20_000):
    points = np.array([[4, 4], [1, 8], [6, 8]]) if number == 0 else rng.integers(0, 9, (rng.integers(3, 6), 2))
    mask = np.zeros((9, 9), np.uint8)
    cv2.fillPoly(mask, [points.astype(np.int32)], 1)
    print("".join(map(str, mask.ravel())))
PYTHON
done
python3 - "$folder/4.10.0.84.txt" "$folder/4.11.0.86.txt" <<'PYTHON'
import sys

old, new = (open(path).read().split() for path in sys.argv[1:])
print(f"OpenCV {old[0]} and {new[0]}: cv2.fillPoly of one triangle (4,4) (1,8) (6,8), and of 19,999 random polygons on 9 x 9 pixels")
for row in range(4, 9):
    print("   ", *(mask[1][9 * row : 9 * row + 9].replace("0", ".").replace("1", "#") for mask in (old, new)))
changed = sum(a != b for a, b in zip(old[1:], new[1:]))
print(f"{changed} of {len(old) - 1} masks differ; the triangle has {old[1].count('1')} and {new[1].count('1')} pixels")
assert (old[0], new[0]) == ("4.10.0", "4.11.0")
assert (old[1].count("1"), new[1].count("1")) == (19, 17), "the triangle changed"
assert changed > 4000, "fewer masks differ"
PYTHON
