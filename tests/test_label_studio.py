"""Label Studio's JSON export, on files made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from golden_shapes import PATH, SIZE_HW

from albu_gan.data import DataError, LabelStudioDataset, open_dataset

BRUSH = json.loads(PATH.read_text(encoding="utf-8"))["label studio brush"]
HEIGHT, WIDTH = SIZE_HW


def result(kind: str, label: str | None = "crack", **value: object) -> dict[str, Any]:
    labelled = {} if label is None else {f"{kind}labels": [label]}
    return {
        "id": f"{kind}-{label}",
        "type": f"{kind}labels" if label else kind,
        "value": {**value, **labelled},
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "to_name": "image",
    }


def square(label: str = "pit", left: float = 50, size: float = 25) -> dict[str, Any]:
    """A box of 5 x 7 pixels at the top."""
    return result("rectangle", label, x=left, y=0, width=size, height=50, rotation=0)


def annotation(*results: dict[str, Any], number: int = 1, **more: object) -> dict[str, Any]:
    return {"id": number, "result": list(results), "was_cancelled": False, **more}


def task(number: int, *annotations: dict[str, Any], image: str | None = None) -> dict[str, Any]:
    image = image or f"/data/upload/1/0a1b2c3d-part{number}.png"
    return {"id": number, "annotations": list(annotations), "data": {"image": image}}


def write_export(root: Path, tasks: list[dict[str, Any]], names: list[str] | None = None) -> Path:
    for name in names or [f"0a1b2c3d-part{entry['id']}.png" for entry in tasks]:
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (*SIZE_HW, 3)).astype(np.uint8))
    (root / "export.json").write_text(json.dumps(tasks), encoding="utf-8")
    return root


def mask_of(root: Path, *results: dict[str, Any]) -> np.ndarray:
    dataset = LabelStudioDataset(write_export(root, [task(1, annotation(*results))]))
    return dataset.read(dataset.records[0])[1]


def test_regions_of_all_kinds_are_read_the_later_over_the_earlier(tmp_path: Path) -> None:
    regions = [
        result("brush", "crack", format="rle", rle=BRUSH["rle"]),
        square("pit"),
        result("polygon", "crack", points=[[0, 50], [25, 50], [25, 100], [0, 100]]),
        result("ellipse", "pit", x=80, y=80, radiusX=10, radiusY=10, rotation=30),
    ]
    root = write_export(tmp_path, [task(1, annotation(*regions)), task(2, annotation())])
    dataset = open_dataset("auto", root)
    assert isinstance(dataset, LabelStudioDataset) and dataset.class_names == ("crack", "pit")
    first, clean = dataset.records
    mask = dataset.read(first)[1]
    assert (mask[:7, 10:15] == 2).all() and (mask[7:, :5] == 1).all() and mask[11, 16] == 2
    assert dataset.instances(first) == {0: 2, 1: 2} and not dataset.read(clean)[1].any()
    assert first.name == "images/0a1b2c3d-part1.png"
    assert len(open_dataset("auto", root / "export.json").records) == 2


def test_a_brush_alone_is_what_label_studio_decodes(tmp_path: Path) -> None:
    mask = mask_of(tmp_path, result("brush", "crack", format="rle", rle=BRUSH["rle"]))
    assert ["".join("#" if value else "." for value in row) for row in mask] == BRUSH["rows"]


def test_a_magic_wand_is_a_brush(tmp_path: Path) -> None:
    wand = {**result("brush", "crack", format="rle", rle=BRUSH["rle"]), "type": "magicwand"}
    assert mask_of(tmp_path, wand).sum() == sum(row.count("#") for row in BRUSH["rows"])


def test_labels_that_are_results_of_their_own_belong_to_the_region_of_their_id(tmp_path: Path) -> None:
    bare = result("brush", None, format="rle", rle=BRUSH["rle"])
    named = {**bare, "type": "labels", "value": {"labels": ["dent"]}}
    dataset = LabelStudioDataset(write_export(tmp_path, [task(1, annotation(bare, named))]))
    assert dataset.class_names == ("dent",) and dataset.instances(dataset.records[0]) == {0: 1}


def test_the_newest_annotation_counts_that_was_not_cancelled(tmp_path: Path) -> None:
    old = annotation(square("old"), number=1, created_at="2024-01-01T10:00:00Z")
    new = annotation(square("new"), number=2, created_at="2024-01-01T10:00:00.500000Z")
    cancelled = annotation(square("wrong"), number=3, created_at="2025-01-01T10:00:00Z", was_cancelled=True)
    tasks = [task(1, new, old, cancelled), task(2), task(3, cancelled)]
    dataset = LabelStudioDataset(write_export(tmp_path, tasks))
    assert dataset.class_names == ("new",) and len(dataset.records) == 1
    assert "2 tasks (2, 3) left out" in dataset.notes[0]
    assert "in 1 task (1 (annotation 2))" in dataset.notes[1]


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("/data/upload/1/0a1b2c3d-part.png", "0a1b2c3d-part.png"),
        ("/data/upload/1/0a1b2c3d-part.png", "part.png"),
        ("/data/local-files/?d=line%203/part%201.png", "line 3/part 1.png"),
        ("/data/local-files/?d=line%203/part%201.png", "part 1.png"),
        ("s3://bucket/folder/part.png", "folder/part.png"),
        ("https://host/part%201.png?token=a", "part 1.png"),
        ("upload/1/0a1b2c3d-part.png", "upload/1/0a1b2c3d-part.png"),
    ],
)
def test_images_are_found_by_the_addresses_of_exports(tmp_path: Path, address: str, file: str) -> None:
    dataset = LabelStudioDataset(write_export(tmp_path, [task(1, annotation(square()), image=address)], [file]))
    assert dataset.records[0].image_path == tmp_path / "images" / file


def test_the_image_is_found_among_other_data(tmp_path: Path) -> None:
    entry = task(1, annotation(square()))
    entry["data"] = {"photo": entry["data"]["image"], "operator": "Kim", "line": 3}
    root = write_export(tmp_path, [entry])
    assert len(LabelStudioDataset(root).records) == 1
    entry["data"]["reference"] = "/data/upload/1/other.png"
    with pytest.raises(DataError, match=r"task 1: its data has 2 images \(photo, reference\)"):
        LabelStudioDataset(write_export(tmp_path, [entry], ["0a1b2c3d-part1.png"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_rotation": 90}, "turned in Label Studio"),
        ({"item_index": 2}, "on page 2"),
        ({"original_width": None}, "needs value, original_width"),
        ({"type": "bitmask"}, "a bitmask cannot be read"),
        ({"value": {"x": 1, "y": 1, "rectanglelabels": ["a"]}}, "needs the numbers width and height"),
        ({"value": {"x": 1, "y": 1, "width": 1, "height": 1}}, "without a label"),
        ({"type": "polygonlabels", "value": {"points": [[1, 1]], "polygonlabels": ["a"]}}, "it has 1 point"),
        ({"type": "brushlabels", "value": {"format": "png", "brushlabels": ["a"]}}, "'format' rle"),
    ],
)
def test_a_wrong_result_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    tasks = [task(1, annotation(square(), {**square(), "id": "b", **change})), task(2, annotation(square()))]
    root = write_export(tmp_path, tasks)
    with pytest.raises(DataError, match=rf"export\.json: task 1: result 1 \(id b\): .*{message}"):
        LabelStudioDataset(root)
    dataset = LabelStudioDataset(root, skip_bad=True)
    assert len(dataset.records) == 1 and len(dataset.skipped) == 1


def test_what_has_no_area_is_passed_over_and_counted(tmp_path: Path) -> None:
    point = {**result("keypoint", "tip", x=1, y=1), "id": "k"}
    choice = {"id": "c", "type": "choices", "value": {"choices": ["good"]}}
    dataset = LabelStudioDataset(write_export(tmp_path, [task(1, annotation(square(), point, choice))]))
    assert dataset.class_names == ("pit",)
    assert "1 choices, 1 keypointlabels ignored" in dataset.notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"id": 1,\n', r"export\.json:2: not JSON"),
        ('[{"id": 1, "image": "a.png", "label": []}]', "export as JSON"),
        ('[{"id": 1, "annotations": [1], "data": {}}]', "must hold objects"),
    ],
)
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "export.json").write_text(text)
    with pytest.raises(DataError, match=message):
        LabelStudioDataset(tmp_path / "export.json")


def test_missing_images_other_sizes_and_shared_images_are_named(tmp_path: Path) -> None:
    root = write_export(tmp_path, [task(1, annotation(square())), task(2, annotation(square()))])
    cv2.imwrite(str(root / "images" / "0a1b2c3d-part1.png"), np.zeros((7, 7), np.uint8))
    dataset = LabelStudioDataset(root)
    with pytest.raises(DataError, match=r"task 1: result 0 .*drawn on an image of 14 x 20"):
        dataset.read(dataset.records[0])
    (root / "images" / "0a1b2c3d-part1.png").unlink()
    with pytest.raises(DataError, match=r"task 1: image /data/upload/1/0a1b2c3d-part1\.png is not there"):
        LabelStudioDataset(root)
    both = [task(1, annotation(square())), task(2, annotation(square()), image="0a1b2c3d-part1.png")]
    with pytest.raises(DataError, match=r"task 2: .*is the image of .*task 1"):
        LabelStudioDataset(write_export(tmp_path, both, ["0a1b2c3d-part1.png"]))


def test_several_exports_are_refused(tmp_path: Path) -> None:
    root = write_export(tmp_path, [task(1, annotation(square()))])
    (root / "older.json").write_text((root / "export.json").read_text())
    with pytest.raises(DataError, match=r"several exports of Label Studio \(export\.json, older\.json\)"):
        LabelStudioDataset(root)
