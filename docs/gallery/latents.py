"""One mask, eight latents

The place, the mask and the class are the same in all eight pictures. Only the latent differs, and with it the depth,
the light and the grain of the pit. `seed` chooses the latent of `DefectInpainter`; the transform draws one by itself.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from albu_gan import DefectInpainter
from albu_gan.pictures import grid, sample_images

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".jpg")

painter = DefectInpainter.from_pretrained("bsdata-pitting-v1")
image = sample_images()[2]
shape = next(s for s in map(painter.mask_bank.__getitem__, range(len(painter.mask_bank))) if 700 < s.mask.sum() < 900)
mask = np.zeros(image.shape[:2], np.uint8)
height, width = shape.mask.shape
mask[150 : 150 + height, 190 : 190 + width] = shape.mask

view = np.s_[120:216, 150:278]  # rows and columns around the mask
pictures = [painter(image, mask, "pitting", seed=seed)[view] for seed in range(8)]
sheet = grid([pictures[:4], pictures[4:]], (216, 288))
cv2.imwrite(str(OUT), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
