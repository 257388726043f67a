"""The `segmentation` of a COCO annotation: polygons and run-length codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as mask_api

from albu_gan.data.rle import decode_counts


def decode_segmentation(segmentation: list[Any] | dict[str, Any], size_hw: tuple[int, int]) -> np.ndarray:
    """Decode the `segmentation` of an annotation as pycocotools does.

    A ring that is traced twice covers nothing by pycocotools' rule of even and odd; here it counts once.

    Args:
        segmentation: that `check_segmentation` takes.
        size_hw: of the image.

    Returns:
        (H, W) bool.

    Raises:
        ValueError: if a code does not fit the image, or no pixel is covered.
    """
    if isinstance(segmentation, dict):
        if list(segmentation["size"]) != list(size_hw):
            raise ValueError(
                f"the code is for {segmentation['size']} pixels, the image has {list(size_hw)}; use the image "
                "that was annotated"
            )
        mask = decode_counts(segmentation["counts"], size_hw)
    else:
        codes = [_encode(polygon, size_hw) for polygon in as_polygons(segmentation)]
        mask = decode_counts(mask_api.merge(codes)["counts"].decode("ascii"), size_hw)
    if not mask.any():
        raise ValueError("it covers no pixel of the image; correct or remove it")
    return mask


def check_segmentation(segmentation: object) -> None:
    """Raise ValueError unless this has the form of polygons or a run-length code."""
    if isinstance(segmentation, dict):
        size, counts = segmentation.get("size"), segmentation.get("counts")
        if not (isinstance(size, list) and len(size) == 2 and isinstance(counts, list | str)):
            raise ValueError("a run-length code needs 'size' and 'counts'; export it again")
        return
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError("no segmentation; a box alone makes no mask, export polygons or run-length codes")
    for polygon in as_polygons(segmentation):
        try:
            values = np.asarray(polygon, np.float64)
        except (TypeError, ValueError) as err:
            raise ValueError("a polygon is a flat list of numbers: x, y, x, y, ...; correct or remove it") from err
        if values.ndim != 1 or len(values) < 6 or len(values) % 2 or not (np.abs(values) < 1e5).all():
            raise ValueError(
                "a polygon needs at least three points: a flat list of x, y, x, y, ...; correct or remove it"
            )


def as_polygons(segmentation: list[Any]) -> list[Any]:
    """Return a list of polygons, also of one that is not in a list."""
    return [segmentation] if isinstance(segmentation[0], int | float) else segmentation


def _encode(polygon: list[float], size_hw: tuple[int, int]) -> dict[str, Any]:
    """Return pycocotools' code of one polygon."""
    values = [float(value) for value in polygon]
    code = mask_api.frPyObjects([values], *size_hw)[0]
    if not mask_api.area(code):
        once = _traced_once(np.reshape(values, (-1, 2)))
        if once is not None:
            code = mask_api.frPyObjects([once.ravel().tolist()], *size_hw)[0]
    return dict(code)


def _traced_once(points: np.ndarray) -> np.ndarray | None:
    """Return one round of an (N, 2) ring that goes round several times, or None if it does not."""
    points = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]  # no point twice in a row, nor the first again
    for length in range(3, len(points) // 2 + 1):
        if len(points) % length == 0 and (points == np.roll(points, length, axis=0)).all():
            return points[:length]
    return None
