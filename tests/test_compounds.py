"""Compounds: touching labels of several classes are found, kept, painted as one and labelled part by part."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from albu_gan import BatchDefectInpaint, DefectBank, DefectInpainter, GANDefectInpaint, WeightsError
from albu_gan.app.exemplars import choose, gallery
from albu_gan.app.scene import Setting
from albu_gan.cli import main
from albu_gan.defects import Collected, DefectSampler, Shape, class_probabilities, collect, dress, jitter_shape
from albu_gan.defects.collect import Annotated, annotated_images, components
from albu_gan.defects.donors import decode, encode, frame_of
from albu_gan.defects.touching import find_labels, joined_labels, without_small_parts
from albu_gan.hub import BANK, COMPOUND_TENSORS, find_weights
from albu_gan.painting import Draw, Parts, Patch, contrast, paste, patches_from_text, patches_to_text

NAMES = ["bright", "dark", "pit", "never"]
BRIGHT, DARK, PIT, NEVER = range(4)
ALL = range(4)


def scene(seed: int, channels: int = 1, alone: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """A bright bar beside a dark one, and, apart from them, a bright bar and a pit."""
    rng = np.random.default_rng(seed)
    image, mask = 120 + 3 * rng.standard_normal((110, 130, channels)), np.zeros((110, 130), np.uint8)
    mask[30:42, 30:64] = 1 + BRIGHT
    mask[42:56, 30:64] = 1 + DARK
    if alone:
        mask[80:92, 60:100] = 1 + BRIGHT
        mask[80:92, 20:32] = 1 + PIT
    for value, level in ((BRIGHT, 80), (DARK, -60), (PIT, -40)):
        image[mask == 1 + value] += level
    image = np.clip(image, 0, 255).astype(np.uint8)
    return (image[:, :, 0] if channels == 1 else image), mask


def samples(alone: bool = True, channels: int = 1) -> Iterator[Annotated]:
    """Four of them."""
    return (Annotated(str(seed), *scene(seed, channels, alone), seed) for seed in range(4))


@pytest.fixture(scope="module")
def found() -> Collected:
    return collect(samples())


@pytest.fixture(scope="module")
def bank(found: Collected) -> DefectBank:
    return found.bank(NAMES)


@pytest.fixture(scope="module")
def painter(bank: DefectBank) -> DefectInpainter:
    return DefectInpainter.from_bank(bank, NAMES)


@pytest.fixture(scope="module")
def folder(painter: DefectInpainter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compounds") / "weights"
    painter.save_pretrained(path)
    return path


def clean(shape: tuple[int, ...] = (200, 220), dtype: Any = np.uint8) -> np.ndarray:
    rng = np.random.default_rng(5)
    levels = np.clip(125 + 3 * rng.standard_normal(shape), 0, 255).astype(np.uint8)
    return levels if dtype == np.uint8 else (levels / np.float32(255)).astype(np.float32)


def pair(first: tuple[slice, slice], second: tuple[slice, slice]) -> np.ndarray:
    """A mask of two labels, the second over the first."""
    mask = np.zeros((60, 60), np.uint8)
    mask[first], mask[second] = 1, 2
    return mask


def groups(mask: np.ndarray) -> list[list[int]]:
    return joined_labels(*find_labels(mask))


@pytest.mark.parametrize(
    ("mask", "wanted"),
    [
        (pair(np.s_[10:20, 10:40], np.s_[20:30, 10:40]), [[1, 2]]),  # side by side
        (pair(np.s_[10:20, 10:20], np.s_[5:40, 20:50]), [[1, 2]]),  # one of them alone is cut
        (pair(np.s_[10:40, 10:40], np.s_[20:30, 20:30]), [[1, 2]]),  # one in the other
        (pair(np.s_[10:14, 5:30], np.s_[10:14, 30:55]), [[1], [2]]),  # end to end
        (pair(np.s_[5:55, 30:33], np.s_[30:33, 5:55]), [[1], [2]]),  # crossing
        (pair(np.s_[10:20, 10:40], np.s_[21:30, 10:40]), [[1], [2]]),  # a pixel apart
        (pair(np.s_[10:30, 10:40], np.s_[30:32, 10:12]), [[1]]),  # a slip of the brush
        (np.zeros((9, 9), np.uint8), []),
    ],
)
@pytest.mark.parametrize("turn", [0, 1])
def test_labels_that_are_cut_are_joined(mask: np.ndarray, wanted: list[list[int]], turn: int) -> None:
    assert groups(np.rot90(mask, turn)) == wanted


def test_labels_of_one_class_are_joined_through_another() -> None:
    mask = np.zeros((60, 60), np.uint8)
    mask[10:20, 10:50], mask[20:28, 10:50], mask[28:38, 10:50] = 1, 2, 1
    assert groups(mask) == [[1, 2, 3]]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_every_label_is_in_one_group_and_nothing_cuts_a_group(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, classes + 1, (7, 9)) * (rng.random((7, 9)) < 0.7)
    mask = np.kron(small, np.ones((4, 4), int))
    numbers, labels = find_labels(mask)
    joined = joined_labels(numbers, labels)
    assert sorted(number for group in joined for number in group) == list(range(1, len(labels) + 1))
    for group in joined:
        own = np.isin(numbers, group)
        outline = (cv2.dilate(own.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~own
        assert (outline & (numbers > 0)).sum() <= 0.25 * outline.sum()
        assert len(group) == 1 or len({labels[number - 1].class_index for number in group}) > 1
    for (class_index, own, box), label in zip(components(mask), labels, strict=True):
        assert (class_index, box) == (label.class_index, label.box)
        assert own.sum() == label.area and (mask[own] == class_index + 1).all()


def test_touching_labels_are_one_donor_and_the_parts_are_its_labels(found: Collected) -> None:
    assert not found.left_out and len(found.shapes) == 12
    for number, (shape, donor) in enumerate(zip(found.shapes, found.donors, strict=True)):
        parts, (x, y), (h, w) = donor.appearance.parts, donor.appearance.offset_xy, shape.mask.shape
        if parts is None:
            assert shape.class_index in (BRIGHT, PIT)
            continue
        mask = scene(found.groups[number])[1]  # type: ignore[arg-type]
        assert np.array_equal(parts.class_map()[y : y + h, x : x + w], mask[30:56, 30:64])
        assert np.array_equal(parts.numbers > 0, donor.appearance.mask)
        assert shape.class_index == DARK, "it is the larger one"
        assert not donor.traits.inventable and not donor.traits.solid
    assert sum(donor.appearance.parts is not None for donor in found.donors) == 4


def test_small_gaps_between_the_parts_are_theirs() -> None:
    image, mask = scene(0)
    for gap in (np.s_[42, 33:40], np.s_[36:38, 50:52], np.s_[46:52, 50:56], np.s_[50:56, 40]):
        mask[gap] = 0  # a slit between both, a hole in one; one too large, and one that is open
    mask[46:48, 36:38] = 1 + PIT  # a slip of another class
    mask[49:52, 44:47] = 1 + PIT  # a label of its own
    (number,) = (n for n, d in enumerate(collect([Annotated("a", image, mask, 0)]).donors) if d.appearance.parts)
    found = collect([Annotated("a", image, mask, 0)])
    parts, (x, y) = found.donors[number].appearance.parts, found.donors[number].appearance.offset_xy
    assert parts is not None
    labels = parts.class_map()[y : y + 26, x : x + 34]
    wanted = mask[30:56, 30:64].copy()
    wanted[6:8, 20:22], wanted[16:18, 6:8] = 1 + BRIGHT, 1 + DARK
    assert (labels[12, 3:10] > 0).all()
    wanted[12, 3:10] = labels[12, 3:10]
    wanted[wanted == 1 + PIT] = labels[19:22, 14:17].ravel()
    assert np.array_equal(labels, wanted) and len(set(labels[19:22, 14:17].ravel())) == 1


def test_without_compounds_each_label_is_judged_by_itself() -> None:
    found = Collected(compounds=False)
    for sample in samples():
        found.add(sample)
    assert {entry.kind for entry in found.left_out} == {"cut by a neighbour"} and len(found.left_out) == 8
    assert all(donor.appearance.parts is None for donor in found.donors)


def test_a_compound_that_is_too_large_leaves_its_parts_to_be_judged_by_themselves() -> None:
    image, mask = np.full((40, 60), 120, np.uint8), np.zeros((40, 60), np.uint8)
    mask[3:23, 3:57], mask[23:37, 3:57] = 1, 2
    image[mask == 1], image[mask == 2] = 200, 40
    found = collect([Annotated("a", image, mask, 0)])
    assert [entry.class_index for entry in found.left_out] == [0, 1]
    assert {entry.kind for entry in found.left_out} == {"cut by a neighbour"}


def test_a_compound_of_more_parts_than_can_be_numbered_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("albu_gan.defects.touching.MAX_PARTS", 1)
    assert len(collect(samples()).left_out) == 8


def test_compounds_say_nothing_of_a_class_that_others_speak_for(found: Collected) -> None:
    alone = [n for n, donor in enumerate(found.donors) if donor.appearance.parts is None]
    lists = (found.shapes, found.donors, found.evidence, found.groups)
    kept = Collected(*([values[n] for n in alone] for values in lists))  # type: ignore[attr-defined]
    assert found.bank(NAMES).formulas[BRIGHT] == kept.bank(NAMES).formulas[BRIGHT]
    only = collect(samples(alone=False)).bank(NAMES)
    assert len(only.formulas) == 4 and only.compounds == [0, 1, 2, 3]


@pytest.mark.parametrize("channels", [1, 3])
def test_parts_survive_encoding_and_lies_are_refused(channels: int) -> None:
    found = collect(samples(channels=channels))
    number = next(n for n, donor in enumerate(found.donors) if donor.appearance.parts is not None)
    appearance, mask = found.donors[number].appearance, found.shapes[number].mask
    assert appearance.parts is not None
    again = decode(encode(appearance), frame_of(appearance), mask).parts
    assert again is not None and again.classes == appearance.parts.classes
    assert np.array_equal(again.numbers, appearance.parts.numbers)
    numbers = appearance.parts.numbers
    for lie in (numbers * 0, numbers + 1, numbers * 2, np.minimum(numbers, 1), np.where(numbers == 1, 0, numbers)):
        lying = replace(appearance, parts=replace(appearance.parts, numbers=lie.astype(np.uint8)))
        with pytest.raises(ValueError, match="parts of a compound"):
            decode(encode(lying), frame_of(lying), mask)
    with pytest.raises(ValueError, match="other than"):
        decode(encode(replace(appearance, parts=None)), frame_of(appearance), mask)


def test_a_compound_belongs_to_all_its_classes_where_all_of_them_are_painted(bank: DefectBank) -> None:
    assert len(bank) == 12 and len(bank.compounds) == 4
    assert bank.counts() == [4, 0, 4, 0]
    assert bank.counts(ALL) == bank.counts([BRIGHT, DARK]) == [8, 4, 4, 0]
    assert bank.counts([BRIGHT, PIT]) == bank.counts([DARK]) == [4, 0, 4, 0]
    for index in bank.compounds:
        assert bank.classes_of(index) == (BRIGHT, DARK) and bank.class_of(index) == DARK
        assert index in bank.members(DARK, ALL) and index in bank.members(BRIGHT, ALL)
        assert bank.alike(index) == []
    for index in bank.members(BRIGHT):
        assert not set(bank.alike(index)) & set(bank.compounds)
    for painted in ((), ALL):
        for index in (BRIGHT, DARK):
            seen, _ = bank.surroundings_of_class(index, painted)
            assert len(seen) == len(bank.members(index, painted))


def test_a_bank_with_compounds_survives_file_and_pickle(bank: DefectBank, folder: Path) -> None:
    for again in (DefectBank.load(folder / BANK, 4), pickle.loads(pickle.dumps(bank))):
        assert again.counts(ALL) == bank.counts(ALL) and again.compounds == bank.compounds
        for index in range(len(bank)):
            one, two = again.appearance(index).parts, bank.appearance(index).parts
            assert (one is None) == (two is None) == (not bank.is_compound(index))
            if one is not None and two is not None:
                assert one.classes == two.classes and np.array_equal(one.numbers, two.numbers)


def test_classes_are_numbered_anew_and_shapes_alone_are_of_one_class(bank: DefectBank) -> None:
    turned = bank.of_classes([DARK, BRIGHT])
    assert turned.counts(range(2)) == [4, 8] and turned.class_of(turned.compounds[0]) == 0
    parts, own = (b.appearance(b.compounds[0]).parts for b in (turned, bank))
    assert parts is not None and own is not None
    renamed = np.array([0, 2, 1])[own.class_map()]  # bright was the first
    assert np.array_equal(parts.class_map(), renamed)
    assert bank.of_classes([BRIGHT, PIT]).compounds == []
    assert bank.of_classes([DARK, BRIGHT]).to_tensors()["part_class"].max() == 1
    assert bank.shapes_alone().counts() == bank.counts() == bank.shapes_alone().counts(ALL)


def test_a_bank_without_compounds_is_written_as_before(bank: DefectBank) -> None:
    assert not set(COMPOUND_TENSORS) & set(bank.of_classes([BRIGHT, PIT]).to_tensors())
    assert set(COMPOUND_TENSORS) <= set(bank.to_tensors())


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("part_counts", lambda a: a + 1, "parts of compounds"),
        ("part_counts", lambda a: -a, "parts of compounds"),
        ("part_counts", lambda a: a * 1000, "parts of compounds"),
        ("part_counts", lambda a: a[::-1], "parts of a compound|other than|one class"),
        ("part_counts", lambda a: a[:-1], "disagree"),
        ("part_counts", lambda a: a.astype(np.int64), "must be I32"),
        ("part_class", lambda a: a[:-1], "parts of compounds"),
        ("part_class", lambda a: a * 0, "holds one class"),
        ("part_class", lambda a: a + 2, "not the one that it is of"),
        ("part_class", lambda a: a + 3, "is not among the 4 classes"),
        ("part_class", lambda a: a - 1, "is not among the 4 classes"),
        ("part_class", lambda a: np.repeat(a, 2), "parts of compounds"),
        ("part_class", None, "all of"),
        ("encoded", None, "all of"),
    ],
)
def test_a_file_that_lies_about_parts_is_one_clear_error(
    folder: Path, tmp_path: Path, name: str, change: Any, said: str
) -> None:
    GANDefectInpaint(str(folder)).save_pretrained(tmp_path / "weights")
    tensors = load_file(tmp_path / "weights" / BANK)
    if change is None:
        del tensors[name]
    else:
        tensors[name] = np.ascontiguousarray(change(tensors[name]))
    save_file(tensors, tmp_path / "weights" / BANK)
    with pytest.raises(WeightsError, match=said) as error:
        transform = GANDefectInpaint(str(tmp_path / "weights"), p=1.0, classes=["bright", "dark"])
        transform.set_random_seed(0)
        for _ in range(20):
            transform(image=clean())
    assert BANK in str(error.value) and "\n" not in str(error.value)


def patch_of(seed: int, channels: int) -> tuple[Patch, Parts]:
    rng = np.random.default_rng(seed)
    mask = rng.random((17, 23)) < 0.8
    numbers = np.where(mask, rng.integers(1, 4, mask.shape), 0).astype(np.uint8)
    residual = rng.normal(0, 0.3, (*mask.shape, channels)).astype(np.float32) * mask[:, :, None]
    return Patch(5, 9, mask, residual, 0), Parts(numbers, (1, 0, 1))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(("shape", "channels"), [((40, 50), 1), ((40, 50, 3), 3), ((40, 50, 1), 3), ((41, 53, 5), 1)])
@pytest.mark.parametrize("seed", range(3))
def test_parts_paint_to_the_bit_what_the_whole_paints(
    dtype: Any, shape: tuple[int, ...], channels: int, seed: int
) -> None:
    patch, parts = patch_of(seed, channels)
    image, covered = clean(shape, dtype), np.zeros(shape[:2], int)
    whole, split = image.copy(), image.copy()
    paste(whole, patch)
    for part in parts.split(patch):
        paste(split, part)
        h, w = part.mask.shape
        covered[part.top : part.top + h, part.left : part.left + w] += part.mask
        assert part.mask.any(0)[[0, -1]].all() and part.mask.any(1)[[0, -1]].all()
        assert not part.residual[~part.mask].any()
    assert np.array_equal(whole, split)
    assert np.array_equal(covered[5:22, 9:32], patch.mask) and covered.sum() == patch.mask.sum()
    again = patches_from_text(patches_to_text(parts.split(patch)))
    for one, two in zip(again, parts.split(patch), strict=True):
        assert one.class_index == two.class_index and np.array_equal(one.residual, two.residual)


def test_parts_too_small_for_a_label_are_their_neighbours() -> None:
    numbers = np.ones((9, 12), np.uint8)
    numbers[:, 6:], numbers[0, 0:3], numbers[8, 11] = 2, 3, 4
    mask = np.ones(numbers.shape, bool)
    mask[4, 4] = False
    kept = without_small_parts(numbers, mask)
    assert set(np.unique(kept)) == {0, 1, 2} and np.array_equal(kept > 0, mask)
    assert (kept[0, :3] == 1).all() and kept[8, 11] == 2
    few = np.array([[1, 1, 2]], np.uint8)
    assert np.array_equal(without_small_parts(few, np.ones((1, 3), bool)), [[1, 1, 1]])


def signed(image: np.ndarray, before: np.ndarray) -> np.ndarray:
    """1 + class that a pixel plainly shows, of those of a compound; 0 where that is not plain."""
    change = (image.astype(int) - before).reshape(*before.shape[:2], -1).mean(axis=2)
    return np.where(change > 35, 1 + BRIGHT, np.where(change < -25, 1 + DARK, 0))


def agreement(shown: np.ndarray, mask: np.ndarray) -> float:
    """Share of the pixels that plainly show a class and are labelled so."""
    plain = shown > 0
    return float((shown == mask)[plain].mean())


@pytest.mark.parametrize("scale", [0.4, 1.0, 1.7])
@pytest.mark.parametrize("variation", [0.0, 0.5, 1.0])
def test_every_label_is_where_its_pixels_are(painter: DefectInpainter, scale: float, variation: float) -> None:
    bank, image = painter.bank, clean()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        index = bank.compounds[seed % 4]
        shape = dress(jitter_shape(bank[index], (scale, scale), (-180, 180), rng), bank, variation, rng)
        assert shape.parts is not None and np.array_equal(shape.parts.numbers > 0, shape.mask)
        draw = Draw(shape.mask, 40, 50, shape.class_index, np.empty(0, np.float32), None, shape.look, shape.parts)
        (patch,) = painter.paint(image, [draw])
        painted, mask = image.copy(), np.zeros(image.shape, int)
        for part in shape.parts.split(patch):
            paste(painted, part)
            h, w = part.mask.shape
            mask[part.top : part.top + h, part.left : part.left + w][part.mask] = part.class_index + 1
        shown = signed(painted, image)
        assert {1 + BRIGHT, 1 + DARK} <= set(np.unique(shown))
        assert agreement(shown, mask) > 0.97


def labelled_right(out: dict[str, Any], before: np.ndarray) -> bool:
    """Whether bright and dark pixels are labelled so; pits are dark, too."""
    shown, mask = signed(out["image"], before), np.where(out["mask"] == 1 + PIT, 1 + DARK, out["mask"])
    return agreement(shown, mask) > 0.97


@pytest.mark.parametrize("shape", [(200, 220), (200, 220, 3), (201, 223, 5)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_transform_labels_every_class_of_a_compound(folder: Path, shape: tuple[int, ...], dtype: Any) -> None:
    image = clean(shape, dtype)
    levels = clean(shape)
    transform = A.Compose(
        [GANDefectInpaint(str(folder), p=1.0, class_sampling={"dark": 1, "bright": 1e-9}, variation=0.5)], seed=3
    )
    for _ in range(4):
        out = transform(image=image, mask=np.zeros(shape[:2], np.uint8))
        assert set(np.unique(out["mask"])) == {0, 1 + BRIGHT, 1 + DARK}
        changed = (out["image"] != image).reshape(*shape[:2], -1).any(axis=2)
        assert not (changed & (out["mask"] == 0)).any()
        painted = out["image"] if dtype == np.uint8 else np.rint(255 * out["image"]).astype(np.uint8)
        assert labelled_right({**out, "image": painted}, levels)


@pytest.mark.parametrize(
    ("arguments", "compounds"),
    [
        ({}, True),
        ({"classes": ["bright", "dark"]}, True),
        ({"classes": ["bright", "pit"]}, False),
        ({"classes": ["bright", "pit"], "mask_values": {"bright": 7, "pit": 9}}, False),
        ({"class_sampling": {"bright": 1, "pit": 1}}, False),
        ({"class_sampling": "dataset"}, True),
        ({"mask_source": "both"}, True),
        ({"mask_source": "procedural"}, False),
    ],
)
def test_a_compound_is_drawn_only_where_all_its_classes_are(
    folder: Path, arguments: dict[str, Any], compounds: bool
) -> None:
    transform = GANDefectInpaint(str(folder), p=1.0, **arguments)
    transform.set_random_seed(0)
    rng = np.random.default_rng(1)
    drawn = [transform._sampler().patches(clean(), None, rng) for _ in range(40)]
    assert any(len(patches) > 1 for patches in drawn) == compounds
    assert any(patch.class_index == DARK for patches in drawn for patch in patches) == compounds
    assert all([p.class_index for p in patches] == [BRIGHT, DARK] for patches in drawn if len(patches) > 1)


@pytest.mark.parametrize("arguments", [{"classes": ["dark"]}, {"classes": ["never"]}, {"class_sampling": {"dark": 1}}])
def test_a_class_that_is_in_compounds_alone_is_as_one_without_defects(folder: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="leaves nothing to draw"):
        GANDefectInpaint(str(folder), p=1.0, **arguments)(image=clean())


@pytest.mark.parametrize("sampling", ["balanced", "dataset"])
def test_a_compound_counts_once_for_each_of_its_classes(painter: DefectInpainter, sampling: str) -> None:
    odds = class_probabilities(painter, NAMES, sampling)
    wanted = [1, 1, 1, 0] if sampling == "balanced" else [8, 4, 4, 0]
    assert list(odds.values()) == pytest.approx([w / sum(wanted) for w in wanted])


def test_a_network_is_given_no_compound(bank: DefectBank) -> None:
    class Fake:
        paints_exemplars = False

        def __init__(self) -> None:
            self.bank = bank
            self.class_names = NAMES

        def draw_latent(self, rng: np.random.Generator) -> np.ndarray:
            return rng.standard_normal(1, np.float32)

        def paint(self, image: np.ndarray, draws: Sequence[Draw]) -> list[Patch]:
            return [Patch(d.top, d.left, d.mask, d.mask[:, :, None] * np.float32(0.5), d.class_index) for d in draws]

    fake = Fake()
    odds = class_probabilities(fake, NAMES, "balanced")  # type: ignore[arg-type]
    assert odds == {BRIGHT: 0.5, DARK: 0, PIT: 0.5, NEVER: 0}
    sampler = DefectSampler(fake, odds, (1, 1), "bank", (1, 1), (0, 0), 8)
    rng = np.random.default_rng(0)
    for _ in range(40):
        (patch,) = sampler.patches(clean(), None, rng)
        assert patch.class_index in (BRIGHT, PIT)


def test_one_hot_masks_instances_boxes_and_replays_follow(folder: Path) -> None:
    image = clean()
    arguments: dict[str, Any] = {"p": 1.0, "class_sampling": {"dark": 1, "bright": 1e-9}}
    hot = GANDefectInpaint(str(folder), **arguments)
    hot.set_random_seed(1)
    out = hot(image=image, mask=np.zeros((*image.shape, 4), np.uint8))
    assert out["mask"].sum(axis=(0, 1)).astype(bool).tolist() == [True, True, False, False]
    assert agreement(signed(out["image"], image), out["mask"].argmax(2) + out["mask"].any(2)) > 0.97

    boxed = A.ReplayCompose(
        [GANDefectInpaint(str(folder), bbox_labels={n: n for n in NAMES}, masks_as="instances", **arguments)],
        bbox_params=A.BboxParams(format="pascal_voc", label_fields=["labels"]),
    )
    empty: dict[str, Any] = {"mask": np.zeros(image.shape, np.uint8), "bboxes": np.empty((0, 4)), "labels": []}
    empty["masks"] = [empty["mask"]]
    out = boxed(image=image, **empty)
    assert list(out["labels"]) == ["bright", "dark"] and len(out["masks"]) == 3
    for box, instance, value in zip(out["bboxes"], out["masks"][1:], (1 + BRIGHT, 1 + DARK), strict=True):
        assert np.array_equal(instance > 0, out["mask"] == value)
        rows, columns = np.nonzero(instance)
        wanted = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(box, wanted, atol=0.01)
    record = json.loads(json.dumps(out["replay"]))
    again = A.ReplayCompose.replay(record, image=image, **empty)
    assert np.array_equal(again["image"], out["image"]) and np.array_equal(again["mask"], out["mask"])


def test_the_whole_is_what_must_be_seen(painter: DefectInpainter) -> None:
    odds = class_probabilities(painter, NAMES, {"dark": 1, "bright": 1e-9})
    image = clean()
    for least, kept in ((8.0, True), (250.0, False)):
        sampler = DefectSampler(painter, odds, (1, 1), "bank", (1, 1), (0, 0), least)
        patches = sampler.patches(image, None, np.random.default_rng(0))
        assert (len(patches) == 2) == kept
        if kept:
            out, mask = image.copy(), np.zeros(image.shape, bool)
            for patch in patches:
                paste(out, patch)
                h, w = patch.mask.shape
                mask[patch.top : patch.top + h, patch.left : patch.left + w] |= patch.mask
            assert contrast(image, out, mask) >= least


def test_compounds_from_memory_travel_in_a_pickle() -> None:
    images, masks = zip(*(scene(seed, 3) for seed in range(3)), strict=True)
    transform = GANDefectInpaint.from_defects(images, masks, NAMES, p=1.0, class_sampling={"dark": 1, "bright": 1e-9})
    again = pickle.loads(pickle.dumps(transform))
    outs = []
    for each in (transform, again):
        each.set_random_seed(3)
        outs.append(each(image=clean((200, 220, 3)), mask=np.zeros((200, 220), np.uint8)))
    assert all(np.array_equal(outs[0][key], outs[1][key]) for key in ("image", "mask"))
    assert set(np.unique(outs[0]["mask"])) == {0, 1 + BRIGHT, 1 + DARK}


@pytest.mark.parametrize("channelled", [False, True])
def test_a_batch_labels_the_parts(folder: Path, channelled: bool) -> None:
    image = clean(dtype=np.float32)
    images = torch.from_numpy(np.stack([image] * 4))[:, None]
    masks = torch.zeros((4, 4, *image.shape) if channelled else (4, *image.shape), dtype=torch.uint8)
    module = BatchDefectInpaint(folder, p=1.0, seed=0, class_sampling={"dark": 1, "bright": 1e-9}, defects_range=(1, 2))
    painted, labelled = module(images, masks)
    assert labelled is not None
    for number in range(4):
        label = labelled[number].numpy()
        label = label.argmax(0) + label.any(0) if channelled else label
        shown = signed(np.rint(255 * painted[number, 0].numpy()).astype(np.uint8), clean())
        assert set(np.unique(label)) == {0, 1 + BRIGHT, 1 + DARK} and agreement(shown, label) > 0.97


def test_a_batch_paints_and_labels_what_the_transform_does(folder: Path) -> None:
    inpainter, image = DefectInpainter.from_pretrained(str(folder)), clean(dtype=np.float32)
    bank, rng = inpainter.bank, np.random.default_rng(0)
    shape = dress(jitter_shape(bank[bank.compounds[0]], (1, 1), (20, 20), rng), bank, 0.5, rng)
    draw = Draw(shape.mask, 40, 50, shape.class_index, np.empty(0, np.float32), None, shape.look, shape.parts)
    one, mask = image.copy(), np.zeros(image.shape, np.uint8)
    assert shape.parts is not None
    for part in shape.parts.split(inpainter.paint(image, [draw])[0]):
        paste(one, part)
        h, w = part.mask.shape
        mask[part.top : part.top + h, part.left : part.left + w][part.mask] = part.class_index + 1
    module = BatchDefectInpaint(folder, p=1.0, mask_values={"bright": 1, "dark": 2, "pit": 3, "never": 300})
    batch, labels = module(torch.from_numpy(image)[None, None], torch.zeros(1, *image.shape).int(), draws=[[draw]])
    np.testing.assert_allclose(batch[0, 0].numpy(), one, atol=1 / 255)
    assert labels is not None and np.array_equal(labels[0].numpy(), mask)


def test_a_compound_lends_its_look_only_when_it_is_asked_to(painter: DefectInpainter) -> None:
    bank, image, mask = painter.bank, clean(), np.zeros((200, 220), np.uint8)
    mask[40:66, 50:84] = 1  # as large as the compounds
    with pytest.raises(ValueError, match="no defect of this class"):
        painter(image, mask, "dark")
    shown = signed(painter(image, mask, "dark", exemplar=bank.compounds[0], variation=0), image)
    assert {1 + BRIGHT, 1 + DARK} <= set(np.unique(shown))
    for index, count in ((BRIGHT, 4), (DARK, 0)):
        assert len(gallery(painter, index, [], Setting(), 0)["tiles"]) == count
    with pytest.raises(ValueError, match="no such defect"):
        choose(Setting(), f"bank:{bank.compounds[0]}", painter, [])


def test_another_look_or_an_invented_one_is_never_drawn_for_a_compound(painter: DefectInpainter) -> None:
    bank = painter.bank
    bank = pickle.loads(pickle.dumps(bank))
    bank._traits = [replace(t, inventable=True, solid=True) for t in bank._traits]  # as a file may claim
    for seed in range(30):
        shape = dress(bank[bank.compounds[0]], bank, 1.0, np.random.default_rng(seed))
        variation = shape.look.variation  # type: ignore[union-attr]
        assert variation.other is None and variation.invented == 0


def test_a_shape_that_is_not_dressed_has_no_parts(bank: DefectBank) -> None:
    shape: Shape = jitter_shape(bank[bank.compounds[0]], (1, 1), (0, 0), np.random.default_rng(0))
    assert shape.parts is None and shape.donor is not None and bank.is_compound(shape.donor)


def write_data(root: Path) -> Path:
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    (root / "classes.txt").write_text("\n".join(NAMES) + "\n")
    for seed in range(4):
        image, mask = scene(seed)
        cv2.imwrite(str(root / "images" / f"{seed}.png"), image)
        cv2.imwrite(str(root / "masks" / f"{seed}.png"), mask)
    cv2.imwrite(str(root / "images" / "clean.png"), clean())
    cv2.imwrite(str(root / "masks" / "clean.png"), np.zeros((200, 220), np.uint8))
    return root


def test_the_commands_count_and_paint_compounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = write_data(tmp_path / "data"), tmp_path / "weights"
    assert main(["bank", str(data), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "12 defects of 4 annotated images: 8 bright, 4 dark, 4 pit" in said
    assert "4 of them are compounds" in said and "left out" not in said
    assert find_weights(str(out)).config.training["compounds"] == 4
    assert main(["info", str(out)]) == 0
    said = capsys.readouterr().out
    assert "bright (8 shapes), dark (4 shapes)" in said and "compounds: 4" in said
    made = tmp_path / "made"
    command = [
        "generate",
        "--images",
        str(data / "images"),
        "--weights",
        str(out),
        "--out",
        str(made),
        "-n",
        "6",
        "--seed",
        "1",
    ]
    assert main(command) == 0
    lines = [json.loads(line) for line in (made / "manifest.jsonl").read_text().splitlines()]
    classes = [[defect["class"] for defect in line["defects"]] for line in lines]
    assert ["bright", "dark"] in classes


def test_the_public_bank_of_gray_and_colour_paints(tmp_path: Path) -> None:
    images, masks = zip(*(scene(seed, 1 + 2 * (seed % 2)) for seed in range(4)), strict=True)
    bank = collect(annotated_images(images, masks, NAMES)).bank(NAMES)
    painter = DefectInpainter.from_bank(bank, NAMES)
    for index in bank.compounds:
        shape = dress(bank[index], bank, 0.5, np.random.default_rng(0))
        assert shape.look is not None
        residual = shape.look.paint(clean((200, 220, 3)), 10, 10)[0]
        assert residual.shape == (*shape.mask.shape, 3) and not residual[~shape.mask].any()
    painter.save_pretrained(tmp_path / "weights")
    assert DefectBank.load(tmp_path / "weights" / BANK, 4).counts(ALL) == bank.counts(ALL)
