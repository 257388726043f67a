"""Shapes larger than their image are cut by its border."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albu_gan import GANDefectInpaint
from albu_gan.defects.cutting import cut_to_fit, jitter_and_cut
from albu_gan.defects.shapes import Shape
from albu_gan.defects.touching import connected
from albu_gan.painting import Origin


def crack(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A line across, with branches."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.uint8)
    points = np.stack([np.linspace(0, width - 1, 9), rng.integers(0, height, 9)], axis=1).astype(np.int32)
    cv2.polylines(mask, [points], False, 1, 3)
    x, y, w, h = cv2.boundingRect(mask)
    return np.ascontiguousarray(mask[y : y + h, x : x + w].astype(bool))


def shape_of(mask: np.ndarray, edges: tuple[bool, bool, bool, bool] = (False,) * 4) -> Shape:
    return Shape(mask, 0, edges, Origin(0, np.eye(2, 3)))


def in_bank(shape: Shape, mask: np.ndarray) -> np.ndarray:
    """Look every pixel of a shape up in the mask that it was made from."""
    assert shape.origin is not None
    back = np.linalg.inv(np.vstack([shape.origin.matrix, [0, 0, 1]]))
    rows, columns = np.nonzero(shape.mask)
    x, y, _ = np.rint(back @ np.stack([columns, rows, np.ones_like(rows)])).astype(int)
    return mask[y, x]


@settings(max_examples=150, deadline=None)
@given(
    st.integers(20, 200), st.integers(20, 200), st.integers(8, 120), st.integers(8, 120), st.integers(0, 99),
    st.tuples(*[st.booleans()] * 4),
)  # fmt: skip
def test_a_part_fits_and_is_of_the_shape(
    height: int, width: int, H: int, W: int, seed: int, edges: tuple[bool, bool, bool, bool]
) -> None:
    mask = crack(height, width, seed)
    part = cut_to_fit(shape_of(mask, edges), (H, W), np.random.default_rng(seed))
    h, w = part.mask.shape
    assert h <= H and w <= W and part.mask.any()
    assert all(bool(side.any()) for side in (part.mask[0], part.mask[-1], part.mask[:, 0], part.mask[:, -1]))
    assert connected(part.mask).max() == 1
    assert in_bank(part, mask).all()
    if mask.shape[0] <= H and mask.shape[1] <= W:
        assert part.mask.shape == mask.shape and part.edges == edges


def test_sides_that_were_cut_belong_at_the_border() -> None:
    mask = np.ones((3, 100), bool)
    seen = set()
    for seed in range(60):
        part = cut_to_fit(shape_of(mask), (50, 40), np.random.default_rng(seed))
        assert part.mask.shape == (3, 40) and not part.edges[0] and not part.edges[2]
        seen.add((part.edges[1], part.edges[3]))
    assert seen <= {(True, True), (True, False), (False, True)} and len(seen) == 3


def test_a_shape_that_its_image_cut_keeps_that_side() -> None:
    mask = np.ones((3, 100), bool)
    for seed in range(20):
        part = cut_to_fit(shape_of(mask, (False, True, False, False)), (50, 40), np.random.default_rng(seed))
        assert part.edges == (False, True, False, True)
        assert part.origin is not None and part.origin.matrix[0, 2] == 0


@pytest.mark.parametrize("seed", range(8))
def test_a_shape_much_larger_than_the_image_is_cut_and_not_made_smaller(seed: int) -> None:
    mask = cv2.dilate(crack(900, 1100, seed).astype(np.uint8), np.ones((5, 5))).astype(bool)
    mask = np.ascontiguousarray(mask)
    part = jitter_and_cut(shape_of(mask), (64, 80), (0.8, 1.25), (-15, 15), np.random.default_rng(seed))
    assert part.mask.shape[0] <= 64 and part.mask.shape[1] <= 80 and max(part.mask.shape) >= 12
    assert part.origin is not None
    assert 0.79 <= np.sqrt(abs(np.linalg.det(part.origin.matrix[:, :2]))) <= 1.26
    assert in_bank(part, cv2.dilate(mask.astype(np.uint8), np.ones((5, 5)))).all()
    # Only sides of the image cut it: a straight cut inside would be a line that no defect has.
    h, w = part.mask.shape
    touched = (part.mask[0].sum(), part.mask[:, 0].sum(), part.mask[-1].sum(), part.mask[:, -1].sum())
    for edge, count, length in zip(part.edges, touched, (w, h, w, h), strict=True):
        assert edge or count < 0.5 * length


def test_large_defects_are_painted_into_small_images() -> None:
    rng = np.random.default_rng(0)
    images, masks = [], []
    for seed in range(4):
        image, mask = rng.integers(140, 160, (300, 300)).astype(np.uint8), np.zeros((300, 300), np.uint8)
        mark = crack(220, 260, seed)
        mask[20 : 20 + mark.shape[0], 20 : 20 + mark.shape[1]] = mark
        image[mask > 0] = 60
        images.append(image)
        masks.append(mask)
    transform = GANDefectInpaint.from_defects(images, masks, ["crack"], p=1.0)
    transform.set_random_seed(0)
    clean = rng.integers(140, 160, (96, 96)).astype(np.uint8)
    found = [transform(image=clean, mask=np.zeros((96, 96), np.uint8))["mask"] for _ in range(20)]
    spans = [max(cv2.boundingRect(mask)[2:]) for mask in found]
    assert np.median(spans) >= 60  # not a small copy of the whole, nor the smallest piece
