"""Your own mask

Draw where the defect shall be, as a polyline here, and say which class it is. Every connected part of the mask
becomes a defect of its own. Nothing changes outside the mask, to the last bit.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from albu_gan import DefectInpainter
from albu_gan.pictures import grid, outline, sample_images

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".jpg")

painter = DefectInpainter.from_pretrained("magnetic-tile-v1")
image = sample_images(gray=True)[0]
mask = np.zeros(image.shape, np.uint8)
lines = [[(40, 60), (70, 78), (95, 74), (130, 100), (150, 98)], [(215, 40), (225, 75), (220, 100), (238, 130)]]
for line in lines:
    cv2.polylines(mask, [np.array(line)], False, 1, 3)

painted = painter(image, mask, "crack", seed=5)
assert (painted[mask == 0] == image[mask == 0]).all()
sheet = grid([[image, outline(image, mask), painted]], (216, 288), ["clean", "your mask", "painted"])
cv2.imwrite(str(OUT), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
