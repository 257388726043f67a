"""`GANDefectInpaint`: what it paints, what it leaves alone, and what it says when it cannot."""

from __future__ import annotations

import copy
import json
import pickle
import random
import re
import shutil
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
import torch
from fresh import forget_loaded
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from albu_gan import DefectBank, DefectInpainter, GANDefectInpaint, Shape, WeightsError
from albu_gan.painting import patches_from_text

MakeImage = Callable[..., np.ndarray]
NAMES = ("pit", "scratch", "stain")


def with_shapes(weights: str, folder: Path, shapes: list[Shape]) -> str:
    """Copy a weights folder and give it another mask bank."""
    shutil.copytree(weights, folder)
    save_file(DefectBank(shapes, len(NAMES)).to_tensors(), folder / "defects.safetensors")
    return str(folder)


def with_contrast(weights: str, folder: Path, factor: float) -> str:
    """Copy a weights folder and scale what its network paints."""
    shutil.copytree(weights, folder)
    model = load_file(folder / "model.safetensors")
    model["head.weight"] = model["head.weight"] * np.float16(factor)
    save_file(model, folder / "model.safetensors")
    return str(folder)


@pytest.fixture(scope="session")
def faint_weights(weights: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights whose painting never saturates and varies in contrast."""
    return with_contrast(weights, tmp_path_factory.mktemp("faint") / "gray", 0.05)


def seen_contrast(before: np.ndarray, after: np.ndarray, inside: np.ndarray) -> float:
    """DESIGN.md's formula, written out: rank 0.75 (n - 1) of the largest channel change, in levels of 255."""
    scale = 1.0 if before.dtype == np.uint8 else 255.0
    change = np.abs(after.astype(np.float64) - before.astype(np.float64)).reshape(*before.shape[:2], -1) * scale
    ordered = np.sort(change.max(axis=2)[inside])
    rank = 0.75 * (len(ordered) - 1)
    low = int(rank)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (rank - low) * (ordered[high] - ordered[low]))


def changed_pixels(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).reshape(*before.shape[:2], -1).any(axis=2)


def paint(
    weights: str, image: np.ndarray, mask: np.ndarray | None = None, seed: int = 0, **options: Any
) -> dict[str, Any]:
    """Apply the transform alone, once."""
    transform = GANDefectInpaint(weights, p=1.0, **options)
    transform.set_random_seed(seed)
    blank = np.zeros(image.shape[:2], np.uint8)
    return dict(transform(image=image, mask=blank if mask is None else mask))


SHAPES = [(64, 80), (64, 80, 1), (64, 80, 3), (64, 80, 2), (64, 80, 4), (64, 80, 7)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("kind", ["weights", "colour_weights"])
def test_every_dtype_and_channel_count_is_painted_inside_its_label_only(
    request: pytest.FixtureRequest, make_image: MakeImage, kind: str, dtype: type, shape: tuple[int, ...]
) -> None:
    image = make_image(shape, dtype)
    result = paint(request.getfixturevalue(kind), image, defects_range=(1, 1))
    painted, inside = result["image"], result["mask"] > 0

    assert painted.shape == shape and painted.dtype == dtype and painted.flags["C_CONTIGUOUS"]
    assert np.array_equal(painted[~inside], image[~inside])
    assert seen_contrast(image, painted, inside) >= 8
    assert painted.min() >= 0 and painted.max() <= (255 if dtype == np.uint8 else 1)


@pytest.mark.parametrize("size", [(7, 5), (33, 65), (61, 47), (3, 400), (400, 3), (1, 50), (129, 31)])
@pytest.mark.parametrize("channels", [(), (3,), (5,)])
def test_odd_small_and_long_images_are_painted(
    weights: str, make_image: MakeImage, size: tuple[int, int], channels: tuple[int, ...]
) -> None:
    image = make_image(size + channels)
    results = [paint(weights, image, seed=seed) for seed in range(4)]
    assert any(result["mask"].any() for result in results)
    for result in results:
        assert result["image"].shape == image.shape
        assert not (changed_pixels(image, result["image"]) & (result["mask"] == 0)).any()


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 3)])
def test_an_image_of_a_few_pixels_passes(weights: str, make_image: MakeImage, size: tuple[int, int]) -> None:
    image = make_image(size)
    result = paint(weights, image)
    assert result["image"].shape == size
    assert not (changed_pixels(image, result["image"]) & (result["mask"] == 0)).any()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    channels=st.sampled_from([(), (1,), (2,), (3,), (6,)]),
    dtype=st.sampled_from([np.uint8, np.float32]),
    labelled=st.floats(0, 1),
    options=st.fixed_dictionaries(
        {
            "defects_range": st.sampled_from([(1, 1), (2, 4)]),
            "mask_source": st.sampled_from(["bank", "procedural", "both"]),
            "scale_range": st.sampled_from([(0.1, 0.3), (0.8, 1.25), (4.0, 9.0)]),
            "rotate_range": st.sampled_from([(0, 0), (-180, 180)]),
        }
    ),
    seed=st.integers(0, 1000),
)
@pytest.mark.filterwarnings("ignore:mask has a label on every pixel")
def test_whatever_comes_existing_labels_stay_and_what_changed_is_labelled(
    weights: str,
    height: int,
    width: int,
    channels: tuple[int, ...],
    dtype: type,
    labelled: float,
    options: dict[str, Any],
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, *channels)).astype(np.uint8)
    image = image if dtype == np.uint8 else (image / 255).astype(np.float32)
    mask = np.zeros((height, width), np.uint8)
    mask[: round(labelled * height)] = 9
    result = paint(weights, image, mask, seed, **options)
    new = result["mask"] != mask
    assert np.array_equal(result["mask"][mask == 9], mask[mask == 9])
    assert set(np.unique(result["mask"][new])) <= {1, 2, 3}
    assert not (changed_pixels(image, result["image"]) & ~new).any()


@pytest.mark.parametrize("channels", [2, 5])
def test_an_image_of_other_channel_count_receives_one_residual_in_every_channel(
    faint_weights: str, make_image: MakeImage, channels: int
) -> None:
    image = make_image((64, 80, channels), np.float32)
    result = paint(faint_weights, image, min_contrast=0)
    change = result["image"] - image
    within = ((result["image"] > 0) & (result["image"] < 1)).all(axis=2)  # elsewhere it is cut off
    assert within.mean() > 0.9 and np.abs(change[within]).max() > 0.01
    assert np.allclose(change[within], change[within][:, :1], atol=1e-6)


def test_an_image_of_other_channel_count_is_painted_as_the_gray_image_of_its_mean(
    faint_weights: str, make_image: MakeImage
) -> None:
    image = make_image((64, 80, 4), np.float32)
    gray = image.mean(axis=2)
    change = paint(faint_weights, image, min_contrast=0)["image"] - image
    gray_change = paint(faint_weights, gray, min_contrast=0)["image"] - gray
    assert np.allclose(change[:, :, 0], gray_change, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_views_and_read_only_arrays_are_taken_and_never_written(
    weights: str, make_image: MakeImage, dtype: type
) -> None:
    base, base_mask = make_image((128, 160, 3), dtype), np.zeros((128, 160), np.uint8)
    image, mask = base[::2, ::-2], base_mask[::2, ::-2]
    before = base.copy()
    for array in (base, base_mask, image, mask):
        array.flags.writeable = False
    result = A.Compose([GANDefectInpaint(weights, p=1.0)], seed=3)(image=image, mask=mask)

    assert result["mask"].any()
    assert result["image"].flags["C_CONTIGUOUS"] and result["mask"].flags["C_CONTIGUOUS"]
    assert result["image"].flags.writeable
    assert np.array_equal(base, before) and not base_mask.any()
    dense = A.Compose([GANDefectInpaint(weights, p=1.0)], seed=3)(image=image.copy(), mask=mask.copy())
    assert np.array_equal(result["image"], dense["image"])


def test_a_transposed_image_is_painted(weights: str, make_image: MakeImage) -> None:
    image = make_image((3, 64, 80)).transpose(1, 2, 0)
    result = paint(weights, image)
    assert result["mask"].any() and result["image"].flags["C_CONTIGUOUS"]
    assert np.array_equal(result["image"][result["mask"] == 0], image[result["mask"] == 0])


def test_a_mask_larger_than_the_largest_window_keeps_its_surroundings(
    weights: str, tmp_path: Path, make_image: MakeImage
) -> None:
    shape = np.ones((150, 170), bool)
    shape[60:90, 60:90] = False
    bank = with_shapes(weights, tmp_path / "large", [Shape(shape, index) for index in range(3)])
    image = make_image((220, 240, 3))
    result = paint(bank, image, defects_range=(1, 1), scale_range=(1, 1), rotate_range=(0, 0))
    inside = result["mask"] > 0
    assert inside.sum() == shape.sum()
    assert np.array_equal(result["image"][~inside], image[~inside])
    assert seen_contrast(image, result["image"], inside) >= 8


def test_every_defect_that_is_kept_can_be_seen(faint_weights: str, make_image: MakeImage) -> None:
    image = make_image((96, 96, 3))
    kept = 0
    for seed in range(12):
        transform = GANDefectInpaint(faint_weights, defects_range=(3, 3), min_contrast=12, p=1.0)
        transform.set_random_seed(seed)
        result = transform(image=image, mask=np.zeros((96, 96), np.uint8))
        labelled = np.zeros((96, 96), bool)
        for patch in patches_from_text(transform.get_applied_params()["patches"]):
            inside = np.zeros((96, 96), bool)
            height, width = patch.mask.shape
            inside[patch.top : patch.top + height, patch.left : patch.left + width] = patch.mask
            assert seen_contrast(image, result["image"], inside) >= 12
            assert not (inside & labelled).any()
            labelled |= inside
            kept += 1
        assert np.array_equal(labelled, result["mask"] > 0)
    assert kept > 12


def test_a_defect_that_cannot_be_seen_is_drawn_again_before_it_is_dropped(
    faint_weights: str, make_image: MakeImage
) -> None:
    image = make_image((64, 80))

    def draw(threshold: float) -> list[tuple[np.ndarray, float]]:
        found = []
        for seed in range(40):
            result = paint(faint_weights, image, seed=seed, defects_range=(1, 1), min_contrast=threshold)
            inside = result["mask"] > 0
            found.append((result["mask"], seen_contrast(image, result["image"], inside) if inside.any() else -1.0))
        return found

    first = draw(0)
    threshold = float(np.median([value for _, value in first])) + 0.01
    final = draw(threshold)
    kept = [value for _, value in final if value >= 0]
    assert min(kept) >= threshold and len(kept) >= 34  # a single draw would keep 20
    redrawn = [
        np.array_equal(before, after)
        for (before, old), (after, new) in zip(first, final, strict=True)
        if old < threshold <= new
    ]
    assert any(redrawn)  # another latent in the same place
    assert not all(redrawn)  # then another shape


def test_an_impossible_contrast_drops_image_and_label_alike(weights: str, make_image: MakeImage) -> None:
    image = make_image((64, 80))
    for seed in range(5):
        result = paint(weights, image, seed=seed, min_contrast=255)
        assert np.array_equal(result["image"], image) and not result["mask"].any()


def test_same_seed_same_output_and_another_seed_another(weights: str, make_image: MakeImage) -> None:
    image = make_image((64, 80, 3))
    first, again, other = (paint(weights, image, seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(first["image"], again["image"]) and np.array_equal(first["mask"], again["mask"])
    assert not np.array_equal(first["image"], other["image"])
    composed = [A.Compose([GANDefectInpaint(weights, p=1.0)], seed=9)(image=image)["image"] for _ in range(2)]
    assert np.array_equal(*composed)


def test_calls_of_one_transform_differ(weights: str, make_image: MakeImage) -> None:
    transform = A.Compose([GANDefectInpaint(weights, p=1.0)], seed=1)
    image = make_image((64, 80))
    assert len({transform(image=image)["image"].tobytes() for _ in range(10)}) == 10


def test_global_generators_are_left_as_they_were(
    weights: str, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_loaded(monkeypatch)  # so that loading is watched too
    before = np.random.get_state()[1].copy(), random.getstate(), torch.get_rng_state()
    threads, grad = torch.get_num_threads(), torch.is_grad_enabled()
    result = paint(weights, make_image((64, 80)))
    assert result["mask"].any()
    assert np.array_equal(before[0], np.random.get_state()[1])
    assert before[1] == random.getstate()
    assert torch.equal(before[2], torch.get_rng_state())
    assert (threads, grad) == (torch.get_num_threads(), torch.is_grad_enabled())


def test_global_seeds_do_not_matter(weights: str, make_image: MakeImage) -> None:
    image, pictures = make_image((64, 80)), []
    for seed in (1, 2):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        pictures.append(paint(weights, image, seed=0)["image"])
    assert np.array_equal(*pictures)


def test_p_is_the_share_of_painted_samples(weights: str, make_image: MakeImage) -> None:
    image = make_image((40, 40))
    transform = A.Compose([GANDefectInpaint(weights, p=0.3)], seed=0)
    painted = sum(not np.array_equal(transform(image=image)["image"], image) for _ in range(200))
    assert 35 <= painted <= 85  # 60 expected, 4 standard deviations are 26


@pytest.mark.parametrize("defects_range", [(0, 0), (1, 1), (3, 3), (0, 2)])
def test_the_number_of_defects_lies_in_its_range(
    weights: str, make_image: MakeImage, defects_range: tuple[int, int]
) -> None:
    image = make_image((160, 160))
    transform = GANDefectInpaint(weights, defects_range=defects_range, p=1.0)
    transform.set_random_seed(0)
    counts = set()
    for _ in range(25):
        result = transform(image=image, mask=np.zeros((160, 160), np.uint8))
        counts.add(len(patches_from_text(transform.get_applied_params()["patches"])))
        assert result["mask"].any() == (not np.array_equal(result["image"], image))
    assert counts == set(range(defects_range[0], defects_range[1] + 1))


def drawn_classes(weights: str, count: int, **options: Any) -> Counter[str]:
    transform = GANDefectInpaint(weights, defects_range=(1, 1), min_contrast=0, p=1.0, **options)
    transform.set_random_seed(0)
    image, blank = np.full((40, 40), 120, np.uint8), np.zeros((40, 40), np.uint8)
    values = [int(transform(image=image, mask=blank)["mask"].max()) for _ in range(count)]
    return Counter(NAMES[value - 1] for value in values)


@pytest.fixture(scope="module")
def uneven_weights(weights: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bank of 12 pits, 3 scratches and 1 stain, all small."""
    shapes = [Shape(np.ones((4, 6), bool), index) for index, count in enumerate((12, 3, 1)) for _ in range(count)]
    return with_shapes(weights, tmp_path_factory.mktemp("uneven") / "gray", shapes)


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ("balanced", {"pit": 1 / 3, "scratch": 1 / 3, "stain": 1 / 3}),
        ("dataset", {"pit": 12 / 16, "scratch": 3 / 16, "stain": 1 / 16}),
        ({"pit": 1, "stain": 3.0}, {"pit": 0.25, "scratch": 0, "stain": 0.75}),
    ],
)
def test_classes_are_drawn_as_class_sampling_says(
    uneven_weights: str, sampling: Any, expected: dict[str, float]
) -> None:
    counts = drawn_classes(uneven_weights, 240, class_sampling=sampling)
    for name, share in expected.items():
        tolerance = 4 * np.sqrt(240 * share * (1 - share))
        assert abs(counts[name] - 240 * share) <= tolerance, counts


def test_only_the_classes_asked_for_are_painted(uneven_weights: str) -> None:
    assert set(drawn_classes(uneven_weights, 30, classes=["stain", "scratch"])) == {"stain", "scratch"}
    assert set(drawn_classes(uneven_weights, 10, classes=("pit",))) == {"pit"}


def test_a_class_without_shapes_is_left_out_or_said_to_have_none(
    weights: str, tmp_path: Path, make_image: MakeImage
) -> None:
    bank = with_shapes(weights, tmp_path / "pits", [Shape(np.ones((4, 6), bool), 0)])
    assert set(drawn_classes(bank, 10)) == {"pit"}
    with pytest.raises(ValueError, match=r"nothing to draw among \['stain'\].*'stain': 0"):
        paint(bank, make_image((40, 40)), classes=["stain"])


def test_procedural_shapes_are_not_those_of_the_bank(weights: str, tmp_path: Path, make_image: MakeImage) -> None:
    bank = with_shapes(weights, tmp_path / "squares", [Shape(np.ones((16, 16), bool), 0)])
    image = make_image((64, 64))

    def shapes(mask_source: str) -> list[np.ndarray]:
        found = []
        for seed in range(8):
            mask = paint(
                bank,
                image,
                seed=seed,
                defects_range=(1, 1),
                scale_range=(1, 1),
                rotate_range=(0, 0),
                mask_source=mask_source,
            )["mask"]
            rows, columns = np.nonzero(mask)
            found.append(mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
        return found

    assert {shape.shape for shape in shapes("bank")} == {(16, 16)} and all(shape.all() for shape in shapes("bank"))
    invented = shapes("procedural")
    assert len({shape.tobytes() for shape in invented}) == 8
    assert all(5 <= side <= 24 for shape in invented for side in shape.shape)
    mixed = shapes("both")
    assert 1 <= sum(shape.all() and shape.shape == (16, 16) for shape in mixed) <= 7


def label_box(mask: np.ndarray) -> tuple[int, int]:
    rows, columns = np.nonzero(mask)
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


@pytest.mark.parametrize(
    ("scale", "angle", "expected"), [(1, 0, (10, 30)), (2, 0, (20, 60)), (0.5, 0, (5, 15)), (1, 90, (30, 10))]
)
def test_scale_and_rotation_apply_to_the_shape(
    weights: str, tmp_path: Path, make_image: MakeImage, scale: float, angle: float, expected: tuple[int, int]
) -> None:
    bank = with_shapes(weights, tmp_path / "bars", [Shape(np.ones((10, 30), bool), index) for index in range(3)])
    result = paint(
        bank, make_image((96, 96)), defects_range=(1, 1), scale_range=(scale, scale), rotate_range=(angle, angle)
    )
    assert np.allclose(label_box(result["mask"]), expected, atol=1)


def test_existing_labels_are_avoided_unless_told_otherwise(weights: str, make_image: MakeImage) -> None:
    image = make_image((80, 80))
    mask = np.full((80, 80), 3, np.uint8)
    mask[20:60, 20:60] = 0
    for seed in range(10):
        result = paint(weights, image, mask, seed)
        assert np.array_equal(result["mask"][mask == 3], mask[mask == 3])
        assert np.array_equal(result["image"][mask == 3], image[mask == 3])
        assert result["mask"].any()
    covered = [paint(weights, image, mask, s, avoid_existing=False, classes=["pit"])["mask"] for s in range(10)]
    assert any((after[mask == 3] == 1).any() for after in covered)


@pytest.mark.parametrize("avoid_existing", [True, False])
def test_ignored_pixels_are_neither_painted_over_nor_relabelled(
    weights: str, make_image: MakeImage, avoid_existing: bool
) -> None:
    image, mask = make_image((80, 80)), np.full((80, 80), 255, np.uint8)
    mask[:, 30:60] = 0
    for seed in range(10):
        result = paint(weights, image, mask, seed, ignore_value=255, avoid_existing=avoid_existing)
        assert np.array_equal(result["mask"] == 255, mask == 255)
        assert np.array_equal(result["image"][mask == 255], image[mask == 255])
        assert (result["mask"][:, 30:60] > 0).any()


def test_an_ignored_value_is_no_defect_that_blocks_the_rest(weights: str, make_image: MakeImage) -> None:
    mask = np.zeros((80, 80), np.uint8)
    mask[::8, ::8] = 255  # scattered, and no label
    result = paint(weights, make_image((80, 80)), mask, ignore_value=255, scale_range=(0.4, 0.4))
    assert set(np.unique(result["mask"])) - {0, 255}


def test_a_full_mask_leaves_the_sample_unchanged(weights: str, make_image: MakeImage) -> None:
    image, mask = make_image((64, 64)), np.ones((64, 64), np.uint8)
    with pytest.warns(UserWarning, match="mask has a label on every pixel, so nothing was painted"):
        result = paint(weights, image, mask)
    assert np.array_equal(result["image"], image) and np.array_equal(result["mask"], mask)


def test_a_shape_that_fits_nowhere_is_scaled_down(weights: str, tmp_path: Path, make_image: MakeImage) -> None:
    bank = with_shapes(weights, tmp_path / "huge", [Shape(np.ones((300, 200), bool), index) for index in range(3)])
    for size in ((24, 40), (9, 9)):
        result = paint(bank, make_image(size), defects_range=(1, 1))
        assert (result["mask"] > 0).any()


@pytest.mark.parametrize("scale_range", [(100, 100), (0.01, 0.01)])
@pytest.mark.parametrize("side", [6, 400])
@pytest.mark.parametrize("size", [(64, 80), (32, 600)])
def test_the_ends_of_scale_range_paint_and_cost_no_more_than_the_image(
    weights: str,
    tmp_path: Path,
    make_image: MakeImage,
    scale_range: tuple[float, float],
    side: int,
    size: tuple[int, int],
) -> None:
    star = np.add.outer(np.arange(side), np.arange(side)) % max(3, side // 8) > 0  # stripes and the thinnest of gaps
    star[0, 0] = star[-1, -1] = star[0, -1] = star[-1, 0] = True
    bank = with_shapes(weights, tmp_path / "bank", [Shape(star, index) for index in range(3)])
    image = make_image(size)
    paint(bank, image)
    tracemalloc.start()
    results = [paint(bank, image, seed=seed, scale_range=scale_range, min_contrast=0) for seed in range(3)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    for result in results:
        assert result["mask"].any()
        assert not (changed_pixels(image, result["image"]) & (result["mask"] == 0)).any()
    assert peak < 120e6  # a shape of 400 pixels made a hundred times as large is 1.6 GB


@pytest.mark.parametrize(
    "odds", [{"pit": 1e308, "scratch": 1e308}, {"pit": 1e300, "scratch": 1e-300}, {"pit": 5e-324, "stain": 5e-324}]
)
def test_class_sampling_takes_weights_of_any_size(weights: str, make_image: MakeImage, odds: dict[str, float]) -> None:
    transform = GANDefectInpaint(weights, class_sampling=odds, defects_range=(2, 4), p=1.0)
    transform.set_random_seed(0)
    seen = set()
    for _ in range(10):
        seen |= set(np.unique(transform(image=make_image((96, 96)), mask=np.zeros((96, 96), np.uint8))["mask"]))
    likely = {NAMES.index(name) + 1 for name, weight in odds.items() if weight == max(odds.values())}
    assert seen == {0} | likely


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_float_image_that_is_not_finite_gets_no_label_that_nothing_is_behind(
    weights: str, make_image: MakeImage, value: float
) -> None:
    image = make_image((64, 80), np.float32)
    image[1::8, 1::8] = value  # where the check of the range does not look
    result = paint(weights, image)
    np.testing.assert_array_equal(result["image"], image)
    assert not result["mask"].any()


def test_another_class_is_tried_before_a_shape_is_scaled_down(
    weights: str, tmp_path: Path, make_image: MakeImage
) -> None:
    shapes = [Shape(np.ones((100, 100), bool), 0), Shape(np.ones((8, 8), bool), 1)]
    bank = with_shapes(weights, tmp_path / "mixed", shapes)
    for seed in range(8):
        mask = paint(
            bank, make_image((40, 40)), seed=seed, defects_range=(1, 1), scale_range=(1, 1), rotate_range=(0, 0)
        )["mask"]
        assert set(np.unique(mask)) == {0, 2} and (mask == 2).sum() == 64


def test_the_only_gap_between_labels_is_found(weights: str, tmp_path: Path, make_image: MakeImage) -> None:
    bank = with_shapes(weights, tmp_path / "small", [Shape(np.ones((5, 5), bool), index) for index in range(3)])
    mask = np.ones((100, 120), np.uint8)
    mask[71:76, 13:18] = 0
    result = paint(bank, make_image((100, 120)), mask, mask_values={"pit": 7, "scratch": 7, "stain": 7})
    assert (result["mask"][71:76, 13:18] == 7).any()
    assert np.array_equal(result["mask"] == 1, mask == 1)


@pytest.mark.parametrize("edge", range(4))
def test_a_shape_that_was_cut_off_by_a_border_is_placed_at_a_border(
    weights: str, tmp_path: Path, make_image: MakeImage, edge: int
) -> None:
    flags = [False] * 4
    flags[edge] = True
    shapes = [Shape(np.ones((6, 12), bool), index, tuple(flags)) for index in range(3)]  # type: ignore[arg-type]
    bank = with_shapes(weights, tmp_path / "edges", shapes)
    touched = Counter[int]()
    for seed in range(16):
        mask = paint(
            bank, make_image((60, 60)), seed=seed, defects_range=(1, 1), scale_range=(1, 1), rotate_range=(45, 45)
        )["mask"]
        assert label_box(mask) == (6, 12)  # not rotated
        borders = [mask[0].any(), mask[:, 0].any(), mask[-1].any(), mask[:, -1].any()]
        assert borders[edge] or borders[(edge + 2) % 4]  # mirrored half of the time
        touched[edge if borders[edge] else (edge + 2) % 4] += 1
    assert len(touched) == 2


def test_defects_stay_inside_the_region_which_is_never_painted(weights: str, make_image: MakeImage) -> None:
    image, region = make_image((80, 100)), np.zeros((80, 100), np.uint8)
    region[10:50, 60:95] = 4
    for seed in range(10):
        result = paint_with_region(weights, image, region, seed)
        assert result["mask"].any() and not result["mask"][region == 0].any()
        assert np.array_equal(result["roi"], region)


def paint_with_region(weights: str, image: np.ndarray, region: np.ndarray, seed: int) -> dict[str, Any]:
    pipeline = A.Compose(
        [GANDefectInpaint(weights, region_key="roi", p=1.0)], additional_targets={"roi": "mask"}, seed=seed
    )
    return pipeline(image=image, mask=np.zeros(image.shape[:2], np.uint8), roi=region)


@pytest.mark.parametrize("rank", [2, 3])
def test_the_region_travels_with_the_other_transforms(weights: str, make_image: MakeImage, rank: int) -> None:
    image, region = make_image((80, 100)), np.zeros((80, 100), np.uint8)
    region[20:60, :50] = 1
    region = region if rank == 2 else region[:, :, None]
    pipeline = A.Compose(
        [
            A.HorizontalFlip(p=1.0),
            A.RandomCrop(60, 70, p=1.0),
            GANDefectInpaint(weights, region_key="roi", p=1.0),
            A.VerticalFlip(p=1.0),
        ],
        additional_targets={"roi": "mask"},
        seed=2,
    )
    painted = 0
    for _ in range(10):
        result = pipeline(image=image, mask=np.zeros((80, 100), np.uint8), roi=region)
        moved = result["roi"].reshape(60, 70)
        painted += result["mask"].any()
        assert result["roi"].shape == (60, 70, *region.shape[2:])
        assert set(np.unique(moved)) == {0, 1}
        assert not result["mask"][moved == 0].any()
    assert painted >= 9


def test_an_empty_region_leaves_the_sample_unchanged(weights: str, make_image: MakeImage) -> None:
    image = make_image((40, 40))
    result = paint_with_region(weights, image, np.zeros((40, 40), bool), 0)
    assert np.array_equal(result["image"], image) and not result["mask"].any()


@pytest.mark.parametrize(
    ("targets", "arrays", "message"),
    [
        ({"roi": "mask"}, {}, r"region_key='roi' but no such target.*roi=mask.*additional_targets=\{'roi': 'mask'\}"),
        ({"roi": "image"}, {"roi": np.ones((40, 40), np.uint8)}, "type mask.*declared as 'image'"),
        ({}, {"roi": np.ones((30, 40), np.uint8)}, r"roi must be .*\(40, 40\).*\(30, 40\)"),
    ],
)
def test_a_region_that_cannot_be_used_is_one_clear_error(
    weights: str, make_image: MakeImage, targets: dict[str, str], arrays: dict[str, np.ndarray], message: str
) -> None:
    pipeline = A.Compose([GANDefectInpaint(weights, region_key="roi", p=1.0)], additional_targets=targets)
    with pytest.raises(ValueError, match=message):
        pipeline(image=make_image((40, 40)), **arrays)


def test_defects_stay_near_where_their_shapes_were_seen(
    placed_weights: str, bare_weights: str, make_image: MakeImage
) -> None:
    image, options = (
        make_image((200, 300)),
        {"classes": ["scratch", "stain"], "defects_range": (1, 1), "min_contrast": 0},
    )
    tops = set()
    for seed in range(30):
        rows, columns = np.nonzero(paint(placed_weights, image, seed=seed, max_shift=0.05, **options)["mask"])
        middle = (rows.min() + rows.max() + 1) / 2, (columns.min() + columns.max() + 1) / 2
        assert abs(middle[0] - 0.2 * 200) <= 0.05 * 200 + 1 and abs(middle[1] - 0.8 * 300) <= 0.05 * 300 + 1
        tops.add((rows.min(), columns.min()))
    assert len(tops) > 20
    anywhere = [paint(placed_weights, image, seed=seed, **options)["mask"] for seed in range(30)]
    assert any(mask[100:, :150].any() for mask in anywhere)
    same = [paint(bare_weights, image, seed=seed, **options)["mask"] for seed in range(30)]
    assert all(np.array_equal(a, b) for a, b in zip(anywhere, same, strict=True)), "1 changes nothing"


@pytest.mark.parametrize("name", ["magnetic-tile-v1", "bsdata-pitting-v1"])
def test_bundled_weights_say_where_shapes_were_seen(name: str, make_image: MakeImage) -> None:
    bank = DefectInpainter.from_pretrained(name).bank
    places = np.array([bank[index].centre_yx for index in range(len(bank))], np.float64)
    assert places.shape == (len(bank), 2) and len(np.unique(places, axis=0)) > len(bank) / 4
    pipeline = A.Compose([GANDefectInpaint(name, max_shift=0.05, p=1.0)], seed=0)
    assert pipeline(image=make_image((256, 300)), mask=np.zeros((256, 300), np.uint8))["mask"].any()


def test_weights_that_do_not_say_where_shapes_were_seen_cannot_keep_defects_there(bare_weights: str) -> None:
    with pytest.raises(ValueError, match=r"max_shift=0.2 needs weights that say where .*bare.* does not.*at 1, or"):
        GANDefectInpaint(bare_weights, max_shift=0.2)


BAD_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"defects_range": (2, 1)}, r"defects_range must be \(low, high\).*got \(2, 1\)"),
    ({"defects_range": (-1, 1)}, r"defects_range .*got \(-1, 1\)"),
    ({"defects_range": (0.5, 1)}, r"defects_range must hold integers, got \(0.5, 1\)"),
    ({"defects_range": 2}, "defects_range .*got 2"),
    ({"defects_range": "12"}, "defects_range .*got '12'"),
    ({"defects_range": (1, 2, 3)}, r"defects_range .*got \(1, 2, 3\)"),
    ({"defects_range": (True, 2)}, r"defects_range .*got \(True, 2\)"),
    ({"classes": ["crack"]}, "unknown class 'crack'.*'pit', 'scratch', 'stain'"),
    ({"classes": "pit"}, "classes must be a list of names or None, got 'pit'"),
    ({"classes": []}, r"classes must be a list of names or None, got \[\]"),
    ({"classes": 3}, "classes must be a list of names or None, got 3"),
    ({"class_sampling": "even"}, r"'balanced', 'dataset' or \{class: weight\}, got 'even'"),
    ({"class_sampling": {"crack": 1}}, "class_sampling names unknown class 'crack'"),
    ({"class_sampling": {"pit": -1}}, "finite and not negative.*-1"),
    ({"class_sampling": {"pit": float("nan")}}, "finite and not negative"),
    ({"class_sampling": {"pit": "much"}}, "finite and not negative"),
    ({"class_sampling": {"pit": 1}, "classes": ["stain"]}, r"none of the painted classes \['stain'\]"),
    ({"mask_source": "perlin"}, "mask_source must be 'bank', 'procedural' or 'both', got 'perlin'"),
    ({"scale_range": (0, 1)}, r"scale_range .*0.01 <= low.*got \(0, 1\)"),
    ({"scale_range": (1, float("inf"))}, "scale_range .*inf"),
    ({"rotate_range": (0, 400)}, "rotate_range .*-360.*360"),
    ({"rotate_range": (float("nan"), 1)}, "rotate_range .*nan"),
    ({"mask_values": {"crack": 1}}, "mask_values names unknown class 'crack'"),
    ({"mask_values": {"pit": 1}}, r"no entry for \['scratch', 'stain'\].*classes="),
    ({"mask_values": {"pit": 0, "scratch": 1, "stain": 2}}, "mask_values must be .*integer >= 1"),
    ({"mask_values": {"pit": 1.5, "scratch": 1, "stain": 2}}, "mask_values must be .*1.5"),
    ({"mask_values": [1, 2, 3]}, r"mask_values must be .*got \[1, 2, 3\]"),
    ({"mask_channels": {"pit": -1, "scratch": 0, "stain": 0}}, "mask_channels must be .*integer >= 0.*-1"),
    ({"mask_channels": {"pit": 0}}, r"mask_channels has no entry for \['scratch', 'stain'\]"),
    ({"ignore_value": "255"}, "ignore_value must be an integer or None, got '255'"),
    ({"ignore_value": 2}, "ignore_value=2 is also what labels 'scratch'.*mask_values"),
    ({"ignore_value": 9, "mask_values": {"pit": 9, "scratch": 1, "stain": 2}}, "ignore_value=9 .*'pit'"),
    ({"avoid_existing": "no"}, "avoid_existing must be True or False, got 'no'"),
    ({"region_key": 5}, "region_key must be the name of a target or None, got 5"),
    ({"max_shift": -0.1}, "max_shift must be a number from 0 to 1, got -0.1"),
    ({"max_shift": None}, "max_shift must be a number from 0 to 1, got None"),
    ({"min_contrast": -1}, "min_contrast must be a number from 0 to 255, got -1"),
    ({"min_contrast": 256}, "min_contrast .*got 256"),
    ({"min_contrast": None}, "min_contrast .*got None"),
    ({"min_contrast": 10**400}, "min_contrast .*got 1000"),
    ({"scale_range": (1, 10**400)}, "scale_range .*1000"),
    ({"class_sampling": {"pit": 10**400}}, "finite and not negative"),
    ({"min_contrast": float("nan")}, "min_contrast .*got nan"),
    ({"bbox_labels": "pit"}, r"bbox_labels must be \{class: label\}, got 'pit'"),
    ({"bbox_labels": {"pit": "p"}}, r"bbox_labels has no entry for \['scratch', 'stain'\]"),
    ({"bbox_labels": {"crack": "c"}}, "bbox_labels names unknown class 'crack'"),
    ({"p": 1.5}, "less than or equal to 1"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS, ids=[str(a) for a, _ in BAD_ARGUMENTS])
def test_a_bad_argument_is_one_clear_error_at_construction(
    weights: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        GANDefectInpaint(weights, **arguments)


@pytest.mark.parametrize("name", ["no-such-name", "./no/such/folder", "", None])
def test_weights_that_are_nowhere_are_one_clear_error(name: Any) -> None:
    with pytest.raises(WeightsError, match=re.escape(repr(name)) if not name or "/" not in name else "no such folder"):
        GANDefectInpaint(name)


def test_numpy_numbers_are_accepted_and_become_plain(weights: str) -> None:
    transform = GANDefectInpaint(
        weights,
        defects_range=(np.int64(1), np.int64(2)),  # type: ignore[arg-type]
        scale_range=(np.float32(0.5), np.float32(1)),
        class_sampling={"pit": np.float32(1)},  # type: ignore[dict-item]
        mask_values={name: np.uint8(9) for name in NAMES},  # type: ignore[misc]
        ignore_value=np.int64(255),  # type: ignore[arg-type]
        avoid_existing=np.bool_(True),  # type: ignore[arg-type]
        min_contrast=np.float32(5),  # type: ignore[arg-type]
    )
    json.dumps(A.to_dict(transform))
    assert transform.ignore_value == 255


ZEROS = np.zeros((40, 40), np.uint8)
BAD_INPUTS: list[tuple[dict[str, Any], dict[str, Any], type[Exception], str]] = [
    ({}, {"image": np.zeros((40, 40))}, TypeError, r"uint8 or float32 in \[0, 1\], got float64.*astype"),
    ({}, {"image": np.zeros((40, 40), np.uint16)}, TypeError, "uint8 or float32.*got uint16"),
    ({}, {"image": np.zeros((40, 40), np.int32)}, TypeError, "uint8 or float32.*got int32"),
    ({}, {"image": np.zeros((40, 40), bool)}, TypeError, "uint8 or float32.*got bool"),
    ({}, {"image": np.zeros((40, 40), np.float16)}, TypeError, "uint8 or float32.*got float16"),
    ({}, {"image": np.full((40, 40), 120, np.float32)}, ValueError, r"float32 in \[0, 1\].*to 120.*A.Normalize"),
    ({}, {"image": np.full((40, 40), -1, np.float32)}, ValueError, r"float32 in \[0, 1\].*from -1"),
    ({}, {"image": np.zeros(40, np.uint8)}, ValueError, r"\(H, W\) or \(H, W, C\).*\(40,\)"),
    ({}, {"image": np.zeros((2, 40, 40, 3), np.uint8)}, ValueError, r"\(H, W\) or \(H, W, C\).*\(2, 40, 40, 3\)"),
    ({}, {"image": np.zeros((0, 40), np.uint8)}, ValueError, r"at least one pixel.*\(0, 40\)"),
    ({}, {"image": ZEROS, "second": np.zeros((40, 40), np.float64)}, TypeError, "got float64"),
    ({}, {"image": ZEROS, "second": ZEROS[:20]}, ValueError, r"second is \(20, 40\).*\(40, 40\).*resize"),
    ({}, {"image": ZEROS, "mask": ZEROS[:30]}, ValueError, r"mask must be .*\(40, 40\).*\(30, 40\).*resize"),
    ({}, {"image": ZEROS, "mask": np.zeros((40, 40, 1, 1), np.uint8)}, ValueError, r"mask must be .*\(40, 40, 1, 1\)"),
    (
        {},
        {"image": ZEROS, "mask": np.zeros((40, 40, 2), np.uint8)},
        ValueError,
        r"mask has 2 channels, the weights have 3 classes.*mask_channels=\{'pit': 0, 'scratch': 1, 'stain': 1\}",
    ),
    (
        {"mask_channels": {"pit": 0, "scratch": 1, "stain": 5}},
        {"image": ZEROS, "mask": np.zeros((40, 40, 4), np.uint8)},
        ValueError,
        "mask has 4 channels, mask_channels=.* needs 6",
    ),
    (
        {"mask_channels": {"pit": 0, "scratch": 1, "stain": 5}},
        {"image": ZEROS, "masks": [ZEROS] * 4},
        ValueError,
        "masks has 4 channels, mask_channels=.* needs 6",
    ),
    (
        {"mask_values": {"pit": 1, "scratch": 2, "stain": 300}},
        {"image": ZEROS, "mask": ZEROS},
        ValueError,
        "300 does not fit into uint8.*mask_values",
    ),
    (
        {"mask_values": {"pit": 200, "scratch": 2, "stain": 3}},
        {"image": ZEROS, "mask": ZEROS.astype(np.int8)},
        ValueError,
        "200 does not fit into int8",
    ),
    (
        {"mask_values": {"pit": 2049, "scratch": 2, "stain": 3}},
        {"image": ZEROS, "mask": ZEROS.astype(np.float16)},
        ValueError,
        "2049 does not fit into float16",
    ),
    ({}, {"image": ZEROS, "mask": np.zeros((40, 40, 0), np.uint8)}, ValueError, r"mask must be .*\(40, 40, 0\)"),
    ({}, {"image": ZEROS, "mask": ZEROS.astype(object)}, TypeError, "mask must hold bools, integers or .*got object"),
    ({}, {"image": ZEROS, "mask": ZEROS.astype(str)}, TypeError, "mask must hold bools, integers or .*got <U"),
    ({}, {"image": ZEROS, "mask": ZEROS.astype(complex)}, TypeError, "mask must hold .*got complex128; convert"),
]


@pytest.mark.parametrize(("options", "arrays", "error", "message"), BAD_INPUTS, ids=[case[3] for case in BAD_INPUTS])
def test_a_bad_input_is_one_clear_error_at_the_call(
    weights: str, options: dict[str, Any], arrays: dict[str, Any], error: type[Exception], message: str
) -> None:
    pipeline = A.Compose(
        [GANDefectInpaint(weights, p=1.0, **options)], is_check_shapes=False, additional_targets={"second": "image"}
    )
    with pytest.raises(error, match=message):
        pipeline(**arrays)


def test_a_torch_tensor_is_refused_with_the_remedy(weights: str) -> None:
    with pytest.raises(TypeError, match=r"numpy array, got Tensor.*np\.asarray"):
        GANDefectInpaint(weights, p=1.0)(image=torch.zeros(40, 40))


def test_a_defect_painted_for_another_size_is_not_replayed(weights: str, make_image: MakeImage) -> None:
    replayed = A.ReplayCompose([GANDefectInpaint(weights, p=1.0)])(image=make_image((64, 64)))["replay"]
    with pytest.raises(ValueError, match=r"painted for an image of \(64, 64\), got \(20, 20\)"):
        A.ReplayCompose.replay(replayed, image=make_image((20, 20)))


def test_the_network_loads_on_the_first_call_and_once(
    weights: str, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = forget_loaded(monkeypatch)
    first, second = GANDefectInpaint(weights, p=1.0), A.Compose([GANDefectInpaint(weights, p=1.0)])
    A.from_dict(A.to_dict(second))
    pickle.loads(pickle.dumps(second))
    assert not cache
    first(image=make_image((32, 32)))
    assert len(cache) == 1
    network = next(iter(cache.values())).module
    second(image=make_image((32, 32)))
    assert len(cache) == 1 and next(iter(cache.values())).module is network


def test_pickles_stay_small_after_calls(weights: str, make_image: MakeImage) -> None:
    transform = GANDefectInpaint(weights, p=1.0, defects_range=(3, 3))
    pipeline = A.Compose([transform, A.OneOf([GANDefectInpaint(weights, p=1.0)], p=1.0)])
    for _ in range(3):
        pipeline(image=make_image((256, 256)), mask=np.zeros((256, 256), np.uint8))
    assert len(pickle.dumps(transform)) < 20_000
    assert len(pickle.dumps(pipeline)) < 20_000


def json_round_trip(pipeline: A.Compose) -> Any:
    return A.from_dict(json.loads(json.dumps(A.to_dict(pipeline))))


def file_round_trip(folder: Path, data_format: Any) -> Callable[[A.Compose], Any]:
    def round_trip(pipeline: A.Compose) -> Any:
        path = folder / f"pipeline.{data_format}"
        A.save(pipeline, path, data_format=data_format)
        return A.load(path, data_format=data_format)

    return round_trip


FULL: dict[str, Any] = {
    "defects_range": (1, 3),
    "classes": ["pit", "stain"],
    "class_sampling": {"pit": 2.0, "stain": 1.0},
    "mask_source": "procedural",
    "scale_range": (0.5, 0.9),
    "rotate_range": (-40, 10),
    "mask_values": {"pit": 17, "stain": 4},
    "mask_channels": {"pit": 1, "stain": 0},
    "avoid_existing": False,
    "ignore_value": 255,
    "region_key": "roi",
    "max_shift": 0.75,
    "min_contrast": 3.5,
    "bbox_labels": {"pit": "P", "stain": "S"},
    "device": "cpu",
    "p": 0.9,
}


@pytest.mark.parametrize("options", [{"p": 1.0}, FULL], ids=["defaults", "everything"])
@pytest.mark.parametrize("way", ["json", "json file", "yaml file", "pickle", "deepcopy"])
def test_a_round_trip_paints_the_same(
    weights: str, tmp_path: Path, make_image: MakeImage, way: str, options: dict[str, Any]
) -> None:
    pipeline = A.Compose([GANDefectInpaint(weights, **options)], additional_targets={"roi": "mask"})
    image, blank = make_image((64, 64)), np.zeros((64, 64), np.uint8)
    region = {"roi": np.ones((64, 64), np.uint8)} if "region_key" in options else {}
    pipeline(image=image, mask=blank, **region)
    ways: dict[str, Callable[[A.Compose], Any]] = {
        "json": json_round_trip,
        "json file": file_round_trip(tmp_path, "json"),
        "yaml file": file_round_trip(tmp_path, "yaml"),
        "pickle": lambda pipeline: pickle.loads(pickle.dumps(pipeline)),
        "deepcopy": copy.deepcopy,
    }
    restored = ways[way](pipeline)
    assert restored.transforms[0].get_transform_init_args() == pipeline.transforms[0].get_transform_init_args()
    for each in (pipeline, restored):
        each.set_random_seed(11)
    changed = 0
    for _ in range(4):
        ours, theirs = (each(image=image, mask=blank, **region) for each in (pipeline, restored))
        assert np.array_equal(ours["image"], theirs["image"]) and np.array_equal(ours["mask"], theirs["mask"])
        changed += not np.array_equal(ours["image"], image)
    assert changed >= 2


def test_every_argument_is_serialised_under_the_stable_name(weights: str) -> None:
    saved = A.to_dict(GANDefectInpaint(weights, **FULL))["transform"]
    assert saved["__class_fullname__"] == "albu_gan.GANDefectInpaint"
    assert {key: saved[key] for key in FULL} == {**FULL, "rotate_range": (-40.0, 10.0)}
    assert saved["weights"] == weights


def test_a_pickled_copy_goes_on_where_the_original_was(weights: str, make_image: MakeImage) -> None:
    pipeline, image = A.Compose([GANDefectInpaint(weights, p=1.0)], seed=4), make_image((64, 64))
    pipeline(image=image)
    for twin in (pickle.loads(pickle.dumps(pipeline)), copy.deepcopy(pipeline)):
        reference = copy.deepcopy(pipeline)
        assert np.array_equal(twin(image=image)["image"], reference(image=image)["image"])


def test_a_replay_paints_the_same_defects_again(weights: str, make_image: MakeImage) -> None:
    image, blank = make_image((64, 64, 3)), np.zeros((64, 64), np.uint8)
    pipeline = A.ReplayCompose([A.HorizontalFlip(p=0.5), GANDefectInpaint(weights, p=0.7)])
    painted = set()
    for seed in range(6):
        pipeline.set_random_seed(seed)
        first = pipeline(image=image, mask=blank)
        again = A.ReplayCompose.replay(first["replay"], image=image, mask=blank)
        assert np.array_equal(first["image"], again["image"]) and np.array_equal(first["mask"], again["mask"])
        painted.add(bool(first["mask"].any()))
    assert painted == {True, False}


def test_saved_weights_paint_the_same(weights: str, tmp_path: Path, make_image: MakeImage) -> None:
    original = GANDefectInpaint(weights, p=1.0)
    original.save_pretrained(tmp_path / "copy")
    image = make_image((64, 64))
    loaded = GANDefectInpaint.from_pretrained(str(tmp_path / "copy"), classes=["pit"], p=1.0)
    assert loaded.weights == str(tmp_path / "copy") and loaded.classes == ["pit"]
    ours = paint(weights, image, classes=["pit"])
    theirs = paint(str(tmp_path / "copy"), image, classes=["pit"])
    assert np.array_equal(ours["image"], theirs["image"]) and ours["mask"].any()


def test_a_path_object_names_weights_as_a_string_does(weights: str) -> None:
    assert GANDefectInpaint(Path(weights)).weights == weights  # type: ignore[arg-type]


def test_the_transform_paints_what_the_inpainter_paints(faint_weights: str, make_image: MakeImage) -> None:
    image = make_image((64, 64), np.float32)
    transform = GANDefectInpaint(faint_weights, defects_range=(1, 1), min_contrast=0, p=1.0)
    transform.set_random_seed(1)
    painted = transform(image=image)["image"]
    (patch,) = patches_from_text(transform.get_applied_params()["patches"])
    painter = DefectInpainter.from_pretrained(faint_weights)
    inside = np.zeros((64, 64), bool)
    inside[patch.top : patch.top + patch.mask.shape[0], patch.left : patch.left + patch.mask.shape[1]] = patch.mask
    assert np.array_equal(painted[~inside], image[~inside])
    assert np.allclose((painted - image)[inside], patch.residual[patch.mask][:, 0], atol=1e-6)
    assert 0 <= patch.class_index < len(painter.class_names)


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int64, np.float16, np.float64])
@pytest.mark.parametrize("ignored", [-1, 300, 10**30, 10**400])
def test_a_value_that_a_mask_cannot_hold_is_in_no_mask(weights: str, dtype: type, ignored: int) -> None:
    transform = GANDefectInpaint(weights, p=1.0, min_contrast=0, ignore_value=ignored, mask_values=1)
    mask = np.zeros((48, 48), dtype)
    assert transform(image=np.full((48, 48), 120, np.uint8), mask=mask)["mask"].any()


def test_a_range_from_zero_to_minus_zero_is_a_range(weights: str) -> None:
    transform = GANDefectInpaint(weights, p=1.0, rotate_range=(0.0, -0.0))
    assert transform(image=np.full((48, 48), 120, np.uint8))["image"].shape == (48, 48)
