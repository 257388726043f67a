"""Only where they happen

Pits come where the balls run, not in the groove. `region_key` names a mask that says where defects may go; declared
as an additional target it is flipped, cropped and rotated with the image, and is itself never painted.
"""

import sys
from pathlib import Path

import albumentations as A
import cv2
import numpy as np

from albu_gan import GANDefectInpaint
from albu_gan.pictures import grid, outline, sample_images

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".jpg")

image = sample_images()[1]
track = np.zeros(image.shape[:2], np.uint8)
cv2.fillPoly(track, [np.array([(0, 0), (383, 0), (383, 88), (0, 178)])], 1)

transform = A.Compose(
    [
        A.HorizontalFlip(p=0.5),
        GANDefectInpaint("bsdata-pitting-v1", defects_range=(4, 6), scale_range=(0.2, 0.4), region_key="track", p=1.0),
    ],
    additional_targets={"track": "mask"},
    seed=1,
)
pictures = []
for _ in range(3):
    out = transform(image=image, mask=np.zeros_like(track), track=track)
    assert not out["mask"][out["track"] == 0].any()
    pictures.append(out["image"])
sheet = grid([[outline(image, track), *pictures]], (216, 288), ["region", "draw 1", "draw 2", "draw 3"])
cv2.imwrite(str(OUT), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
