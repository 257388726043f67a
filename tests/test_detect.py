"""`--format auto`: every layout is recognised, two that fit are named, and one paragraph says what was found."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from test_cvat import SQUARE as CVAT_SQUARE
from test_cvat import write_cvat
from test_label_studio import annotation, square, task, write_export
from test_mvtec import spot, write
from test_yolo import SQUARE, write_yolo

from albu_gan.cli import main
from albu_gan.data import DataError, add_data_arguments, dataset_from_arguments
from albu_gan.data.detect import LAYOUTS, SIGNS, detect_format
from albu_gan.data.formats import FORMATS


def write_mvtec(root: Path) -> Path:
    write(root / "train" / "good" / "0.png")
    write(root / "test" / "crack" / "0.png")
    write(root / "ground_truth" / "crack" / "0_mask.png", spot())
    return root


WRITERS: dict[str, Callable[[Path], Path]] = {
    "cvat": lambda root: write_cvat(root, {"a.png": CVAT_SQUARE, "b.png": ""}),
    "label-studio": lambda root: write_export(root, [task(1, annotation(square()))]),
    "mvtec": write_mvtec,
    "yolo": lambda root: write_yolo(root, {"train/a": SQUARE}),
}


def said(root: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    """The paragraph, on stderr."""
    parser = argparse.ArgumentParser()
    add_data_arguments(parser, positional=True)
    dataset_from_arguments(parser.parse_args([str(root), *flags]))
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_every_format_has_a_sign() -> None:
    assert set(FORMATS) == set(LAYOUTS) == set(SIGNS)


@pytest.mark.parametrize("name", WRITERS)
def test_each_layout_is_recognised_in_a_folder_and_alone(name: str, tmp_path: Path) -> None:
    root = WRITERS[name](tmp_path)
    assert detect_format(root) == name
    for path in root.glob("*.*"):
        assert detect_format(path) == name


@pytest.mark.parametrize("pair", [("cvat", "yolo"), ("label-studio", "mvtec"), ("cvat", "label-studio")])
def test_two_that_fit_are_both_named(pair: tuple[str, str], tmp_path: Path) -> None:
    for name in pair:
        WRITERS[name](tmp_path)
    with pytest.raises(DataError, match=f"{pair[0]}.* or {pair[1]}|{pair[1]}.* or {pair[0]}") as caught:
        detect_format(tmp_path)
    assert all(SIGNS[name] in str(caught.value) for name in pair) and "--format" in str(caught.value)


def test_what_is_nearly_a_layout_is_told_from_what_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Looked for"):
        detect_format(tmp_path)
    write_yolo(tmp_path, {"train/a": SQUARE})
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(DataError, match=r"no data\.yaml"):
        detect_format(tmp_path)
    (tmp_path / "notes.json").write_text("{}")
    with pytest.raises(DataError, match=r"YOLO export of Label Studio.* export the project as JSON"):
        detect_format(tmp_path)


def test_one_paragraph_says_what_was_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_cvat(tmp_path, {"a.png": CVAT_SQUARE * 2, "b.png": "", "c.png": CVAT_SQUARE})
    (root / "images" / "c.png").unlink()
    paragraph = said(root, capsys, "--skip-bad")
    assert paragraph.startswith(f"{root}: cvat, 2 images, 1 with defects, 1 clean. 3 classes, 2 instances: ")
    assert "never (0 images, 0), pit (1 image, 2)." in paragraph
    assert "left out for 1 problem, listed above; the first: " in paragraph and "c.png is not there" in paragraph


def test_defects_of_masks_are_patches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mask = spot()
    mask[15:18, 20:25] = 255
    write(write_mvtec(tmp_path) / "ground_truth" / "crack" / "0_mask.png", mask)
    found = said(tmp_path, capsys)
    assert "2 images, 1 with defects, 1 clean. 1 class, 2 connected patches: crack (1 image, 2)." in found


def write_coco(root: Path) -> Path:
    """Two annotations that touch, and one of two polygons."""
    write(root / "a.png")
    write(root / "b.png")
    squares = [[[x, 1, x + 5, 1, x + 5, 6, x, 6]] for x in (1, 6, 12)]
    squares[2] += [[20, 10, 24, 10, 24, 14, 20, 14]]
    content = {
        "images": [{"id": i, "file_name": f"{n}.png", "height": 20, "width": 30} for i, n in enumerate("ab", 1)],
        "categories": [{"id": 1, "name": "pit"}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 1, "segmentation": polygons}
            for i, polygons in enumerate(squares, 1)
        ],
    }
    (root / "annotations.json").write_text(json.dumps(content))
    return root


def write_labelme(root: Path) -> Path:
    """The same: two shapes without a group, and two of one group."""
    for name in "ab":
        write(root / f"{name}.png")
    shapes = []
    for x, group in ((1, None), (6, None), (12, 4), (20, 4)):
        points = [[x, 1], [x + 4, 1], [x + 4, 6], [x, 6]]
        shapes.append({"label": "pit", "points": points, "group_id": group, "shape_type": "polygon"})
    (root / "a.json").write_text(json.dumps({"version": "5", "imagePath": "a.png", "shapes": shapes}))
    return root


@pytest.mark.parametrize(
    ("writer", "number"),
    [
        (write_coco, 3),
        (write_labelme, 3),
        (lambda root: write_cvat(root, {"a.png": CVAT_SQUARE * 2, "b.png": ""}), 2),
        (lambda root: write_export(root, [task(1, annotation(square(), square()))]), 2),
        (lambda root: write_yolo(root, {"train/a": SQUARE + "\n" + SQUARE}), 2),
    ],
    ids=["coco", "labelme", "cvat", "label-studio", "yolo"],
)
def test_labels_that_tell_defects_apart_are_counted_as_they_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], writer: Callable[[Path], Path], number: int
) -> None:
    found = said(writer(tmp_path), capsys)
    assert f", {number} instances: " in found and "patch" not in found and f"(1 image, {number})" in found


def test_a_label_that_cannot_be_read_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (write_mvtec(tmp_path) / "ground_truth" / "crack" / "0_mask.png").write_bytes(b"none")
    assert "1 label could not be read; --skip-bad" in said(tmp_path, capsys)


def test_exports_that_lose_pixels_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_yolo(tmp_path / "yolo", {"train/a": SQUARE})
    (root / "notes.json").write_text(json.dumps({"info": {"contributor": "Label Studio"}}))
    assert "drops the rotation of boxes" in said(root, capsys)
    write(tmp_path / "coco" / "a.png")
    content = {
        "images": [{"id": 0, "file_name": "a.png", "height": 20, "width": 30}],
        "categories": [{"id": 0, "name": "pit"}],
        "annotations": [{"id": 0, "image_id": 0, "category_id": 0, "segmentation": [[1, 1, 9, 1, 9, 9]]}],
        "info": {"contributor": "Label Studio"},
    }
    (tmp_path / "coco" / "result.json").write_text(json.dumps(content))
    paragraph = said(tmp_path / "coco", capsys)
    assert "half a pixel too small" in paragraph and "export the project as JSON" in paragraph


@pytest.mark.parametrize("name", WRITERS)
def test_a_bank_is_made_of_each(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The images are noise, so that nothing need be kept; what counts is that all of it is read."""
    status = main(["bank", str(WRITERS[name](tmp_path / "data")), "--out", str(tmp_path / "bank")])
    captured = capsys.readouterr()
    assert f"{name}, " in captured.err and (status == 0 or "defect" in captured.err.splitlines()[-1])
