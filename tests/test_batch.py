from __future__ import annotations

import copy
import pickle
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from albu_gan import BatchDefectInpaint, DefectInpainter, GANDefectInpaint
from albu_gan.batch import draws as batch_draws
from albu_gan.batch.draws import PREPARED, REUSE, Placed, Places, PreparedShapes
from albu_gan.batch.windows import Outline, Pixels, contrasts, extract_windows, residual_at
from albu_gan.defects.shapes import Shape
from albu_gan.hub.find import find_weights
from albu_gan.painting.compositing import contrast, paste
from albu_gan.painting.draw import Draw
from albu_gan.painting.windows import Window, extract, patch_residual

WEIGHTS = "magnetic-tile-v1"
SIZE = (256, 320)


def photographs(count: int, height: int, width: int, channels: int, seed: int = 0) -> np.ndarray:
    """(B, H, W, C) float32: smooth, with some grain."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((count, height // 8 + 2, width // 8 + 2, channels)).astype(np.float32)
    smooth = np.stack([cv2.resize(c, (width, height)).reshape(height, width, channels) for c in coarse])
    return (0.3 + 0.4 * smooth + rng.normal(0, 0.02, smooth.shape)).clip(0, 1).astype(np.float32)


def tensors(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def drawn(images: np.ndarray, seed: int, scale: float = 1.0) -> list[list[Draw]]:
    """Defects of every class, some too large for the largest window, some at borders."""
    painter, rng = DefectInpainter(find_weights(WEIGHTS)), np.random.default_rng(seed)
    transform = GANDefectInpaint(WEIGHTS, defects_range=(0, 4), scale_range=(0.5 * scale, 2.0 * scale))
    sampler = transform._sampler()
    assert painter.window_sizes[-1] == 128
    return [sampler.draw(image.shape[:2], None, rng)[0] for image in images]


def outlines(masks: list[np.ndarray]) -> list[Outline]:
    return [Outline.of(Shape(mask, 0), torch.device("cpu")) for mask in masks]


def painted_one_by_one(images: np.ndarray, draws: list[list[Draw]]) -> np.ndarray:
    painter = DefectInpainter(find_weights(WEIGHTS))
    out = images.copy()
    for image, clean, several in zip(out, images, draws, strict=True):
        for patch in painter.paint(clean, several):
            paste(image, patch)
    return out


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(256, 320), (97, 701), (64, 64)])
def test_given_draws_are_painted_as_the_transform_paints_them(size: tuple[int, int], channels: int) -> None:
    images = photographs(5, *size, channels)
    draws = drawn(images, 1)
    masks = torch.zeros(5, *size, dtype=torch.long)
    painted, labels = BatchDefectInpaint(WEIGHTS)(tensors(images), masks, draws=draws)
    expected = painted_one_by_one(images, draws)
    np.testing.assert_allclose(painted.permute(0, 2, 3, 1).numpy(), expected, atol=1 / 255)
    wanted = np.zeros((5, *size), np.int64)
    for label, several in zip(wanted, draws, strict=True):
        for draw in several:
            h, w = draw.mask.shape
            label[draw.top : draw.top + h, draw.left : draw.left + w][draw.mask] = draw.class_index + 1
    np.testing.assert_array_equal(labels.numpy(), wanted)
    assert (np.abs(expected - images) > 0).any()


def test_defects_larger_than_a_window_are_painted_at_a_reduced_scale_in_both() -> None:
    images = photographs(3, 500, 600, 1)
    draws = drawn(images, 3, scale=2.0)
    assert max(max(draw.mask.shape) for several in draws for draw in several) > 128
    painted, _ = BatchDefectInpaint(WEIGHTS)(tensors(images), draws=draws)
    expected = painted_one_by_one(images, draws)
    np.testing.assert_allclose(painted.permute(0, 2, 3, 1).numpy(), expected, atol=1 / 255)


@pytest.mark.parametrize(
    "window", [Window(*place, (64, 32)) for place in ((3, 5, 64, 32), (-9, 20, 64, 32), (-3, -40, 150, 75))]
)
def test_windows_are_cut_as_from_one_image(window: Window) -> None:
    images = photographs(2, 90, 110, 3)
    plain = Window(0, 0, 64, 32, (64, 32))
    cut = extract_windows(tensors(images), [1, 0], [window, plain]).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(cut[0], extract(images[1], window), atol=1e-5)
    np.testing.assert_allclose(cut[1], extract(images[0], plain), atol=1e-5)


@pytest.mark.parametrize("side", [64, 65, 101, 200])
def test_residuals_are_enlarged_as_those_of_one_window(side: int) -> None:
    rng = np.random.default_rng(side)
    residual, window = rng.normal(size=(64, 128, 2)).astype(np.float32), Window(-4, 7, side, 2 * side, (64, 128))
    mask = rng.random((40, 30)) < 0.3
    top, left = 3, 20
    pixels = Pixels.of(outlines([mask]), [(top, left)], [0])
    at = residual_at(torch.from_numpy(residual).permute(2, 0, 1)[None], [window], pixels)
    expected = patch_residual(residual, window, (top, left, *mask.shape))
    np.testing.assert_allclose(at.numpy(), expected[mask], atol=1e-5)


def test_contrasts_are_those_of_one_defect_each() -> None:
    rng = np.random.default_rng(0)
    masks = [rng.random((h, w)) < 0.5 for h, w in ((9, 8), (3, 3), (20, 1), (1, 1))]
    masks[-1][:] = True
    pixels = Pixels.of(outlines(masks), [(0, 0)] * 4, [0] * 4)
    change = torch.from_numpy(rng.normal(size=(sum(pixels.counts), 3)).astype(np.float32))
    expected, start = [], 0
    for mask in masks:
        after = np.zeros((*mask.shape, 3), np.float32)
        after[mask] = change[start : start + mask.sum()].numpy()
        expected.append(contrast(np.zeros_like(after), after, mask))
        start += int(mask.sum())
    np.testing.assert_allclose(contrasts(change, pixels).numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_what_changed_is_labelled_and_what_is_labelled_can_be_seen(dtype: torch.dtype) -> None:
    images, masks = tensors(photographs(8, 200, 240, 1)).to(dtype), torch.zeros(8, 200, 240, dtype=torch.long)
    masks[:, :20] = 3
    masks[:, 20:40] = 255
    before = images.clone(), masks.clone()
    module = BatchDefectInpaint(WEIGHTS, p=1.0, ignore_value=255, seed=0)
    painted, labels = module(images, masks)
    assert torch.equal(images, before[0]) and torch.equal(masks, before[1])
    assert painted.dtype == dtype and painted.shape == images.shape
    changed = (painted != images).any(dim=1)
    assert torch.equal(labels[:, :40], masks[:, :40])
    assert not (changed & (labels == masks)).any()
    new = labels != masks
    assert new.flatten(1).any(dim=1).all() and (changed & new).sum() > 0.9 * new.sum()


def test_a_batch_has_the_statistics_of_the_transform() -> None:
    images = photographs(24, 160, 200, 1)
    arguments: dict[str, Any] = {"defects_range": (1, 3), "class_sampling": {"crack": 1.0, "fray": 2.0}}
    module = BatchDefectInpaint(WEIGHTS, p=1.0, seed=1, **arguments)
    transform = GANDefectInpaint(WEIGHTS, p=1.0, **arguments)
    transform.set_random_seed(2)
    blank = np.zeros((160, 200), np.int32)
    one_by_one = np.stack([transform(image=i, mask=blank)["mask"] for _ in range(8) for i in images])
    together = torch.cat([module(tensors(images), torch.from_numpy(np.stack([blank] * 24)))[1] for _ in range(8)])
    for value in (3, 4):  # crack, fray
        shares = [float((np.asarray(m) == value).any(axis=(1, 2)).mean()) for m in (one_by_one, together)]
        assert shares[0] == pytest.approx(shares[1], abs=0.2)
        areas = [float((np.asarray(m) == value).mean()) for m in (one_by_one, together)]
        assert areas[0] == pytest.approx(areas[1], rel=0.4)


def test_a_prepared_shape_is_drawn_a_few_times_and_few_are_kept() -> None:
    sampler, shapes = GANDefectInpaint(WEIGHTS)._sampler(), PreparedShapes(7)
    rng, draws = np.random.default_rng(0), 40 * REUSE
    cpu = torch.device("cpu")
    drawn = [shapes.draw(sampler, 2, SIZE, rng, cpu) for _ in range(draws)]
    assert all(outline.shape.class_index == 2 for outline in drawn)
    distinct = len({id(outline) for outline in drawn})
    assert 0.5 * (PREPARED + 40) < distinct < 0.75 * (PREPARED + 40)  # 1 - 1/e, of as many numbers as draws
    for _ in range(20 * PREPARED):
        shapes.draw(sampler, 2, SIZE, rng, cpu)
    assert len(shapes._kept) <= PREPARED + 1
    assert not any(outline is other for outline in drawn for other in shapes._kept.values())


def test_prepared_shapes_are_no_longer_than_the_image_whatever_the_scale_and_fill_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch_draws, "KEPT_PIXELS", 20_000)
    sampler, shapes = GANDefectInpaint(WEIGHTS, scale_range=(100.0, 100.0))._sampler(), PreparedShapes(7)
    rng, cpu = np.random.default_rng(0), torch.device("cpu")
    drawn = [shapes.draw(sampler, index % 5, (90, 120), rng, cpu) for index in range(60)]
    assert max(max(outline.shape.mask.shape) for outline in drawn) < 300
    assert 0 < sum(len(outline.row) for outline in shapes._kept.values()) <= 20_000
    images = tensors(photographs(2, 90, 120, 1))
    _, labels = BatchDefectInpaint(WEIGHTS, p=1.0, scale_range=(100.0, 100.0), min_contrast=0, seed=0)(
        images, torch.zeros(2, 90, 120, dtype=torch.long)
    )
    assert labels is not None and labels.flatten(1).any(dim=1).all()


def test_what_was_copied_goes_on_with_the_same_shapes_and_carries_none() -> None:
    sampler, shapes, cpu = GANDefectInpaint(WEIGHTS)._sampler(), PreparedShapes(7), torch.device("cpu")
    for _ in range(30):
        shapes.draw(sampler, 0, SIZE, np.random.default_rng(0), cpu)
    twin = pickle.loads(pickle.dumps(shapes))
    assert not twin._kept and len(pickle.dumps(shapes)) < 1000
    for one, other in ((shapes, twin), (twin, shapes)):
        drawn = [s.draw(sampler, 0, SIZE, np.random.default_rng(5), cpu).shape.mask for s in (one, other)]
        np.testing.assert_array_equal(*drawn)


def test_places_are_inside_free_and_as_likely_as_each_other() -> None:
    blocked = torch.ones(300, 12, 16, dtype=torch.bool)
    blocked[:, 2:9, 3:14] = False  # room for 5 x 9 positions of a shape of 3 x 3
    (outline,) = outlines([np.ones((3, 3), bool)])
    places, rng = Places((300, 12, 16), blocked, torch.device("cpu")), np.random.default_rng(0)
    found = places.find(range(300), [outline] * 300, rng)
    corners = [corner for corner in found if corner is not None]
    assert len(corners) > 250  # 45 of 140 positions are free, and there are twelve tries
    assert all(2 <= top <= 6 and 3 <= left <= 11 for top, left in corners)
    counts = np.bincount([(top - 2) * 9 + left - 3 for top, left in corners], minlength=45)
    assert ((counts - len(corners) / 45) ** 2).sum() / (len(corners) / 45) < 80  # chi squared of 44: 1 in 1000
    big = outlines([np.ones((13, 2), bool)])[0]
    assert places.find([0], [big], rng) == [None]


def test_a_place_that_was_taken_is_free_again_when_its_defect_is_given_up() -> None:
    (outline,) = outlines([np.ones((4, 4), bool)])
    places, rng = Places((2, 4, 4), None, torch.device("cpu")), np.random.default_rng(0)
    defect = Placed(1, outline, 0, 0, np.zeros(32, np.float32))
    places.change([defect], taken=True)
    assert places.find([0, 1], [outline] * 2, rng) == [(0, 0), None]
    assert places.occupancy(1).meets(np.ones((1, 1), bool), 2, 2)
    places.change([defect], taken=False)
    assert places.find([1], [outline], rng) == [(0, 0)]


def test_shapes_that_fit_nowhere_at_their_size_are_found_a_place_as_the_transform_does() -> None:
    images = tensors(photographs(12, 200, 240, 1))
    regions = torch.zeros(12, 200, 240, dtype=torch.uint8)
    regions[:, 90:96, 100:108] = 1
    module = BatchDefectInpaint(WEIGHTS, p=1.0, min_contrast=0, seed=0)
    _, labels = module(images, torch.zeros(12, 200, 240, dtype=torch.long), regions)
    assert labels is not None and labels.flatten(1).any(dim=1).all() and not labels[regions == 0].any()


def test_invisible_defects_are_drawn_again_and_at_last_dropped_with_their_label() -> None:
    images, masks = tensors(photographs(6, 128, 128, 1)), torch.zeros(6, 128, 128, dtype=torch.long)
    painted, labels = BatchDefectInpaint(WEIGHTS, p=1.0, min_contrast=255, seed=0)(images, masks)
    assert torch.equal(painted, images) and not labels.any()
    strict, _ = BatchDefectInpaint(WEIGHTS, p=1.0, min_contrast=60, seed=0)(images, masks)
    assert (strict - images).abs().amax() * 255 >= 60


def test_probability_seed_regions_and_mask_values() -> None:
    images, masks = tensors(photographs(40, 96, 96, 1)), torch.zeros(40, 96, 96, dtype=torch.int16)
    regions = torch.zeros(40, 96, 96, dtype=torch.uint8)
    regions[:, :, 40:] = 1
    make = {"classes": ["blowhole"], "mask_values": {"blowhole": 7}, "p": 0.5}
    painted, labels = BatchDefectInpaint(WEIGHTS, seed=3, **make)(images, masks, regions)
    again = BatchDefectInpaint(WEIGHTS, seed=3, **make)(images, masks, regions)
    assert torch.equal(painted, again[0]) and torch.equal(labels, again[1])
    other, _ = BatchDefectInpaint(WEIGHTS, seed=4, **make)(images, masks, regions)
    assert not torch.equal(painted, other)
    assert set(labels.unique().tolist()) == {0, 7} and not labels[:, :, :40].any()
    assert 8 <= int(labels.flatten(1).any(dim=1).sum()) <= 32


def test_defects_stay_near_where_their_shapes_were_seen(placed_weights: str, bare_weights: str) -> None:
    images, masks = tensors(photographs(60, 200, 200, 1)), torch.zeros(60, 200, 200, dtype=torch.long)
    make = {"classes": ["scratch", "stain"], "defects_range": (1, 1), "p": 1.0, "min_contrast": 0, "seed": 0}
    _, labels = BatchDefectInpaint(placed_weights, max_shift=0.1, **make)(images, masks)
    assert labels is not None
    _, rows, columns = np.nonzero(labels.numpy())  # centres within 20 pixels of (40, 160), shapes of at most 25
    assert rows.min() >= 20 - 15 and rows.max() <= 60 + 15 and columns.min() >= 140 - 15 and columns.max() <= 180 + 15
    assert len(np.unique(labels.flatten(1).numpy().argmax(axis=1))) > 40, "they do not lie all in one place"
    _, anywhere = BatchDefectInpaint(placed_weights, **make)(images, masks)
    assert anywhere is not None and anywhere[:, 100:, :100].any()
    with pytest.raises(ValueError, match=r"say where each shape was seen; .*Leave max_shift at 1"):
        BatchDefectInpaint(bare_weights, max_shift=0.1)


def test_evaluation_mode_returns_copies() -> None:
    images, masks = tensors(photographs(2, 64, 64, 3)), torch.zeros(2, 64, 64, dtype=torch.long)
    painted, labels = BatchDefectInpaint(WEIGHTS, p=1.0).eval()(images, masks)
    assert torch.equal(painted, images) and painted is not images
    assert torch.equal(labels, masks) and labels is not masks


def test_it_has_nothing_to_train_and_lets_no_gradient_through_but_a_network_behind_it_learns() -> None:
    module = BatchDefectInpaint(WEIGHTS, p=1.0, seed=0)
    assert not list(module.parameters()) and not module.state_dict()
    images = tensors(photographs(2, 64, 64, 1)).requires_grad_()
    painted, labels = module(images, torch.zeros(2, 64, 64, dtype=torch.long))
    assert not painted.requires_grad
    layer = torch.nn.Conv2d(1, 6, 3, padding=1)
    torch.nn.functional.cross_entropy(layer(painted), labels).backward()
    assert layer.weight.grad is not None and torch.isfinite(layer.weight.grad).all()


def test_torchs_generator_is_left_alone_and_pickles_stay_small() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    module = BatchDefectInpaint(WEIGHTS, p=1.0, seed=0)
    images = tensors(photographs(2, 64, 64, 1))
    first = module(images)[0]
    assert torch.equal(torch.rand(3), expected)
    assert len(pickle.dumps(module)) < 20_000
    twin = copy.deepcopy(module)
    assert torch.equal(twin(images)[0], module(images)[0]) and not torch.equal(first, module(images)[0])


def test_an_empty_batch_and_images_without_masks() -> None:
    module = BatchDefectInpaint(WEIGHTS, p=1.0, seed=0)
    empty, labels = module(torch.zeros(0, 1, 32, 32), torch.zeros(0, 32, 32, dtype=torch.long))
    assert empty.shape == (0, 1, 32, 32) and labels.shape == (0, 32, 32)
    painted, none = module(tensors(photographs(1, 64, 64, 1)))
    assert none is None and painted.shape == (1, 1, 64, 64)
    full = torch.ones(1, 64, 64, dtype=torch.long)
    untouched, labels = module(painted, full)
    assert torch.equal(untouched, painted) and torch.equal(labels, full)


@pytest.mark.parametrize(("ignore_value", "dtype"), [(-1, torch.uint8), (300, torch.uint8), (10**30, torch.int64)])
def test_an_ignored_value_that_the_mask_cannot_hold_is_none_of_its_values(
    ignore_value: int, dtype: torch.dtype
) -> None:
    images = tensors(photographs(2, 96, 96, 1))
    masks = torch.full((2, 96, 96), 255, dtype=dtype)
    masks[:, :, :48] = 44
    module = BatchDefectInpaint(WEIGHTS, p=1.0, avoid_existing=False, ignore_value=ignore_value, seed=0)
    painted, labels = module(images, masks)  # compared by torch, -1 would be 255 and 300 would be 44
    assert labels is not None and (labels != masks).flatten(1).any(dim=1).all()
    assert not ((painted != images).any(dim=1) & (labels == masks)).any()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_images_that_are_not_finite_get_no_label_that_nothing_is_behind(value: float) -> None:
    images, masks = tensors(photographs(3, 96, 96, 1)), torch.zeros(3, 96, 96, dtype=torch.long)
    images[:2, :, 1::8, 1::8] = value  # where the check of the range does not look
    painted, labels = BatchDefectInpaint(WEIGHTS, p=1.0, seed=0)(images, masks)
    assert labels is not None and not labels[:2].any() and labels[2].any()
    assert torch.equal(painted[:2].nan_to_num(), images[:2].nan_to_num())


def test_a_change_that_is_not_finite_makes_its_own_defect_invisible_and_no_other() -> None:
    pixels = Pixels.of(outlines([np.ones((5, 5), bool)] * 3), [(0, 0)] * 3, [0, 1, 2])
    change = torch.full((75, 1), 0.5)
    change[30] = float("nan")
    change[74] = float("inf")
    seen = contrasts(change, pixels)
    assert seen[0] == 127.5 and seen[1:].isnan().all()


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        (
            torch.zeros(2, 1, 8, 8),
            torch.zeros(2, 8, 8, dtype=torch.uint16),
            "must be integers, bool or float",
        ),
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), None, "float tensor"),
        (torch.zeros(1, 8, 8), None, r"\(B, C, H, W\)"),
        (torch.full((1, 1, 8, 8), 200.0), None, "normalised"),
        (torch.zeros(2, 1, 8, 8), torch.zeros(2, 8, 9, dtype=torch.long), "masks must be a tensor"),
        (torch.zeros(2, 1, 8, 8), torch.zeros(2, 7, 8, 8), "masks have 7 channels, the weights have .* say where"),
        (torch.full((1, 1, 8, 8), -0.1), None, "normalised"),
        (np.zeros((2, 1, 8, 8), np.float32), None, "float tensor"),
    ],
)
def test_bad_tensors_are_refused(images: Any, masks: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        BatchDefectInpaint(WEIGHTS)(images, masks)


def test_bad_draws_and_arguments_are_refused() -> None:
    module, images = BatchDefectInpaint(WEIGHTS), torch.zeros(1, 1, 32, 32)
    z = np.zeros(32, np.float32)
    with pytest.raises(ValueError, match="one sequence for each of 1 images"):
        module(images, draws=[])
    with pytest.raises(ValueError, match="not inside its image of 32 x 32"):
        module(images, draws=[[Draw(np.ones((4, 4), bool), 30, 0, 0, z)]])
    with pytest.raises(ValueError, match="unknown class 'dent'"):
        BatchDefectInpaint(WEIGHTS, classes=["dent"])
    with pytest.raises(ValueError, match="ignore_value=2 is also what labels 'break'"):
        BatchDefectInpaint(WEIGHTS, ignore_value=2)
    with pytest.raises(ValueError, match="300 of 'crack' does not fit"):
        values = {name: 300 + i for i, name in enumerate(["crack"])}
        BatchDefectInpaint(WEIGHTS, classes=["crack"], mask_values=values)(
            images, torch.zeros(1, 32, 32, dtype=torch.uint8)
        )


@pytest.mark.gpu
def test_on_a_gpu_it_paints_as_on_the_cpu() -> None:
    images = photographs(16, 256, 320, 1)
    draws, masks = drawn(images, 1), torch.zeros(16, 256, 320, dtype=torch.long)
    module = BatchDefectInpaint(WEIGHTS)
    expected, labels = module(tensors(images), masks, draws=draws)
    painted, there = module(tensors(images).cuda(), masks.cuda(), draws=draws)
    assert painted.is_cuda and torch.equal(there.cpu(), labels)
    assert (painted.cpu() - expected).abs().max() <= 1 / 255


@pytest.mark.gpu
def test_on_a_gpu_it_draws_as_on_the_cpu() -> None:
    images, masks = tensors(photographs(16, 256, 320, 1)), torch.zeros(16, 256, 320, dtype=torch.long)
    masks[:, 100:, 50:90] = 9
    arguments: dict[str, Any] = {"p": 0.8, "defects_range": (1, 3), "min_contrast": 0.0, "seed": 3}
    expected, labels = BatchDefectInpaint(WEIGHTS, **arguments)(images, masks)
    painted, there = BatchDefectInpaint(WEIGHTS, **arguments)(images.cuda(), masks.cuda())
    assert labels is not None and there is not None and torch.equal(there.cpu(), labels)
    assert (painted.cpu() - expected).abs().max() <= 1 / 255
