"""Taking real defects out again."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albu_gan.data.filling import fill_defects, membrane


def textured(size_hw: tuple[int, int], channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).normal(120, 6, (*size_hw, channels)).clip(0, 255).astype(np.uint8)


def with_box(size_hw: tuple[int, int], box: tuple[int, int, int, int]) -> np.ndarray:
    top, left, height, width = box
    mask = np.zeros(size_hw, np.uint8)
    mask[top : top + height, left : left + width] = 1
    return mask


@pytest.mark.parametrize("channels", [1, 3])
def test_filling_in_changes_nothing_away_from_the_defect_and_removes_it(channels: int) -> None:
    image = textured((80, 90), channels)
    mask = with_box((80, 90), (30, 20, 6, 50))
    image[mask > 0] = 10
    before = image.copy()
    filled = fill_defects(image, mask)
    assert filled is not None and filled.shape == image.shape and filled.dtype == np.uint8
    np.testing.assert_array_equal(image, before)
    away = cv2.dilate(mask, np.ones((5, 5), np.uint8)) == 0
    np.testing.assert_array_equal(filled[away], image[away])
    inside = filled[mask > 0].astype(float)
    assert abs(inside.mean() - 120) < 4  # the background's level
    assert 2 < inside.std() < 12  # and its grain of 6, not a smooth patch


def test_what_covers_more_than_half_is_not_filled_in() -> None:
    image = textured((100, 100))
    assert fill_defects(image, with_box((100, 100), (10, 10, 80, 80))) is None
    stripes = np.zeros((100, 100), np.uint8)
    stripes[::4] = 1
    assert fill_defects(image, stripes) is None
    assert fill_defects(image, with_box((100, 100), (30, 30, 4, 4))) is not None


def test_without_a_defect_nothing_is_filled_in() -> None:
    image = textured((30, 40), 3)
    filled = fill_defects(image, np.zeros((30, 40), np.uint8))
    assert filled is not None and filled is not image
    np.testing.assert_array_equal(filled, image)


@pytest.mark.parametrize("box", [(30, 30, 50, 40), (0, 40, 60, 50), (50, 0, 50, 60), (70, 80, 30, 40)])
def test_a_thick_defect_leaves_the_light_and_the_grain_of_what_is_around_it(box: tuple[int, int, int, int]) -> None:
    rows, columns = np.mgrid[:100, :120]
    light = 60 + 0.5 * rows + 0.7 * columns
    rng = np.random.default_rng(0)
    image = np.clip(light + rng.normal(0, 6, light.shape), 0, 255).astype(np.uint8)[:, :, None]
    mask = with_box((100, 120), box)
    image[mask > 0] = 5
    filled = fill_defects(image, mask)
    assert filled is not None
    error = (filled[:, :, 0].astype(float) - light)[mask > 0]
    assert abs(error.mean()) < 12  # the border of the image carries no light in
    assert 4 < (error - cv2.GaussianBlur(filled[:, :, 0] - light, (0, 0), 4)[mask > 0]).std() < 9  # grain all over


def test_the_membrane_of_a_plane_is_the_plane() -> None:
    rows, columns = np.mgrid[:64, :80].astype(np.float32)
    plane = np.dstack([20 + rows + 0.5 * columns, 200 - rows])
    hole = with_box((64, 80), (12, 10, 40, 55)) > 0
    spoilt = np.where(hole[:, :, None], 0, plane)
    filled = membrane(spoilt, hole)
    np.testing.assert_array_equal(filled[~hole], plane[~hole])
    assert np.abs(filled - plane)[hole].max() < 6 < np.abs(plane - plane[0, 0]).max()


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.lists(st.tuples(*[st.integers(0, 39)] * 4), max_size=4),
    st.sampled_from([1, 3]),
)
@settings(max_examples=60, deadline=None)
def test_any_mask_is_filled_in_and_what_is_away_from_it_stays(
    height: int, width: int, boxes: list[tuple[int, int, int, int]], channels: int
) -> None:
    image, mask = textured((height, width), channels), np.zeros((height, width), np.uint8)
    for box in boxes:
        mask |= with_box((height, width), box)
    hole = cv2.dilate(mask, np.ones((5, 5), np.uint8)) > 0
    filled = fill_defects(image, mask)
    assert (filled is None) == (hole.mean() > 0.5)
    if filled is not None:
        np.testing.assert_array_equal(filled[~hole], image[~hole])
        assert filled.shape == image.shape and filled.min() > 60 and filled.max() < 180
