"""In a whole pipeline

Painted first, so that the crop can follow the defect, and the defect gets the light and the blur that the rest of the
image gets. The upper row is what the network sees with `p=1`, the lower one its label. No two are alike.
"""

import sys
from pathlib import Path

import albumentations as A
import cv2
import numpy as np

from albu_gan import GANDefectInpaint
from albu_gan.pictures import grid, sample_images

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".jpg")

transform = A.Compose(
    [
        GANDefectInpaint("bsdata-pitting-v1", defects_range=(1, 3), scale_range=(0.4, 1.0), p=1.0),
        A.CropNonEmptyMaskIfExists(224, 224),
        A.D4(p=1.0),
        A.RandomBrightnessContrast(p=0.8),
        A.MotionBlur(blur_limit=(3, 5), p=0.3),
    ],
    seed=5,
)
rows: list[list[np.ndarray]] = [[], []]
for image in sample_images()[:3] * 2:
    out = transform(image=image, mask=np.zeros(image.shape[:2], np.uint8))
    rows[0].append(out["image"])
    rows[1].append(out["mask"] * 255)
sheet = grid(rows, (180, 180))
cv2.imwrite(str(OUT), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
