from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import albu_gan.painting.painter as painter_module
from albu_gan.defects.inpainter import DefectInpainter
from albu_gan.generators import composite
from albu_gan.hub.errors import WeightsError
from albu_gan.painting.draw import Draw
from albu_gan.painting.painter import MAX_WINDOWS

MakeImage = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def gray(weights: str) -> DefectInpainter:
    return DefectInpainter.from_pretrained(weights)


@pytest.fixture(scope="module")
def colour(colour_weights: str) -> DefectInpainter:
    return DefectInpainter.from_pretrained(colour_weights)


def disc(size_hw: tuple[int, int], centre_yx: tuple[int, int], radius: int) -> np.ndarray:
    y, x = np.ogrid[: size_hw[0], : size_hw[1]]
    return ((y - centre_yx[0]) ** 2 + (x - centre_yx[1]) ** 2 <= radius**2).astype(np.uint8)


def levels(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float64) * (1 if image.dtype == np.uint8 else 255)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 1), (64, 64, 3), (64, 64, 5), (37, 51), (9, 200, 3), (1, 1)])
@pytest.mark.parametrize("weights_of", ["gray", "colour"])
def test_a_painted_image_is_a_new_one_that_differs_only_inside_the_mask(
    gray: DefectInpainter,
    colour: DefectInpainter,
    make_image: MakeImage,
    weights_of: str,
    shape: tuple[int, ...],
    dtype: type,
) -> None:
    inpainter = {"gray": gray, "colour": colour}[weights_of]
    image = make_image(shape, dtype)
    mask = np.random.default_rng(1).random(shape[:2]) < 0.3
    mask[0, 0] = True
    image_before, mask_before = image.copy(), mask.copy()
    painted = inpainter(image, mask, "pit", seed=3)
    assert (painted.shape, painted.dtype, painted.flags.c_contiguous) == (shape, dtype, True)
    assert not np.may_share_memory(painted, image)
    assert image.tobytes() == image_before.tobytes() and mask.tobytes() == mask_before.tobytes()
    assert painted[~mask].tobytes() == image[~mask].tobytes()
    assert np.abs(levels(painted) - levels(image))[mask].max() > 0.5


def test_a_painted_window_is_what_the_network_says(gray: DefectInpainter, make_image: MakeImage) -> None:
    """Image and mask to tensors and back, written out once more without any of our helpers."""
    image = make_image((64, 64))
    mask = disc((64, 64), (30, 33), 14)
    painted = gray(image, mask, "scratch", seed=5)
    window = torch.tensor(image, dtype=torch.float32)[None, None] / 255 * 2 - 1
    class_masks = torch.zeros(1, 3, 64, 64)
    class_masks[0, 1] = torch.tensor(mask)
    z = torch.tensor(np.random.default_rng(5).standard_normal(8, dtype=np.float32))[None]
    with torch.no_grad():
        residual, alpha = gray.network(window, class_masks, z)
        depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
        expected = composite(window, class_masks, residual, alpha * torch.from_numpy((depth - 0.5) / 2).clamp(0, 1))
    np.testing.assert_allclose(painted, (expected[0, 0].numpy() + 1) / 2 * 255, atol=0.51)


def test_the_same_seed_paints_the_same_and_another_seed_something_else(
    gray: DefectInpainter, make_image: MakeImage
) -> None:
    image, mask = make_image((80, 80)), disc((80, 80), (40, 40), 12)
    first = gray(image, mask, "pit", seed=1)
    np.testing.assert_array_equal(gray(image, mask, "pit", seed=1), first)
    other = gray(image, mask, "pit", seed=2)
    assert np.abs(levels(other) - levels(first))[mask > 0].mean() > 2


def test_each_class_is_painted_its_own_way(gray: DefectInpainter, make_image: MakeImage) -> None:
    image, mask = make_image((80, 80)), disc((80, 80), (40, 40), 12)
    pictures = [levels(gray(image, mask, name)) for name in gray.class_names]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(pictures[a] - pictures[b])[mask > 0].max() > 2


def test_no_global_generator_is_touched(gray: DefectInpainter, make_image: MakeImage) -> None:
    image, mask = make_image((40, 40)), disc((40, 40), (20, 20), 8)
    states = np.random.get_state()[1].copy(), torch.get_rng_state(), random.getstate()
    gray(image, mask, "pit", seed=1)
    np.testing.assert_array_equal(np.random.get_state()[1], states[0])
    assert torch.equal(torch.get_rng_state(), states[1]) and random.getstate() == states[2]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_strength_of_zero_copies_and_strength_multiplies_what_is_added(
    gray: DefectInpainter, make_image: MakeImage, dtype: type
) -> None:
    image, mask = make_image((64, 64), dtype), disc((64, 64), (30, 30), 14)
    copied = gray(image, mask, "pit", strength=0)
    assert copied.tobytes() == image.tobytes() and not np.may_share_memory(copied, image)
    weak, strong, reverse = (levels(gray(image, mask, "pit", strength=s)) - levels(image) for s in (0.15, 0.3, -0.15))
    tolerance = 1.5 if dtype == np.uint8 else 1e-3  # of rounding to levels, one of it doubled
    assert np.abs(weak).max() > 3
    np.testing.assert_allclose(strong, 2 * weak, atol=tolerance)
    np.testing.assert_allclose(reverse, -weak, atol=tolerance)


@pytest.mark.parametrize("shape", [(64, 64), (90, 70, 3), (20, 20), (200, 200, 5)])
@pytest.mark.parametrize("radius", [3, 12, 22])
def test_uint8_and_float32_images_agree_within_a_level(
    gray: DefectInpainter, make_image: MakeImage, shape: tuple[int, ...], radius: int
) -> None:
    image = make_image(shape)
    mask = disc(shape[:2], (shape[0] // 2, shape[1] // 2), radius)
    from_uint8 = gray(image, mask, "stain", seed=4)
    from_float = gray((image / 255).astype(np.float32), mask, "stain", seed=4)
    assert np.abs(levels(from_uint8) - levels(from_float)).max() <= 1


def test_uint8_and_float32_images_agree_at_a_reduced_scale_but_for_the_rounding_of_its_averages(
    gray: DefectInpainter,
) -> None:
    y, x = np.mgrid[:200, :200]
    image = np.rint(120 + 20 * np.sin(y / 9) * np.cos(x / 11)).astype(np.uint8)
    mask = disc((200, 200), (100, 100), 70)
    from_uint8 = gray(image, mask, "stain", seed=4)
    from_float = gray((image / 255).astype(np.float32), mask, "stain", seed=4)
    assert np.abs(levels(from_uint8) - levels(from_float)).mean() <= 1


def test_many_windows_at_once_are_painted_as_one_by_one(gray: DefectInpainter, make_image: MakeImage) -> None:
    image = make_image((300, 300), np.float32)
    rng = np.random.default_rng(0)
    draws = []
    for index in range(9):
        mask = rng.random(tuple(rng.integers(3, 75, size=2))) < 0.7  # windows of 32, of 64, and reduced ones
        mask[0, 0] = mask[-1, -1] = True
        draws.append(Draw(mask, 100 * (index // 3), 100 * (index % 3), index % 3, gray.draw_latent(rng)))
    together = gray.paint(image, draws)
    alone = [gray.paint(image, [draw])[0] for draw in draws]
    for draw, a, b in zip(draws, together, alone, strict=True):
        assert (a.top, a.left, a.class_index) == (b.top, b.left, b.class_index)
        assert (a.top, a.left, a.class_index) == (draw.top, draw.left, draw.class_index)
        np.testing.assert_array_equal(a.mask, draw.mask)
        np.testing.assert_allclose(a.residual, b.residual, atol=1 / 255)
        assert np.abs(a.residual[draw.mask]).max() > 1 / 255


def test_every_part_of_a_mask_is_painted_on_its_own(gray: DefectInpainter, make_image: MakeImage) -> None:
    image = make_image((64, 200), np.float32)
    left, right = disc((64, 200), (30, 40), 9), disc((64, 200), (30, 150), 9)
    both = gray(image, left | right, "pit", seed=2)
    alone = gray(image, left, "pit", seed=2)
    np.testing.assert_allclose(both[left > 0], alone[left > 0], atol=1 / 255)
    added = both - image
    assert np.abs(added[21:40, 31:50] - added[21:40, 141:160]).max() > 1 / 255  # each with a latent of its own


def test_parts_whose_boxes_overlap_do_not_disturb_each_other(gray: DefectInpainter, make_image: MakeImage) -> None:
    image = make_image((60, 60), np.float32)
    ring = disc((60, 60), (30, 30), 25) - disc((60, 60), (30, 30), 20)
    dot = disc((60, 60), (30, 30), 6)
    both = gray(image, ring | dot, "pit", seed=2)
    first = gray(image, ring, "pit", seed=2)  # the ring's first row is above the dot's
    np.testing.assert_allclose(both[ring > 0], first[ring > 0], atol=1 / 255)
    assert np.abs(both - image)[dot > 0].max() > 1 / 255


def test_a_mask_of_more_specks_than_fit_a_batch_is_painted_whole(gray: DefectInpainter, make_image: MakeImage) -> None:
    mask = np.zeros((60, 60), np.uint8)
    mask[::6, ::6] = 1
    assert mask.sum() > MAX_WINDOWS
    image = make_image((60, 60), np.float32)
    painted = gray(image, mask, "pit", seed=1)
    changed = np.abs(painted - image) > 0
    assert changed[mask > 0].mean() > 0.95 and not changed[mask == 0].any()


def test_an_empty_mask_copies(gray: DefectInpainter, make_image: MakeImage) -> None:
    image = make_image((30, 40, 3))
    copied = gray(image, np.zeros((30, 40), bool), "pit")
    np.testing.assert_array_equal(copied, image)
    assert not np.may_share_memory(copied, image)


@pytest.mark.parametrize("channels", [(), (3,), (7,)])
def test_a_mask_larger_than_the_largest_window_is_painted_to_its_borders(
    gray: DefectInpainter, make_image: MakeImage, channels: tuple[int, ...]
) -> None:
    image = make_image((330, 300, *channels), np.float32)
    mask = disc((330, 300), (160, 150), 130)
    painted = gray(image, mask, "pit", seed=1)
    change = np.abs(painted - image).reshape(330, 300, -1).max(axis=2)
    assert not change[mask == 0].any()
    border = mask - cv2.erode(mask, np.ones((5, 5)))
    assert (change[mask > 0] > 0).all() and np.median(change[border > 0]) > 0.2 * np.median(change[mask > 0])


def test_a_scratch_of_one_pixel_is_painted_from_end_to_end_at_a_reduced_scale(
    gray: DefectInpainter, make_image: MakeImage
) -> None:
    image = make_image((500, 500), np.float32)
    mask = np.zeros((500, 500), np.uint8)
    cv2.line(mask, (20, 33), (470, 401), 1, 1)
    painted = gray(image, mask, "scratch", seed=1)
    assert (np.abs(painted - image)[mask > 0] > 1 / 255).mean() > 0.8


def test_gray_weights_change_every_channel_alike(gray: DefectInpainter) -> None:
    image = np.random.default_rng(0).uniform(0.3, 0.6, (64, 64, 4)).astype(np.float32)
    mask = disc((64, 64), (30, 30), 12)
    added = gray(image, mask, "pit", strength=0.3) - image
    for channel in range(1, 4):
        np.testing.assert_allclose(added[:, :, channel], added[:, :, 0], atol=1e-6)
    mean = gray(image.mean(axis=2), mask, "pit", strength=0.3) - image.mean(axis=2)
    np.testing.assert_allclose(added[:, :, 0], mean, atol=1e-5)


def test_colour_weights_paint_a_gray_image_with_the_mean_of_their_channels(colour: DefectInpainter) -> None:
    image = np.random.default_rng(0).uniform(0.4, 0.6, (64, 64)).astype(np.float32)
    mask = disc((64, 64), (30, 30), 12)
    in_colour = colour(np.repeat(image[:, :, None], 3, axis=2), mask, "pit", strength=0.2) - image[:, :, None]
    in_gray = colour(image, mask, "pit", strength=0.2) - image
    assert np.abs(in_gray[mask > 0]).max() > 0.01
    np.testing.assert_allclose(in_gray, in_colour.mean(axis=2), atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**32 - 1), st.floats(0.01, 1))
def test_any_mask_on_any_size_is_painted_inside_and_nowhere_else(
    gray: DefectInpainter, height: int, width: int, seed: int, density: float
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(90, 160, (height, width)).astype(np.uint8)
    mask = cv2.dilate((rng.random((height, width)) < density / 20).astype(np.uint8), np.ones((5, 5)))
    painted = gray(image, mask * 255, "stain", seed=seed)
    assert painted[mask == 0].tobytes() == image[mask == 0].tobytes()
    if mask.any():
        assert (painted != image)[mask > 0].any()


@pytest.mark.parametrize("view", [np.s_[::-1], np.s_[:, ::-1], np.s_[::2, ::2]])
def test_a_view_is_painted_as_its_copy(gray: DefectInpainter, make_image: MakeImage, view: tuple[slice, ...]) -> None:
    image, mask = make_image((120, 120, 3))[view], disc((120, 120), (60, 60), 30)[view]
    image.flags.writeable = False
    np.testing.assert_array_equal(gray(image, mask, "pit"), gray(image.copy(), mask.copy(), "pit"))


@pytest.mark.parametrize(
    ("image", "mask", "class_name", "strength", "error", "said"),
    [
        ([[1]], np.ones((1, 1)), "pit", 1, TypeError, "numpy array, got list"),
        (np.zeros((4, 4)), np.ones((4, 4)), "pit", 1, TypeError, "uint8 or float32.*float64.*astype"),
        (np.zeros((4, 4), np.int32), np.ones((4, 4)), "pit", 1, TypeError, "int32"),
        (np.zeros(4, np.uint8), np.ones(4), "pit", 1, ValueError, r"\(H, W\) or \(H, W, C\).*\(4,\)"),
        (np.zeros((2, 4, 4, 3), np.uint8), np.ones((4, 4)), "pit", 1, ValueError, r"\(2, 4, 4, 3\)"),
        (np.zeros((0, 4), np.uint8), np.ones((0, 4)), "pit", 1, ValueError, "at least one pixel"),
        (np.zeros((4, 4), np.uint8), np.ones((4, 5)), "pit", 1, ValueError, r"mask must be \(4, 4\).*\(4, 5\)"),
        (np.zeros((4, 4), np.uint8), np.ones((4, 4, 1)), "pit", 1, ValueError, r"mask must be \(4, 4\)"),
        (np.zeros((4, 4), np.uint8), np.ones((4, 4)), "dent", 1, ValueError, "'dent'.*'pit', 'scratch', 'stain'"),
        (np.zeros((4, 4), np.uint8), np.ones((4, 4)), "pit", float("nan"), ValueError, "finite"),
    ],
)
def test_what_cannot_be_painted_is_refused_with_a_remedy(
    gray: DefectInpainter,
    image: np.ndarray,
    mask: np.ndarray,
    class_name: str,
    strength: float,
    error: type[Exception],
    said: str,
) -> None:
    with pytest.raises(error, match=said):
        gray(image, mask, class_name, strength=strength)


def test_one_network_serves_every_inpainter_of_a_folder(weights: str, gray: DefectInpainter) -> None:
    again = DefectInpainter.from_pretrained(os.path.relpath(weights) + "/.")
    assert again is not gray
    assert again.network is gray.network and again.mask_bank is gray.mask_bank
    assert not gray.network.training and not any(p.requires_grad for p in gray.network.parameters())


def test_an_inpainter_is_cheap_until_it_paints(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_image: MakeImage
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(weights, folder)
    loads = []
    load = painter_module.load_network
    monkeypatch.setattr(painter_module, "load_network", lambda *args: loads.append(args) or load(*args))
    inpainter = DefectInpainter.from_pretrained(str(folder))
    assert (inpainter.class_names, inpainter.window_sizes, inpainter.latent_dim) == (
        ("pit", "scratch", "stain"),
        (32, 64),
        8,
    )
    assert not loads
    for _ in range(3):
        inpainter(make_image((20, 20)), np.ones((20, 20)), "pit")
    assert len(loads) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("head.weight"), "'head.weight'"),
        (lambda state: state.update(foreign=np.zeros(3, np.float16)), "'foreign'"),
        (lambda state: state.update({"head.bias": np.zeros(99, np.float16)}), "'head.bias'"),
        (lambda state: state["head.bias"].fill(np.nan), "'head.bias'.*not finite"),
    ],
)
def test_tensors_that_are_not_the_networks_are_refused_and_named(
    weights: str, tmp_path: Path, change: Callable[[dict[str, np.ndarray]], object], said: str
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(weights, folder)
    state = {name: tensor.copy() for name, tensor in load_file(folder / "model.safetensors").items()}
    change(state)
    save_file(state, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=said) as error:
        DefectInpainter.from_pretrained(str(folder))(np.zeros((20, 20), np.uint8), np.ones((20, 20)), "pit")
    assert str(folder / "model.safetensors") in str(error.value)


def test_window_sizes_that_the_network_cannot_take_are_refused_and_named(weights: str, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(weights, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "window_sizes": [32, 60]}))
    with pytest.raises(WeightsError, match=r"config\.json: window sizes \[32, 60\] must be multiples of 8"):
        DefectInpainter.from_pretrained(str(folder))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_of_which_the_network_makes_no_numbers_is_refused(
    gray: DefectInpainter, make_image: MakeImage, value: float
) -> None:
    image = make_image((40, 40), np.float32)
    image[20, 20] = value
    with pytest.raises(ValueError, match="holds NaN or infinity"):
        gray(image, np.ones((40, 40)), "pit")
