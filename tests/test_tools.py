"""Many random shapes against the packages of the tools themselves; skipped where these are not installed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from golden_shapes import PATH, make

from albu_gan.data import raster
from albu_gan.data.brush import decode_brush
from albu_gan.data.cvat import draw_shape
from albu_gan.data.cvat_xml import CvatShape
from albu_gan.data.label_studio import draw_region
from albu_gan.data.label_studio_json import Region
from albu_gan.data.yolo import fill_shares

pytestmark = [pytest.mark.tools, pytest.mark.filterwarnings("ignore")]
SIZE_HW = (37, 53)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def polygons(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """Of quarters of a pixel, which 32 bits hold, as datumaro keeps them."""
    return [rng.integers(-20, 230, (rng.integers(3, 9), 2)) / 4 for _ in range(count)]


def test_cvat_polygons_and_boxes_are_datumaros(rng: np.random.Generator) -> None:
    annotation = pytest.importorskip("datumaro.components.annotation")
    transforms = pytest.importorskip("datumaro.plugins.transforms")
    mask_api = pytest.importorskip("pycocotools.mask")
    for points in polygons(rng, 200):
        shape = CvatShape("polygon", 1, {"points": ";".join(f"{x},{y}" for x, y in points)})
        expected = transforms.PolygonsToMasks.convert_polygon(annotation.Polygon(points.ravel().tolist()), *SIZE_HW)
        np.testing.assert_array_equal(draw_shape(shape, SIZE_HW), mask_api.decode(expected.rle) > 0)
        x, y, width, height = rng.integers(4, 120, 4) / 4
        values = {"xtl": x, "ytl": y, "xbr": x + width, "ybr": y + height}
        box = CvatShape("box", 1, {key: str(value) for key, value in values.items()})
        expected = transforms.BoxesToMasks.convert_bbox(annotation.Bbox(x, y, width, height), *SIZE_HW)
        np.testing.assert_array_equal(draw_shape(box, SIZE_HW), mask_api.decode(expected.rle) > 0)


def test_cvat_masks_are_those_of_its_sdk(rng: np.random.Generator) -> None:
    masks = pytest.importorskip("cvat_sdk.masks")
    for _ in range(50):
        mask = rng.random(SIZE_HW) < 0.3
        *runs, left, top, right, bottom = (int(value) for value in masks.encode_mask(mask))
        values = {"left": left, "top": top, "width": right - left + 1, "height": bottom - top + 1}
        shape = CvatShape("mask", 1, {key: str(value) for key, value in values.items()})
        shape.values["rle"] = ", ".join(map(str, runs))
        np.testing.assert_array_equal(draw_shape(shape, SIZE_HW), mask)


def test_yolo_polygons_are_those_of_ultralytics(rng: np.random.Generator) -> None:
    utils = pytest.importorskip("ultralytics.data.utils")
    for _ in range(200):
        shares = np.round(rng.uniform(0, 1, (rng.integers(3, 9), 2)), 6).astype(np.float32)
        pixels = shares * np.array(SIZE_HW[::-1], np.float32)
        np.testing.assert_array_equal(fill_shares(shares, SIZE_HW), utils.polygon2mask(SIZE_HW, [pixels.reshape(-1)]))


def test_brushes_and_turned_rectangles_are_those_of_label_studio(rng: np.random.Generator) -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    utils = pytest.importorskip("label_studio_sdk.converter.utils")
    for _ in range(50):
        rgba = (rng.random((*SIZE_HW, 4)) < 0.4 * rng.random()) * rng.integers(0, 256, (*SIZE_HW, 4))
        code = [int(byte) for byte in brush.encode_rle(rgba.astype(np.uint8).ravel())]
        expected = brush.decode_rle(code).reshape(*SIZE_HW, 4)[:, :, 3] > 0
        np.testing.assert_array_equal(decode_brush(code, SIZE_HW), expected)
        value = dict(zip(("x", "y", "width", "height", "rotation"), rng.uniform(5, 60, 5).tolist(), strict=True))
        label = {**value, "original_width": SIZE_HW[1], "original_height": SIZE_HW[0]}
        corners = np.array(utils.convert_annotation_to_yolo_obb(label, normalize=False))
        drawn = draw_region(Region("rectangle", "a", value, SIZE_HW, ""))
        np.testing.assert_array_equal(drawn, raster.fill_polygon(corners, SIZE_HW))


def test_the_golden_shapes_are_still_those_of_the_packages() -> None:
    for name in ("datumaro", "cvat_sdk", "label_studio_sdk", "ultralytics"):
        pytest.importorskip(name)
    made, kept = (json.loads(text) for text in (json.dumps(make()), PATH.read_text(encoding="utf-8")))
    assert {key: value for key, value in made.items() if key != "versions"} == {
        key: value for key, value in kept.items() if key != "versions"
    }
