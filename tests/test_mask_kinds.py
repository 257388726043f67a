"""Masks as people have them: what is labelled, what is left alone, and what is refused with the remedy."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest
import torch
from conftest import CLASSES

from albu_gan import BatchDefectInpaint, GANDefectInpaint
from albu_gan.defects.padding import Filling
from albu_gan.painting import patches_from_text, patches_to_text
from training.windows import DefectWindow, jitter_crop

MakeImage = Callable[..., np.ndarray]
SIZE = (64, 80)
CHANNELS = {name: index + 1 for index, name in enumerate(CLASSES)}


def paint(weights: str, seed: int = 0, targets: dict[str, str] | None = None, **options: Any) -> A.Compose:
    return A.Compose([GANDefectInpaint(weights, p=1.0, **options)], seed=seed, additional_targets=targets)


def half(value: float, dtype: Any = np.uint8) -> np.ndarray:
    """A mask whose left columns hold a value."""
    mask = np.zeros(SIZE, dtype)
    mask[:, :8] = value
    return mask


@pytest.mark.parametrize(("dtype", "value"), [(np.uint8, 255), (np.int64, 255), (np.float32, 1.0), (np.float64, 1.0)])
def test_a_binary_mask_is_not_given_class_values(weights: str, make_image: MakeImage, dtype: Any, value: float) -> None:
    image = make_image(SIZE)
    with pytest.raises(ValueError, match=rf"mask .*as a binary mask does.*mask_values=({int(value)}|1 or)"):
        paint(weights)(image=image, mask=half(value, dtype))
    seen: set[float] = set()
    for seed in range(6):
        out = paint(weights, seed, mask_values=int(value))(image=image, mask=half(value, dtype))["mask"]
        seen |= set(np.unique(out).tolist())
        assert out.dtype == dtype and (out != half(value, dtype)).any()
    assert seen == {0, value}


def test_a_clean_float_mask_is_painted_with_a_word(weights: str, make_image: MakeImage) -> None:
    with pytest.warns(UserWarning, match="in which losses expect 0 and 1"):
        assert paint(weights)(image=make_image(SIZE), mask=np.zeros(SIZE, np.float32))["mask"].any()


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("named", [True, False])
def test_one_hot_with_a_background_stays_one_hot(weights: str, make_image: MakeImage, first: bool, named: bool) -> None:
    mask = np.zeros((*SIZE, 4), np.uint8)
    background = 0 if first else 3
    mask[..., background] = 1
    channels = {name: index + first for index, name in enumerate(CLASSES)}
    channels |= {"background": background} if named else {}
    for avoid in (True, False):
        image = make_image(SIZE)
        out = paint(weights, mask_channels=channels, avoid_existing=avoid)(image=image, mask=mask)
        assert (out["image"] != image).any() and (out["mask"].sum(axis=2) == 1).all()
        assert not ((out["image"] != image) & (out["mask"][..., background] == 1)).any()


def test_without_a_free_pixel_it_says_why(weights: str, make_image: MakeImage) -> None:
    with pytest.warns(UserWarning, match=r"mask has a label on every pixel.*exempt_keys=\['mask'\]"):
        paint(weights)(image=make_image(SIZE), mask=np.full(SIZE, 2, np.uint8))


@pytest.mark.parametrize(
    "extra",
    [
        np.full(SIZE, 3.7, np.float32),
        np.where(np.arange(SIZE[1]) < 40, 0, 3.7).astype(np.float32) * np.ones(SIZE, np.float32),
        np.ones(SIZE, np.float32),
    ],
)
def test_depth_and_weights_are_passed_on(weights: str, make_image: MakeImage, extra: np.ndarray) -> None:
    image, mask = make_image(SIZE), np.zeros(SIZE, np.uint8)
    out = paint(weights, targets={"extra": "mask"})(image=image, mask=mask, extra=extra)
    assert out["mask"].any() and np.array_equal(out["extra"], extra)


def test_a_part_mask_is_doubted_unless_it_is_exempt(weights: str, make_image: MakeImage) -> None:
    part = np.zeros(SIZE, np.uint8)
    part[4:60, 4:76] = 1
    data = {"image": make_image(SIZE), "mask": np.zeros(SIZE, np.uint8), "part": part}
    with pytest.warns(UserWarning, match=r"exempt_keys=\['part'\].*region_key='part'"):
        paint(weights, targets={"part": "mask"})(**data)
    out = paint(weights, targets={"part": "mask"}, exempt_keys=["part"])(**data)
    assert out["mask"].any() and np.array_equal(out["part"], part)


def test_masks_of_classes_and_instances(weights: str, make_image: MakeImage) -> None:
    image = make_image(SIZE)
    layers = [np.zeros(SIZE, np.uint8) for _ in CLASSES]
    out = paint(weights, masks_as="classes")(image=image, masks=layers)["masks"]
    assert len(out) == len(CLASSES) and sum(bool(layer.any()) for layer in out) == 1
    assert set(np.unique(np.stack(out)).tolist()) == {0, 1}

    one, other = half(1), np.ascontiguousarray(half(1)[:, ::-1])
    result = paint(weights, masks_as="instances", defects_range=(2, 2))(image=image, masks=[one, other])
    kept, new = result["masks"][:2], result["masks"][2:]
    assert np.array_equal(kept[0], one) and np.array_equal(kept[1], other) and 1 <= len(new) <= 2
    assert not (np.stack(new).astype(bool) & (one | other).astype(bool)).any()
    changed = result["image"] != image
    assert not (changed & ~np.stack(new).any(axis=0)).any()
    with pytest.warns(UserWarning, match="masks_as='classes', 'instances' or 'index'"):
        paint(weights)(image=image, masks=[one, other])
    with pytest.raises(ValueError, match="masks_as must be None or one of"):
        GANDefectInpaint(weights, masks_as="instance")


@pytest.mark.parametrize(("low", "high"), [(110, 130), (100, 140), (64, 191)])
@pytest.mark.parametrize("kwargs", [{}, {"mean": (0.5,) * 3, "std": (0.5,) * 3}])
def test_normalised_images_are_refused_however_faint(weights: str, low: int, high: int, kwargs: dict[str, Any]) -> None:
    image = np.random.default_rng(0).integers(low, high, (96, 96, 3), dtype=np.uint8)
    chain = A.Compose([A.Normalize(**kwargs), GANDefectInpaint(weights, p=1.0)])
    with pytest.raises(ValueError, match=r"before A\.Normalize"):
        chain(image=image)
    batch = torch.from_numpy(A.Normalize(**kwargs)(image=image)["image"]).permute(2, 0, 1)[None]
    with pytest.raises(ValueError, match="before they are normalised"):
        BatchDefectInpaint(weights, p=1.0)(batch)


def test_what_interpolation_overshoots_is_let_pass(weights: str) -> None:
    board = np.indices((64, 64)).sum(0) % 2
    image = cv2.resize(board.astype(np.float32), (150, 150), interpolation=cv2.INTER_CUBIC)
    assert image.min() < -0.05 and image.max() > 1.05
    paint(weights)(image=image)


@pytest.mark.parametrize("first", [A.PadIfNeeded(128, 160), A.Affine(scale=0.5, p=1), A.Rotate((45, 45), p=1)])
def test_nothing_is_painted_on_padding(weights: str, make_image: MakeImage, first: A.BasicTransform) -> None:
    image, mask = make_image((64, 80, 3)), np.zeros((64, 80), np.uint8)
    for seed in range(8):
        padded = A.Compose([first], seed=seed)(image=np.full_like(image, 255), mask=mask)["image"][..., 0] == 0
        inner = cv2.morphologyEx(padded.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
        out = A.Compose([first, GANDefectInpaint(weights, p=1.0)], seed=seed)(image=image, mask=mask)
        assert not ((out["mask"] > 0) & inner).any()


def test_a_drawing_without_texture_is_no_padding() -> None:
    flat = np.full((64, 64), 120, np.uint8)
    assert Filling.of(flat) is None
    white = np.full((64, 64), 255, np.uint8)
    white[8:, 8:] = np.random.default_rng(0).integers(0, 255, (56, 56))
    assert Filling.of(white) is None, "a backlight overexposes the surface itself"
    black = white.copy()
    black[black == 255] = 0
    assert Filling.of(black) is not None


def test_a_replay_is_json_and_collates(weights: str, make_image: MakeImage) -> None:
    image, mask = make_image(SIZE), np.zeros(SIZE, np.uint8)
    chain = A.ReplayCompose([GANDefectInpaint(weights, p=1.0)])
    out = chain(image=image, mask=mask)
    replay = json.loads(json.dumps(out["replay"]))
    again = A.ReplayCompose.replay(replay, image=image, mask=mask)
    assert np.array_equal(again["image"], out["image"]) and np.array_equal(again["mask"], out["mask"])

    recording = A.Compose([GANDefectInpaint(weights, p=1.0)], save_applied_params=True, seed=0)
    applied = recording(image=image, mask=mask)["applied_transforms"]
    torch.utils.data.default_collate([{"p": applied}] * 2)
    patches = patches_from_text(applied[0][1]["patches"])
    assert patches and patches_from_text(patches_to_text(patches))[0].mask.shape == patches[0].mask.shape


@pytest.mark.parametrize("dtype", [torch.long, torch.bool, torch.float32, torch.uint8])
def test_a_batch_takes_masks_of_every_kind(weights: str, dtype: torch.dtype) -> None:
    images = torch.full((2, 3, *SIZE), 0.5)
    for shape in ((2, *SIZE), (2, 1, *SIZE)):
        module = BatchDefectInpaint(weights, p=1.0, seed=0, mask_values=1, min_contrast=0)
        painted, masks = module(images, torch.zeros(shape, dtype=dtype))
        assert masks.shape == shape and masks.dtype == dtype and set(masks.unique().tolist()) <= {0, 1}
        assert masks.any() and not (painted != images).any(1)[masks.reshape(2, *SIZE) == 0].any()
    module = BatchDefectInpaint(weights, p=1.0, seed=0, mask_channels=CHANNELS, min_contrast=0)
    before = torch.zeros((2, 4, *SIZE), dtype=dtype)
    painted, masks = module(images, before)
    assert masks.shape == before.shape and not masks[:, 0].any() and masks.any()
    assert not (painted != images).any(1)[~(masks != 0).any(1)].any()


def test_a_batch_of_floats_is_painted_with_a_word(weights: str) -> None:
    with pytest.warns(UserWarning, match="in which losses expect 0 and 1"):
        BatchDefectInpaint(weights, p=1.0, seed=0)(torch.full((1, 3, *SIZE), 0.5), torch.zeros(1, *SIZE))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BatchDefectInpaint(weights, p=1.0, seed=0, mask_values=1)(torch.full((1, 3, *SIZE), 0.5), torch.zeros(1, *SIZE))


@pytest.mark.parametrize("radius", [6.0, 9.3])
def test_a_cropped_mask_stays_on_its_image(radius: float) -> None:
    """To a tenth of a pixel in the mean of many crops; a single small mask is off by what rounding to pixels costs."""
    rows, columns = np.indices((160, 160))
    rng = np.random.default_rng(0)
    apart = []
    for _ in range(60):
        y, x = rng.integers(140, 180, 2) / 2  # where the pixels of a disc have its middle for theirs
        far = np.hypot(rows - y, columns - x)
        image = (255 * np.clip(radius + 0.5 - far, 0, 1))[:, :, None].astype(np.uint8)
        mask = (far <= radius).astype(np.uint8)
        box = (int(y - radius), int(x - radius), int(2 * radius + 2), int(2 * radius + 2))
        window = DefectWindow(image, mask, None, box, 0, (128, 128), 1.0, "part", (0.5, 0.5), (False,) * 4)
        cut, cut_mask = jitter_crop(window, [image, mask], rng)
        apart.append(np.subtract(centroid(cut[:, :, 0]), centroid(cut_mask)))
    assert np.abs(np.mean(apart, axis=0)).max() < 0.1 and np.abs(apart).max() < 0.5


def centroid(weights: np.ndarray) -> tuple[float, float]:
    weights = weights.astype(np.float64)
    rows, columns = np.indices(weights.shape)
    return float((rows * weights).sum() / weights.sum()), float((columns * weights).sum() / weights.sum())
