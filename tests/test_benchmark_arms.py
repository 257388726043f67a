from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from albu_gan import DefectInpainter, GANDefectInpaint, MaskBank, Shape
from albu_gan.data import DefectDataset, open_dataset
from albu_gan.defects.placement import starts
from albu_gan.defects.shapes import jitter_shape
from albu_gan.hub.find import find_weights
from albu_gan.painting.compositing import contrast, paste
from albu_gan.painting.draw import Draw
from tests.benchmark_data import PATTERN, write_parts
from training.benchmark.arms import OneOf, Paint, PaintShapes, ReplaceByPair, build_painting, gan_transform
from training.benchmark.donors import MARGIN, CopyPaste, Donor, FixedLatent, Peer, Poisson, cut_donors
from training.benchmark.images import ImageStore
from training.benchmark.perlin import PerlinTexture, perlin_noise
from training.benchmark.settings import BenchmarkConfig
from training.gan.export import build_mask_bank, find_shapes

CONFIG = BenchmarkConfig(p=1.0, min_contrast=0.0)
SEEDS = [(5, i, 1) for i in range(6)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DefectDataset:
    return open_dataset("folder", write_parts(tmp_path_factory.mktemp("arms") / "data"), PATTERN)


def peers_of(painter: DefectInpainter, dataset: DefectDataset) -> dict[str, Peer]:
    """Every peer, on the bank of the painter, with donors of noise."""
    bank, rng = painter.mask_bank, np.random.default_rng(0)
    donors = [
        Donor(rng.integers(0, 255, (h + 2 * MARGIN, w + 2 * MARGIN, 1), np.uint8))
        for h, w in (bank[index].mask.shape for index in range(len(bank)))
    ]
    store = ImageStore(dataset, dataset.records[:3])
    return {
        "copy-paste": CopyPaste(bank, donors, painter.latent_dim),
        "poisson": Poisson(bank, donors, painter.latent_dim),
        "perlin": PerlinTexture(bank, store, painter.latent_dim),
    }


@pytest.mark.parametrize("arm", ["copy-paste", "poisson", "perlin", "gan-fixed-z"])
def test_every_painter_labels_the_same_pixels_as_the_gan(
    arm: str, weights: str, dataset: DefectDataset, make_image: Callable[..., np.ndarray]
) -> None:
    folder = find_weights(weights)
    painter = DefectInpainter(folder)
    peer = FixedLatent(painter, 3) if arm == "gan-fixed-z" else peers_of(painter, dataset)[arm]
    gan, other = Paint(gan_transform(folder, CONFIG)), Paint(PaintShapes(peer, CONFIG))
    existing = np.zeros((96, 96), np.uint8)
    existing[10:40, 10:30] = 2
    for index, seed in enumerate(SEEDS):
        image = make_image((96, 96, 1), seed=index)
        painted, label = gan(image, existing, seed)
        others, other_label = other(image, existing, seed)
        np.testing.assert_array_equal(label, other_label)
        assert (label != existing).any()
        assert ((others != image)[:, :, 0] <= (label != existing)).all()
        assert (others != painted).any()


def test_the_gan_arm_is_the_transform_that_users_have(weights: str, make_image: Callable[..., np.ndarray]) -> None:
    folder, mask = find_weights(weights), np.zeros((96, 96), np.uint8)
    config = replace(CONFIG, min_contrast=8.0)
    gan, own = Paint(gan_transform(folder, config)), Paint(PaintShapes(DefectInpainter(folder), config))
    for seed in SEEDS:
        for a, b in zip(
            gan(make_image((96, 96, 1)), mask, seed), own(make_image((96, 96, 1)), mask, seed), strict=True
        ):
            np.testing.assert_array_equal(a, b)


def test_the_bank_of_the_donors_is_that_of_a_painter_of_the_same_groups(dataset: DefectDataset) -> None:
    bank, donors = cut_donors(dataset, dataset.records)
    expected = build_mask_bank(dataset, dataset.records)
    assert len(bank) == len(expected) == len(donors) == 24
    for index, donor in enumerate(donors):
        np.testing.assert_array_equal(bank[index].mask, expected[index].mask)
        height, width = bank[index].mask.shape
        inside = donor.image[MARGIN : MARGIN + height, MARGIN : MARGIN + width]
        ring = donor.image[:MARGIN].astype(float)
        change = (-50, 60, -30)[bank[index].class_index]
        assert inside.astype(float).mean() - ring.mean() == pytest.approx(change, abs=8)


def test_a_shape_without_jitter_or_shift_lies_where_it_was_seen(dataset: DefectDataset) -> None:
    for found in find_shapes(dataset, dataset.records):
        _, mask = dataset.read(found.record)
        (rows, columns), (height, width) = starts(found.shape, mask.shape, max_shift=0), found.shape.mask.shape
        assert rows[0] == rows[1] and columns[0] == columns[1]
        seen = mask[rows[0] : rows[0] + height, columns[0] : columns[0] + width] == found.shape.class_index + 1
        np.testing.assert_array_equal(seen, found.shape.mask)


def test_copy_paste_without_jitter_reproduces_the_donor(dataset: DefectDataset) -> None:
    bank, donors = cut_donors(dataset, dataset.records)
    painter = CopyPaste(bank, donors, 4)
    for index in range(0, len(bank), 5):
        shape, image = bank[index], np.full((90, 90, 1), 128, np.uint8)
        height, width = shape.mask.shape
        (patch,) = painter.paint(image, [Draw(shape.mask, 20, 31, 0, np.zeros(4, np.float32), shape.origin)])
        painted = image.copy()
        paste(painted, patch)
        donor = donors[index].image[MARGIN : MARGIN + height, MARGIN : MARGIN + width, 0]
        core = cv2.erode(np.pad(shape.mask.astype(np.uint8), 4), np.ones((9, 9)))[4:-4, 4:-4] > 0
        np.testing.assert_array_equal(painted[20 : 20 + height, 31 : 31 + width, 0][core], donor[core])
        assert core.any() or min(height, width) < 9
        edge = shape.mask & ~core  # feathered: between the two
        found = painted[20 : 20 + height, 31 : 31 + width, 0][edge].astype(int)
        low, high = np.minimum(donor[edge], 128), np.maximum(donor[edge], 128)
        assert ((found >= low) & (found <= high)).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_donor_is_moved_as_its_shape(seed: int) -> None:
    rng = np.random.default_rng(seed)
    inside = cv2.GaussianBlur(rng.random((30, 44)), (0, 0), 4)
    mask = inside > np.median(inside)
    mask[0, 0] = mask[-1, -1] = True
    padded = np.pad(mask, MARGIN).astype(np.uint8) * 255  # a donor that is white exactly in its shape
    painter = CopyPaste(MaskBank([Shape(mask, 0)], 1), [Donor(padded[:, :, None])], 4)
    shape = jitter_shape(painter.mask_bank[0], (0.8, 1.25), (-30, 30), rng)
    image = np.zeros((120, 120, 1), np.uint8)
    draw = Draw(shape.mask, 25, 30, 0, np.zeros(4, np.float32), shape.origin)
    moved = painter.moved(image, draw, (25, 30))[25 : 25 + shape.mask.shape[0], 30 : 30 + shape.mask.shape[1], 0] > 127
    assert (moved & shape.mask).sum() / (moved | shape.mask).sum() > 0.9


@pytest.mark.parametrize("place", [(0, 0), (40, 40), (116, 90)])
def test_poisson_shows_a_thin_crack_anywhere(place: tuple[int, int]) -> None:
    mask = np.ones((3, 30), bool)
    donor = np.full((3 + 2 * MARGIN, 30 + 2 * MARGIN, 1), 160, np.uint8)
    donor[MARGIN : MARGIN + 3, MARGIN : MARGIN + 30] = 60
    painter = Poisson(MaskBank([Shape(mask, 0)], 1), [Donor(donor)], 4)
    image = np.full((120, 120, 1), 120, np.uint8)
    (patch,) = painter.paint(image, [Draw(mask, *place, 0, np.zeros(4, np.float32), painter.mask_bank[0].origin)])
    after = image.copy()
    paste(after, patch)
    rows, columns = slice(place[0], place[0] + 3), slice(place[1], place[1] + 30)
    assert contrast(image[rows, columns], after[rows, columns], mask) > 40
    assert after[rows, columns].mean() < image.mean()


def test_perlin_noise_fills_its_range_and_is_smooth() -> None:
    noise = perlin_noise((64, 48), 4, np.random.default_rng(0))
    assert noise.shape == (64, 48) and noise.min() == 0 and noise.max() == 1
    assert np.abs(np.diff(noise, axis=0)).max() < 0.25
    assert (perlin_noise((64, 48), 4, np.random.default_rng(1)) != noise).mean() > 0.9


def test_perlin_takes_its_randomness_from_the_latent(dataset: DefectDataset) -> None:
    painter = PerlinTexture(
        MaskBank([Shape(np.ones((20, 20), bool), 0)], 1), ImageStore(dataset, dataset.records[:4]), 8
    )
    image, rng = np.full((64, 64, 1), 120, np.uint8), np.random.default_rng(0)
    draws = [Draw(np.ones((20, 20), bool), 5, 5, 0, painter.draw_latent(rng)) for _ in range(2)]
    first, again, other = (painter.paint(image, [draw])[0].residual for draw in (draws[0], draws[0], draws[1]))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.01


def test_a_fixed_latent_is_the_same_for_every_defect_and_draws_as_many_numbers(weights: str) -> None:
    painter = DefectInpainter.from_pretrained(weights)
    fixed, streams = FixedLatent(painter, 1), [np.random.default_rng(9) for _ in range(2)]
    drawn = [fixed.draw_latent(streams[0]) for _ in range(3)]
    free = [painter.draw_latent(streams[1]) for _ in range(3)]
    assert all((z == drawn[0]).all() for z in drawn) and (free[0] != free[1]).any()
    assert streams[0].random() == streams[1].random()


def test_half_of_the_crops_go_to_each_of_two_painters() -> None:
    def mark(value: int) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
        return lambda image, mask, seed: (np.full_like(image, value), mask)

    both = OneOf((mark(1), mark(2)))
    image, mask = np.zeros((4, 4, 1), np.uint8), np.zeros((4, 4), np.uint8)
    chosen = [int(both(image, mask, (0, i, 1))[0][0, 0, 0]) for i in range(400)]
    assert 160 < chosen.count(1) < 240 and chosen.count(1) + chosen.count(2) == 400


@pytest.mark.parametrize("size", [32, 48, 81])
def test_a_pair_replaces_crop_and_mask_together(size: int) -> None:
    images = np.repeat(np.arange(1, 5, dtype=np.uint8)[:, None, None, None], 48, 1).repeat(48, 2)
    replace_by = ReplaceByPair(images, images[:, :, :, 0], 0.3)
    crop, mask = np.zeros((size, size, 1), np.uint8), np.zeros((size, size), np.uint8)
    results = [replace_by(crop, mask, (0, i, 1)) for i in range(400)]
    for image, label in results:
        assert image.shape == crop.shape and (image[:, :, 0] == label).all() and len(np.unique(image)) == 1
    assert 85 < sum(label.any() for _, label in results) < 155


def test_unpainted_crops_are_as_they_were(dataset: DefectDataset, tmp_path: Path) -> None:
    records = dataset.records
    assert build_painting("none", dataset, records, CONFIG, None, None, 0) is None
    never = build_painting("copy-paste", dataset, records, replace(CONFIG, p=0.0), None, None, 0)
    assert never is not None
    image, mask = np.full((64, 64, 1), 9, np.uint8), np.zeros((64, 64), np.uint8)
    painted, label = never(image, mask, (0, 0, 1))
    assert (painted == image).all() and not label.any()


def test_one_arm_of_the_gan_paints_shapes_that_no_donor_has(weights: str, dataset: DefectDataset) -> None:
    folder = find_weights(weights)
    image, mask = np.full((96, 96, 1), 128, np.uint8), np.zeros((96, 96), np.uint8)

    def labels(arm: str) -> list[np.ndarray]:
        painting = build_painting(arm, dataset, dataset.records, CONFIG, folder, None, 0)
        assert isinstance(painting, Paint) and isinstance(painting.transform, GANDefectInpaint)
        assert painting.transform.mask_source == {"gan": "bank", "gan+procedural": "both"}[arm]
        return [painting(image, mask, seed)[1] for seed in SEEDS]

    real, mixed = labels("gan"), labels("gan+procedural")
    assert all(label.any() for label in mixed)
    assert any(not np.array_equal(a, b) for a, b in zip(real, mixed, strict=True))
