from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from training.gan.__main__ import main


def write_labelme(root: Path, groups: int = 4) -> Path:
    """Six images with scratches and pits and two clean ones, of `groups` parts."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    for index in range(8):
        image = rng.normal(128, 8, (90, 100)).clip(0, 255).astype(np.uint8)
        shapes = []
        if index < 6:
            for label, (w, h) in (("pit", (9, 7)), ("scratch", (40, 3))):
                x, y = (int(v) for v in rng.integers(5, 45, 2))
                points = [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]
                cv2.fillPoly(image, [np.array(points)], 50 if label == "pit" else 220)
                shapes.append({"label": label, "points": points, "shape_type": "polygon"})
        stem = f"part{index % groups}_{index}"
        cv2.imwrite(str(root / "images" / f"{stem}.png"), image)
        (root / "labels" / f"{stem}.json").write_text(json.dumps({"shapes": shapes}))
    return root

def test_x(tmp_path, capfd):
    data = write_labelme(tmp_path / "data")
    out = tmp_path / "run"
    status = main(["--data", str(data), "--format", "labelme", "--group-pattern", r"part\d", "--out", str(out), "--preset", "smoke", "--precision", "no", "--workers", "0"])
    print(capfd.readouterr())
    assert status == 0
    for p in sorted(out.rglob("*")): print(p.relative_to(out), p.stat().st_size)
    print((out/"stats.jsonl").read_text())
    assert 0
