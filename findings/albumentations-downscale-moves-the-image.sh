#!/usr/bin/env bash
# A.Downscale moves the image down and to the right, by 1.5 pixels with its default scale of 1/4, and leaves masks, boxes and
# keypoints where they are: each of the two resizes takes the pixel at the upper left.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q numpy==2.2.6 albumentations==2.0.8 opencv-python-headless==4.12.0.88
"$folder/venv/bin/python" - 2>"$folder/warnings.txt" <<'PYTHON'
from importlib.metadata import version

import albumentations as A
import cv2
import numpy as np

AREA = {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_LINEAR}


def offset(seed, **arguments):
    """How far an image with a bright disc lies down and right of the mask of the disc, and the overlap of the two."""
    y, x = np.mgrid[:160, :160]
    cy, cx = np.random.default_rng(seed).uniform(60, 100, 2)
    disc = np.hypot(y - cy, x - cx) <= 8
    out = A.Compose([A.Downscale(p=1, **arguments)], seed=seed)(
        image=np.where(disc, 255, 0).astype(np.uint8)[:, :, None], mask=disc.astype(np.uint8)
    )
    image, mask = out["image"][:, :, 0] / 255, out["mask"]
    there, here = (np.array([(w * y).sum(), (w * x).sum()]) / w.sum() for w in (image, mask))
    seen = image >= 0.5
    return [*(there - here), (seen & (mask > 0)).sum() / (seen | (mask > 0)).sum()]


said = {}
print(f"albumentations {version('albumentations')}: A.Downscale of 200 images with a disc of radius 8, and of its mask")
for name, arguments in {
    "as it is": {},
    "scale_range=(0.5, 0.5)": {"scale_range": (0.5, 0.5)},
    "interpolation_pair of INTER_AREA and INTER_LINEAR": {"interpolation_pair": AREA},
}.items():
    down, right, overlap = said[name] = np.mean([offset(seed, **arguments) for seed in range(200)], axis=0)
    print(f"{name}: image {down:+.2f} down and {right:+.2f} right of its mask; intersection over union {overlap:.2f}")
default, half, even = said.values()
assert np.abs(default[:2] - 1.5).max() < 0.15 and np.abs(half[:2] - 0.5).max() < 0.15 and np.abs(even[:2]).max() < 0.05
assert default[2] < 0.8 < 0.9 < even[2]
PYTHON
