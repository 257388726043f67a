"""Every class, in its own shapes and in a foreign one

`magnetic-tile-v1` paints five classes. Above each has a shape from its own part of the mask bank, as in training.
Below all have the same ellipse: in a foreign shape most classes look alike, since a class is its shape as much as its
texture.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from albu_gan import DefectInpainter
from albu_gan.pictures import grid, sample_images

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".jpg")

painter = DefectInpainter.from_pretrained("magnetic-tile-v1")
bank = [painter.bank[index] for index in range(len(painter.bank))]
image = sample_images(gray=True)[0]
ellipse = np.zeros((96, 128), np.uint8)
cv2.ellipse(ellipse, (64, 48), (30, 12), 20, 0, 360, 1, -1)

rows: list[list[np.ndarray]] = [[], []]
for index, name in enumerate(painter.class_names):
    shapes = [s.mask for s in bank if s.class_index == index and s.mask.shape[0] <= 92 and s.mask.shape[1] <= 124]
    own = min(shapes, key=lambda shape: abs(max(shape.shape) - 70))
    for row, shape in zip(rows, (own, ellipse), strict=True):
        top, left = 40 + (96 - shape.shape[0]) // 2, 60 + (128 - shape.shape[1]) // 2
        mask = np.zeros(image.shape, np.uint8)
        mask[top : top + shape.shape[0], left : left + shape.shape[1]] = shape
        row.append(painter(image, mask, name, seed=3)[40:136, 60:188])
sheet = grid(rows, (162, 216), painter.class_names)
cv2.imwrite(str(OUT), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
