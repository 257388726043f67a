"""Stronger, weaker

`strength` scales what is added to the image: 0 gives the image back, 1 is what the network painted, more exaggerates.
Paint a series of ever fainter defects, and see at which your detector fails.
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
mask = np.zeros(image.shape[:2], np.uint8)
cv2.ellipse(mask, (215, 165), (26, 14), -10, 0, 360, 1, -1)

strengths = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
view = np.s_[117:213, 151:279]
pictures = [painter(image, mask, "pitting", seed=4, strength=strength)[view] for strength in strengths]
sheet = grid([pictures], (162, 216), [f"strength {strength:g}" for strength in strengths])
cv2.imwrite(str(OUT), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
