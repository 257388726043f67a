"""Real shapes, invented shapes

Left, shapes of the mask bank: real outlines of training defects. Right, `mask_source="procedural"`: invented outlines
of about the same sizes, wandering lines for slender classes and blobs for stout ones. Invent where the bank is small;
`"both"` mixes the two.
"""

import sys
from pathlib import Path

import albumentations as A
import cv2
import numpy as np

from albu_gan import GANDefectInpaint
from albu_gan.pictures import grid, sample_images

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".jpg")

images = sample_images(gray=True)
rows = []
for name in ("crack", "blowhole"):
    row = []
    for source in ("bank", "procedural"):
        paint = GANDefectInpaint(
            "magnetic-tile-v1",
            classes=[name],
            mask_source=source,
            defects_range=(5, 5),
            scale_range=(0.8, 1.5),
            min_contrast=25,
            p=1.0,
        )
        transform = A.Compose([paint], seed=3)
        for image in images[:2]:
            row.append(transform(image=image, mask=np.zeros(image.shape, np.uint8))["image"])
    rows.append(row)
sheet = grid(rows, (216, 288), ["bank", "bank", "procedural", "procedural"])
cv2.imwrite(str(OUT), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
