"""Shapes of annotation tools to pixels: polygons, turned boxes, ellipses, lines with a width.

Coordinates are those of the tools that read here: x to the right, y down, the corner of the image's first pixel at
(0, 0) and its centre at (0.5, 0.5); angles are in degrees, clockwise as seen. docs/formats.md says for every tool which
of these draws its shapes.
"""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
from pycocotools import mask as mask_api

from albu_gan.data.rle import decode_counts

LARGEST = 1e5  # of a coordinate, in pixels: what is farther out is a mistake, and costs the rasteriser memory


def as_points(values: object, least: int) -> np.ndarray:
    """Return (N, 2) float64 points.

    Args:
        values: pairs of x and y.
        least: the number of points that the shape needs.

    Raises:
        ValueError: if they are no such pairs, too few, or too far out.
    """
    try:
        points = np.asarray(values, np.float64)
    except (TypeError, ValueError) as err:
        raise ValueError("its points are not pairs of numbers; correct or remove it") from err
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError("its points are not pairs of numbers; correct or remove it")
    if len(points) < least:
        raise ValueError(f"it has {len(points)} point(s) and needs {least}; correct or remove it")
    if not (np.abs(points) < LARGEST).all():
        raise ValueError(f"a point lies more than {LARGEST:g} pixels away; correct or remove it")
    return points


def fill_polygon(points: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Fill a polygon as pycocotools does: in short, pixels whose centre lies inside; self-crossings by even and odd.

    Args:
        points: (N, 2) x and y, three or more.
        size_hw: of the image; what lies outside is cut off.

    Returns:
        (H, W) bool.

    References:
        `rleFrPoly` in https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c
    """
    (code,) = mask_api.frPyObjects([points.ravel().tolist()], *size_hw)
    return decode_counts(code["counts"].decode("ascii"), size_hw)


def fill_ellipse(
    centre_xy: tuple[float, float], radii_xy: tuple[float, float], degrees: float, size_hw: tuple[int, int]
) -> np.ndarray:
    """Fill an ellipse: pixels whose centre lies in it, or on its line.

    Args:
        centre_xy: in pixels.
        radii_xy: half its width and half its height before it is turned, in pixels.
        degrees: by which it is turned about its centre.
        size_hw: of the image.

    Returns:
        (H, W) bool.
    """
    inside = np.zeros(size_hw, bool)
    (x, y), (rx, ry) = centre_xy, radii_xy
    if rx <= 0 or ry <= 0:
        return inside
    window = _window((x, y), (x, y), max(rx, ry), size_hw)
    dx, dy = _centres(window, (x, y))
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    inside[window] = ((dx * cos + dy * sin) / rx) ** 2 + ((dy * cos - dx * sin) / ry) ** 2 <= 1
    return inside


def fill_whole_ellipse(
    centre_xy: tuple[float, float], radii_xy: tuple[float, float], degrees: float, size_hw: tuple[int, int]
) -> np.ndarray:
    """Fill an ellipse as `cv2.ellipse` does, centre and radii rounded to whole pixels; arguments as `fill_ellipse`."""
    canvas = np.zeros(size_hw, np.uint8)
    centre, radii = (round(centre_xy[0]), round(centre_xy[1])), (round(radii_xy[0]), round(radii_xy[1]))
    cv2.ellipse(canvas, centre, radii, degrees, 0, 360, 1, thickness=-1)
    return canvas > 0


def fill_line(points: np.ndarray, width: float, size_hw: tuple[int, int]) -> np.ndarray:
    """Fill a line of straight pieces with round ends: pixels whose centre lies within half its width.

    Args:
        points: (N, 2) x and y, two or more.
        width: in pixels, 1 or more: then the line has no gaps.
        size_hw: of the image.

    Returns:
        (H, W) bool.
    """
    inside = np.zeros(size_hw, bool)
    for start, end in itertools.pairwise(points):
        window = _window(start, end, width / 2, size_hw)
        dx, dy = _centres(window, start)
        along = end - start
        length = float(along @ along)
        share = np.clip((dx * along[0] + dy * along[1]) / length, 0, 1) if length else 0.0
        inside[window] |= (dx - share * along[0]) ** 2 + (dy - share * along[1]) ** 2 <= (width / 2) ** 2
    return inside


def box_corners(corner_xy: tuple[float, float], size_xy: tuple[float, float]) -> np.ndarray:
    """Return the (4, 2) corners of an upright box, clockwise from the one given."""
    (x, y), (width, height) = corner_xy, size_xy
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], np.float64)


def turned(points: np.ndarray, degrees: float, about_xy: tuple[float, float]) -> np.ndarray:
    """Return (N, 2) points turned about a point."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    offset = points - np.asarray(about_xy)
    rotated = np.stack([cos * offset[:, 0] - sin * offset[:, 1], sin * offset[:, 0] + cos * offset[:, 1]], axis=1)
    return np.asarray(rotated + np.asarray(about_xy))


def _window(
    start: np.ndarray | tuple[float, float],
    end: np.ndarray | tuple[float, float],
    reach: float,
    size_hw: tuple[int, int],
) -> tuple[slice, slice]:
    """Return rows and columns that hold everything within reach of a line, inside the image."""
    slices = []
    for axis, limit in ((1, size_hw[0]), (0, size_hw[1])):
        low, high = sorted((float(start[axis]), float(end[axis])))
        first = min(max(math.floor(low - reach), 0), limit)
        slices.append(slice(first, min(max(math.ceil(high + reach) + 1, first), limit)))
    return slices[0], slices[1]


def _centres(window: tuple[slice, slice], origin: np.ndarray | tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of the centres of a window's pixels, seen from a point, as (1, w) and (h, 1)."""
    rows, columns = np.ogrid[window]
    return columns + 0.5 - float(origin[0]), rows + 0.5 - float(origin[1])
