"""Real defects painted by the transform, the inpainter and the batch: without a network, labelled, varied, in place."""

from __future__ import annotations

import json
import pickle
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest
import torch
from test_bank import scene
from torch.utils.data import DataLoader, Dataset

from albu_gan import BatchDefectInpaint, DefectInpainter, GANDefectInpaint, WeightsError
from albu_gan.defects import collect
from albu_gan.defects.collect import Annotated
from albu_gan.defects.exemplars import dress, wear
from albu_gan.painting import Draw, paste

NAMES = ["pit", "scratch"]


@pytest.fixture(scope="module", params=[1, 3], ids=["gray", "colour"])
def painter(request: pytest.FixtureRequest) -> DefectInpainter:
    samples = [Annotated(str(seed), *scene(seed, request.param), seed) for seed in range(5)]
    return DefectInpainter.from_bank(collect(samples).bank(NAMES), NAMES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    samples = [Annotated(str(seed), *scene(seed), seed) for seed in range(5)]
    path = tmp_path_factory.mktemp("bank") / "weights"
    DefectInpainter.from_bank(collect(samples).bank(NAMES), NAMES).save_pretrained(path)
    return str(path)


def clean(shape: tuple[int, ...] = (120, 160), dtype: Any = np.uint8, seed: int = 9) -> np.ndarray:
    rng = np.random.default_rng(seed)
    levels = np.clip(130 + 3 * rng.standard_normal(shape), 0, 255).astype(np.uint8)
    return levels if dtype == np.uint8 else (levels / np.float32(255)).astype(np.float32)


@pytest.mark.parametrize("shape", [(120, 160), (120, 160, 1), (120, 160, 3), (97, 131, 5)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("variation", [0.0, 0.5, 1.0])
def test_nothing_changes_outside_the_label_and_the_label_is_visible(
    folder: str, shape: tuple[int, ...], dtype: Any, variation: float
) -> None:
    image = clean(shape, dtype)
    before = image.copy()
    transform = A.Compose([GANDefectInpaint(folder, p=1.0, variation=variation, defects_range=(2, 3))], seed=1)
    for _ in range(5):
        out = transform(image=image, mask=np.zeros(shape[:2], np.uint8))
        changed = (out["image"] != image).reshape(*shape[:2], -1).any(axis=2)
        assert out["image"].dtype == dtype and out["image"].shape == shape
        assert not (changed & (out["mask"] == 0)).any() and changed.any()
        assert set(np.unique(out["mask"])) <= {0, 1, 2}
        assert np.array_equal(image, before)


def test_a_donor_laid_back_in_its_own_place_is_itself(painter: DefectInpainter) -> None:
    channels = 1 if painter.bank.appearance(0).pixels.shape[2] == 1 else 3
    for seed in range(2):
        image, mask = scene(seed, channels)
        found = collect([Annotated("a", image, mask, 0)])
        bank = found.bank(NAMES)
        for index, (shape, donor) in enumerate(zip(found.shapes, found.donors, strict=True)):
            appearance = donor.appearance
            x, y = appearance.offset_xy
            surface = np.rint(255 * appearance.full_surface()).astype(np.uint8)
            dressed = dress(bank[index], bank, 0.0, np.random.default_rng(0))
            residual = dressed.look.paint(surface, y, x)[0]  # type: ignore[union-attr]
            h, w = shape.mask.shape
            painted = surface[y : y + h, x : x + w] + 255 * residual
            inner = residual_is_whole(shape.mask)
            error = np.abs(painted - appearance.pixels[y : y + h, x : x + w])[inner]
            assert error.max(initial=0) <= 3
            assert inner.any() or min(shape.mask.shape) < 8


def residual_is_whole(mask: np.ndarray) -> np.ndarray:
    """Where the soft edge of a mask has ended."""

    return (
        cv2.erode(mask.view(np.uint8), np.ones((7, 7), np.uint8), borderValue=0).astype(bool)
        if mask.shape[0] > 5
        else mask & False
    )


def test_variation_0_is_one_look_and_half_is_many(painter: DefectInpainter) -> None:
    shape, image = painter.bank[0], clean((80, 80))

    def painted(variation: float, seed: int) -> np.ndarray:
        dressed = dress(shape, painter.bank, variation, np.random.default_rng(seed))
        out = image.copy()
        draw = Draw(dressed.mask, 30, 30, 0, np.empty(0, np.float32), None, dressed.look)
        paste(out, painter.paint(out, [draw])[0])
        return out.astype(int)

    assert np.array_equal(painted(0, 1), painted(0, 2))
    effect = np.abs(painted(0, 1) - image).sum()
    differences = [np.abs(painted(0.5, seed) - painted(0.5, seed + 100)).sum() / effect for seed in range(12)]
    assert np.median(differences) > 0.1


def test_the_same_seed_paints_the_same_and_another_differs(folder: str) -> None:
    image = clean()

    def run(seed: int) -> bytes:
        return A.Compose([GANDefectInpaint(folder, p=1.0)], seed=seed)(image=image)["image"].tobytes()

    assert run(1) == run(1) != run(2)


def test_defects_go_where_it_is_like_where_they_were_seen() -> None:
    samples = []
    for seed in range(6):
        image, mask = scene(seed, 1)
        samples.append(Annotated(str(seed), np.clip(image.astype(int) - 40, 0, 255).astype(np.uint8), mask, seed))
    bank = collect(samples).bank(NAMES)
    two = clean((120, 240))
    two[:, 120:] = np.clip(two[:, 120:].astype(int) + 100, 0, 255)  # half of it is far brighter than any donor's place
    shares = {}
    for strength in (0.0, 0.7):
        painter = DefectInpainter.from_bank(bank, NAMES)
        transform = GANDefectInpaint(painter.folder.name, p=1.0, place_like=strength)
        transform.set_random_seed(0)
        masks = [transform(image=two, mask=np.zeros(two.shape, np.uint8))["mask"] for _ in range(60)]
        shares[strength] = np.mean([(mask[:, 120:] > 0).sum() > (mask[:, :120] > 0).sum() for mask in masks])
    assert shares[0.0] > 0.3 and shares[0.7] < 0.1


def test_from_defects_needs_no_file_and_travels_in_a_pickle() -> None:
    images, masks = zip(*(scene(seed, 3) for seed in range(4)), strict=True)
    transform = GANDefectInpaint.from_defects(images, masks, NAMES, p=1.0, classes=["pit"])
    image = clean((100, 100, 3))
    again = pickle.loads(pickle.dumps(transform))
    for each in (transform, again):
        each.set_random_seed(3)
    assert np.array_equal(transform(image=image)["image"], again(image=image)["image"])
    rebuilt = A.from_dict(json.loads(json.dumps(A.to_dict(transform))))
    rebuilt.set_random_seed(3)
    transform.set_random_seed(3)
    assert np.array_equal(transform(image=image)["image"], rebuilt(image=image)["image"])


def test_defects_of_another_process_are_one_clear_error() -> None:
    with pytest.raises(ValueError, match="save_pretrained"):
        GANDefectInpaint("memory:0123456789abcdef")


class Painted(Dataset[np.ndarray]):
    def __init__(self, pipeline: A.Compose) -> None:
        self.pipeline = pipeline

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> np.ndarray:
        return self.pipeline(image=clean())["image"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_paint_from_memory(method: str) -> None:
    images, masks = zip(*(scene(seed) for seed in range(3)), strict=True)
    pipeline = A.Compose([GANDefectInpaint.from_defects(images, masks, NAMES, p=1.0)])
    loader = DataLoader(Painted(pipeline), batch_size=1, num_workers=2, multiprocessing_context=method)
    seen = [bytes(batch.numpy().tobytes()) for batch in loader]
    assert len(set(seen)) == 6 and clean().tobytes() not in seen


def test_a_mask_of_ones_own_looks_like_the_chosen_defect(painter: DefectInpainter) -> None:
    bank = painter.bank
    dark = next(i for i in range(len(bank)) if bank.class_of(i) == 0)
    bright = next(i for i in range(len(bank)) if bank.class_of(i) == 1)
    image, mask = clean((90, 90)), np.zeros((90, 90), np.uint8)
    mask[40:50, 30:60] = 1
    means = [
        painter(image, mask, "pit", exemplar=index, variation=0)[mask > 0].mean() - image[mask > 0].mean()
        for index in (dark, bright)
    ]
    assert means[0] < -10 and means[1] > 10
    assert np.array_equal(painter(image, mask, "pit", seed=4), painter(image, mask, "pit", seed=4))
    assert not (painter(image, mask, "pit", seed=4) != image)[mask == 0].any()


def test_an_exemplar_that_is_none_is_one_clear_error(painter: DefectInpainter, weights: str) -> None:
    image, mask = clean((40, 40)), np.ones((40, 40), np.uint8)
    with pytest.raises(ValueError, match="exemplar must be from 0"):
        painter(image, mask, "pit", exemplar=10_000)
    with pytest.raises(ValueError, match="paints with its generator"):
        DefectInpainter.from_pretrained(weights)(image, mask, "pit", exemplar=0)
    with pytest.raises(ValueError, match="no defect of this class"):
        wear(np.ones((5, 5), bool), painter.bank.of_classes([0]), 1, None, 0.5, np.random.default_rng(0))


def test_invented_shapes_wear_real_looks(folder: str) -> None:
    transform = GANDefectInpaint(folder, p=1.0, mask_source="procedural")
    transform.set_random_seed(0)
    for _ in range(10):
        out = transform(image=clean(), mask=np.zeros((120, 160), np.uint8))
        assert ((out["image"] != clean()) <= (out["mask"] > 0)).all()


def test_a_batch_is_painted_too(folder: str) -> None:
    images = torch.from_numpy(np.stack([clean(dtype=np.float32, seed=s) for s in range(6)]))[:, None]
    masks = torch.zeros(6, 120, 160, dtype=torch.uint8)
    painted, labelled = BatchDefectInpaint(folder, p=1.0, seed=0)(images, masks)
    assert labelled is not None
    changed = (painted != images).any(dim=1)
    assert changed.flatten(1).any(dim=1).all()
    assert not (changed & (labelled == 0)).any()


def test_a_batch_paints_what_the_transform_paints(folder: str) -> None:
    inpainter = DefectInpainter.from_pretrained(folder)
    image = clean(dtype=np.float32)
    shape = dress(inpainter.bank[0], inpainter.bank, 0.5, np.random.default_rng(0))
    draw = Draw(shape.mask, 40, 50, 0, np.empty(0, np.float32), None, shape.look)
    one = image.copy()
    paste(one, inpainter.paint(image, [draw])[0])
    tensor = torch.from_numpy(image)[None, None]
    batch, _ = BatchDefectInpaint(folder, p=1.0)(tensor, draws=[[draw]])
    np.testing.assert_allclose(batch[0, 0].numpy(), one, atol=1 / 255)


def test_weights_without_a_network_have_none(folder: str) -> None:
    with pytest.raises(WeightsError, match="no generator"):
        _ = DefectInpainter.from_pretrained(folder).network


def test_publishing_pixels_is_warned_of(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("albu_gan.defects.inpainter.push_folder", lambda *_, **__: "0" * 40)
    with pytest.warns(UserWarning, match="holds pixels of the images"):
        DefectInpainter.from_pretrained(folder).push_to_hub("me/mine")
