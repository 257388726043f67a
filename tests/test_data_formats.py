"""Readers of folder, COCO, labelme and Severstal data, on data made here."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image
from pycocotools import mask as mask_api

from albu_gan.data import (
    FORMATS,
    CocoDataset,
    DataError,
    FolderDataset,
    LabelmeDataset,
    SeverstalDataset,
    add_data_arguments,
    dataset_from_arguments,
    open_dataset,
)
from albu_gan.data.images import decode_image, image_size
from albu_gan.data.labelme_shapes import draw_shapes
from albu_gan.data.rle import decode_counts, decode_pairs

quick = settings(max_examples=50, deadline=None)
masks = npst.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def encode_pairs(mask: np.ndarray) -> str:
    """The competition's code, written down from its definition."""
    flat = np.concatenate([[0], mask.ravel(order="F").astype(np.int8), [0]])
    starts, ends = np.flatnonzero(np.diff(flat) == 1), np.flatnonzero(np.diff(flat) == -1)
    return " ".join(f"{start + 1} {end - start}" for start, end in zip(starts, ends, strict=True))


def encode_counts(mask: np.ndarray) -> list[int]:
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return [0, *counts] if flat[0] else counts


def noise(path: Path, shape: tuple[int, ...] = (20, 30, 3), seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8))


def box_mask(top: int, left: int, height: int, width: int, value: int = 1, size: tuple[int, int] = (20, 30)) -> Any:
    mask = np.zeros(size, np.uint8)
    mask[top : top + height, left : left + width] = value
    return mask


# Run-length codes


@quick
@given(masks)
def test_the_competitions_code_round_trips(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_pairs(encode_pairs(mask), mask.shape), mask)


@quick
@given(masks, st.randoms(use_true_random=False))
def test_runs_may_come_in_any_order(mask: np.ndarray, random: Any) -> None:
    numbers = encode_pairs(mask).split()
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    random.shuffle(pairs)
    np.testing.assert_array_equal(decode_pairs(" ".join(f"{a} {b}" for a, b in pairs), mask.shape), mask)


@quick
@given(masks)
def test_cocos_codes_agree_with_pycocotools(mask: np.ndarray) -> None:
    code = mask_api.encode(np.asfortranarray(mask.astype(np.uint8)))
    np.testing.assert_array_equal(decode_counts(code["counts"].decode(), mask.shape), mask)
    np.testing.assert_array_equal(decode_counts(encode_counts(mask), mask.shape), mask)


def test_a_long_compressed_code_agrees_with_pycocotools() -> None:
    mask = np.random.default_rng(0).random((256, 1600)) < 0.3
    mask[40:200, 100:900] = True
    code = mask_api.encode(np.asfortranarray(mask.astype(np.uint8)))
    np.testing.assert_array_equal(decode_counts(code["counts"].decode(), mask.shape), mask)


def test_a_run_goes_down_a_column_from_one() -> None:
    np.testing.assert_array_equal(decode_pairs("3 2 6 1", (4, 2)), [[0, 0], [0, 1], [1, 0], [1, 0]])


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 2 3", "3 numbers"),
        ("1 x", "not whole numbers"),
        ("1 2.5", "not whole numbers"),
        ("1 99999999999999999999999", "not whole numbers"),
        ("0 2", r"run 1 \(0 2\) leaves the image of 12 pixels"),
        ("2 2 12 2", r"run 2 \(12 2\) leaves"),
        ("13 1", "leaves the image"),
        ("3 9223372036854775807", "leaves the image"),
        ("3 0", r"run 1 \(3 0\) is empty"),
        ("3 -1", "is empty"),
        ("6 2 2 5", r"run 1 \(6 2\) overlaps"),
    ],
)
def test_a_wrong_run_is_named(code: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        decode_pairs(code, (3, 4))


@pytest.mark.parametrize(
    "counts", [[3, 4], [3, 40], [-3, 15], [3.0, 9.0], ["a"], None, "", "zz\x00", "a", "1000", "~" * 40]
)
def test_a_wrong_code_of_coco_is_refused(counts: Any) -> None:
    with pytest.raises(ValueError, match=r"counts|do not add up"):
        decode_counts(counts, (3, 4))


# Image files


def test_a_cut_image_is_refused_in_full_and_at_any_length(tmp_path: Path) -> None:
    for suffix in (".jpg", ".png"):
        path = tmp_path / f"a{suffix}"
        noise(path, (40, 50, 3))
        whole = path.read_bytes()
        assert decode_image(path, 1).shape == (40, 50, 1) and decode_image(path, 3).shape == (40, 50, 3)
        for length in (0, 10, len(whole) // 2, len(whole) - 12):
            path.write_bytes(whole[:length])
            with pytest.raises(DataError, match=str(path)):
                decode_image(path, 1)


def test_a_turned_photo_has_the_size_that_it_is_decoded_with(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg", exif=exif)
    assert image_size(tmp_path / "a.jpg") == decode_image(tmp_path / "a.jpg", 3).shape[:2] == (30, 20)


# Folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A gray mask, a palette mask, an empty mask and an image without one."""
    root = tmp_path / "folder"
    for index, name in enumerate(("a_1.jpg", "a_2.PNG", "b_1.tif", "b_2.bmp")):
        noise(root / "images" / name, seed=index)
    (root / "masks").mkdir()
    Image.fromarray(box_mask(2, 3, 5, 6, 2)).save(root / "masks" / "a_1.png")
    palette = Image.fromarray(box_mask(4, 4, 3, 3, 1) + box_mask(10, 10, 3, 3, 2))
    palette = palette.convert("P")
    palette.putpalette([0, 0, 0, 255, 0, 0, 10, 20, 30])
    palette.putdata((box_mask(4, 4, 3, 3, 1) + box_mask(10, 10, 3, 3, 2)).ravel().tolist())
    palette.save(root / "masks" / "a_2.png")
    Image.fromarray(box_mask(0, 0, 0, 0)).save(root / "masks" / "b_1.png")
    (root / "masks" / "Thumbs.db").write_bytes(b"left by a file browser")
    (root / "classes.txt").write_text("pit\nscratch\n\n")
    return root


def test_a_folder_is_read(folder: Path) -> None:
    dataset = open_dataset("folder", folder, r"^[ab]")
    assert dataset.class_names == ("pit", "scratch") and dataset.channels == 3
    assert [r.classes for r in dataset.records] == [{1}, {0, 1}, frozenset(), frozenset()]
    assert [r.group for r in dataset.records] == ["a", "a", "b", "b"]
    np.testing.assert_array_equal(dataset.read(dataset.records[0])[1], box_mask(2, 3, 5, 6, 2))
    np.testing.assert_array_equal(
        dataset.read(dataset.records[1])[1], box_mask(4, 4, 3, 3, 1) + box_mask(10, 10, 3, 3, 2)
    )
    assert not dataset.read(dataset.records[3])[1].any()
    assert dataset.background_region(dataset.read_image(dataset.records[0])) is None
    dataset.check(progress=False)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("gray", [True, False])
def test_masks_of_few_bits_hold_their_values(folder: Path, bits: int, gray: bool) -> None:
    mask = box_mask(2, 3, 5, 6, 1)
    path = folder / "masks" / "a_1.png"
    _write_png(path, mask, bits, gray)
    dataset = FolderDataset(folder)
    assert dataset.records[0].classes == {0}
    np.testing.assert_array_equal(dataset.read(dataset.records[0])[1], mask)


def _write_png(path: Path, mask: np.ndarray, bits: int, gray: bool) -> None:
    """Write a PNG of a given depth, which Pillow does not do for gray."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = mask.shape
    rows = [b"\0" + np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - bits :].ravel()).tobytes() for row in mask]
    header = struct.pack(">IIBBBBB", width, height, bits, 0 if gray else 3, 0, 0, 0)
    palette = b"" if gray else chunk(b"PLTE", bytes([200, 10, 10, 10, 200, 10]))
    content = chunk(b"IHDR", header) + palette + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def test_gray_images_stored_as_colours_are_gray(tmp_path: Path) -> None:
    gray = np.random.default_rng(0).integers(0, 256, (20, 30, 1)).astype(np.uint8)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    (tmp_path / "classes.txt").write_text("pit")
    for index in range(12):
        cv2.imwrite(str(tmp_path / "images" / f"{index:02}.png"), gray.repeat(3, axis=2))
    assert FolderDataset(tmp_path).channels == 1
    assert open_dataset("folder", tmp_path, channels=3).read_image(FolderDataset(tmp_path).records[0]).shape[2] == 3
    noise(tmp_path / "images" / "11.png")
    assert FolderDataset(tmp_path).channels == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: (r / "classes.txt").unlink(), r"classes\.txt: cannot be read"),
        (lambda r: (r / "classes.txt").write_text(" \n"), r"classes\.txt: 0 classes"),
        (lambda r: (r / "classes.txt").write_text("pit\n\ndent\n"), r"classes\.txt:2: an empty line"),
        (lambda r: (r / "classes.txt").write_text("pit\npit\n"), r"classes\.txt:2: 'pit' again"),
        (lambda r: (r / "classes.txt").write_bytes(b"\xff\xfe\x00"), r"classes\.txt: cannot be read"),
        (lambda r: (r / "classes.txt").write_text("pit\n"), r"a_1\.png: value 2 at row 2, column 3 has no name"),
        (lambda r: Image.fromarray(box_mask(0, 0, 2, 2, size=(9, 9))).save(r / "masks/a_1.png"), "the mask is 9 x 9"),
        (lambda r: noise(r / "masks/a_1.png"), r"a_1\.png: the mask has colours \(RGB\)"),
        (lambda r: (r / "masks/a_1.png").write_bytes(b"no"), r"a_1\.png: the mask cannot be read"),
        (lambda r: noise(r / "images/a_1.png"), r"both would have the mask a_1\.png"),
        (lambda r: (r / "masks/a_1.png").rename(r / "masks/c.png"), r"c\.png: no image of this stem"),
        (lambda r: noise(r / "masks/b_2.jpg"), r"b_2\.jpg: not a PNG"),
        (lambda r: (r / "masks").rename(r / "mask"), "masks: no such folder"),
        (lambda r: (r / "images").rename(r / "image"), "images: no images"),
        (lambda r: (r / "images/a_1.jpg").write_bytes(b"no"), r"a_1\.jpg: not an image"),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(folder: Path, change: Any, said: str) -> None:
    change(folder)
    with pytest.raises(DataError, match=said):
        FolderDataset(folder)


def test_a_mask_of_0_and_255_gets_its_remedy(folder: Path) -> None:
    Image.fromarray(box_mask(2, 3, 5, 6, 255)).save(folder / "masks" / "a_1.png")
    with pytest.raises(DataError, match=r"value 255 at row 2, column 3 .* does not say which; write 1 for pit, 2 for "):
        FolderDataset(folder)


# COCO

CATEGORIES = [{"id": 90, "name": "scratch"}, {"id": 7, "name": "pit"}, {"id": 1, "name": "nothing of this"}]


def coco_content(mask: np.ndarray, **more: Any) -> dict[str, Any]:
    code = mask_api.encode(np.asfortranarray(mask))["counts"].decode()
    size = list(mask.shape)
    annotations = [
        {"id": 1, "image_id": 5, "category_id": 7, "segmentation": [[2, 3, 9, 3, 9, 12, 2, 12], [20, 1, 25, 1, 25, 6]]},
        {"id": 2, "image_id": 5, "category_id": 90, "segmentation": {"size": size, "counts": code}, "iscrowd": 0},
        {
            "id": 3,
            "image_id": 6,
            "category_id": 90,
            "segmentation": {"size": size, "counts": encode_counts(mask > 0)},
            "iscrowd": 1,
        },
    ]
    images = [
        {"id": number, "file_name": name, "height": size[0], "width": size[1]}
        for number, name in ((5, "a.png"), (6, "sub/b.png"), (9, "c.png"))
    ]
    return {"images": images, "annotations": annotations, "categories": [dict(c) for c in CATEGORIES], **more}


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    root = tmp_path / "coco"
    for index, name in enumerate(("a.png", "sub/b.png", "c.png")):
        noise(root / "images" / name, seed=index)
    (root / "annotations.json").write_text(json.dumps(coco_content(box_mask(4, 5, 6, 7))))
    return root


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # of mask_api.decode, with NumPy 2
def test_coco_polygons_and_codes_are_read(coco: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = CocoDataset(coco)
    assert dataset.class_names == ("pit", "scratch")  # by id, without categories that have no annotation
    assert [(r.name, r.group) for r in dataset.records] == [("a.png", "a"), ("sub/b.png", "sub/b"), ("c.png", "c")]
    assert [r.classes for r in dataset.records] == [{0, 1}, {1}, frozenset()]
    polygons = coco_content(box_mask(4, 5, 6, 7))["annotations"][0]["segmentation"]
    expected = mask_api.decode(mask_api.merge(mask_api.frPyObjects(polygons, 20, 30)))
    expected[4:10, 5:12] = 2  # the later annotation is on top
    np.testing.assert_array_equal(dataset.read(dataset.records[0])[1], expected)
    np.testing.assert_array_equal(dataset.read(dataset.records[1])[1], box_mask(4, 5, 6, 7, 2))
    assert not dataset.read(dataset.records[2])[1].any()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("place", "images"),
    [
        ("_annotations.coco.json", "."),
        ("instances_train.json", "images"),
        ("annotations/instances_train2017.json", "train2017"),
        ("annotations/any.json", "images"),
        ("result.json", "."),
    ],
)
def test_the_usual_places_of_coco_files_are_found(tmp_path: Path, place: str, images: str) -> None:
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(coco_content(box_mask(4, 5, 6, 7))))
    for name in ("a.png", "sub/b.png", "c.png"):
        noise(tmp_path / images / name)
    assert len(open_dataset("coco", tmp_path).records) == len(open_dataset("coco", path).records) == 3


def test_several_coco_files_are_listed(coco: Path) -> None:
    (coco / "instances_val.json").write_text("{}")
    with pytest.raises(DataError, match=r"2 annotation files \(annotations\.json, instances_val\.json\)"):
        CocoDataset(coco)
    assert len(CocoDataset(coco / "annotations.json").records) == 3


def change_annotation(number: int, **values: Any) -> Any:
    def change(content: dict[str, Any]) -> None:
        content["annotations"][number].update(values)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.pop("categories"), "no list 'categories'"),
        (lambda c: c["images"].append(3), "no list 'images' of objects"),
        (lambda c: c["images"].clear(), "'images' is empty"),
        (lambda c: c["images"][0].pop("file_name"), "image 0 needs a file_name"),
        (lambda c: c["images"][1].update(id=5), "image 1 .* the id or the name of another"),
        (lambda c: c["images"][0].update(file_name="d.png"), r"image d\.png is not there; looked in"),
        (lambda c: c["categories"][0].update(name=None), "category 0 needs a name"),
        (lambda c: c["categories"][0].update(id=7), "category 1 .* the id of another"),
        (change_annotation(1, image_id=77), r"annotation 1 \(id 2\): no image has the id 77"),
        (change_annotation(1, image_id=[1]), r"annotation 1 \(id 2\): no image has the id \[1\]"),
        (change_annotation(1, category_id=8), r"annotation 1 \(id 2\): no category has the id 8"),
        (change_annotation(1, segmentation=[]), r"annotation 1 \(id 2\): no segmentation; a box alone"),
        (change_annotation(1, segmentation=None), "no segmentation"),
        (change_annotation(1, segmentation=[[1, 2, 3, 4]]), "at least three points"),
        (change_annotation(1, segmentation=[[1, 2, 3, 4, 5, 6, 7]]), "at least three points"),
        (change_annotation(1, segmentation=[[1, 2, 3, 4, 5, 1e300]]), "at least three points"),
        (change_annotation(1, segmentation=[[1, 2, 3, 4, 5, "x"]]), "flat list of numbers"),
        (change_annotation(1, segmentation={"counts": "a"}), "needs 'size' and 'counts'"),
    ],
)
def test_what_is_wrong_with_a_coco_file_is_named(coco: Path, change: Any, said: str) -> None:
    content = coco_content(box_mask(4, 5, 6, 7))
    change(content)
    (coco / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=said) as error:
        CocoDataset(coco)
    assert str(coco / "annotations.json") in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (change_annotation(1, segmentation={"size": [20, 30], "counts": "abc"}), r"annotation 1 \(id 2\): "),
        (change_annotation(1, segmentation={"size": [2, 30], "counts": "abc"}), r"the code is for \[2, 30\] pixels"),
        (lambda c: c["images"][0].update(height=21), r"annotated as 21 x 30 pixels, but .*a\.png has 20 x 30"),
    ],
)
def test_a_coco_mask_that_does_not_fit_is_named_when_it_is_read(coco: Path, change: Any, said: str) -> None:
    content = coco_content(box_mask(4, 5, 6, 7))
    change(content)
    (coco / "annotations.json").write_text(json.dumps(content))
    dataset = CocoDataset(coco)
    with pytest.raises(DataError, match=said):
        dataset.check(progress=False)
    dataset = open_dataset("coco", coco, skip_bad=True)
    assert [r.name for r in dataset.records] == ["sub/b.png", "c.png"] and len(dataset.skipped) == 1


@pytest.mark.parametrize("text", ['{"images": [\n}', "[1]", ""])
def test_a_coco_file_that_is_no_json_is_named(coco: Path, text: str) -> None:
    (coco / "annotations.json").write_text(text)
    with pytest.raises(DataError, match=r"annotations\.json:?\d?: (not JSON|no list)"):
        CocoDataset(coco)
    with pytest.raises(DataError, match=r"no annotations\.json"):
        CocoDataset(coco / "images")


# Labelme


def test_labelme_rectangles_may_have_two_corners_or_four() -> None:
    shapes = [{"shape_type": "rectangle", "points": [[9, 12], [2, 3]]}]
    np.testing.assert_array_equal(draw_shapes(shapes, [1], (20, 30)), box_mask(3, 2, 10, 8))
    shapes = [{"shape_type": "rectangle", "points": [[2, 3], [9, 3], [9, 12], [2, 12]]}]
    np.testing.assert_array_equal(draw_shapes(shapes, [1], (20, 30)), box_mask(3, 2, 10, 8))


def write_labelme(root: Path, name: str, shapes: list[Any], **more: Any) -> None:
    noise(root / f"{name}.png")
    (root / f"{name}.json").write_text(json.dumps({"shapes": shapes, **more}))


def test_labels_of_an_image_of_another_size_are_refused(tmp_path: Path) -> None:
    shape = {"label": "pit", "shape_type": "circle", "points": [[9, 9], [9, 12]]}
    write_labelme(tmp_path, "a", [shape], imageHeight=20, imageWidth=30)
    write_labelme(tmp_path, "b", [shape], imageHeight=40, imageWidth=60)
    write_labelme(tmp_path, "c", [shape], imageHeight=None)
    dataset = LabelmeDataset(tmp_path)
    assert dataset.read(dataset.records[0])[1].any() and dataset.read(dataset.records[2])[1].any()
    with pytest.raises(DataError, match=r"b\.json: drawn on an image of 40 x 60 pixels, but b\.png has 20 x 30"):
        dataset.check(progress=False)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ({"shape_type": "cuboid", "points": [[1, 2]] * 8}, "shape 0 is 'cuboid'; those that can become masks are poly"),
        ({"shape_type": "circle", "points": [[1, 2]]}, "needs a label and its centre"),
        ({"shape_type": "rectangle", "points": [[1, 2], [3, 4], [5, 6]]}, "needs a label and two opposite corners"),
    ],
)
def test_shapes_that_make_no_mask_are_refused(tmp_path: Path, shape: dict[str, Any], said: str) -> None:
    write_labelme(tmp_path, "a", [{"label": "pit", **shape}])
    with pytest.raises(DataError, match=said):
        LabelmeDataset(tmp_path)


# Severstal


def steel(root: Path, rows: list[str], header: str = "ImageId,ClassId,EncodedPixels") -> Path:
    for index, name in enumerate(("a.jpg", "b.jpg", "c.jpg")):
        noise(root / "train_images" / name, (20, 30), index)
    (root / "train.csv").write_text("\n".join([header, *rows]) + "\n")
    return root


@pytest.mark.parametrize("joined", [False, True])
def test_both_layouts_of_severstal_are_read(tmp_path: Path, joined: bool) -> None:
    expected = {"a.jpg": {1: box_mask(2, 3, 4, 5), 4: box_mask(10, 3, 4, 5)}, "b.jpg": {3: box_mask(0, 0, 20, 2)}}
    rows = []
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        for number in range(1, 5):
            code = encode_pairs(expected.get(name, {}).get(number, np.zeros((20, 30))) > 0)
            if joined or code:
                rows.append(f"{name}_{number},{code}" if joined else f"{name},{number},{code}")
    header = "ImageId_ClassId,EncodedPixels" if joined else "ImageId,ClassId,EncodedPixels"
    dataset = open_dataset("severstal", steel(tmp_path, rows, header))
    assert [(r.name, r.group) for r in dataset.records] == [("a", "a"), ("b", "b"), ("c", "c")]
    assert [r.classes for r in dataset.records] == [{0, 3}, {2}, frozenset()] and dataset.channels == 1
    image, mask = dataset.read(dataset.records[0])
    assert image.shape == (20, 30, 1)
    np.testing.assert_array_equal(mask, box_mask(2, 3, 4, 5, 1) + box_mask(10, 3, 4, 5, 4))
    np.testing.assert_array_equal(dataset.read(dataset.records[1])[1], box_mask(0, 0, 20, 2, 3))
    assert not dataset.read(dataset.records[2])[1].any()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["a.jpg,1,1 2 3"], "train.csv:2: a.jpg: 3 numbers"),
        (["b.jpg,2,1 2", "a.jpg,1,600 2"], r"train.csv:3: a.jpg: run 1 \(600 2\) leaves the image of 600"),
        (["a.jpg,1,5 4 7 3"], r"train.csv:2: a.jpg: run 2 \(7 3\) overlaps"),
        (["a.jpg,5,1 2"], "train.csv:2: class '5' of image 'a.jpg'; the classes are 1 to 4"),
        (["a.jpg,1,1 2", "a.jpg,1,9 2"], "train.csv:3: a second row for class 1 of a.jpg"),
        (["z.jpg,1,1 2"], r"train.csv:2: no image z.jpg in .*train_images"),
    ],
)
def test_a_wrong_row_of_severstal_is_named_or_skipped(tmp_path: Path, rows: list[str], said: str) -> None:
    root = steel(tmp_path, rows)
    with pytest.raises(DataError, match=said):
        SeverstalDataset(root)
    dataset = open_dataset("severstal", root, skip_bad=True)
    assert len(dataset.skipped) == 1 and [r.name for r in dataset.records][-2:] == ["b", "c"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ImageId,EncodedPixels\na.jpg,1 2\n", r"train\.csv:1: no column ClassId"),
        ("", r"train\.csv:1: no column ImageId, ClassId, EncodedPixels"),
        ("ImageId,ClassId,EncodedPixels\na.jpg,1\n", r"train\.csv:2: .* must be given"),
    ],
)
def test_a_table_without_columns_is_named(tmp_path: Path, text: str, said: str) -> None:
    root = steel(tmp_path, [])
    (root / "train.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        SeverstalDataset(root)
    (root / "train.csv").unlink()
    with pytest.raises(DataError, match=r"train\.csv: cannot be read"):
        SeverstalDataset(root)


def strip(size: tuple[int, int] = (256, 1600), level: int = 90, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(level, level / 10, (*size, 1)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("side", ["left", "right", "bottom", "both"])
@pytest.mark.parametrize("black", [0, 8, 15])
def test_black_beside_the_strip_is_no_background(side: str, black: int) -> None:
    image = strip()
    outside = np.zeros(image.shape[:2], bool)
    if side == "bottom":
        outside[200:] = True
    if side in ("left", "both"):
        outside[:, :300] = True
    if side in ("right", "both"):
        outside[:, 1588:] = True
    rng = np.random.default_rng(1)
    image[outside] = rng.normal(black, 2, (int(outside.sum()), 1)).clip(0, 255)
    dataset = SeverstalDataset.__new__(SeverstalDataset)
    region = dataset.background_region(image)
    assert not region[outside].any()
    near = cv2.dilate(outside.astype(np.uint8), np.ones((41, 41), np.uint8)) > 0
    assert region[~near].all() and region.dtype == bool


@pytest.mark.parametrize("level", [90, 45, 25, 14])
def test_dark_steel_and_small_dark_marks_are_background(level: int) -> None:
    image = strip(level=level)
    image[100:130, 700:740] = 0  # a stain
    image[:, 900:903] = 0  # a scratch
    dataset = SeverstalDataset.__new__(SeverstalDataset)
    assert dataset.background_region(image).all()


def test_an_image_of_black_alone_has_no_background() -> None:
    dataset = SeverstalDataset.__new__(SeverstalDataset)
    assert not dataset.background_region(np.full((64, 200, 1), 2, np.uint8)).any()


# What all formats share


def test_groups_may_come_from_a_table(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "groups.csv"
    table.write_text("\ufefffile,group,note\na_1.jpg,x,\na_2,x,\nb_1.tif,y,\nb_2.bmp,z,late\n", encoding="utf-8")
    assert [r.group for r in open_dataset("folder", folder, groups=table).records] == ["x", "x", "y", "z"]
    with pytest.raises(DataError, match="give one of the two"):
        open_dataset("folder", folder, "a", groups=table)
    table.write_text("file,group\na_1.jpg,x\na_1.jpg,y\n")
    with pytest.raises(DataError, match=r"groups\.csv:3: a_1\.jpg has two groups"):
        open_dataset("folder", folder, groups=table)
    table.write_text("file,group\na_1.jpg,x\n")
    with pytest.raises(DataError, match=r"groups\.csv: no row for a_2\.PNG"):
        open_dataset("folder", folder, groups=table)
    table.write_text("name,group\na_1.jpg,x\n")
    with pytest.raises(DataError, match=r"groups\.csv:1: no column file"):
        open_dataset("folder", folder, groups=table)


def test_bad_files_are_skipped_and_listed_also_those_found_when_decoded(folder: Path) -> None:
    (folder / "masks" / "a_1.png").write_bytes(b"no")
    path = folder / "images" / "a_2.PNG"
    path.write_bytes(path.read_bytes()[:-40])
    FolderDataset(folder, skip_bad=True)  # its header can be read
    dataset = open_dataset("folder", folder, skip_bad=True)
    assert [r.name for r in dataset.records] == ["b_1", "b_2"]
    assert [Path(problem.partition(": ")[0]).name for problem in dataset.skipped] == ["a_1.png", "a_2.PNG"]
    for image in (folder / "images").iterdir():
        image.write_bytes(b"no")
    with pytest.raises(DataError, match="none of the images can be read; the first problem: "):
        open_dataset("folder", folder, skip_bad=True)


def test_bad_labelme_files_are_skipped_and_listed(tmp_path: Path) -> None:
    write_labelme(tmp_path, "a", [{"label": "pit", "points": [[2, 3], [9, 3], [9, 12]]}])
    write_labelme(tmp_path, "b", [])
    (tmp_path / "b.json").write_text("{\n")
    dataset = open_dataset("labelme", tmp_path, skip_bad=True)
    assert [r.name for r in dataset.records] == ["a"] and "b.json:2: not JSON" in dataset.skipped[0]


def test_unknown_formats_folders_and_channels_are_refused(folder: Path) -> None:
    assert list(FORMATS) == sorted(FORMATS)
    with pytest.raises(DataError, match="no format 'other'; the formats are auto, coco, cvat, folder"):
        open_dataset("other", folder)
    for name in FORMATS:
        with pytest.raises(DataError, match="nowhere: no such folder"):
            open_dataset(name, folder / "nowhere")
    with pytest.raises(DataError, match=r"channels must be 1 .* or 3"):
        open_dataset("folder", folder, channels=4)
    with pytest.raises(DataError, match="take their groups from a table"):
        open_dataset("magnetic-tile", folder, "a")


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_folder_is_an_error_in_every_format(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=str(tmp_path)):
        open_dataset(name, tmp_path)


def test_the_flags_of_all_commands_open_a_data_set(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_data_arguments(parser)
    (folder / "masks" / "a_1.png").write_bytes(b"no")
    flags = ["--data", str(folder), "--format", "folder", "--group-pattern", "^.", "--channels", "1", "--skip-bad"]
    dataset = dataset_from_arguments(parser.parse_args([*flags, "--source", "us", "--licence", "CC0"]))
    assert (dataset.source, dataset.licence, dataset.channels) == ("us", "CC0", 1)
    assert [r.group for r in dataset.records] == ["a", "b", "b"]
    captured = capsys.readouterr()
    assert captured.out == "" and "skipped " in captured.err and "a_1.png" in captured.err


DATA = Path(os.environ.get("ALBU_GAN_DATA", ""))
real = pytest.mark.skipif("ALBU_GAN_DATA" not in os.environ, reason="ALBU_GAN_DATA names no folder of data sets")


@real
def test_the_real_steel_strips_are_read_and_their_black_sides_found() -> None:
    dataset = open_dataset("severstal", DATA / "severstal_mini")
    dataset.check(progress=False)
    images = [sum(index in r.classes for r in dataset.records) for index in range(4)]
    assert images == [12, 4, 31, 4] and len(dataset.clean_records(dataset.records)) == 22
    shares = {r.name: dataset.background_region(dataset.read_image(r)).mean() for r in dataset.records}
    assert shares["002fc4e19"] == pytest.approx(0.714, abs=0.02)  # the black of 450 columns of 1600
    assert shares["0ac9936af"] == pytest.approx(0.17, abs=0.02)
    assert shares["0a21ce787"] == shares["0a4ef8ee7"] == 1  # dark steel
    # Labels lie on steel.
    for record in dataset.records[:10]:
        image, mask = dataset.read(record)
        if mask.any():
            assert dataset.background_region(image)[mask > 0].mean() > 0.9
