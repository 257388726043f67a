"""YOLO segmentation labels, on files made here."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from golden_shapes import PATH, SHARES, SIZE_HW

from albu_gan.data import DataError, YoloDataset, open_dataset
from albu_gan.data.yolo import label_path

YAML = "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: pit\n  1: never\n  2: crack\n"
SQUARE = "2 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5"
SMALL = "0 0.2 0.2 0.3 0.2 0.3 0.3 0.2 0.3"


def write_yolo(root: Path, labels: dict[str, str | None], yaml: str = YAML) -> Path:
    """Images of 40 x 60, and their labels; None for an image without one."""
    for name, text in labels.items():
        image = root / "images" / f"{name}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(image), np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8))
        if text is not None:
            label = root / "labels" / f"{name}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text(text)
    (root / "data.yaml").write_text(yaml)
    return root


def test_polygons_are_read_and_smaller_ones_lie_over_larger_ones(tmp_path: Path) -> None:
    root = write_yolo(tmp_path, {"train/a": f"{SMALL}\n{SQUARE}\n", "train/b": "", "val/c": None})
    dataset = open_dataset("auto", root)
    assert isinstance(dataset, YoloDataset) and dataset.class_names == ("pit", "never", "crack")
    first, empty, unlabelled = dataset.records
    mask = dataset.read(first)[1]
    assert mask[20, 30] == 3 and mask[10, 14] == 1, "the pit, though its line comes first"
    assert first.classes == {0, 2} and dataset.instances(first) == {0: 1, 2: 1}
    assert not dataset.read(empty)[1].any() and not dataset.read(unlabelled)[1].any()
    assert "1 image without a label file" in dataset.notes[0]
    assert open_dataset("auto", root / "data.yaml").class_names == dataset.class_names


def test_overlaps_are_those_of_ultralytics(tmp_path: Path) -> None:
    golden = json.loads(PATH.read_text(encoding="utf-8"))["ultralytics overlap"]
    shapes = [SHARES["triangle"], SHARES["whole square"]]
    lines = [f"{number} " + " ".join(f"{x} {y}" for x, y in points) for number, points in enumerate(shapes)]
    root = write_yolo(tmp_path, {"train/a": "\n".join(lines)})
    cv2.imwrite(str(root / "images/train/a.png"), np.zeros((*SIZE_HW, 3), np.uint8))
    dataset = YoloDataset(root)
    mask = dataset.read(dataset.records[0])[1]
    classes = np.array([0, *(number + 1 for number in golden["order"])])
    np.testing.assert_array_equal(mask, classes[[[int(digit) for digit in row] for row in golden["rows"]]])


@pytest.mark.parametrize(
    "yaml",
    [
        "train: images/train\nval: images/val\nnames: [pit, never, crack]\n",
        "train: ../images/train\nval: ../images/val\nnames: [pit, never, crack]\nnc: 3\n",
        "path: /datasets/elsewhere\ntrain: [images/train, images/val]\nval: null\nnames: [pit, never, crack]\n",
        "path: ''\ntrain: all.txt\nnames: {0: pit, 1: never, 2: crack}\n",
    ],
)
def test_images_are_found_as_ultralytics_and_roboflow_write_their_paths(tmp_path: Path, yaml: str) -> None:
    root = write_yolo(tmp_path, {"train/a": SQUARE, "val/b": SMALL}, yaml)
    (root / "all.txt").write_text("./images/train/a.png\ndata/images/val/b.png\n")
    dataset = YoloDataset(root)
    assert [record.name for record in dataset.records] == ["images/train/a.png", "images/val/b.png"]
    assert dataset.class_names == ("pit", "never", "crack")


def test_the_last_folder_called_images_becomes_labels() -> None:
    assert label_path(Path("images/set/images/a.b.jpg")) == Path("images/set/labels/a.b.txt")
    assert label_path(Path("set/train/a.jpg")) == Path("set/train/a.txt")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.2 0.2", "a box .* export the labels as YOLO segmentation"),
        ("0 0.1 0.1 0.2 0.2 0.3", "6 numbers"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "8 numbers"),
        ("0 0.1 0.1 a 0.2 0.3 0.3", "no number"),
        ("3 0.1 0.1 0.2 0.2 0.3 0.3", "class 3; .* 0 to 2"),
        ("0.5 0.1 0.1 0.2 0.2 0.3 0.3", "class 0.5"),
        ("0 10 10 20 10 20 20", "divide them by the size"),
        ("0 nan 0.1 0.2 0.2 0.3 0.3", "no shares"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    root = write_yolo(tmp_path, {"train/a": f"{SQUARE}\n\n{line}\n", "train/b": SMALL})
    with pytest.raises(DataError, match=rf"a\.txt:3: .*{message}"):
        YoloDataset(root)
    dataset = YoloDataset(root, skip_bad=True)
    assert len(dataset.records) == 1 and len(dataset.skipped) == 1


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("names: [a\ntrain: images", r"data\.yaml:2: not YAML"),
        ("- names", "no data.yaml of Ultralytics"),
        ("train: nowhere\nnames: [a]", "names no images; not there: train: nowhere"),
        ("names: [a]", "it needs train"),
        ("train: images", "needs names"),
        ("train: images\nnames: {0: a, 2: b}", "must run from 0 to 1"),
        ("train: images\nnames: {a: b}", "whole numbers"),
        ("train: images\nnames: [a, a]", "twice"),
        ("train: list.txt\nnames: [a]", r"list\.txt:1: no image gone\.png"),
    ],
)
def test_a_wrong_yaml_is_named(tmp_path: Path, yaml: str, message: str) -> None:
    root = write_yolo(tmp_path, {"a": SMALL}, yaml)
    (root / "list.txt").write_text("gone.png\n")
    with pytest.raises(DataError, match=message):
        YoloDataset(root)


def test_several_yaml_files_are_refused_unless_one_is_the_data(tmp_path: Path) -> None:
    root = write_yolo(tmp_path, {"train/a": SMALL})
    (root / "other.yaml").write_text(YAML)
    assert len(YoloDataset(root).records) == 1
    (root / "data.yaml").rename(root / "third.yml")
    with pytest.raises(DataError, match=r"several \(other.yaml, third.yml\)"):
        YoloDataset(root)
    with pytest.raises(DataError, match=r"no data\.yaml"):
        YoloDataset(root / "labels")
