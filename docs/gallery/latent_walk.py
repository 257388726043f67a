"""A walk between two latents

From one defect to another in seven steps, without a jump. The walk keeps the length of the latent.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from albu_gan import DefectInpainter
from albu_gan.painting import Draw, paste
from albu_gan.pictures import grid, sample_images

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".jpg")

painter = DefectInpainter.from_pretrained("bsdata-pitting-v1")
rng = np.random.default_rng(2)
first, last = painter.draw_latent(rng), painter.draw_latent(rng)
steps = np.linspace(0, np.pi / 2, 7, dtype=np.float32)

shape = next(s for s in map(painter.bank.__getitem__, range(len(painter.bank))) if 1500 < s.mask.sum() < 2000)
height, width = shape.mask.shape
rows = []
for image, (top, left) in ((sample_images()[2], (90, 180)), (sample_images()[1], (60, 90))):
    row = []
    for step in steps:
        z = np.cos(step) * first + np.sin(step) * last
        painted = image.copy()
        for patch in painter.paint(painted, [Draw(shape.mask, top, left, 0, z)]):
            paste(painted, patch)
        row.append(painted[top - 15 : top + height + 15, left - 15 : left + width + 15])
    rows.append(row)
sheet = grid(rows, (150, 170))
cv2.imwrite(str(OUT), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
