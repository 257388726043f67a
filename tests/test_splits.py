"""Three-way splits, folds, near-duplicates, and the command that writes them."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albu_gan.data import DataError, DefectDataset, Record, open_dataset
from training.datasets import NearDuplicates, Split, k_folds, leaks, split_by_group, with_validation
from training.datasets.__main__ import main

quick = settings(max_examples=15, deadline=None)
SIDES = ("train", "validation", "held_out")
# Each class in three groups or more, groups shared between classes.
classes_by_groups = st.lists(st.lists(st.integers(0, 14), min_size=4, max_size=9, unique=True), min_size=1, max_size=3)


def make_records(groups: list[tuple[str, set[int]]]) -> list[Record]:
    return [Record(f"{i}", Path(f"{i}"), None, group, frozenset(classes)) for i, (group, classes) in enumerate(groups)]


def records_of(groups_of: list[list[int]], clean: int = 6) -> list[Record]:
    images = [(f"g{group}", {index}) for index, groups in enumerate(groups_of) for group in groups]
    return make_records([*images, *((f"clean{i}", set()) for i in range(clean))])


def groups_on(records: list[Record], split: Split, side: str, index: int) -> set[str]:
    return {r.group for r in split.select(records, side) if index in r.classes}


@pytest.mark.filterwarnings("ignore:validation has no")  # classes that share groups may leave no way
@quick
@given(classes_by_groups, st.floats(0.3, 0.9), st.integers(0, 5))
def test_validation_comes_out_of_training_alone(groups_of: list[list[int]], fraction: float, seed: int) -> None:
    records = records_of(groups_of)
    names = [f"class {i}" for i in range(len(groups_of))]
    two = split_by_group(records, names, fraction, seed)
    three = split_by_group(records, names, fraction, seed, fraction / 3)
    assert three.held_out == two.held_out and two.validation == ()
    assert set(three.train) | set(three.validation) == set(two.train) and not set(three.train) & set(three.validation)
    assert three == split_by_group(records[::-1], names, fraction, seed, fraction / 3)
    selected = [r for side in SIDES for r in three.select(records, side)]
    assert sorted(selected, key=lambda r: int(r.name)) == records


@quick
@given(st.lists(st.integers(3, 9), min_size=1, max_size=5), st.floats(0.2, 0.9), st.integers(0, 5))
def test_a_class_of_three_groups_is_on_all_three_sides(sizes: list[int], fraction: float, seed: int) -> None:
    records = records_of([[100 * index + i for i in range(size)] for index, size in enumerate(sizes)])
    names = [f"class {i}" for i in range(len(sizes))]
    split = split_by_group(records, names, fraction, seed, fraction / 4)
    for index in range(len(sizes)):
        assert all(groups_on(records, split, side, index) for side in SIDES)


def test_a_class_of_two_groups_is_missed_in_validation_with_a_warning() -> None:
    records = records_of([[0, 1], [10, 11, 12, 13, 14, 15]])
    with pytest.warns(UserWarning, match="validation has no rare: there are too few"):
        split = split_by_group(records, ("rare", "common"), 0.5, 0, 0.2)
    assert groups_on(records, split, "train", 0) and groups_on(records, split, "held_out", 0)
    assert all(groups_on(records, split, side, 1) for side in SIDES)


def test_validation_comes_near_its_share() -> None:
    records = records_of([list(range(100)), list(range(100, 140))], clean=60)
    split = split_by_group(records, ("a", "b"), 0.6, 0, 0.2)
    assert [len(getattr(split, side)) for side in SIDES] == [80, 40, 80]
    assert len(groups_on(records, split, "validation", 1)) == pytest.approx(8, abs=2)


def test_sides_and_fractions_are_checked() -> None:
    records = records_of([[0, 1, 2]])
    split = split_by_group(records, ("a",), 0.5, 0)
    with pytest.raises(ValueError, match="side must be one of"):
        split.select(records, "test")
    for fraction in (-0.1, 0.5, 2, float("nan")):
        with pytest.raises(DataError, match="validation_fraction must be"):
            split_by_group(records, ("a",), 0.5, 0, fraction)
    few = records_of([[0, 1]], clean=0)
    with pytest.warns(UserWarning, match="validation has no a"):
        assert not with_validation(split_by_group(few, ("a",), 0.5, 0), few, ("a",), 0.9, 0).validation


@quick
@given(st.lists(st.integers(3, 9), min_size=1, max_size=5), st.integers(2, 3), st.integers(0, 5))
def test_every_group_is_held_out_once_and_every_class_is_on_both_sides(sizes: list[int], folds: int, seed: int) -> None:
    records = records_of([[100 * index + i for i in range(size)] for index, size in enumerate(sizes)])
    names = [f"class {i}" for i in range(len(sizes))]
    splits = k_folds(records, names, folds, seed)
    assert len(splits) == folds and splits == k_folds(records[::-1], names, folds, seed)
    assert sorted(g for split in splits for g in split.held_out) == sorted({r.group for r in records})
    for split in splits:
        assert set(split.train) | set(split.held_out) == {r.group for r in records}
        assert not set(split.train) & set(split.held_out)
        for index, size in enumerate(sizes):
            held_out = groups_on(records, split, "held_out", index)
            assert len(held_out) in (size // folds, -(-size // folds)) and groups_on(records, split, "train", index)


def test_folds_of_groups_with_several_classes_and_with_validation() -> None:
    rng = np.random.default_rng(0)
    images = [(f"g{i % 40}", set(rng.choice(4, 2).tolist())) for i in range(120)]
    records = make_records(images)
    for split in k_folds(records, "abcd", 5, 0, 0.2):
        assert len(split.held_out) == pytest.approx(8, abs=3) and len(split.validation) == pytest.approx(8, abs=3)
        assert all(groups_on(records, split, side, index) for side in SIDES for index in range(4))


def test_folds_that_cannot_be_are_refused_by_name() -> None:
    records = records_of([[0, 1, 2, 3], [4, 5]])
    with pytest.raises(DataError, match=r"class 'pit' is in 2 group\(s\); 4 folds need at least 4"):
        k_folds(records, ("scratch", "pit"), 4, 0)
    with pytest.raises(DataError, match="at least two folds"):
        k_folds(records, ("scratch", "pit"), 1, 0)
    pairs = [("a", "b"), ("b", "c"), ("a", "c")]
    with pytest.raises(DataError, match="no 2 folds were found"):
        k_folds(make_records([(group, {c}) for c, pair in enumerate(pairs) for group in pair]), "xyz", 2, 0)


class Pictures(DefectDataset):
    class_names, channels, licence, source = ("pit",), 1, "", ""

    def __init__(self, images: list[tuple[str, np.ndarray]]) -> None:
        self.images = [image for _, image in images]
        self.records = [Record(str(i), Path(str(i)), None, group, frozenset()) for i, (group, _) in enumerate(images)]

    def read_image(self, record: Record) -> np.ndarray:
        return self.images[int(record.name)]

    def read_mask(self, record: Record, image_hw: tuple[int, int]) -> np.ndarray:
        raise NotImplementedError


def surface(seed: int, size: tuple[int, int] = (200, 300)) -> np.ndarray:
    """A made-up surface: grain on shade that all of them share."""
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(0, 1, size).astype(np.float32), (0, 0), 3)
    return (120 + 60 * np.linspace(-1, 1, size[1]) + 250 * grain).clip(0, 255).astype(np.uint8)[:, :, None]


def as_photographed(image: np.ndarray, seed: int) -> np.ndarray:
    """Another exposure, another crop, noise."""
    rng = np.random.default_rng(seed)
    top, left = rng.integers(0, 10, 2)
    crop = image[top : 200 - rng.integers(0, 10), left : 300 - rng.integers(0, 10)].astype(float)
    return (rng.uniform(0.5, 1.3) * crop + rng.normal(0, 3, crop.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("strangers", [3, 80])
def test_photographs_of_one_surface_are_found_across_sides_and_others_are_not(strangers: int) -> None:
    images = [(f"part{i}", surface(i)) for i in range(2 * strangers)]
    twins = [("twin a", as_photographed(surface(0), 1)), ("twin b", as_photographed(surface(1), 2))]
    dataset = Pictures([*images, *twins])
    train = tuple(f"part{i}" for i in range(strangers))
    rest = tuple(f"part{i}" for i in range(strangers, 2 * strangers))
    split = Split(train, (*rest, "twin a"), ("twin b",))
    found = leaks(dataset, split, progress=False)
    pairs = {(leak.first, leak.second, leak.sides) for leak in found}
    twin_a, twin_b = str(2 * strangers), str(2 * strangers + 1)
    assert pairs == {("0", twin_a, ("train", "held_out")), ("1", twin_b, ("train", "validation"))}
    assert [leak.similarity for leak in found] == sorted((leak.similarity for leak in found), reverse=True)
    assert leaks(dataset, Split((*train, "twin a", "twin b"), rest), progress=False) == []


def test_flat_images_and_a_fixed_camera_are_no_leaks() -> None:
    flat = np.full((60, 80, 1), 128, np.uint8)
    dataset = Pictures([("a", flat), ("b", flat)])
    assert leaks(dataset, Split(("a",), ("b",)), progress=False) == []
    scene = surface(0).astype(float)
    images = []
    for index in range(60):  # half of the texture is the machine's, seen in every image
        part = surface(100 + index).astype(float)
        images.append((f"part{index}", (0.5 * scene + 0.5 * part).astype(np.uint8)))
    dataset = Pictures([*images, ("twin", images[0][1])])
    split = Split(tuple(f"part{i}" for i in range(30)), (*(f"part{i}" for i in range(30, 60)), "twin"))
    assert [(leak.first, leak.second) for leak in leaks(dataset, split, progress=False)] == [("0", "60")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images each of seven parts; an eighth is the first one again."""
    root = tmp_path / "data"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    (root / "classes.txt").write_text("pit\nscratch\n")
    for part in range(8):
        for number in range(2):
            image = surface(10 * (part % 7) + number)
            cv2.imwrite(str(root / "images" / f"part{part}_{number}.png"), image)
        mask = np.zeros((200, 300), np.uint8)
        mask[20:40, 30:60] = part % 2 + 1
        cv2.imwrite(str(root / "masks" / f"part{part}_0.png"), mask)
    return root


def flags(folder: Path, out: Path, *more: str) -> list[str]:
    data = ["--data", str(folder), "--format", "folder", "--group-pattern", r"part\d", "--out", str(out)]
    return ["split", *data, *more]


def test_the_command_writes_a_split_and_warns_of_leaks(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leaking = 0
    for seed in range(3):
        out = tmp_path / f"out{seed}"
        assert main(flags(folder, out, "--seed", str(seed), "--validation-fraction", "0.2")) == 0
        captured = capsys.readouterr()
        content = json.loads((out / "split.json").read_text())
        sides = content["sides"]
        assert sorted(g for side in SIDES for g in sides[side]["groups"]) == [f"part{i}" for i in range(8)]
        assert len(sides["held_out"]["groups"]) == 4
        for side in SIDES:
            names = [f"{group}_{i}" for group in sides[side]["groups"] for i in range(2)]
            assert sides[side]["files"] == names and sides[side]["clean_images"] == len(names) // 2
            for index, name in enumerate(("pit", "scratch")):
                count = sum(int(group[4:]) % 2 == index for group in sides[side]["groups"])
                assert sides[side]["classes"][name] == {"images": count, "groups": count} and count
        where = {group: side for side in SIDES for group in sides[side]["groups"]}
        pairs = {tuple(sorted(leak["files"])) for leak in content["leaks"]}
        expected = {("part0_0", "part7_0"), ("part0_1", "part7_1")} if where["part0"] != where["part7"] else set()
        assert pairs == expected and ("look the same" in captured.err) == bool(expected)
        assert "scratch" in captured.out and str(out / "split.json") in captured.out
        assert [path.name for path in out.iterdir()] == ["split.json"]
        leaking += bool(expected)
    assert leaking


def test_the_command_writes_folds(folder: Path, tmp_path: Path) -> None:
    assert main(flags(folder, tmp_path / "out", "--folds", "4")) == 0
    contents = [json.loads((tmp_path / "out" / f"split-{i}.json").read_text()) for i in range(4)]
    assert [c["fold"] for c in contents] == [0, 1, 2, 3]
    assert sorted(g for c in contents for g in c["sides"]["held_out"]["groups"]) == [f"part{i}" for i in range(8)]


def test_what_cannot_be_split_or_written_is_one_line_and_status_1(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for argv in (
        flags(folder, tmp_path / "out", "--folds", "6"),
        flags(folder, tmp_path / "out", "--train-fraction", "1.5"),
        flags(folder / "nowhere", tmp_path / "out"),
        flags(folder, tmp_path / "file" / "out"),
        flags(folder, tmp_path / "out", "--groups", str(tmp_path / "none.csv")),
    ):
        assert main(argv) == 1
        *found, message = capsys.readouterr().err.splitlines()
        assert message.startswith("error: ") and len(found) <= 1, "what was found, and the error"
    assert not (tmp_path / "out" / "split.json").exists()
    (tmp_path / "out2" / "split.json").mkdir(parents=True)
    assert main(flags(folder, tmp_path / "out2")) == 1
    assert [path.name for path in (tmp_path / "out2").iterdir()] == ["split.json"]  # nothing half written


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_may_not_be_written_is_an_error(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o500)
    assert main(flags(folder, out)) == 1


def test_an_interrupt_is_status_130(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("training.datasets.__main__.NearDuplicates", interrupt)
    assert main(flags(folder, tmp_path / "out")) == 130


DATA = Path(os.environ.get("ALBU_GAN_DATA", ""))
real = pytest.mark.skipif("ALBU_GAN_DATA" not in os.environ, reason="ALBU_GAN_DATA names no folder of data sets")


@real
def test_a_division_of_the_real_tiles_by_image_leaks_and_one_by_tile_does_not() -> None:
    dataset = open_dataset("magnetic-tile", DATA / "magnetic_tile")
    duplicates = NearDuplicates(dataset, progress=False)
    by_tile = split_by_group(dataset.records, dataset.class_names, 0.5, 0)
    assert len(duplicates.across(by_tile)) <= 2
    tiles = {record.name: record.group for record in dataset.records}
    images = [dataclasses.replace(record, group=record.name) for record in dataset.records]
    by_image = split_by_group(images, dataset.class_names, 0.5, 0)
    duplicates.records = images
    found = duplicates.across(by_image)
    assert len({leak.second for leak in found}) > 0.8 * len(by_image.held_out)
    assert sum(tiles[leak.first] != tiles[leak.second] for leak in found) <= 2
