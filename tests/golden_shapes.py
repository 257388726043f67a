"""Masks that annotation tools' own packages make of some shapes, as rows of dots and hashes.

`python tests/golden_shapes.py` writes tests/golden_shapes.json, with the packages of .github/tool-requirements.txt. The
ordinary tests read that file, so they need none of them; tests/test_tools.py compares many more shapes.
"""

from __future__ import annotations

import json
import os
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np

PATH = Path(__file__).with_suffix(".json")
SIZE_HW = (14, 20)
#: In quarters of a pixel: datumaro keeps 32 bits of a coordinate, CVAT 64, and others may round to different pixels.
POLYGONS = {
    "triangle": [[2.25, 1.75], [17.5, 4.25], [6.0, 12.5]],
    "whole square": [[3, 2], [11, 2], [11, 9], [3, 9]],
    "crossing itself": [[2, 2], [16, 12], [16, 2], [2, 12]],
    "thin": [[1.25, 3.25], [18.5, 3.25], [18.5, 3.75], [1.25, 3.75]],
    "leaving the image": [[-4.0, 5.0], [9.5, -3.0], [24.0, 9.0], [8.0, 18.0]],
    "ring joined by a cut": [[2, 2], [14, 2], [14, 12], [2, 12], [2, 2], [5, 5], [5, 9], [11, 9], [11, 5], [5, 5]],
}
SHARES = {
    name: (np.clip(points, 0, SIZE_HW[::-1]) / SIZE_HW[::-1]).round(6).tolist() for name, points in POLYGONS.items()
}
BOXES = {"whole": (3, 2, 11, 9), "fractions": (3.25, 2.75, 11.5, 9.75)}
ELLIPSES = {"upright": (10.4, 6.6, 6.3, 2.7, 0), "by 40": (9.5, 7.5, 7.4, 3.5, 40)}  # cx, cy, rx, ry, degrees
TURNED = {
    "by 30": {"x": 30, "y": 20, "width": 40, "height": 30, "rotation": 30},
    "by 90": {"x": 60, "y": 20, "width": 40, "height": 30, "rotation": 90},
    "not": {"x": 15, "y": 20, "width": 40.5, "height": 30.5, "rotation": 0},
}


def rows(mask: np.ndarray) -> list[str]:
    """Draw a mask with letters."""
    return ["".join("#" if value else "." for value in row) for row in mask]


def brush_alpha() -> np.ndarray:
    """A mask with a hole, a line of one pixel and soft edges, (H, W) uint8."""
    alpha = np.zeros(SIZE_HW, np.uint8)
    alpha[2:10, 3:12] = 255
    alpha[4:7, 5:9] = 0
    alpha[12, 1:19] = 1
    alpha[1, 3:12] = 90
    return alpha


def cvat_ellipse(cx: float, cy: float, rx: float, ry: float, degrees: float) -> np.ndarray:
    """What `EllipsesToMasks` of CVAT's dataset manager (2.80) calls; the server is no package."""
    canvas = np.zeros(SIZE_HW, np.uint8)
    cv2.ellipse(canvas, (round(cx), round(cy)), (round(rx), round(ry)), degrees, 0, 360, 255, thickness=-1)
    return canvas


def make() -> dict[str, Any]:
    """Return versions and masks."""
    os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.mkdtemp())
    from cvat_sdk.masks import encode_mask
    from datumaro.components.annotation import Bbox, Polygon
    from datumaro.plugins.transforms import BoxesToMasks, PolygonsToMasks
    from label_studio_sdk.converter.brush import decode_rle, encode_rle
    from label_studio_sdk.converter.utils import convert_annotation_to_yolo_obb
    from pycocotools import mask as mask_api
    from ultralytics.data.utils import polygon2mask, polygons2masks_overlap

    height, width = SIZE_HW

    def decoded(annotation: Any) -> np.ndarray:
        return np.asarray(mask_api.decode(annotation.rle))

    def in_pixels(name: str) -> np.ndarray:
        return np.array(SHARES[name], np.float32) * np.array([width, height], np.float32)

    alpha = brush_alpha()
    rgba = np.zeros((*SIZE_HW, 4), np.uint8)
    rgba[..., 1], rgba[..., 3] = 200, alpha
    code = [int(byte) for byte in encode_rle(rgba.ravel())]
    corners = {
        name: convert_annotation_to_yolo_obb({**value, "original_width": width, "original_height": height}, False)
        for name, value in TURNED.items()
    }
    mask = np.random.default_rng(0).random((6, 9)) < 0.5
    bitmap = np.zeros(SIZE_HW, bool)
    bitmap[5:11, 4:13] = mask
    *runs, left, top, right, bottom = (int(value) for value in encode_mask(bitmap, (4, 5, 13, 11)))
    overlap, order = polygons2masks_overlap(SIZE_HW, [in_pixels("triangle"), in_pixels("whole square")])
    packages = ("datumaro", "cvat-sdk", "label-studio-sdk", "ultralytics", "pycocotools", "opencv-python-headless")
    return {
        "versions": {name: version(name) for name in packages},
        "datumaro polygons": {
            name: rows(decoded(PolygonsToMasks.convert_polygon(Polygon(np.ravel(p).tolist()), height, width)))
            for name, p in POLYGONS.items()
        },
        "datumaro boxes": {
            name: rows(decoded(BoxesToMasks.convert_bbox(Bbox(x, y, r - x, b - y), height, width)))
            for name, (x, y, r, b) in BOXES.items()
        },
        "cvat ellipses": {name: rows(cvat_ellipse(*values)) for name, values in ELLIPSES.items()},
        "cvat mask": {
            "rle": ", ".join(map(str, runs)),
            "box": {"left": left, "top": top, "width": right - left + 1, "height": bottom - top + 1},
            "rows": rows(bitmap),
        },
        "ultralytics polygons": {name: rows(polygon2mask(SIZE_HW, [in_pixels(name).reshape(-1)])) for name in POLYGONS},
        "ultralytics overlap": {"order": order.tolist(), "rows": ["".join(map(str, row)) for row in overlap.tolist()]},
        "label studio brush": {"rle": code, "rows": rows(decode_rle(code).reshape(*SIZE_HW, 4)[:, :, 3])},
        "label studio turned": {
            name: {
                "corners": np.round(points, 6).tolist(),
                "rows": rows(
                    mask_api.decode(mask_api.frPyObjects([np.ravel(points).tolist()], height, width))[:, :, 0]
                ),
            }
            for name, points in corners.items()
        },
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(make(), indent=1) + "\n", encoding="utf-8")
