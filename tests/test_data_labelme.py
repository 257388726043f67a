"""Labelme: the pixels of each shape as labelme draws them, and which file belongs to which image."""

from __future__ import annotations

import base64
import importlib
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from albu_gan.data import DataError, LabelmeDataset, open_dataset
from albu_gan.data.labelme_shapes import draw_shapes
from albu_gan.data.rle import decode_counts

DRAWN: dict[str, Any] = json.loads((Path(__file__).parent / "labelme_masks.json").read_text(encoding="utf-8"))
POLYGON = {"label": "crack", "shape_type": "polygon", "points": [[30, 20], [70, 20], [70, 40], [30, 40]]}


def png(pixels: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def write(
    root: Path, image: str, label: str | None, shapes: list[Any] | None = None, encoding: str = "utf-8", **more: Any
) -> None:
    path = root / image
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8))
    if label is not None:
        write_label(root, label, [POLYGON] if shapes is None else shapes, encoding, imagePath=path.name, **more)


def write_label(root: Path, label: str, shapes: list[Any], encoding: str = "utf-8", **more: Any) -> None:
    path = root / label
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"version": "7.9.1", "shapes": shapes, "imageHeight": 60, "imageWidth": 80, **more}
    path.write_text(json.dumps(content), encoding=encoding)


# Pixels


@pytest.mark.parametrize("drawn", DRAWN["shapes"], ids=lambda drawn: drawn["name"])
def test_shapes_have_the_pixels_that_labelme_draws(drawn: dict[str, Any]) -> None:
    size = tuple(DRAWN["size"])
    expected = decode_counts(drawn["counts"], size)
    assert expected.any()
    np.testing.assert_array_equal(draw_shapes([drawn["shape"]], [7], size), np.where(expected, 7, 0))


@pytest.mark.parametrize(("radius", "pixels"), [(2, 21), (4, 61), (10, 349)])
def test_circles_are_as_large_as_labelmes(radius: int, pixels: int) -> None:
    shape = {"shape_type": "circle", "points": [[30, 20], [30, 20 + radius]]}
    assert np.count_nonzero(draw_shapes([shape], [1], (40, 60))) == pixels


def test_corners_of_x_anylabeling_are_polygons_and_later_shapes_lie_over_earlier_ones() -> None:
    corners = [[10, 10], [40, 12], [38, 32], [8, 30]]
    drawn = [
        draw_shapes([{"shape_type": kind, "points": corners}], [3], (40, 60))
        for kind in ("polygon", "rotation", "quadrilateral", "oriented_rectangle", None)
    ]
    assert all((other == drawn[0]).all() for other in drawn)
    box = {"shape_type": "rectangle", "points": [[12, 12], [20, 20]]}
    both = draw_shapes([{"shape_type": "polygon", "points": corners}, box], [3, 5], (40, 60))
    assert (both[12:21, 12:21] == 5).all() and (both[drawn[0] == 0] == 0).all()


def test_a_shape_outside_of_the_image_is_refused_by_number(tmp_path: Path) -> None:
    shapes = [POLYGON, {**POLYGON, "points": [[-30, 20], [-20, 20], [-20, 40]]}]
    write(tmp_path, "a.png", "a.json", shapes)
    with pytest.raises(DataError, match=r"a\.json: shape 1, a polygon, has no pixel in the image; move or remove it"):
        LabelmeDataset(tmp_path).check(progress=False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"mask": None}, "shape 0: a mask needs its pixels"),
        ({"mask": "no"}, "shape 0: the pixels of the mask are no PNG"),
        ({"mask": png(np.zeros((21, 41, 3), np.uint8))}, "shape 0: the pixels of the mask have colours"),
        ({"points": [[30, 20], [71, 40]]}, "the mask has 21 x 41 pixels, but its box 21 x 42"),
        ({"points": [[30, 20]]}, "a mask, needs a label and two corners of its box"),
    ],
)
def test_masks_are_read_or_refused(tmp_path: Path, change: dict[str, Any], said: str | None) -> None:
    shape = {"label": "crack", "shape_type": "mask", "points": [[30, 20], [70, 40]]}
    write(tmp_path, "a.png", "a.json", [{**shape, "mask": png(np.full((21, 41), 255, np.uint8)), **change}])
    if said is None:
        dataset = LabelmeDataset(tmp_path)
        mask = dataset.read(dataset.records[0])[1]
        assert mask.sum() == mask[20:41, 30:71].sum() == 21 * 41
    else:
        with pytest.raises(DataError, match=said):
            LabelmeDataset(tmp_path)


def test_labelme_itself_draws_the_same() -> None:
    """Runs where labelme is installed."""
    pytest.importorskip("labelme")
    try:
        draw = importlib.import_module("labelme._utils").shapes_to_label  # from version 7 on
    except ModuleNotFoundError:
        pytest.skip("labelme 7 or later is needed")
    size = tuple(DRAWN["size"])
    for drawn in DRAWN["shapes"]:
        shape = dict(drawn["shape"])
        if shape["shape_type"] == "mask":
            shape["mask"] = np.asarray(Image.open(io.BytesIO(base64.b64decode(shape["mask"])))) != 0
        expected = draw(img_shape=size, shapes=[shape], label_name_to_value={"pit": 1})[0]
        np.testing.assert_array_equal(draw_shapes([drawn["shape"]], [1], size), expected)


# Files


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("", "{}.json"),
        ("", "{}.JSON"),
        ("", "{}.png.json"),
        ("", "labels/{}.json"),
        ("images/", "images/{}.json"),
        ("images/", "json/{}.json"),
        ("image/", "json/{}.json"),
        ("images/", "annotations/{}.json"),
        ("images/", "Annotations/{}.json"),
        ("Images/", "{}.json"),
        ("images/", "IMG_{}.json"),
        ("images/left/", "images/left/{}.json"),
        ("images/left/", "labels/left/{}.json"),
        ("images/left/", "labels/{}.json"),
        ("left/", "left/{}.json"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*by their imagePath")
def test_label_files_are_found(tmp_path: Path, images: str, labels: str) -> None:
    for name in ("a", "b"):
        write(tmp_path, f"{images}{name}.png", labels.format(name))
    write(tmp_path, f"{images}clean.png", None)
    dataset = open_dataset("labelme", tmp_path)
    assert [(Path(r.name).name, len(r.classes)) for r in dataset.records] == [("a", 1), ("b", 1), ("clean", 0)]
    assert all(dataset.read(r)[1].any() == bool(r.classes) for r in dataset.records)
    assert len({r.group for r in dataset.records}) == 3


def test_images_of_one_name_in_two_folders_have_their_own_labels(tmp_path: Path) -> None:
    write(tmp_path, "images/left/a.png", "labels/left/a.json")
    write(tmp_path, "images/right/a.png", "labels/right/a.json", [{**POLYGON, "label": "pit"}])
    dataset = LabelmeDataset(tmp_path)
    assert [(r.name, r.classes) for r in dataset.records] == [("left/a", {0}), ("right/a", {1})]
    write_label(tmp_path, "labels/a.json", [POLYGON])
    with pytest.raises(DataError, match=r"labels.a\.json: no image of this name in .*images; put the image there"):
        LabelmeDataset(tmp_path)


def test_a_file_that_names_its_image_belongs_to_it_with_a_warning(tmp_path: Path) -> None:
    write(tmp_path, "a.png", "IMG_1.json", imageData=None)
    with pytest.warns(UserWarning, match=r"1 labelme file\(s\) have another name .*: IMG_1\.json to a\.png"):
        dataset = LabelmeDataset(tmp_path)
    assert dataset.records[0].classes == {0}
    write_label(tmp_path, "IMG_2.json", [POLYGON], imagePath="..\\other\\a.png")
    with pytest.raises(DataError, match=r"IMG_2\.json: .*a\.png has the label file .*IMG_1\.json already"):
        LabelmeDataset(tmp_path)


def test_a_label_file_without_an_image_is_named_or_skipped(tmp_path: Path) -> None:
    write(tmp_path, "a.png", "a.json")
    write_label(tmp_path, "b.json", [POLYGON], imagePath="lost.png")
    with pytest.raises(DataError, match=r"b\.json: no image of this name or of its imagePath 'lost\.png' in "):
        LabelmeDataset(tmp_path)
    dataset = open_dataset("labelme", tmp_path, skip_bad=True)
    assert [r.name for r in dataset.records] == ["a"] and "b.json: no image" in dataset.skipped[0]
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(DataError, match=r"b\.json: no image of this name in "):
        LabelmeDataset(tmp_path)


def test_images_without_any_label_file_are_no_labelme_data(tmp_path: Path) -> None:
    write(tmp_path, "images/a.png", None)
    (tmp_path / "project.json").write_text('{"name": "ours"}')
    with pytest.raises(DataError, match="no labelme file was found, so there is not one defect"):
        LabelmeDataset(tmp_path)


def test_other_json_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "images/a.png", "labels/a.json")
    (tmp_path / "project.json").write_text('{"name": "ours"}')
    (tmp_path / "images" / "a.json").write_text('{"exposure": 3}')
    assert LabelmeDataset(tmp_path).records[0].label_path == tmp_path / "labels" / "a.json"


def test_a_byte_order_mark_and_what_macos_leaves_do_no_harm(tmp_path: Path) -> None:
    write(tmp_path, "a.png", "a.json", encoding="utf-8-sig")
    for name in ("._a.png", "._a.json", ".ipynb_checkpoints/a.png", "__MACOSX/._a.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\5\26\7")
    assert [r.classes for r in LabelmeDataset(tmp_path).records] == [{0}]
    write(tmp_path, "a.png", "a.json", encoding="utf-16")
    with pytest.raises(DataError, match=r"a\.json: not text in UTF-8 .* save it as UTF-8"):
        LabelmeDataset(tmp_path)
