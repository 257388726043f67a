from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albu_gan.data import DataError, LabelmeDataset, MagneticTileDataset, Record
from training.datasets import Split, k_folds, split_by_group

quick = settings(max_examples=25, deadline=None)
TILE_CLASSES = ("blowhole", "break", "crack", "fray", "uneven")
SQUARE = [[2, 3], [9, 3], [9, 12], [2, 12]]  # x and y of its corners


def polygon(label: str, points: Any = SQUARE, **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": "polygon", **more}


def write_image(path: Path, shape: tuple[int, ...] = (20, 30, 3), seed: int = 0) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    cv2.imwrite(str(path), image)
    return image


def write_labels(path: Path, shapes: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": "5", "shapes": shapes, "imagePath": "x.png"}))


@pytest.fixture
def labelme(tmp_path: Path) -> Path:
    """Three images: one with two defects, one with an empty label file, one without."""
    root = tmp_path / "labelme"
    for index, name in enumerate(("part1_a", "part1_b", "part2_a")):
        write_image(root / "images" / f"{name}.png", seed=index)
    write_labels(
        root / "labels" / "part1_a.json", [polygon("Scratch"), polygon("pit", [[20, 5], [25, 5], [25, 15], [20, 15]])]
    )
    write_labels(root / "labels" / "part1_b.json", [])
    return root


@pytest.fixture
def tiles(tmp_path: Path) -> Path:
    """Two tiles a class, and clean ones of which the first shares its tile with a crack."""
    root = tmp_path / "tiles"
    rows = ["class,file,exposure,group"]
    for number, name in enumerate(TILE_CLASSES):
        for tile in range(2):
            stem = f"exp1_num_{10 * number + tile}"
            write_image(root / f"MT_{name.capitalize()}" / "Imgs" / f"{stem}.jpg", (24, 16))
            mask = np.zeros((24, 16), np.uint8)
            mask[3:9, 4:8] = 255
            cv2.imwrite(str(root / f"MT_{name.capitalize()}" / "Imgs" / f"{stem}.png"), mask)
            rows.append(f"{name.capitalize()},{stem}.jpg,1,{name}{tile}")
    for tile, group in enumerate(("crack0", "clean1", "clean2")):
        write_image(root / "MT_Free" / "Imgs" / f"exp1_num_{90 + tile}.jpg", (24, 16))
        cv2.imwrite(str(root / "MT_Free" / "Imgs" / f"exp1_num_{90 + tile}.png"), np.full((24, 16), 255, np.uint8))
        rows.append(f"Free,exp1_num_{90 + tile}.jpg,1,{group}")
    (root / "groups.csv").write_text("\n".join(rows) + "\n")
    return root


def test_labelme_polygons_become_an_index_mask_in_alphabetical_class_order(labelme: Path) -> None:
    dataset = LabelmeDataset(labelme)
    assert dataset.class_names == ("pit", "scratch")
    assert [record.name for record in dataset.records] == ["part1_a", "part1_b", "part2_a"]
    assert [record.classes for record in dataset.records] == [frozenset({0, 1}), frozenset(), frozenset()]
    image, mask = dataset.read(dataset.records[0])
    expected = np.zeros((20, 30), np.uint8)
    expected[3:13, 2:10] = 2
    expected[5:16, 20:26] = 1
    np.testing.assert_array_equal(mask, expected)
    assert image.shape == (20, 30, 3) and image.dtype == np.uint8
    for record in dataset.records[1:]:
        assert not dataset.read(record)[1].any()
    assert dataset.clean_records(dataset.records) == dataset.records[1:]


def test_labelme_images_are_rgb_or_gray(labelme: Path) -> None:
    stored = cv2.imread(str(labelme / "images" / "part1_a.png"))
    assert stored is not None
    dataset = LabelmeDataset(labelme)
    np.testing.assert_array_equal(dataset.read_image(dataset.records[0]), stored[:, :, ::-1])
    dataset = LabelmeDataset(labelme, channels=1)
    gray = dataset.read_image(dataset.records[0])
    assert gray.shape == (20, 30, 1)
    weights = np.array([0.114, 0.587, 0.299])
    np.testing.assert_allclose(gray[:, :, 0], stored @ weights, atol=1)


def test_labelme_files_may_lie_beside_their_images(tmp_path: Path) -> None:
    write_image(tmp_path / "a.JPG")
    write_labels(tmp_path / "a.json", [polygon("pit")])
    (tmp_path / "notes.txt").write_text("no image")
    dataset = LabelmeDataset(tmp_path)
    assert [r.name for r in dataset.records] == ["a"]
    assert (dataset.read(dataset.records[0])[1] > 0).sum() == 80


def test_a_given_order_of_classes_is_kept_and_must_be_complete(labelme: Path) -> None:
    dataset = LabelmeDataset(labelme, class_names=("scratch", "pit", "dent"))
    assert dataset.read(dataset.records[0])[1][4, 3] == 1
    with pytest.raises(DataError, match=r"labels \['scratch'\] are not among the classes \['pit'\]"):
        LabelmeDataset(labelme, class_names=("pit",))


def test_a_polygon_that_leaves_the_image_is_cut_off_at_its_border(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    write_labels(tmp_path / "a.json", [polygon("pit", [[-40, 5], [90, 5], [90, 400], [-40, 400]])])
    dataset = LabelmeDataset(tmp_path)
    mask = dataset.read(dataset.records[0])[1]
    assert not mask[:5].any() and (mask[5:] == 1).all()


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [
        (None, ["part1_a", "part1_b", "part2_a"]),
        (r"part\d", ["part1", "part1", "part2"]),
        (r"part(\d)", ["1", "1", "2"]),
        (r"_(x)|_([ab])", ["a", "b", "a"]),
    ],
)
def test_groups_come_from_the_file_names(labelme: Path, pattern: str | None, groups: list[str]) -> None:
    assert [record.group for record in LabelmeDataset(labelme, pattern).records] == groups


@pytest.mark.parametrize(
    ("pattern", "said"), [("part1", "'part1' does not match 'part2_a'"), ("(", r"'\(' is no regular expression")]
)
def test_a_pattern_that_gives_no_group_is_refused(labelme: Path, pattern: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        LabelmeDataset(labelme, pattern)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"shapes": [\n{"label": "pit",\n]}', r"part2_a\.json:3: not JSON"),
        ("", r"part2_a\.json:1: not JSON"),
        ("[1, 2]", r"part2_a\.json: no list 'shapes'"),
        ('{"shapes": {}}', r"part2_a\.json: no list 'shapes'"),
        (json.dumps({"shapes": [polygon("pit"), 3]}), "shape 1 is 'int'; those that can become masks"),
        (json.dumps({"shapes": [polygon("pit", shape_type="cuboid")]}), "shape 0 is 'cuboid'; those that can"),
        (json.dumps({"shapes": [polygon("pit", shape_type="line")]}), "a line, needs a label and two ends"),
        (json.dumps({"shapes": [polygon("")]}), "shape 0, a polygon, needs a label"),
        (json.dumps({"shapes": [{"points": SQUARE}]}), "shape 0, a polygon, needs a label"),
        (json.dumps({"shapes": [{**polygon("pit"), "label": 7}]}), "shape 0, a polygon, needs a label"),
        (json.dumps({"shapes": [polygon("pit", SQUARE[:2])]}), "needs a label and at least three points"),
        (json.dumps({"shapes": [polygon("pit", None)]}), "three points"),
        (json.dumps({"shapes": [polygon("pit", [[1, 2], [3], [4, 5]])]}), "three points"),
        (json.dumps({"shapes": [polygon("pit", [[1, 2], [3, "x"], [4, 5]])]}), "three points"),
        (json.dumps({"shapes": [polygon("pit", [[1, 2], [3, float("nan")], [4, 5]])]}), "three points"),
        (json.dumps({"shapes": [polygon("pit", [[1, 2], [3, 1e300], [4, 5]])]}), "three points"),
    ],
)
def test_a_broken_label_file_is_named_with_the_place(labelme: Path, content: str, said: str) -> None:
    path = labelme / "labels" / "part2_a.json"
    path.write_text(content)
    with pytest.raises(DataError, match=said) as error:
        LabelmeDataset(labelme)
    assert str(path) in str(error.value)


def test_a_label_file_that_is_no_text_is_named(labelme: Path) -> None:
    (labelme / "labels" / "part2_a.json").write_bytes(b'{"shapes": "\xff\xfe"}')
    with pytest.raises(DataError, match=r"part2_a\.json: not text in UTF-8"):
        LabelmeDataset(labelme)


def test_folders_without_images_are_refused_and_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder"):
        LabelmeDataset(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no images .*png") as error:
        LabelmeDataset(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_an_image_that_cannot_be_read_is_named(labelme: Path) -> None:
    path = labelme / "images" / "part2_a.png"
    path.write_bytes(b"not an image")
    dataset = LabelmeDataset(labelme)
    with pytest.raises(DataError, match="not an image") as error:
        dataset.read(dataset.records[2])
    assert str(path) in str(error.value)


def test_two_images_that_would_share_a_label_file_are_refused(labelme: Path) -> None:
    write_image(labelme / "images" / "part1_a.x.png")
    write_image(labelme / "images" / "part1_a.zpg.png")
    LabelmeDataset(labelme)
    write_image(labelme / "images" / "part1_a.bmp")
    with pytest.raises(DataError, match=r"part1_a\.json; rename one"):
        LabelmeDataset(labelme)


def test_magnetic_tiles_take_their_class_from_the_folder_and_their_group_from_the_table(tiles: Path) -> None:
    dataset = MagneticTileDataset(tiles)
    assert dataset.class_names == TILE_CLASSES and dataset.channels == 1
    assert len(dataset.records) == 13 and len({record.name for record in dataset.records}) == 13
    for record in dataset.records:
        image, mask = dataset.read(record)
        assert image.shape == (24, 16, 1)
        name = record.image_path.parents[1].name.removeprefix("MT_").lower()
        if name == "free":
            assert not record.classes and not mask.any()
            continue
        index = TILE_CLASSES.index(name)
        assert record.classes == {index} and record.group in (f"{name}0", f"{name}1")
        expected = np.zeros((24, 16), np.uint8)
        expected[3:9, 4:8] = index + 1
        np.testing.assert_array_equal(mask, expected)


def test_clean_tiles_that_another_image_calls_defective_are_no_backgrounds(tiles: Path) -> None:
    dataset = MagneticTileDataset(tiles)
    assert [record.group for record in dataset.clean_records(dataset.records)] == ["clean1", "clean2"]
    # Also when the image that tells is on the other side of the split.
    free = [record for record in dataset.records if record.name.startswith("free/")]
    assert [record.group for record in dataset.clean_records(free)] == ["clean1", "clean2"]


def test_another_table_of_groups_can_be_given(tiles: Path, tmp_path: Path) -> None:
    table = tmp_path / "other.csv"
    table.write_text("\ufeff" + (tiles / "groups.csv").read_text().replace("crack0", "tile7"), encoding="utf-8")
    dataset = MagneticTileDataset(tiles, table)
    assert {record.group for record in dataset.records} >= {"tile7"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("class,file", "kind,file"), r"groups\.csv:1: no column class"),
        (lambda text: "", r"groups\.csv:1: no column class, file, group"),
        (
            lambda text: text.replace("Blowhole,exp1_num_1.jpg,1,blowhole1", "Blowhole,exp1_num_1.jpg"),
            r"groups\.csv:3: ",
        ),
        (lambda text: text.replace("Break,exp1_num_10.jpg,1,break0\n", ""), r"no row for break exp1_num_10\.jpg"),
    ],
)
def test_a_table_that_lacks_something_is_named_with_the_line(tiles: Path, change: Any, said: str) -> None:
    table = tiles / "groups.csv"
    table.write_text(change(table.read_text()))
    with pytest.raises(DataError, match=said) as error:
        MagneticTileDataset(tiles)
    assert str(table) in str(error.value)


def test_a_folder_that_is_no_magnetic_tile_layout_is_refused(tiles: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere.groups\.csv: no table of groups"):
        MagneticTileDataset(tmp_path / "nowhere")
    (tiles / "MT_Fray").rename(tiles / "Fray")
    with pytest.raises(DataError, match=r"MT_Fray.Imgs: no such folder"):
        MagneticTileDataset(tiles)


@pytest.mark.parametrize(
    ("mask", "said"), [(None, "cannot be read"), (np.zeros((3, 4), np.uint8), "mask is 3 x 4, .* use the image")]
)
def test_a_mask_that_is_missing_or_of_another_size_is_named(tiles: Path, mask: np.ndarray | None, said: str) -> None:
    dataset = MagneticTileDataset(tiles)
    path = dataset.records[0].label_path
    assert path is not None
    path.unlink()
    if mask is not None:
        cv2.imwrite(str(path), mask)
    with pytest.raises(DataError, match=said) as error:
        dataset.read(dataset.records[0])
    assert str(path) in str(error.value)


def make_records(groups: list[tuple[str, frozenset[int]]]) -> list[Record]:
    return [Record(f"{i}", Path(f"{i}.png"), None, group, classes) for i, (group, classes) in enumerate(groups)]


def sides_of_classes(records: list[Record], split: Split, num_classes: int) -> list[tuple[bool, bool]]:
    train, held_out = ({c for r in split.select(records, side) for c in r.classes} for side in ("train", "held_out"))
    return [(index in train, index in held_out) for index in range(num_classes)]


classes_by_groups = st.lists(st.lists(st.integers(0, 11), min_size=4, max_size=9, unique=True), min_size=1, max_size=4)
other_images = st.lists(st.tuples(st.integers(0, 20), st.sets(st.integers(0, 0), max_size=1)), max_size=20)


@quick
@given(classes_by_groups, other_images, st.floats(0.1, 0.9), st.integers(0, 5))
def test_a_split_never_divides_a_group_and_has_every_class_on_both_sides(
    groups_of: list[list[int]], others: list[tuple[int, set[int]]], fraction: float, seed: int
) -> None:
    images = [(group, {index}) for index, groups in enumerate(groups_of) for group in groups] + others
    records = make_records([(f"g{group}", frozenset(classes)) for group, classes in images])
    names = [f"class {index}" for index in range(len(groups_of))]
    split = split_by_group(records, names, fraction, seed)
    assert not set(split.train) & set(split.held_out)
    assert set(split.train) | set(split.held_out) == {r.group for r in records}
    train, held_out = split.select(records, "train"), split.select(records, "held_out")
    assert sorted([*train, *held_out], key=lambda r: int(r.name)) == records
    assert not {r.group for r in train} & {r.group for r in held_out}
    assert all(both == (True, True) for both in sides_of_classes(records, split, len(names)))
    assert split_by_group(records[::-1], names, fraction, seed) == split


def test_a_split_comes_near_the_wanted_fraction_class_by_class_and_for_clean_images() -> None:
    groups = [
        (f"{c}-{i}", frozenset({c}) if c < 3 else frozenset())
        for c, n in enumerate((10, 20, 40, 100))
        for i in range(n)
    ]
    records = make_records(groups)
    for fraction in (0.3, 0.67):
        train = set(split_by_group(records, ("a", "b", "c"), fraction, 0).train)
        for c in range(4):
            members = [group for group, _ in groups if group.startswith(f"{c}-")]
            assert abs(np.mean([group in train for group in members]) - fraction) < 0.16


def test_another_seed_gives_another_split() -> None:
    records = make_records([(f"g{i}", frozenset({i % 2})) for i in range(20)])
    splits = {split_by_group(records, ("a", "b"), 0.5, seed).train for seed in range(5)}
    assert len(splits) == 5


def test_many_classes_of_two_groups_each_can_be_split() -> None:
    records = make_records([(f"{c}-{i}", frozenset({c})) for c in range(40) for i in range(2)])
    split = split_by_group(records, [f"c{c}" for c in range(40)], 0.67, 0)
    assert all(both == (True, True) for both in sides_of_classes(records, split, 40))
    assert split == split_by_group(records, [f"c{c}" for c in range(40)], 0.67, 0)


def test_a_class_in_a_single_group_is_in_training_alone_with_a_warning() -> None:
    records = make_records([("a", frozenset({0})), ("b", frozenset({0})), ("a", frozenset({1})), ("a", frozenset({1}))])
    for seed in range(5):
        with pytest.warns(UserWarning, match="class 'pit' is in one group, 'a': it is in training"):
            assert split_by_group(records, ("scratch", "pit"), 0.5, seed) == Split(("a",), ("b",))
    with pytest.raises(DataError, match=r"all images are in one group, 'a'"):
        split_by_group(records[:1], ("scratch",), 0.5, 0)


def test_a_class_that_no_image_shows_does_not_stop_a_split_or_folds() -> None:
    records = make_records([(f"g{i}", frozenset({0} if i % 2 else {2})) for i in range(8)])
    with pytest.warns(UserWarning, match="no image shows dent"):
        split = split_by_group(records, ("scratch", "dent", "pit"), 0.5, 0, 0.2)
    assert split.train and split.held_out and split.validation
    with pytest.warns(UserWarning, match="no image shows dent"):
        folds = k_folds(records, ("scratch", "dent", "pit"), 3, 0)
    for fold in folds:
        for side in ("train", "held_out"):
            assert {c for r in fold.select(records, side) for c in r.classes} == {0, 2}


def test_classes_that_no_division_can_separate_are_refused() -> None:
    pairs = [("a", "b"), ("b", "c"), ("a", "c")]
    records = make_records([(group, frozenset({c})) for c, pair in enumerate(pairs) for group in pair])
    with pytest.raises(DataError, match="no division of the groups"):
        split_by_group(records, ("x", "y", "z"), 0.5, 0)


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 1.5, float("nan")])
def test_a_fraction_that_leaves_nothing_on_a_side_is_refused(fraction: float) -> None:
    with pytest.raises(DataError, match="train_fraction must lie between 0 and 1"):
        split_by_group(make_records([("a", frozenset({0})), ("b", frozenset({0}))]), ("x",), fraction, 0)


DATA = Path(os.environ.get("ALBU_GAN_DATA", ""))
real = pytest.mark.skipif("ALBU_GAN_DATA" not in os.environ, reason="ALBU_GAN_DATA names no folder of data sets")


@real
def test_the_real_magnetic_tiles_are_read_and_split() -> None:
    dataset = MagneticTileDataset(DATA / "magnetic_tile")
    assert len({record.name for record in dataset.records}) == len(dataset.records) > 900
    for index in range(5):
        record = next(r for r in dataset.records if index in r.classes)
        image, mask = dataset.read(record)
        assert image.shape[:2] == mask.shape and set(np.unique(mask)) == {0, index + 1}
    split = split_by_group(dataset.records, dataset.class_names, 0.67, 0)
    assert all(both == (True, True) for both in sides_of_classes(dataset.records, split, 5))


@real
def test_the_real_bsdata_is_read() -> None:
    dataset = LabelmeDataset(DATA / "bsdata", r"_(\d{6}_\d{3})_|^(KGT\d)")
    defective = [r for r in dataset.records if r.classes]
    assert defective and len(dataset.class_names) == 1
    image, mask = dataset.read(defective[0])
    assert image.ndim == 3 and image.shape[:2] == mask.shape and mask.any()
