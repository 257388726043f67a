"""One defect, varied further and further

`variation` says how far a painted defect differs from the real one that it is made from. At 0 it is that one, relit
for the new place. Towards 1 it is warped, of another contrast, partly invented, or dressed as another one of its class.
Each row is one real defect of `surfaces-v1` in one place, with the same seed. Up to 0.5 all of them could be real. From
0.75 on the weld wears another leak's brown and the bubble comes apart; at 1 the pit is a faint patchwork.
"""

import sys
from pathlib import Path

import numpy as np

from albu_gan import DefectInpainter
from albu_gan.defects import Occupancy, dress, find_alike_place
from albu_gan.painting import Draw, paste
from albu_gan.pictures import grid, surfaces_of, write_picture

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".jpg")

painter = DefectInpainter.from_pretrained("surfaces-v1")
bank, names = painter.bank, painter.class_names
strengths = (0.0, 0.25, 0.5, 0.75, 1.0)
wanted = {"solar cell crack": 70, "leather hole": 40, "weld leak": 70, "ball screw pitting": 50, "capsule defect": 30}
rows = []
for name, length in wanted.items():
    own = [i for i in range(len(bank)) if bank.class_of(i) == names.index(name) and not any(bank[i].edges)]
    shape = bank[min(own, key=lambda i: abs(max(bank.size_of(i)) - length))]  # a real defect of about that length
    image = surfaces_of(name)[1][0]
    blocked = np.ones(image.shape[:2], bool)
    blocked[36:-36, 36:-36] = False  # not at the border
    corner, _ = find_alike_place(bank, shape, Occupancy(blocked.shape, blocked), np.random.default_rng(0), image, 1.0)
    row = []
    for strength in strengths:
        varied = dress(shape, bank, strength, np.random.default_rng(3))
        painted = image.copy()
        draw = Draw(varied.mask, *corner, varied.class_index, np.empty(0), None, varied.look)
        for patch in painter.paint(image, [draw]):
            paste(painted, patch)
        y, x = (start + side // 2 for start, side in zip(corner, shape.mask.shape, strict=True))
        half = max(shape.mask.shape) * 3 // 4
        row.append(painted[max(y - half, 0) : y + half, max(x - half, 0) : x + half])
    rows.append(row)
sheet = grid(rows, (180, 180), [f"variation={strength}" for strength in strengths])
write_picture(OUT, sheet)
