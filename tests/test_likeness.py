from __future__ import annotations

import numpy as np
import pytest
from test_appearance import defect, disc

from albu_gan.defects import Annotated, collect, draw_fitting
from albu_gan.defects.appearance import cut_appearance
from albu_gan.defects.likeness import (
    RING,
    UNDER,
    describe,
    describe_donor,
    gray,
    metric,
    pick,
    place_like,
    probe_points,
    unlikeness,
)


def halves(channels: int | None) -> np.ndarray:
    """A dark, smooth left half and a bright, grainy right one."""
    rng = np.random.default_rng(0)
    image = np.full((120, 400), 60.0)
    image[:, 200:] = 170 + rng.normal(0, 10, (120, 200))
    image = np.clip(image, 0, 255).astype(np.uint8)
    return image if channels is None else np.repeat(image[:, :, None], channels, 2)


PLACES = np.array([[20, 20], [50, 60], [40, 100], [20, 240], [50, 300], [60, 260], [10, 350], [40, 340]])


@pytest.mark.parametrize("channels", [None, 1, 3, 5])
@pytest.mark.parametrize("bank", [None, 3])
def test_a_dark_donor_goes_to_the_dark_half(channels: int | None, bank: int | None) -> None:
    image, mask = defect(bank, 0.3, level=60, grain=1)
    donor = describe_donor(image, mask, cut_appearance(image, mask))
    rng = np.random.default_rng(0)
    shape = disc()[34:61, 34:61]
    usual = metric(np.stack([donor, donor + 0.01]))
    chosen = [place_like(halves(channels), shape, PLACES, donor, usual, 0.7, rng)[0] for _ in range(50)]
    assert max(chosen) < 3
    anywhere = [place_like(halves(channels), shape, PLACES, donor, usual, 0.0, rng)[0] for _ in range(50)]
    assert max(anywhere) >= 3


def test_a_defect_is_not_part_of_its_surroundings() -> None:
    image, mask = defect(None, 0.2, grain=0)
    bare, _ = defect(None, 1.0, grain=0)
    points = probe_points(disc()[35:62, 35:62])
    with_defect = describe_donor(image, mask, cut_appearance(image, mask))
    without = describe(bare, points, np.array([[35, 35]]))[0]
    assert with_defect[:-1] == pytest.approx(without[:-1], abs=0.04)


def test_points_are_in_the_mask_and_around_it() -> None:
    mask = np.zeros((9, 40), bool)
    mask[4] = True
    points = probe_points(mask)
    assert points.shape == (UNDER + RING, 2)
    assert mask[tuple(points[:UNDER].T)].all()
    around = points[UNDER:]
    assert ((around < 0) | (around >= mask.shape)).any(axis=1).mean() > 0.6
    assert probe_points(np.ones((1, 1), bool))[:UNDER].max() == 0


def test_uint8_and_float_are_described_alike_and_gray_has_no_colour() -> None:
    image = halves(3)
    points = probe_points(disc()[34:61, 34:61])
    whole, scaled = describe(image, points, PLACES), describe(image.astype(np.float32) / 255, points, PLACES)
    assert whole == pytest.approx(scaled, abs=1e-4)
    assert gray(whole) == pytest.approx(describe(halves(None), points, PLACES), abs=1e-4)
    far = describe(image, points, np.array([[-50, -50], [500, 900]]))
    assert np.isfinite(far).all()


def test_pick() -> None:
    rng = np.random.default_rng(0)
    unlike = np.array([3.0, 0.5, 0.7, 9.0], np.float32)
    assert {pick(unlike, 1.0, rng) for _ in range(20)} == {1}
    assert {pick(unlike, 0.7, rng) for _ in range(200)} == {1, 2}
    assert {pick(unlike, 0.0, rng) for _ in range(200)} == {0, 1, 2, 3}


def test_two_kinds_of_surface_are_not_taken_for_one() -> None:
    rng = np.random.default_rng(0)
    kinds = np.concatenate([np.full((20, 7), 0.2), np.full((20, 7), 0.8)]) + rng.normal(0, 0.02, (40, 7))
    usual = metric(kinds.astype(np.float32))
    distance = unlikeness(kinds[[1, 30]].astype(np.float32), kinds[0].astype(np.float32), usual)
    assert distance[0] < 1.5
    assert distance[1] > 4


def test_one_donor_is_enough() -> None:
    usual = metric(np.full((1, 19), 0.5, np.float32))
    assert usual.full.shape == (19, 19)
    assert usual.gray.shape == (7, 7)
    assert np.isfinite(usual.full).all()


@pytest.mark.parametrize("channels", [None, 3])
def test_a_donor_that_could_have_been_seen_in_the_image_is_drawn(channels: int | None) -> None:
    """Dark donors for a dark image, bright ones for a bright one, either for what has both; all that fit alike."""
    samples = []
    for number, level in enumerate([60, 61, 62, 190, 191, 192]):
        image, mask = defect(None, 0.4, level=level, grain=1)
        samples.append(Annotated(str(number), image, (mask != 0).astype(np.int64), number))
    bank = collect(samples).bank(["pit"])
    rng = np.random.default_rng(0)

    def drawn(image: np.ndarray, strength: float) -> np.ndarray:
        image = image if channels is None else np.repeat(image[:, :, None], channels, 2)
        return np.bincount([draw_fitting(bank, 0, image, strength, rng) for _ in range(300)], minlength=6) / 300

    dark, bright = (np.full((90, 120), level, np.uint8) for level in (61, 191))
    assert drawn(dark, 0.7)[:3].sum() > 0.97 and drawn(bright, 0.7)[3:].sum() > 0.97
    both = drawn(np.hstack([dark, bright]), 0.7)
    assert both.min() > 0.1 and drawn(dark, 0.0).min() > 0.1
    assert drawn(np.full((90, 120), 5, np.uint8), 1.0)[:3].sum() == 1, "where nothing fits, the least unlike ones"
    assert drawn(np.full((3, 4), 61, np.uint8), 0.7)[:3].sum() > 0.97, "an image smaller than the spots"
