"""From specks to spalls

`scale_range` multiplies the size of a shape. A small defect is painted in a small window; one that is larger than the
largest window is painted at a reduced scale and then enlarged, so it is softer inside than a small one.
"""

import sys
from pathlib import Path

import albumentations as A
import cv2
import numpy as np

from albu_gan import GANDefectInpaint
from albu_gan.pictures import grid, sample_images

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".jpg")

image = sample_images()[2]
factors = (0.15, 0.3, 0.6, 1.0, 1.8)
pictures = []
for factor in factors:
    paint = GANDefectInpaint("bsdata-pitting-v1", scale_range=(factor, factor), defects_range=(1, 1), p=1.0)
    transform = A.Compose([paint], seed=11)
    pictures.append(transform(image=image, mask=np.zeros(image.shape[:2], np.uint8))["image"])
sheet = grid([pictures], (216, 288), [f"scale {factor:g}" for factor in factors])
cv2.imwrite(str(OUT), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
