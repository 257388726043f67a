"""A channel for each class

An (H, W, C) mask holds one class a channel. With as many channels as the weights have classes each goes to its own;
with your own layout, `mask_channels` says which goes where. Each channel has a colour here.
"""

import sys
from pathlib import Path

import albumentations as A
import cv2
import numpy as np

from albu_gan import GANDefectInpaint
from albu_gan.pictures import grid, sample_images

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".jpg")

channels = {"crack": 0, "blowhole": 1, "fray": 2}
paint = GANDefectInpaint(
    "magnetic-tile-v1",
    classes=list(channels),
    mask_channels=channels,
    defects_range=(4, 4),
    scale_range=(0.7, 1.2),
    p=1.0,
)
transform = A.Compose([paint], seed=2)
colours = np.array([(255, 70, 60), (70, 160, 255), (90, 220, 90)])

rows: list[list[np.ndarray]] = [[], []]
for gray in sample_images(gray=True):
    out = transform(image=gray, mask=np.zeros((*gray.shape, 3), np.uint8))
    rows[0].append(out["image"])
    rows[1].append((out["mask"] @ colours).clip(0, 255).astype(np.uint8))
sheet = grid(rows, (216, 288))
cv2.imwrite(str(OUT), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
