"""Shapes to pixels: as the tools' packages draw them, and as geometry says."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from golden_shapes import BOXES, ELLIPSES, PATH, POLYGONS, SHARES, SIZE_HW, TURNED, brush_alpha, rows

from albu_gan.data import raster
from albu_gan.data.brush import decode_brush
from albu_gan.data.cvat import draw_shape
from albu_gan.data.cvat_xml import CvatShape
from albu_gan.data.label_studio import draw_region
from albu_gan.data.label_studio_json import Region
from albu_gan.data.yolo import fill_shares

GOLDEN: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))


def cvat(kind: str, attributes: dict[str, str] | None = None, **values: object) -> CvatShape:
    return CvatShape(kind, 1, {key: str(value) for key, value in values.items()}, attributes or {})


def region(kind: str, size_hw: tuple[int, int] = SIZE_HW, **value: object) -> np.ndarray:
    return draw_region(Region(kind, "crack", value, size_hw, "result 0"))


@pytest.mark.parametrize("name", POLYGONS)
def test_cvat_polygons_are_those_of_its_mask_exports(name: str) -> None:
    shape = cvat("polygon", points=";".join(f"{x},{y}" for x, y in POLYGONS[name]))
    assert rows(draw_shape(shape, SIZE_HW)) == GOLDEN["datumaro polygons"][name]


@pytest.mark.parametrize("name", BOXES)
def test_cvat_boxes_are_those_of_its_mask_exports(name: str) -> None:
    shape = cvat("box", **dict(zip(("xtl", "ytl", "xbr", "ybr"), BOXES[name], strict=True)))
    assert rows(draw_shape(shape, SIZE_HW)) == GOLDEN["datumaro boxes"][name]


def test_cvat_boxes_turn_clockwise_about_their_centre() -> None:
    upright = draw_shape(cvat("box", xtl=6, ytl=4, xbr=14, ybr=8, rotation=90), SIZE_HW)
    np.testing.assert_array_equal(upright, draw_shape(cvat("box", xtl=8, ytl=2, xbr=12, ybr=10), SIZE_HW))
    turned = draw_shape(cvat("box", xtl=2, ytl=6, xbr=18, ybr=8, rotation=20), SIZE_HW)
    first, last = np.argwhere(turned)[[0, -1]]
    assert first[1] < last[1], "what was at the right is lower now"


def test_cvat_masks_run_along_the_rows_of_their_box() -> None:
    golden = GOLDEN["cvat mask"]
    assert rows(draw_shape(cvat("mask", rle=golden["rle"], **golden["box"]), SIZE_HW)) == golden["rows"]


@pytest.mark.parametrize("name", ELLIPSES)
def test_cvat_ellipses_are_those_of_its_mask_exports(name: str) -> None:
    shape = cvat("ellipse", **dict(zip(("cx", "cy", "rx", "ry", "rotation"), ELLIPSES[name], strict=True)))
    assert rows(draw_shape(shape, SIZE_HW)) == GOLDEN["cvat ellipses"][name]


@pytest.mark.parametrize(("width", "expected"), [(1, [6]), (2, [5, 6]), (3, [5, 6, 7]), (4, [4, 5, 6, 7])])
def test_a_line_is_as_wide_as_it_says(width: float, expected: list[int]) -> None:
    y = 6.5 if width % 2 else 6.0
    shape = cvat("polyline", {"width": str(width)}, points=f"2.5,{y};17.5,{y}")
    drawn = draw_shape(shape, SIZE_HW)
    assert np.flatnonzero(drawn[:, 10]).tolist() == expected
    assert draw_shape(cvat("polyline", points=f"2.5,{y};17.5,{y}"), SIZE_HW, width).sum() == drawn.sum()


def test_the_thinnest_line_has_no_gaps() -> None:
    for degrees in range(0, 180, 7):
        along = np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])
        line = raster.fill_line(np.array([[30.2, 30.7] - 25 * along, [30.2, 30.7] + 25 * along]), 1, (60, 60))
        longest = max(line.any(axis=0).sum(), line.any(axis=1).sum())
        assert longest >= 50 * np.abs(along).max() - 2


@pytest.mark.parametrize("name", POLYGONS)
def test_yolo_polygons_are_those_of_ultralytics(name: str) -> None:
    filled = fill_shares(np.array(SHARES[name], np.float32), SIZE_HW)
    assert rows(filled) == GOLDEN["ultralytics polygons"][name]


def test_brushes_are_decoded_as_label_studio_does() -> None:
    golden = GOLDEN["label studio brush"]
    decoded = decode_brush(golden["rle"], SIZE_HW)
    assert rows(decoded) == golden["rows"]
    np.testing.assert_array_equal(decoded, brush_alpha() > 0)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("text", "no list of bytes"),
        ([1, 2, 300], "no list of bytes"),
        ([0, 0, 0, 16, 38, 20, 87], "holds 16 values, and an image of 14 x 20"),
        (GOLDEN["label studio brush"]["rle"][:-12], "cut short"),
    ],
)
def test_a_damaged_brush_is_an_error(code: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_brush(code, SIZE_HW)


@pytest.mark.parametrize("name", TURNED)
def test_label_studio_rectangles_turn_about_their_corner(name: str) -> None:
    golden = GOLDEN["label studio turned"][name]
    assert rows(region("rectangle", **TURNED[name])) == golden["rows"]


def test_label_studio_polygons_are_in_percent() -> None:
    points = [[100 * x / 20, 100 * y / 14] for x, y in POLYGONS["triangle"]]
    assert rows(region("polygon", points=points)) == GOLDEN["datumaro polygons"]["triangle"]


@pytest.mark.parametrize("degrees", [0, 25, 90, 140])
def test_label_studio_ellipses_hold_the_pixels_whose_centre_is_inside(degrees: float) -> None:
    drawn = region("ellipse", (40, 60), x=50, y=50, radiusX=30, radiusY=20, rotation=degrees)
    y, x = np.mgrid[:40, :60] + 0.5
    turn = np.exp(-1j * math.radians(degrees)) * ((x - 30) + 1j * (y - 20))
    np.testing.assert_array_equal(drawn, (turn.real / 18) ** 2 + (turn.imag / 8) ** 2 <= 1)
    assert drawn.sum() == pytest.approx(math.pi * 18 * 8, rel=0.03)


def test_what_lies_outside_is_cut_off() -> None:
    assert not raster.fill_ellipse((-50, -50), (10, 5), 30, SIZE_HW).any()
    assert not raster.fill_line(np.array([[-30.0, -30.0], [-20.0, 90.0]]), 3, SIZE_HW).any()
    assert raster.fill_polygon(np.array([[-9.0, -9.0], [99.0, -9.0], [99.0, 99.0], [-9.0, 99.0]]), SIZE_HW).all()


@pytest.mark.parametrize(
    ("points", "message"),
    [("no", "pairs"), ([[1, 2], [3]], "pairs"), ([[1, 2], [3, 4]], "needs 3"), ([[0, 0], [1, 1], [1e9, 0]], "away")],
)
def test_points_that_are_none_are_an_error(points: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        raster.as_points(points, 3)
