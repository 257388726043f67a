from __future__ import annotations

import cv2
import numpy as np
import pytest
from test_appearance import defect, disc, surface

from albu_gan.defects.appearance import RATIO, Appearance, cut_appearance
from albu_gan.defects.invention import blob_mix, invented
from albu_gan.defects.relight import lay, look, relight, soften
from albu_gan.defects.traits import Traits, alike, coherence, inventable, solidity, stature, traits
from albu_gan.defects.variation import Variation, contrast, draw_variation, elastic, paint_variation
from albu_gan.defects.wearing import rim_on_rim

ANY = Traits(inventable=True, solid=True, stiff=False)
NO_EDGES = (False, False, False, False)


def donor(channels: int | None = None) -> tuple[Appearance, np.ndarray]:
    image, mask = defect(channels, 0.5)
    image[mask] = np.clip(image[mask] + np.random.default_rng(1).normal(0, 12, image[mask].shape), 0, 255)
    return cut_appearance(image, mask), mask[34:62, 34:62][:27, :27]


def tight(mask: np.ndarray) -> np.ndarray:
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return np.ascontiguousarray(mask[top : top + height, left : left + width])


def test_at_no_strength_it_is_the_relit_donor() -> None:
    appearance, _ = donor()
    mask, image = tight(disc()), surface(None, 150, seed=3)
    drawn = draw_variation(appearance, mask, 0, np.random.default_rng(0), ANY)
    place = look(image, 20, 20, mask.shape)
    laid = lay(appearance, np.eye(2, 3), mask.shape, None, place)
    plain = soften(relight(laid, place, RATIO), mask, 20, 20, image.shape, appearance.beyond)
    assert np.array_equal(paint_variation(appearance, np.eye(2, 3), drawn, image, 20, 20, RATIO)[0], plain)


@pytest.mark.parametrize("channels", [None, 3])
def test_painting_draws_nothing_and_stays_in_the_mask(channels: int | None) -> None:
    appearance, _ = donor(channels)
    mask, image = tight(disc()), surface(channels, 150, seed=3)
    before = image.copy()
    rng = np.random.default_rng(5)
    for _ in range(30):
        drawn = draw_variation(appearance, mask, 1.0, rng, ANY, others=[donor(channels)[0]])
        one, two = (paint_variation(appearance, np.eye(2, 3), drawn, image, 20, 20, RATIO)[0] for _ in range(2))
        assert np.array_equal(one, two)
        assert np.isfinite(one).all()
        assert one.shape == (*drawn.mask.shape, 3 if channels else 1)
        assert (one[~drawn.mask] == 0).all()
    assert np.array_equal(image, before)


def test_same_seed_same_draw_and_others_differ() -> None:
    appearance, _ = donor()
    mask, image = tight(disc()), surface(None, 150, seed=3)
    one, two, other = (draw_variation(appearance, mask, 0.5, np.random.default_rng(s), ANY) for s in (1, 1, 2))
    assert np.array_equal(one.mask, two.mask)
    assert one.seed == two.seed
    painted = [
        np.zeros((60, 60), np.float32),
        np.zeros((60, 60), np.float32),
    ]
    for canvas, drawn in zip(painted, (one, other), strict=True):
        y, x = 15 + drawn.offset_yx[0], 15 + drawn.offset_yx[1]
        residual = paint_variation(appearance, np.eye(2, 3), drawn, image, y, x, RATIO)[0]
        canvas[y : y + residual.shape[0], x : x + residual.shape[1]] = residual[:, :, 0]
    assert np.abs(painted[0] - painted[1]).mean() > 0.1 * np.abs(painted[0]).mean()


def test_contrast_scales_the_effect_and_one_changes_nothing() -> None:
    appearance, _ = donor()
    laid = lay(appearance, np.eye(2, 3), (27, 27))
    effects = [float((contrast(laid, f).pixels - laid.surface)[13, 13, 0]) for f in (0.6, 1.0, 1.5)]
    assert effects[0] > effects[1] > effects[2]
    assert effects[1] == float((laid.pixels - laid.surface)[13, 13, 0])
    assert contrast(laid, 1.5).pixels.min() >= 0


@pytest.mark.parametrize("strength", [0.25, 1.0])
def test_a_warped_mask_is_tight_whole_and_of_about_its_size(strength: float) -> None:
    rng = np.random.default_rng(0)
    for mask in (tight(disc()), np.ones((3, 80), bool), np.eye(50, dtype=bool) | np.eye(50, k=1, dtype=bool)):
        for _ in range(10):
            drawn = elastic(mask, strength, rng, NO_EDGES)
            assert drawn.mask.any(axis=0)[[0, -1]].all()
            assert drawn.mask.any(axis=1)[[0, -1]].all()
            assert 0.6 < drawn.mask.sum() / mask.sum() < 1.7
            assert cv2.connectedComponents(drawn.mask.astype(np.uint8), connectivity=8)[0] <= 3
            assert drawn.displacement is not None
            assert drawn.displacement.shape == (*drawn.mask.shape, 2)


def test_shape_and_appearance_are_warped_together() -> None:
    image, mask = defect(None, 0.3, grain=0)
    appearance, shape = cut_appearance(image, mask), tight(mask)
    drawn = elastic(shape, 1.0, np.random.default_rng(3), NO_EDGES)
    y, x = drawn.offset_yx
    laid = lay(appearance, np.array([[1.0, 0, -x], [0, 1, -y]]), drawn.mask.shape, drawn.displacement)
    dark = (laid.pixels - laid.surface)[:, :, 0] < -0.15
    assert (dark == drawn.mask).mean() > 0.95


def test_a_shape_that_the_border_cuts_stays_there() -> None:
    half = tight(disc())[:14]
    for seed in range(10):
        drawn = elastic(half, 1.0, np.random.default_rng(seed), (False, False, True, False))
        assert drawn.mask[-1].any()
        assert drawn.offset_yx[0] + drawn.mask.shape[0] == 14


def test_what_is_invented_has_the_donors_level_and_contrast() -> None:
    appearance, _ = donor()
    shape = tight(disc())
    laid = lay(appearance, np.eye(2, 3), shape.shape)
    made = invented(laid, shape, np.random.default_rng(0))
    inner = cv2.erode(shape.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    assert made.pixels[inner].mean() == pytest.approx(float(laid.pixels[inner].mean()), abs=0.02)
    assert 0.4 < made.pixels[inner].std() / laid.pixels[inner].std() < 1.8
    assert np.corrcoef(made.pixels[inner].ravel(), laid.pixels[inner].ravel())[0, 1] < 0.7


def test_blobs_take_their_share() -> None:
    appearance, _ = donor()
    shape = tight(disc())
    one = lay(appearance, np.eye(2, 3), shape.shape)
    two = contrast(one, 0.1)
    share = []
    for seed in range(10):
        mixed = blob_mix(one, two, 0.4, shape, np.random.default_rng(seed))
        change = ((mixed.pixels - one.pixels) / (two.pixels - one.pixels + 1e-9))[shape]
        share.append(float(np.clip(change, 0, 1).mean()))
    assert np.mean(share) == pytest.approx(0.4, abs=0.1)


def test_rim_on_rim_of_a_shape_on_itself_is_nearly_the_identity() -> None:
    shape = np.zeros((21, 61), bool)
    cv2.ellipse(shape.view(np.uint8), (30, 10), (29, 8), 0, 0, 360, 1, -1)
    shape = tight(shape)
    moved = rim_on_rim(shape, shape)
    assert np.abs(moved[shape]).mean() < 0.7
    turned = rim_on_rim(shape, shape, along=True)
    assert np.abs(turned[shape][:, 0]).mean() > 10


def test_solidity() -> None:
    assert solidity(np.ones((20, 40), bool)) > 0.9
    holes = np.zeros((40, 40), bool)
    holes[:, ::8] = holes[::8] = True
    assert solidity(holes) < 0.5


def test_streaks_are_seen_and_not_invented() -> None:
    image, label = surface(None, grain=2), np.zeros((96, 96), bool)
    label[20:76, 20:76] = True
    stripes = (30 * np.sign(np.sin(np.arange(96) / 2)))[None].repeat(96, 0)
    image[label] = np.clip(image[label] + stripes[label], 0, 255)
    streaky = cut_appearance(image, label)
    blotchy, _ = donor()
    assert coherence(streaky) > 0.8 > 0.4 > coherence(blotchy)
    assert not inventable(streaky)
    assert traits(streaky).stiff
    assert not traits(blotchy).stiff


def test_donors_alike() -> None:
    dark, dark_too = (cut_appearance(*defect(None, 0.5, seed=s)) for s in (0, 1))
    bright = cut_appearance(*defect(None, 1.9))
    statures = np.stack([stature(a) for a in (dark, bright, dark_too)])
    assert alike(statures, 0) == [2]
    assert alike(statures, 1) == []


def test_variation_of_a_pixel_works() -> None:
    appearance, _ = donor()
    drawn = draw_variation(appearance, np.ones((1, 1), bool), 1.0, np.random.default_rng(0), ANY)
    assert isinstance(drawn, Variation)
    assert drawn.mask.any()
    top = 40
    assert np.isfinite(paint_variation(appearance, np.eye(2, 3), drawn, surface(None), top, top, RATIO)[0]).all()
