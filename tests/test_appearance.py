from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from albu_gan.defects.appearance import DIFFERENCE, PIXELS, RATIO, Appearance, Formula, cut_appearance
from albu_gan.defects.relight import lay, look, refocus, relight, soften
from albu_gan.defects.surface import Grain, blur_of, roughness, smooth
from albu_gan.painting import mask_box

FORMULAS = [RATIO, DIFFERENCE, PIXELS, Formula(0.4, 0.3, 0.3)]
SURFACES = Path(__file__).resolve().parents[2] / "shared" / "data" / "surfaces"


def disc(size: int = 96, radius: int = 14) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - size // 2
    return np.asarray(y * y + x * x < radius * radius)


def surface(channels: int | None, level: float = 120, grain: float = 4, size: int = 96, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = (size, size) if channels is None else (size, size, channels)
    slope = np.linspace(-20, 20, size).reshape(1, size, *([1] * (channels is not None)))
    return np.clip(level + slope + rng.normal(0, grain, shape), 0, 255).astype(np.uint8)


def defect(channels: int | None, factor: float = 0.5, **kwargs: float) -> tuple[np.ndarray, np.ndarray]:
    image, mask = surface(channels, **kwargs), disc()
    image[mask] = np.clip(image[mask] * factor, 0, 255)
    return image, mask


def tight(appearance: Appearance) -> tuple[int, int, int, int]:
    box = mask_box(appearance.mask)
    assert box is not None
    return box


def back_home(appearance: Appearance, formula: Formula, rounded: bool) -> float:
    """Largest error in levels, on the donor's own filled-in surface."""
    own = appearance.full_surface()
    if rounded:
        own = np.rint(255 * own).astype(np.uint8)
    own = own if own.shape[2] == 3 else own[:, :, 0]
    top, left, height, width = tight(appearance)
    place = look(own, top, left, (height, width))
    painted = place.pixels + relight(lay(appearance, np.eye(2, 3), (height, width), None, place), place, formula)
    inside = slice(top, top + height), slice(left, left + width)
    return float(np.abs(255 * painted - appearance.pixels[inside])[appearance.mask[inside]].max())


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("channels", [None, 1, 3])
@pytest.mark.parametrize("factor", [0.15, 0.7, 1.6])
def test_laid_back_on_its_own_surface_it_is_the_donor(
    factor: float, channels: int | None, formula: Formula, rounded: bool
) -> None:
    image, mask = defect(channels, factor)
    assert back_home(cut_appearance(image, mask), formula, rounded) <= 3


@pytest.mark.parametrize("folder", sorted(SURFACES.iterdir()) if SURFACES.exists() else [], ids=lambda path: path.name)
def test_real_donors_come_back(folder: Path) -> None:
    found = 0
    for path in sorted((folder / "images").iterdir())[::7]:
        mask = cv2.imread(str(folder / "masks" / f"{path.stem}.png"), cv2.IMREAD_GRAYSCALE)
        if not mask.any():
            continue
        _, labels = cv2.connectedComponents((mask > 0).astype(np.uint8))
        appearance = cut_appearance(cv2.imread(str(path)), labels == 1, mask)
        for formula in FORMULAS:
            assert back_home(appearance, formula, rounded=False) <= 3
        found += 1
        if found == 8:
            break
    assert found


def test_nothing_is_painted_where_a_loose_label_shows_bare_surface() -> None:
    image = surface(None, grain=5)
    core, label = disc(radius=6), disc(radius=30)
    image[core] //= 3
    appearance = cut_appearance(image, label)
    other = surface(None, level=160, grain=5, seed=1)
    top, left, height, width = tight(appearance)
    place = look(other, 10, 10, (height, width))
    residual = relight(lay(appearance, np.eye(2, 3), (height, width), None, place), place, RATIO)[:, :, 0] * 255
    inside = slice(top, top + height), slice(left, left + width)
    distance = np.hypot(*(np.mgrid[:height, :width] - np.array([height // 2, width // 2])[:, None, None]))
    bare = (distance > 14) & (distance < 28) & appearance.mask[inside]
    assert np.abs(residual[bare]).mean() < 1.5  # the grain of the donor alone is 4 on the average
    assert residual[distance < 4].mean() < -60


def test_a_ratio_keeps_its_share_of_the_light_and_a_difference_its_levels() -> None:
    image, mask = defect(None, 0.6, grain=0)
    appearance = cut_appearance(image, mask)
    place = look(np.full((96, 96), 200, np.uint8), 30, 30, (27, 27))
    laid = lay(appearance, np.eye(2, 3), (27, 27), None, place)
    ratio, difference, pixels = (
        255 * float((place.pixels + relight(laid, place, formula))[13, 13, 0])
        for formula in (RATIO, DIFFERENCE, PIXELS)
    )
    donor, under = float(image[48, 48]), 120.0
    assert ratio == pytest.approx((200 + 8) * (donor + 8) / (under + 8) - 8, abs=4)
    assert difference == pytest.approx(200 + donor - under, abs=4)
    assert pixels == pytest.approx(donor, abs=4)
    half = 255 * float((place.pixels + relight(laid, place, Formula(0.5, 0.5, 0)))[13, 13, 0])
    assert half == pytest.approx((ratio + difference) / 2, abs=0.5)


def test_a_deep_pit_stays_black_on_bright_metal() -> None:
    image, mask = defect(None, 0.1, level=60, grain=0)
    place = look(np.full((96, 96), 230, np.uint8), 30, 30, (27, 27))
    laid = lay(cut_appearance(image, mask), np.eye(2, 3), (27, 27), None, place)
    for formula in FORMULAS:
        assert 255 * float((place.pixels + relight(laid, place, formula))[13, 13, 0]) < 70


@pytest.mark.parametrize("level", [0, 3, 128, 252, 255])
@pytest.mark.parametrize("factor", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("formula", FORMULAS)
def test_what_is_painted_is_finite_and_in_range(level: int, factor: float, formula: Formula) -> None:
    appearance = cut_appearance(*defect(3, factor))
    place = look(np.full((64, 64, 3), level, np.uint8), 20, 20, (27, 27))
    painted = place.pixels + relight(lay(appearance, np.eye(2, 3), (27, 27), None, place), place, formula)
    assert np.isfinite(painted).all()
    assert painted.min() >= -1e-6
    assert painted.max() <= 1 + 1e-6


@pytest.mark.parametrize("bank", [None, 3])
@pytest.mark.parametrize("image", [(64, 64), (64, 64, 1), (64, 64, 3), (64, 64, 5)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_banks_and_images_of_other_channels(bank: int | None, image: tuple[int, ...], dtype: type) -> None:
    appearance = cut_appearance(*defect(bank))
    level = 0.5 if dtype is np.float32 else 128
    place = look(np.full(image, level, dtype), 20, 20, (27, 27))
    residual = relight(lay(appearance, np.eye(2, 3), (27, 27), None, place), place, RATIO)
    assert residual.shape == (27, 27, 3 if image[-1] == 3 and len(image) == 3 else 1)
    assert residual.dtype == np.float32
    assert residual[13, 13].max() < -0.15


def test_a_neighbour_in_the_rim_is_taken_out_and_counts_for_nothing() -> None:
    image, mask = defect(None, 0.5, grain=2)
    alone = cut_appearance(image, mask)
    neighbour = np.roll(disc(radius=6), (0, 22), (0, 1)) & ~mask
    image[neighbour] = 250
    beside = cut_appearance(image, mask, mask | neighbour)
    assert beside.pixels[:, -4:].max() < 200
    assert np.abs(beside.full_surface() - alone.full_surface())[alone.mask].max() * 255 < 8


def test_inputs_are_left_alone_and_defects_at_borders_can_be_cut() -> None:
    image, mask = surface(3), np.zeros((96, 96), bool)
    mask[:10, :20] = True
    image[mask] = 30
    before = image.copy()
    appearance = cut_appearance(image, mask)
    assert np.array_equal(image, before)
    assert appearance.offset_xy == (0, 0)
    assert appearance.pixels.shape == (16, 26, 3)
    whole = cut_appearance(image, np.ones((96, 96), bool))
    assert np.isfinite(whole.full_surface()).all()


def test_softening_ends_at_the_label_and_keeps_thin_lines() -> None:
    mask = disc()[34:61, 34:61]
    ones = np.ones((*mask.shape, 1), np.float32)
    hard, soft = (soften(ones, mask, 5, 5, (96, 96), beyond)[:, :, 0] for beyond in (0.0, 0.6))
    assert (hard[~mask] == 0).all()
    assert (soft[~mask] == 0).all()
    assert soft.sum() < hard.sum()
    assert soft[13, 13] > 0.9
    line = np.ones((2, 60), bool)
    assert soften(np.ones((2, 60, 1), np.float32), line, 5, 5, (96, 96), 0.9).min() == 1


def test_shares_are_checked() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        Formula(0.5, 0.6, 0)
    with pytest.raises(ValueError, match="negative"):
        replace(RATIO, ratio=1.5, difference=-0.5)


def test_a_defect_that_its_label_cuts_off_ends_softly_without_the_corners_of_the_label() -> None:
    rows, columns = np.indices((40, 60))
    far = (rows - 19.5) ** 2 + (columns - 29.5) ** 2
    mask = far < 15**2
    rough = (mask & ((rows + columns) % 4 > 0)) | (far < 13**2)
    for shape in (mask, rough):
        weight = soften(np.ones((*shape.shape, 1), np.float32), shape, 10, 10, (96, 96), 0.5)[:, :, 0]
        assert weight[~shape].max() == 0 and weight[17:23, 27:33].max() == 1
    whole = soften(np.ones((40, 60, 1), np.float32), mask, 10, 10, (96, 96), 0.5)[:, :, 0]
    assert whole[20, 15] < 0.15 and np.all(np.diff(whole[20, 14:30]) >= 0)
    border = soften(np.ones((40, 60, 1), np.float32), np.ones((40, 60), bool), 0, 0, (96, 96), 0.5)[:, :, 0]
    assert border[:30, :50].min() == 1 and border[-1, :50].max() < 0.2, "where the image ends, there is no edge"


def test_how_blurred_an_image_is_is_told_from_its_grain() -> None:
    noise = np.random.default_rng(0).standard_normal((400, 400)).astype(np.float32)
    for sigma in (0.5, 1.0, 1.5, 2.0):
        image = cv2.GaussianBlur(noise, (0, 0), sigma)[:, :, None]
        deviation = 1.4826 * float(np.median(np.abs(image - smooth(image))))
        assert blur_of(roughness(image), deviation) == pytest.approx(sigma, rel=0.1)
    assert blur_of(1.9, 1.0) == 0 and blur_of(0.0, 1.0) == 2.5


def test_a_sharp_defect_is_blurred_for_a_blurred_place_alone() -> None:
    rng = np.random.default_rng(0)
    line = np.zeros((40, 40, 1), np.float32)
    line[:, 20] = -0.3
    sharp = rng.normal(0.5, 0.03, (40, 40)).astype(np.float32)
    blurred = 0.5 + 4 * (cv2.GaussianBlur(sharp, (0, 0), 1.2) - 0.5)
    donor = Grain(0.03, 0.01, 1.87 * 0.03)
    assert np.array_equal(refocus(line, donor, 1.0, look(sharp, 0, 0, (40, 40))), line)
    soft = refocus(line, donor, 1.0, look(blurred, 0, 0, (40, 40)))
    assert soft.sum() == pytest.approx(float(line.sum()), rel=0.01) and -0.2 < soft.min() < -0.05
    blurred_donor = Grain(0.03, 0.02, 0.3 * 0.03)
    assert np.array_equal(refocus(line, blurred_donor, 1.0, look(blurred, 0, 0, (40, 40))), line)
