"""Boxes for a detector

`bbox_labels` adds one box a painted defect, in whatever format `A.BboxParams` names, with your own labels. Boxes that
were there stay, and a defect that was dropped as too faint has no box.
"""

import sys
from pathlib import Path

import albumentations as A
import cv2
import numpy as np

from albu_gan import GANDefectInpaint
from albu_gan.pictures import grid, sample_images

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".jpg")

names = ["blowhole", "crack"]
transform = A.Compose(
    [
        GANDefectInpaint(
            "magnetic-tile-v1",
            classes=names,
            bbox_labels={name: name for name in names},
            defects_range=(3, 4),
            scale_range=(1.0, 1.6),
            min_contrast=25,
            p=1.0,
        )
    ],
    bbox_params=A.BboxParams(format="pascal_voc", label_fields=["labels"]),
    seed=4,
)
pictures = []
for gray in sample_images(gray=True):
    out = transform(image=gray, mask=np.zeros(gray.shape, np.uint8), bboxes=[], labels=[])
    drawn = cv2.cvtColor(out["image"], cv2.COLOR_GRAY2RGB)
    for box, label in zip(out["bboxes"], out["labels"], strict=True):
        left, top, right, bottom = (int(v) for v in box)
        cv2.rectangle(drawn, (left - 3, top - 3), (right + 2, bottom + 2), (255, 200, 40), 1)
        cv2.putText(drawn, label, (left - 3, top - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 200, 40), 1, cv2.LINE_AA)
    pictures.append(drawn)
sheet = grid([pictures], (288, 384))
cv2.imwrite(str(OUT), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
