from __future__ import annotations

import math
import pickle
from collections import Counter
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albu_gan.data import DataError, DefectDataset, Record
from albu_gan.painting.windows import window_shapes
from training.windows import (
    CONTEXT,
    MIN_AREA,
    Background,
    DefectWindow,
    WindowBatches,
    brighten,
    components,
    cut_defects,
    flip,
    jitter_crop,
    jitter_shape,
    load_backgrounds,
)

quick = settings(max_examples=25, deadline=None)
SHAPES = window_shapes((32, 64))


class Memory(DefectDataset):
    """A data set of arrays: (image, index mask, group)."""

    licence = source = "made up"

    def __init__(self, images: list[tuple[np.ndarray, np.ndarray, str]], num_classes: int = 2) -> None:
        self.images = images
        self.channels = images[0][0].shape[2]
        self.class_names = tuple(f"class {i}" for i in range(num_classes))
        self.records = [
            Record(str(i), Path(str(i)), None, group, frozenset(int(v) - 1 for v in np.unique(mask[mask > 0])))
            for i, (_, mask, group) in enumerate(images)
        ]

    def read_image(self, record: Record) -> np.ndarray:
        return self.images[int(record.name)][0]

    def read_mask(self, record: Record, image_hw: tuple[int, int]) -> np.ndarray:
        return self.images[int(record.name)][1]


def textured(size_hw: tuple[int, int], channels: int = 1, seed: int = 0, level: int = 120) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(level, 6, (*size_hw, channels)).clip(0, 255).astype(np.uint8)


pytestmark = pytest.mark.filterwarnings("ignore:.*smaller than a window")


def with_box(size_hw: tuple[int, int], box: tuple[int, int, int, int], value: int = 1) -> np.ndarray:
    mask = np.zeros(size_hw, np.uint8)
    top, left, height, width = box
    mask[top : top + height, left : left + width] = value
    return mask


def defects_of(images: list[tuple[np.ndarray, np.ndarray, str]]) -> list[DefectWindow]:
    dataset = Memory(images)
    return cut_defects(dataset, dataset.records, SHAPES)


def make_batches(
    defects: list[DefectWindow], backgrounds: list[Background] | None = None, paired: float = 0.5, **changes: int
) -> WindowBatches:
    values = {"seed": 0, "length": 400, **changes}
    backgrounds = backgrounds or [(textured((200, 220), 1, 9), None)]
    return WindowBatches(defects, backgrounds, 4, paired, **values)


@pytest.fixture(scope="module")
def mixed() -> list[DefectWindow]:
    """Two classes in windows of many shapes, thin enough to be filled in, and one defect seen at a reduced scale."""
    images = []
    boxes = [
        ((40, 50, 4, 9), 1),
        ((90, 20, 6, 40), 2),
        ((0, 70, 5, 12), 1),
        ((100, 120, 50, 7), 2),
        ((60, 0, 9, 150), 2),
    ]
    for index, (box, value) in enumerate(boxes):
        mask = with_box((160, 180), box, value)
        image = textured((160, 180), 1, index)
        image[mask > 0] //= 2
        images.append((image, mask, f"g{index}"))
    return defects_of(images)


@quick
@given(st.integers(0, 2**32 - 1))
def test_the_parts_of_a_mask_are_connected_tight_and_together_all_but_its_specks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = cv2.dilate((rng.random((40, 50)) < 0.02).astype(np.uint8), np.ones((3, 3), np.uint8))
    mask *= rng.integers(1, 4, (40, 50)).max(axis=1, keepdims=True).astype(np.uint8)
    mask[rng.integers(40), rng.integers(50)] = 3
    rebuilt = np.zeros_like(mask)
    for class_index, part, (top, left, height, width) in components(mask):
        assert cv2.connectedComponents(part.astype(np.uint8), connectivity=8)[0] == 2
        assert part.sum() >= MIN_AREA
        ys, xs = np.nonzero(part)
        assert (ys.min(), xs.min(), np.ptp(ys) + 1, np.ptp(xs) + 1) == (top, left, height, width)
        assert not (rebuilt[part]).any()
        rebuilt[part] = class_index + 1
    missed = (mask > 0) & (rebuilt == 0)
    assert (rebuilt[rebuilt > 0] == mask[rebuilt > 0]).all()
    for value in (1, 2, 3):
        specks = cv2.connectedComponentsWithStats(((mask == value) & missed).astype(np.uint8), connectivity=8)[2][1:, 4]
        assert (specks < MIN_AREA).all()


def test_a_window_cut_around_a_defect_shows_image_and_mask_as_they_are() -> None:
    image, mask = textured((160, 180), 3), with_box((160, 180), (70, 80, 9, 12), 2)
    mask[75, 98] = 1  # a speck of another class: labelled, but no window of its own
    (window,) = cut_defects(Memory([(image, mask, "g")]), Memory([(image, mask, "g")]).records, SHAPES)
    side = int(32 * CONTEXT)
    assert (window.shape, window.scale, window.class_index, window.group) == ((32, 32), 1.0, 1, "g")
    assert window.image.shape == (side, side, 3) and window.mask.shape == (side, side)
    ys, xs = np.nonzero(window.mask == 2)
    top, left = 70 - ys.min(), 80 - xs.min()
    np.testing.assert_array_equal(window.image, image[top : top + side, left : left + side])
    np.testing.assert_array_equal(window.mask, mask[top : top + side, left : left + side])
    assert window.box[:2] == (ys.min(), xs.min()) and 9 <= window.box[2] <= 10 and 12 <= window.box[3] <= 13
    assert window.centre_yx == pytest.approx((74.5 / 160, 86 / 180))
    assert window.edges == (False, False, False, False)


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(20, 200), st.integers(20, 200))
def test_the_box_of_a_window_holds_its_defect_at_every_size_of_image_and_defect(
    data: st.DataObject, H: int, W: int
) -> None:
    height, width = data.draw(st.integers(3, H)), data.draw(st.integers(3, W))
    top, left = data.draw(st.integers(0, H - height)), data.draw(st.integers(0, W - width))
    (window,) = defects_of([(textured((H, W)), with_box((H, W), (top, left, height, width)), "g")])
    y, x, h, w = window.box
    outside = window.mask.copy()
    outside[max(0, y) : y + h, max(0, x) : x + w] = 0
    assert window.mask.any() and not outside.any()
    expected = height * width * window.scale**2
    assert window.mask.sum() == pytest.approx(expected, rel=0.5, abs=2 * (h + w))
    assert window.edges == (top <= 1, left <= 1, top + height >= H - 1, left + width >= W - 1)
    context = 2 * max(8, math.isqrt(height * width) // 6)
    fits = any(rows >= height + context and columns >= width + context for rows, columns in SHAPES)
    assert window.scale == 1 if fits else window.scale < 1


@quick
@given(st.data(), st.integers(20, 150), st.integers(20, 150), st.integers(0, 2**32 - 1))
def test_a_jittered_crop_keeps_all_four_corners_of_its_defect(data: st.DataObject, H: int, W: int, seed: int) -> None:
    height, width = data.draw(st.integers(6, H)), data.draw(st.integers(6, W))
    top, left = data.draw(st.integers(0, H - height)), data.draw(st.integers(0, W - width))
    (window,) = defects_of([(textured((H, W)), with_box((H, W), (top, left, height, width)), "g")])
    ys, xs = np.nonzero(window.mask)
    corners = [np.zeros_like(window.mask) for _ in range(4)]
    for corner, (row, column) in zip(corners, product((ys.min(), ys.max() - 1), (xs.min(), xs.max() - 1)), strict=True):
        corner[row : row + 2, column : column + 2] = 1
    image, *cut = jitter_crop(window, [window.image, *corners], np.random.default_rng(seed))
    assert image.shape == (*window.shape, 1)
    assert all(corner.shape == window.shape and corner.any() for corner in cut)


def test_layers_of_a_crop_stay_in_register() -> None:
    image = textured((120, 120))
    mask = with_box((120, 120), (50, 40, 12, 30))
    image[mask > 0] = 0
    (window,) = defects_of([(image, mask, "g")])
    for seed in range(20):
        cut, cut_mask = jitter_crop(window, [window.image, window.mask], np.random.default_rng(seed))
        core = cv2.erode(cut_mask, np.ones((3, 3), np.uint8)) > 0
        away = cv2.dilate(cut_mask, np.ones((3, 3), np.uint8)) == 0
        assert cut[core].max() < 30 and cut[away].min() > 80


def test_a_scratch_of_one_pixel_is_whole_in_every_crop() -> None:
    mask = np.zeros((120, 120), np.uint8)
    cv2.line(mask, (30, 44), (70, 61), 2, 1)
    (window,) = defects_of([(textured((120, 120)), mask, "g")])
    for seed in range(40):
        (cut,) = jitter_crop(window, [window.mask], np.random.default_rng(seed))
        assert set(np.unique(cut)) == {0, 2}
        assert cv2.connectedComponents(cut, connectivity=8)[0] == 2


def test_a_jittered_shape_keeps_its_values_and_most_of_its_area_and_takes_its_image_along() -> None:
    mask = with_box((64, 64), (20, 20, 20, 16), 2)
    image = np.where(mask[:, :, None] > 0, 10, 200).astype(np.uint8)
    areas = []
    for seed in range(60):
        moved, moved_image = jitter_shape(mask, image, np.random.default_rng(seed))
        assert set(np.unique(moved)) == {0, 2} and moved.shape == mask.shape and moved_image.shape == image.shape
        areas.append((moved > 0).sum() / (mask > 0).sum())
        dark = moved_image[:, :, 0] < 105
        assert (dark != (moved > 0)).sum() < 40  # of an outline of 72 pixels
    assert min(areas) >= 0.6 and max(areas) < 1.5 and np.std(areas) > 0.1
    empty = np.zeros_like(mask)
    np.testing.assert_array_equal(jitter_shape(empty, image, np.random.default_rng(0))[0], empty)


def test_flipping_and_brightening() -> None:
    image = textured((4, 6), 3)
    np.testing.assert_array_equal(flip(image, (True, False)), image[::-1])
    np.testing.assert_array_equal(flip(image, (False, True)), image[:, ::-1])
    np.testing.assert_array_equal(flip(image, (False, False)), image)
    expected = np.clip(np.rint(image[::-1] * 2.5), 0, 255)
    brightened = brighten(image[::-1], 2.5)
    assert brightened.dtype == np.uint8
    np.testing.assert_allclose(brightened, expected, atol=1)


def test_a_batch_depends_on_the_seed_and_its_number_alone(mixed: list[DefectWindow]) -> None:
    first, again = make_batches(mixed), make_batches(mixed)
    for step in (7, 3, 7, 399):
        a, b = first[step], again[step]
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])
    unpickled = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(unpickled[11]["clean"], again[11]["clean"])
    other = make_batches(mixed, seed=1)
    assert any(not np.array_equal(first[step]["clean"], other[step]["clean"]) for step in range(3))
    assert not np.array_equal(first[3]["clean"][:1], first[4]["clean"][:1])


def test_processes_of_one_step_draw_other_windows_of_the_same_shape(mixed: list[DefectWindow]) -> None:
    ranks = [make_batches(mixed, rank=rank) for rank in range(2)]
    for step in range(12):
        a, b = (batches[step] for batches in ranks)
        assert a["real"].shape == b["real"].shape
        assert not np.array_equal(a["real"], b["real"]) and not np.array_equal(a["clean"], b["clean"])


def test_every_batch_has_windows_of_one_shape_and_the_promised_arrays(mixed: list[DefectWindow]) -> None:
    batches = make_batches(mixed)
    assert len(batches) == 400 and batches.shapes == [(32, 32), (32, 64), (32, 128), (128, 32)]
    seen = Counter()
    for step in range(60):
        batch = batches[step]
        B, H, W = batch["real"].shape[:3]
        seen[H, W] += 1
        pixels = B * H * W  # of small windows half as many as of the largest
        assert pixels == (4 if H * W == 64 * 64 else 2) * 64 * 64
        assert batch["real"].shape == batch["clean"].shape == (B, H, W, 1)
        assert batch["real_mask"].shape == batch["fake_mask"].shape == (B, H, W)
        assert batch["paired"].shape == (B,) and batch["paired"].dtype == bool
        assert all(batch[key].dtype == np.uint8 for key in ("real", "clean", "real_mask", "fake_mask"))
        assert (batch["real_mask"].reshape(B, -1).max(axis=1) > 0).all()
        assert (batch["fake_mask"].reshape(B, -1).max(axis=1) > 0).all()
        # The mask to be painted is of the class that the real window shows.
        for real, fake in zip(batch["real_mask"], batch["fake_mask"], strict=True):
            assert set(np.unique(real)) == set(np.unique(fake))
    assert set(seen) == set(batches.shapes) and min(seen.values()) > 5


def test_a_paired_sample_differs_from_its_real_window_only_near_the_defect(mixed: list[DefectWindow]) -> None:
    batches = make_batches(mixed, paired=1.0)
    count = 0
    for step in range(20):
        batch = batches[step]
        np.testing.assert_array_equal(batch["fake_mask"][batch["paired"]], batch["real_mask"][batch["paired"]])
        for i in np.flatnonzero(batch["paired"]):
            away = cv2.dilate((batch["real_mask"][i] > 0).astype(np.uint8), np.ones((11, 11), np.uint8)) == 0
            np.testing.assert_array_equal(batch["real"][i][away], batch["clean"][i][away])
            inside = batch["real_mask"][i] > 0
            assert batch["clean"][i][inside].mean() > batch["real"][i][inside].mean() + 20  # the dark defect is gone
            count += 1
    assert count > 50


@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
def test_the_share_of_paired_samples_is_the_wanted_one(mixed: list[DefectWindow], fraction: float) -> None:
    batches = make_batches(mixed, paired=fraction)
    paired = np.concatenate([batches[step]["paired"] for step in range(60)])
    assert abs(paired.mean() - fraction) <= 4 * np.sqrt(fraction * (1 - fraction) / len(paired))


def test_what_cannot_be_filled_in_is_never_paired() -> None:
    crowded = with_box((100, 100), (10, 10, 80, 80), 2)
    crowded[40:50, 40:50] = 1
    defects = [window for window in defects_of([(textured((100, 100)), crowded, "g")]) if window.class_index == 0]
    assert defects and defects[0].filled is None
    assert not make_batches(defects, paired=1.0)[0]["paired"].any()


def test_unpaired_samples_are_painted_on_the_given_backgrounds(mixed: list[DefectWindow]) -> None:
    backgrounds: list[Background] = [
        (np.full((150, 140, 1), 60, np.uint8), None),
        (np.full((20, 300, 1), 200, np.uint8), None),
    ]
    batches = make_batches(mixed, backgrounds, paired=0.0)
    levels = []
    for step in range(15):
        clean = batches[step]["clean"]
        flat = clean.reshape(len(clean), -1)
        assert (flat.max(axis=1) == flat.min(axis=1)).all()
        levels += flat[:, 0].tolist()
    values = np.array(levels)
    dark = values < 100
    assert values[dark].min() >= 47 and values[dark].max() <= 73  # 60, darkened or brightened by a fifth
    assert values[~dark].min() >= 159 and values[~dark].max() <= 241
    assert 0.3 < dark.mean() < 0.7


@pytest.mark.parametrize("border", range(4))
def test_a_defect_of_the_border_is_painted_at_that_border_of_the_background(border: int) -> None:
    box = [(0, 60, 6, 12), (60, 0, 12, 6), (114, 60, 6, 12), (60, 114, 12, 6)][border]
    defects = defects_of([(textured((120, 120)), with_box((120, 120), box), "g")])
    assert defects[0].edges == tuple(i == border for i in range(4))
    background = np.full((150, 150, 1), 100, np.uint8)
    rim = [np.s_[:1], np.s_[:, :1], np.s_[-1:], np.s_[:, -1:]][border]
    background[rim] = 200
    batches = make_batches(defects, [(background, None)], paired=0.0)
    for step in range(6):
        batch = batches[step]
        for clean, mask in zip(batch["clean"], batch["fake_mask"], strict=True):
            # One line of pixels is the border of the background, and the shape lies on it.
            bright = clean[:, :, 0] > 1.5 * clean.min()
            assert bright.sum() == bright.shape[1 - border % 2] and bright.any(axis=1 - border % 2).sum() == 1
            assert mask[bright].any()


def test_classes_are_drawn_evenly_and_so_are_the_groups_of_a_class() -> None:
    """Class 1: a group of 12 dark images and a bright image of its own group; class 2: one image."""
    images = []
    for index in range(14):
        image = np.full((100, 100, 1), 50 if index < 12 else 200, np.uint8)
        images.append((image, with_box((100, 100), (50, 50, 5, 5), 1 if index < 13 else 2), f"g{max(index, 11)}"))
    batches = make_batches(defects_of(images), [(np.zeros((80, 80, 1), np.uint8), None)], paired=0.0)
    classes, bright = Counter(), 0
    for step in range(100):
        batch = batches[step]
        for real, mask in zip(batch["real"], batch["real_mask"], strict=True):
            value = int(mask.max())
            classes[value] += 1
            bright += value == 1 and np.median(real) > 120
    for count, total in ((classes[1], sum(classes.values())), (bright, classes[1])):
        assert abs(count / total - 0.5) < 5 * 0.5 / np.sqrt(total)


def test_a_donor_is_the_real_defect_that_the_mask_to_be_painted_is_the_mask_of(mixed: list[DefectWindow]) -> None:
    batches = WindowBatches(mixed, [(textured((200, 220), 1, 9), None)], 4, 0.3, seed=0, length=50, donors=True)
    plain = make_batches(mixed, paired=0.3)
    for step in range(15):
        batch = batches[step]
        assert batch["donor"].shape == batch["real"].shape
        for donor, mask in zip(batch["donor"], batch["fake_mask"], strict=True):
            inside, away = mask > 0, cv2.dilate(mask, np.ones((5, 5), np.uint8)) == 0
            assert np.median(donor[inside]) < 0.75 * np.median(donor[away])  # the defects are half as bright
        for key, value in plain[step].items():
            np.testing.assert_array_equal(batch[key], value)  # asking for donors changes nothing else


def test_the_odds_of_shapes_and_classes_give_every_class_the_same_share(mixed: list[DefectWindow]) -> None:
    batches = make_batches(mixed)
    shares = Counter()
    for shape, probability in zip(batches.shapes, batches.shape_probabilities, strict=True):
        weights = batches.class_weights[shape]
        for index, weight in weights.items():
            shares[index] += probability * batches.batch_sizes[shape] * weight / sum(weights.values())
    assert len(shares) == 2 and shares[0] == pytest.approx(shares[1])


def test_clean_images_are_the_backgrounds_where_there_are_any() -> None:
    clean = textured((50, 60), seed=5)
    dataset = Memory(
        [(textured((50, 60)), with_box((50, 60), (5, 5, 4, 8)), "a"), (clean, np.zeros((50, 60), np.uint8), "b")]
    )
    backgrounds = load_backgrounds(dataset, dataset.records)
    assert len(backgrounds) == 1 and backgrounds[0][1] is None
    np.testing.assert_array_equal(backgrounds[0][0], clean)
    assert backgrounds[0][0] is backgrounds[0][0]  # kept, not read again


def test_clean_images_beyond_the_cache_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.windows.CACHE_BYTES", 1)
    clean = [textured((50, 60), seed=seed) for seed in (5, 6)]
    dataset = Memory([(image, np.zeros((50, 60), np.uint8), "b") for image in clean])
    backgrounds = load_backgrounds(dataset, dataset.records)
    for _ in range(2):
        for index in (1, 0):
            np.testing.assert_array_equal(backgrounds[index][0], clean[index])
    assert list(backgrounds.cache) == [1]  # type: ignore[attr-defined]


def test_windows_are_cut_where_the_data_set_allows() -> None:
    defects = defects_of([(textured((200, 400)), with_box((200, 400), (90, 150, 9, 12)), "a")])
    image = np.full((200, 400, 1), 5, np.uint8)  # black, but for steel in the right half
    image[:, 200:] = 120
    region = image[:, :, 0] > 50
    batches = make_batches(defects, [(image, region)], paired=0.0)
    clean = [window for step in range(12) for window in batches[step]["clean"]]
    dark = np.array([(window < 50).mean() for window in clean])
    assert (dark <= 0.03).mean() > 0.9
    anywhere = make_batches(defects, [(image, None)], paired=0.0)
    assert any((window < 50).mean() > 0.5 for step in range(12) for window in anywhere[step]["clean"])


def test_without_clean_images_the_clean_parts_of_defective_ones_serve() -> None:
    image, mask = textured((80, 90)), with_box((80, 90), (30, 30, 6, 8))
    image[mask > 0] = 0
    large = with_box((80, 90), (5, 10, 60, 62))
    dataset = Memory([(image, mask, "a"), (textured((80, 90)), large, "b")])
    (filled, region), *others = load_backgrounds(dataset, dataset.records)
    assert filled.min() > 60 and filled.shape == (80, 90, 1) and region is None
    # The second shows a defect that covers half of it: what lies beside may be cut.
    ((image, region),) = others
    assert region is not None and not region[large > 0].any() and 0.3 < region.mean() < 0.7


def test_data_without_a_defect_or_without_a_background_is_refused() -> None:
    with pytest.raises(DataError, match="no defect to learn from"):
        make_batches([])
    dataset = Memory([(textured((80, 90)), with_box((80, 90), (5, 5, 70, 80)), "b")])
    with pytest.raises(DataError, match="no clean image"):
        load_backgrounds(dataset, dataset.records)


def test_images_smaller_than_a_window_are_told_of_and_work() -> None:
    small = textured((20, 50)), with_box((20, 50), (5, 5, 4, 8)), "a"
    with pytest.warns(UserWarning, match="1 images are smaller than a window of 32 pixels"):
        (window,) = defects_of([small, (textured((90, 90)), np.zeros((90, 90), np.uint8), "b")])
    assert window.shape == (32, 32) and make_batches([window])[0]["real"].shape[1:3] == (32, 32)
