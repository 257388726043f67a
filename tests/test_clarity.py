"""What is painted stands out of the grain of its surface as donors of its class do."""

from __future__ import annotations

import numpy as np
import pytest

from albu_gan import GANDefectInpaint
from albu_gan.defects.clarity import (
    MOST_GAIN,
    PLAIN,
    clarities_of,
    clarity,
    least_clarity,
    made_clear,
    seen_clearly,
)


def stature(mean: float, low: float, high: float) -> np.ndarray:
    return np.array([0, 0, 6 * mean, 6 * low, 6 * high, 0, 0, 0], np.float32)


def test_clarity_is_the_mean_over_the_grain() -> None:
    mask = np.zeros((6, 8), bool)
    mask[2:4, 2:6] = True
    residual = np.where(mask, np.float32(-0.1), np.float32(0))[:, :, None].repeat(3, axis=2)
    assert clarity(residual, mask, 0.05) == pytest.approx(2)
    assert clarity(residual, mask, 0) < np.inf


def test_of_what_is_bright_and_dark_the_mean_says_nothing_but_of_what_is_faint_it_does() -> None:
    statures = np.stack([stature(-0.1, -0.12, -0.08), stature(0.0, -0.2, 0.2), stature(0.002, -0.02, 0.02)])
    np.testing.assert_allclose(clarities_of(statures, np.full(3, 0.02)), [5, np.inf, 0.1], rtol=1e-5)


def test_a_class_asks_for_no_more_than_what_is_plainly_seen() -> None:
    assert least_clarity(np.linspace(4, 9, 20)) == PLAIN
    assert 0.3 < least_clarity(np.linspace(0.2, 4, 200)) < PLAIN
    assert least_clarity(np.array([np.inf, np.inf])) == 0


def test_a_faint_defect_is_made_stronger_but_not_much() -> None:
    residual = np.full((4, 4, 1), -0.01, np.float32)
    same, share = made_clear(residual, 2.0, 1.0)
    assert same is residual and share == 2
    stronger, share = made_clear(residual, 0.8, 1.0)
    np.testing.assert_allclose(stronger, residual / 0.8, rtol=1e-5)
    assert share == pytest.approx(1)
    stronger, share = made_clear(residual, 0.1, 1.0)
    np.testing.assert_allclose(stronger, residual * MOST_GAIN, rtol=1e-5)
    assert share < 1
    assert made_clear(residual, 0.0, 0.0)[1] == np.inf


def test_donors_that_would_be_lost_in_the_grain_are_not_drawn() -> None:
    clarities, grains = np.array([1.0, 3.0, np.inf]), np.full(3, 0.1)
    assert seen_clearly(clarities, grains, np.array([0.1, 0.3]), 1.0).tolist() == [True, True, True]
    assert seen_clearly(clarities, grains, np.array([0.15, 0.3]), 1.0).tolist() == [False, True, True]
    assert seen_clearly(clarities[:2], grains[:2], np.array([2.0]), 1.0).all()


def scenes(grain: float, count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Gray surfaces with one mark each, from faint to plain."""
    rng = np.random.default_rng(1)
    images, masks = [], []
    for index in range(count):
        image, mask = 128 + grain * rng.standard_normal((96, 96)), np.zeros((96, 96), np.uint8)
        mask[40:52, 30:60] = 1
        image -= mask * (10 + 50 * index / count)
        images.append(np.clip(np.rint(image), 0, 255).astype(np.uint8))
        masks.append(mask)
    return images, masks


def test_what_is_painted_into_a_coarse_surface_can_be_seen() -> None:
    transform = GANDefectInpaint.from_defects(*scenes(3, 10), ["mark"], p=1.0, place_like=0.0, variation=0.0)
    transform.set_random_seed(0)
    coarse = np.clip(128 + 25 * np.random.default_rng(2).standard_normal((128, 128)), 0, 255).astype(np.uint8)
    changes = []
    for _ in range(30):
        out = transform(image=coarse, mask=np.zeros((128, 128), np.uint8))
        if out["mask"].any():
            change = out["image"].astype(float) - coarse
            changes.append(abs(change[out["mask"] > 0].mean()))
    assert len(changes) >= 20
    assert min(changes) > 0.75 * 25 > np.median([10 + 5 * index for index in range(2)])


def test_whoever_asks_for_no_contrast_gets_every_defect() -> None:
    transform = GANDefectInpaint.from_defects(*scenes(3, 10), ["mark"], p=1.0, place_like=0.0, min_contrast=0.0)
    transform.set_random_seed(0)
    coarse = np.clip(128 + 40 * np.random.default_rng(2).standard_normal((128, 128)), 0, 255).astype(np.uint8)
    assert all(transform(image=coarse, mask=np.zeros((128, 128), np.uint8))["mask"].any() for _ in range(20))
