"""CVAT for images, on files made here."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from albu_gan.data import CvatDataset, DataError, open_dataset

HEAD = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><labels>
<label><name>scratch</name><color>#ff0000</color><attributes><attribute><name>width</name></attribute></attributes></label>
<label><name>never</name></label><label><name>tip</name><type>points</type></label>
<label><name>arm</name><type>points</type><parent>rig</parent></label><label><name>pit</name></label>
</labels></task></meta>
"""
SQUARE = '<polygon label="pit" z_order="1" points="10,10;30,10;30,30;10,30"></polygon>'
MASK = '<mask label="pit" rle="1, 2, 2, 3, 1" left="4" top="6" width="3" height="3" z_order="0"></mask>'


def write_cvat(root: Path, images: dict[str, str], where: str = "images") -> Path:
    """Images of 40 x 60 with these elements; line 7 of the file is the first image's."""
    parts = [HEAD]
    for number, (name, shapes) in enumerate(images.items()):
        path = root / where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8))
        parts.append(f'<image id="{number}" name="{name}" width="60" height="40">\n{shapes}\n</image>\n')
    (root / "annotations.xml").write_text("".join(parts) + "</annotations>\n", encoding="utf-8")
    return root


def read_one(root: Path, shapes: str) -> np.ndarray:
    dataset = CvatDataset(write_cvat(root, {"a.png": shapes}))
    return dataset.read(dataset.records[0])[1]


@pytest.mark.parametrize("where", ["images", "", "images/Train"])
def test_shapes_are_read_and_classes_are_the_labels_in_use(tmp_path: Path, where: str) -> None:
    root = write_cvat(tmp_path, {"a.png": SQUARE + MASK, "part/b.png": ""}, where)
    if where == "images/Train":
        text = (root / "annotations.xml").read_text()
        (root / "annotations.xml").write_text(text.replace("<image ", '<image subset="Train" '))
    dataset = open_dataset("auto", root)
    assert isinstance(dataset, CvatDataset) and dataset.class_names == ("scratch", "never", "pit")
    first, clean = dataset.records
    mask = dataset.read(first)[1]
    assert mask.sum() == 3 * (20 * 20 + 5) and mask[6, 5] == mask[6, 6] == 3 and mask[6, 4] == 0
    assert clean.name == "part/b.png" and not dataset.read(clean)[1].any()
    assert dataset.instances(first) == {2: 2}
    assert len(open_dataset("cvat", root / "annotations.xml").records) == 2


def test_the_higher_shape_lies_over_the_lower_one_and_the_later_over_the_earlier(tmp_path: Path) -> None:
    low = '<box label="scratch" z_order="0" xtl="0" ytl="0" xbr="60" ybr="40"/>'
    mask = read_one(tmp_path, SQUARE + low)
    assert mask[20, 20] == 3 and mask[0, 0] == 1, "scratch, though later, lies below"
    mask = read_one(tmp_path, SQUARE + low.replace('z_order="0"', 'z_order="1"'))
    assert (mask == 1).all()


def test_a_line_has_the_width_of_its_attribute_or_that_of_the_data(tmp_path: Path) -> None:
    wide = '<polyline label="scratch" points="5,10;55,10"><attribute name="width">4</attribute></polyline>'
    bare = '<polyline label="scratch" points="5,30.5;55,30.5"></polyline>'
    root = write_cvat(tmp_path, {"a.png": wide + bare})
    dataset = CvatDataset(root)
    mask = dataset.read(dataset.records[0])[1]
    assert mask[:20, 30].sum() == 4 and mask[20:, 30].sum() == 1
    assert "1 polyline without an attribute 'width' drawn 1 pixel(s) wide" in dataset.notes[0]
    dataset = open_dataset("auto", root, line_width=7)
    assert dataset.read(dataset.records[0])[1][20:, 30].sum() == 7
    with pytest.raises(DataError, match="line_width must be"):
        open_dataset("auto", root, line_width=0)


def test_what_has_no_area_is_passed_over_and_counted(tmp_path: Path) -> None:
    shapes = (
        '<points label="pit" points="1,1;2,2"/><tag label="pit"/><skeleton label="pit"><points label="a"/></skeleton>'
    )
    dataset = CvatDataset(write_cvat(tmp_path, {"a.png": shapes, "b.png": SQUARE}))
    assert not dataset.read(dataset.records[0])[1].any()
    assert "1 points, 1 skeleton, 1 tag ignored, which have no area" in dataset.notes[0]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ('<polygon label="pit" points="1,1;2,2"/>', "polygon of a.png: it has 2 point"),
        ('<polygon label="pit" points="1,1;2;3,3"/>', "not pairs"),
        ('<polygon label="other" points="1,1;2,2;3,1"/>', "label 'other' is none of the task's"),
        ('<polyline label="pit" points="1,1"/>', "it has 1 point"),
        ('<polyline label="pit" points="1,1;9,9"><attribute name="width">thin</attribute></polyline>', "'thin'"),
        ('<box label="pit" xtl="1" ytl="1" xbr="4"/>', "ybr is None"),
        ('<box label="pit" xtl="1" ytl="1" xbr="4" ybr="1e9"/>', "too far out"),
        ('<ellipse label="pit" cx="1" cy="1" rx="a" ry="2"/>', "rx is 'a'"),
        ('<mask label="pit" left="1" top="1" width="2" height="2"/>', "no rle"),
    ],
)
def test_a_wrong_shape_is_named_by_its_line(tmp_path: Path, shape: str, message: str) -> None:
    root = write_cvat(tmp_path, {"a.png": f"{SQUARE}\n{shape}", "b.png": SQUARE})
    with pytest.raises(DataError, match=rf"annotations\.xml:9: .*{message}"):
        CvatDataset(root)
    dataset = CvatDataset(root, skip_bad=True)
    assert [record.name for record in dataset.records] == ["b.png"] and len(dataset.skipped) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("1, 2, 2, 3, 1", "1, 2, 2, 3"), "add up to 8 pixels, its box has 9"),
        (("1, 2, 2, 3, 1", "1, x"), "no list of whole numbers"),
        (('left="4"', 'left="58"'), "leaves the image"),
    ],
)
def test_a_wrong_mask_is_named_when_it_is_read(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    root = write_cvat(tmp_path, {"a.png": MASK.replace(*change), "b.png": SQUARE})
    dataset = CvatDataset(root)
    with pytest.raises(DataError, match=rf"annotations\.xml:8: mask of a\.png: .*{message}"):
        dataset.read(dataset.records[0])
    assert len(open_dataset("cvat", root, skip_bad=True).records) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotations><image", r"annotations\.xml:1: not XML"),
        ("<annotation></annotation>", "no annotations.xml of CVAT"),
        ('<annotations><track id="0"/></annotations>', "export as 'CVAT for images 1.1'"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><annotations/>", "document type"),
        ('<annotations><image id="0"/></annotations>', "without a name"),
    ],
)
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "annotations.xml").write_text(text)
    with pytest.raises(DataError, match=message):
        CvatDataset(tmp_path)


def test_images_that_are_missing_or_of_another_size_are_named(tmp_path: Path) -> None:
    root = write_cvat(tmp_path, {"a.png": SQUARE, "b.png": SQUARE})
    cv2.imwrite(str(root / "images" / "a.png"), np.zeros((20, 20), np.uint8))
    dataset = CvatDataset(root)
    with pytest.raises(DataError, match=r"drawn on an image of 40 x 60 pixels, but .*a\.png has 20 x 20"):
        dataset.read(dataset.records[0])
    (root / "images" / "a.png").unlink()
    with pytest.raises(DataError, match=r"annotations\.xml:7: image a\.png is not there; looked in"):
        CvatDataset(root)


def test_several_files_are_refused_unless_one_is_called_annotations(tmp_path: Path) -> None:
    root = write_cvat(tmp_path, {"a.png": SQUARE})
    (root / "job.xml").write_text("<annotations/>")
    (root / "voc.xml").write_text("<annotation/>")
    assert len(CvatDataset(root).records) == 1
    (root / "annotations.xml").rename(root / "task.xml")
    with pytest.raises(DataError, match="several files of CVAT"):
        CvatDataset(root)
