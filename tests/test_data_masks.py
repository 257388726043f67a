"""Masks as tools leave them: values, 0 and 255, colours, other names; in a folder and in Pascal VOC's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from albu_gan.data import DataError, FolderDataset, VocDataset, open_dataset

SIZE = (20, 30)
RED, GREEN, BLUE = (255, 0, 0), (0, 200, 10), (51, 221, 255)
BOX = (slice(2, 7), slice(3, 9))
OTHER = (slice(10, 13), slice(10, 20))


def index_mask(value: int = 1, other: int = 0) -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    mask[BOX], mask[OTHER] = value, other
    return mask


def colour_mask(
    colour: tuple[int, int, int] = RED, other: tuple[int, ...] = (0, 0, 0), clean: tuple[int, ...] = (0, 0, 0)
) -> np.ndarray:
    mask = np.empty((*SIZE, 3), np.uint8)
    mask[:], mask[BOX], mask[OTHER] = clean, colour, other
    return mask


def save_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8))


def save_mask(path: Path, mask: np.ndarray | Image.Image, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(mask) if isinstance(mask, np.ndarray) else mask
    image.save(path, **options)


def palette(mask: np.ndarray, *colours: tuple[int, int, int]) -> Image.Image:
    image = Image.fromarray(mask).convert("P")
    image.putpalette([level for colour in (*colours, *((9, 9, 9),) * (256 - len(colours))) for level in colour])
    image.putdata(mask.ravel().tolist())
    return image


def folder(root: Path, classes: str, *masks: Any, name: str = "{}.png") -> Path:
    """A folder of as many images as masks, None for a clean one, and its `classes.txt`."""
    for letter, mask in zip("abcdef", masks, strict=False):
        save_image(root / "images" / f"{letter}.jpg")
        if mask is not None:
            save_mask(root / "masks" / name.format(letter), mask)
    (root / "classes.txt").write_text(classes, encoding="utf-8-sig")
    return root


def read(dataset: Any, number: int = 0) -> np.ndarray:
    return np.asarray(dataset.read(dataset.records[number])[1])


# One class


@pytest.mark.parametrize(
    "mask",
    [
        index_mask(1),
        index_mask(255),
        index_mask(255) > 0,
        np.dstack([index_mask(255)] * 3),
        np.dstack([index_mask(1)] * 3),
        colour_mask((250, 50, 83)),
        np.dstack([colour_mask(RED), index_mask(255)]),  # transparent where it is clean
        np.dstack([index_mask(255), np.full(SIZE, 255, np.uint8)]),
    ],
    ids=["0/1", "0/255", "1 bit", "gray as RGB", "0/1 as RGB", "a colour", "a colour on nothing", "gray and alpha"],
)
def test_masks_of_one_class_are_read(tmp_path: Path, mask: np.ndarray) -> None:
    dataset = open_dataset("auto", folder(tmp_path, "crack\n", mask, None))
    assert isinstance(dataset, FolderDataset) and dataset.class_names == ("crack",)
    assert [r.classes for r in dataset.records] == [{0}, frozenset()]
    np.testing.assert_array_equal(read(dataset), index_mask(1))


def test_a_mask_that_is_255_all_over_is_a_defect_all_over(tmp_path: Path) -> None:
    dataset = FolderDataset(folder(tmp_path, "crack", np.full(SIZE, 255, np.uint8), np.zeros(SIZE, np.uint8)))
    assert read(dataset).min() == 1 and not read(dataset, 1).any()


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (index_mask(1), index_mask(255), r"in 2 ways: 1 in .*a\.png, 255 in .*b\.png"),
        (colour_mask(RED), colour_mask(GREEN), r"in 2 ways: \(255, 0, 0\) in .*a\.png, \(0, 200, 10\) in "),
    ],
)
def test_one_class_in_two_ways_is_refused(tmp_path: Path, first: np.ndarray, second: np.ndarray, said: str) -> None:
    with pytest.raises(DataError, match=said + ".*give each its colour, such as 'crack 255 0 0'"):
        FolderDataset(folder(tmp_path, "crack", first, second))


# Colours


@pytest.mark.parametrize(
    "classes",
    ["crack 255 0 0\npit 0 200 10\n", "crack #FF0000\npit #00c80a", "crack: 255, 0, 0\npit: 0,200,10\nignored 9 9 9"],
)
@pytest.mark.parametrize("kind", ["RGB", "RGBA", "palette", "quantised"])
def test_a_colour_a_class(tmp_path: Path, classes: str, kind: str) -> None:
    mask: Any = colour_mask(RED, GREEN)
    if kind == "RGBA":
        mask = np.dstack([mask, np.where(mask.any(axis=2), 255, 0).astype(np.uint8)])
    if kind == "palette":
        mask = palette(index_mask(1, 2), (0, 0, 0), RED, GREEN)
    if kind == "quantised":  # the order of the palette is anyone's guess
        mask = palette(2 - index_mask(1, 2), GREEN, RED, (0, 0, 0))
    dataset = FolderDataset(folder(tmp_path, classes, mask))
    assert dataset.class_names == ("crack", "pit") and dataset.records[0].classes == {0, 1}
    np.testing.assert_array_equal(read(dataset), index_mask(1, 2))


def test_gray_levels_may_be_colours_and_the_clean_surface_may_have_one(tmp_path: Path) -> None:
    root = folder(tmp_path, "crack 255 255 255\npit 128 128 128\n", index_mask(255, 128))
    np.testing.assert_array_equal(read(FolderDataset(root)), index_mask(1, 2))
    root = folder(tmp_path, "background 255 255 255\ncrack 0 0 0\n", 255 - index_mask(255))
    assert FolderDataset(root).class_names == ("crack",)
    np.testing.assert_array_equal(read(FolderDataset(root)), index_mask(1))


def test_a_colour_to_be_ignored_is_no_defect_and_no_background(tmp_path: Path) -> None:
    root = folder(tmp_path, "crack #ff0000\nvoid #ffffff\n", colour_mask(RED), colour_mask((255, 255, 255)), None)
    dataset = FolderDataset(root)
    assert not read(dataset, 1).any() and not dataset.records[1].classes
    assert [r.name for r in dataset.clean_records(dataset.records)] == ["c"]


def test_the_colours_of_cvats_label_map_are_taken(tmp_path: Path) -> None:
    root = folder(tmp_path, "pit\ncrack\n", colour_mask(RED, BLUE))
    (root / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncrack:255,0,0::\npit:51,221,255::\n"
    )
    np.testing.assert_array_equal(read(FolderDataset(root)), index_mask(2, 1))  # in the order of classes.txt
    (root / "classes.txt").unlink()
    dataset = open_dataset("auto", root)
    assert isinstance(dataset, FolderDataset) and dataset.class_names == ("crack", "pit")
    np.testing.assert_array_equal(read(dataset), index_mask(1, 2))
    (root / "classes.txt").write_text("dent")
    with pytest.raises(DataError, match=r"labelmap\.txt: no colour for dent of classes\.txt"):
        FolderDataset(root)


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ("crack 255 0 0\npit\n", r"classes\.txt:2: 'pit' has no colour, others have; write 'crack 255 0 0' or"),
        ("crack 255 0 0\npit 255 0 0\n", r"classes\.txt:2: 'pit' has the colour \(255, 0, 0\) of another line"),
        ("crack 255 0 0\ncrack 2 0 0\n", r"classes\.txt:2: 'crack' again"),
        ("crack 300 0 0\n", r"classes\.txt:1: a colour is three numbers from 0 to 255"),
        ("crack 0 0 0\n", r"classes\.txt: black is a class, so give the clean surface its colour"),
        ("background 0 0 0\n", r"classes\.txt: 0 classes"),
        ("\n".join(f"class {n}" for n in range(255)), r"classes\.txt: 255 classes; .* 1 to 254"),
    ],
)
def test_classes_with_wrong_colours_are_named(tmp_path: Path, classes: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        FolderDataset(folder(tmp_path, classes, colour_mask()))


@pytest.mark.parametrize("line", ["crack", "crack:255,0::", "crack:#ff0000::", ":1,2,3::"])
def test_a_label_map_with_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    root = folder(tmp_path, "crack", colour_mask())
    (root / "labelmap.txt").write_text(f"background:0,0,0::\n{line}\n")
    with pytest.raises(DataError, match=r"labelmap\.txt:2: .* is not label:R,G,B:parts:actions"):
        FolderDataset(root)


# What is refused


def smooth(mask: np.ndarray) -> np.ndarray:
    large = cv2.resize(mask, None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST)
    return cv2.resize(cv2.GaussianBlur(large, (0, 0), 4), SIZE[::-1], interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize(
    ("classes", "mask", "said"),
    [
        ("crack", smooth(index_mask(255)), r"\d+ values have none: the mask was saved as JPEG, resized, or drawn with"),
        ("crack", smooth(colour_mask()), r"\d+ colours have none: the mask was saved as JPEG"),
        ("crack 255 0 0", smooth(colour_mask()), r"\d+ colours have none: the mask was saved as JPEG"),
        ("crack", np.dstack([colour_mask(), smooth(index_mask(255))]), "half transparent in places"),
        ("crack\npit", index_mask(255), "does not say which; write 1 for crack, 2 for pit, or give each class its col"),
        ("crack", index_mask(38), r"value 38 at row 2, column 3 has no name: .*; write 1 or 255 instead of 38"),
        ("crack", index_mask(1, 255), "value 255 at row 10, column 10 has no name"),
        ("crack\npit", colour_mask(), r"the mask has colours \(RGB\), \(255, 0, 0\) at row 2, column 3, but classes"),
        ("crack", colour_mask(RED, GREEN), r"give each class its colour in classes\.txt, such as 'crack 255 0 0'"),
        ("crack 255 0 0", colour_mask(GREEN), r"the colour \(0, 200, 10\) at row 2, column 3 has no class in .*txt"),
        ("crack 255 0 0", index_mask(7), r"value 7 at row 2, column 3 .* the colours of classes\.txt do not have it"),
        ("crack\npit", palette(2 - index_mask(1, 2), GREEN, RED, (0, 0, 0)), "black is not the first entry of the pal"),
        ("crack", Image.fromarray(index_mask()).convert("F"), "of the kind 'F'; save it as a gray"),
    ],
)
def test_a_mask_whose_meaning_is_not_certain_is_refused(tmp_path: Path, classes: str, mask: Any, said: str) -> None:
    name = "{}.tif" if isinstance(mask, Image.Image) and mask.mode == "F" else "{}.png"
    with pytest.raises(DataError, match=said) as error:
        FolderDataset(folder(tmp_path, classes, mask, name=name))
    assert str(tmp_path / "masks" / name.format("a")) in str(error.value)


def test_masks_that_were_compressed_with_loss_are_refused(tmp_path: Path) -> None:
    root = folder(tmp_path, "crack", None)
    save_mask(root / "masks" / "a.jpg", index_mask(255))
    with pytest.raises(DataError, match=r"a\.jpg: not a PNG; compression changes the values of a mask"):
        FolderDataset(root)
    (root / "masks" / "a.jpg").rename(root / "masks" / "a.png")
    with pytest.raises(DataError, match=r"a\.png: a JPEG mask: its compression changes values; export masks as PNG"):
        FolderDataset(root)
    save_mask(
        root / "masks" / "a.png", index_mask(255), format="TIFF", save_all=True, append_images=[Image.new("L", (9, 9))]
    )
    with pytest.raises(DataError, match=r"a\.png: the mask has 2 pages"):
        FolderDataset(root)


# Names and places


@pytest.mark.parametrize(
    "name", ["{}_mask.png", "{}_label.png", "{}_label.bmp", "{}_gt.tif", "{}.jpg.png", "{}.PNG", "{}.gif"]
)
def test_names_of_masks(tmp_path: Path, name: str) -> None:
    dataset = FolderDataset(folder(tmp_path, "crack", index_mask(255), index_mask(255), name=name))
    assert [r.classes for r in dataset.records] == [{0}, {0}]
    np.testing.assert_array_equal(read(dataset), index_mask())


def test_a_mask_goes_to_the_image_of_its_whole_name(tmp_path: Path) -> None:
    root = folder(tmp_path, "crack", None)
    save_image(root / "images" / "a_mask.jpg")
    save_mask(root / "masks" / "a_mask.png", index_mask())
    assert [(r.name, len(r.classes)) for r in FolderDataset(root).records] == [("a", 0), ("a_mask", 1)]
    save_mask(root / "masks" / "a_mask_mask.png", index_mask())
    with pytest.raises(DataError, match=r"a_mask_mask\.png: the image has the mask a_mask\.png already"):
        FolderDataset(root)


def test_subfolders_are_read_and_hidden_files_are_not(tmp_path: Path) -> None:
    root = folder(tmp_path, "crack", index_mask(), None)
    for place in ("left/a", "right/deep/a"):
        save_image(root / "images" / f"{place}.png")
    save_mask(root / "masks" / "left/a.png", index_mask())
    for name in ("images/._a.jpg", "images/.cache/a.jpg", "masks/._a.png", "images/@eaDir/a.jpg"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"\0\5\26\7")
    dataset = FolderDataset(root)
    assert [(r.name, r.group, len(r.classes)) for r in dataset.records] == [
        ("a", "a", 1),
        ("b", "b", 0),
        ("left/a", "left/a", 1),
        ("right/deep/a", "right/deep/a", 0),
    ]
    save_mask(root / "masks" / "other/a.png", index_mask())
    with pytest.raises(DataError, match=r"other.a\.png: no image of this stem"):
        FolderDataset(root)


# Pascal VOC


def voc(root: Path, *masks: Any, folder: str = "SegmentationClass", **files: str) -> Path:
    for letter, mask in zip("abcdef", masks, strict=False):
        save_image(root / "JPEGImages" / f"{letter}.jpg")
        if mask is not None:
            save_mask(root / folder / f"{letter}.png", mask)
    for name, text in files.items():
        path = root / f"{name.replace('__', '/')}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


LABELMAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncrack:255,0,0::\npit:0,200,10::\n"


@pytest.mark.parametrize(
    "mask",
    [colour_mask(RED, GREEN), palette(index_mask(1, 2), (0, 0, 0), RED, GREEN), index_mask(1, 2)],
    ids=["RGB", "palette", "gray indices"],
)
def test_what_cvat_exports_is_read(tmp_path: Path, mask: Any) -> None:
    dataset = open_dataset("auto", voc(tmp_path, mask, None, labelmap=LABELMAP))
    assert isinstance(dataset, VocDataset) and dataset.class_names == ("crack", "pit")
    assert [r.classes for r in dataset.records] == [{0, 1}, frozenset()]
    np.testing.assert_array_equal(read(dataset), index_mask(1, 2))
    dataset.check(progress=False)


@pytest.mark.parametrize("mask_folder", ["SegmentationClass", "SegmentationClassPNG"])
def test_what_labelme_exports_is_read(tmp_path: Path, mask_folder: str) -> None:
    mask = palette(index_mask(1, 255), (0, 0, 0), RED)
    root = voc(tmp_path, mask, folder=mask_folder, class_names="__ignore__\n_background_\ncrack\npit\n")
    dataset = open_dataset("auto", root)
    assert dataset.class_names == ("crack", "pit") and dataset.records[0].classes == {0}
    np.testing.assert_array_equal(read(dataset), index_mask(1))


def test_the_index_255_is_void_also_where_classes_have_colours(tmp_path: Path) -> None:
    dataset = VocDataset(voc(tmp_path, palette(index_mask(1, 255), (0, 0, 0), RED, GREEN), labelmap=LABELMAP))
    assert dataset.records[0].classes == {0} and dataset.unsure == {"a"}
    np.testing.assert_array_equal(read(dataset), index_mask(1))


def test_void_is_no_class_and_its_image_no_background(tmp_path: Path) -> None:
    dataset = VocDataset(voc(tmp_path, index_mask(255), index_mask(0), classes="crack\n"))
    assert not any(r.classes for r in dataset.records) and not read(dataset).any()
    assert [r.name for r in dataset.clean_records(dataset.records)] == ["b"]


def test_an_image_without_a_mask_is_clean_if_a_list_has_it(tmp_path: Path) -> None:
    root = voc(tmp_path, index_mask(1), None, None, classes="crack", ImageSets__Segmentation__default="a\nb\n")
    dataset = VocDataset(root)
    assert [r.name for r in dataset.records] == ["a", "b"]
    assert "1 image(s) without a mask that no list" in dataset.skipped[0] and "c.jpg" in dataset.skipped[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: (r / "SegmentationClass").rename(r / "Class"), "no folder SegmentationClass; export segmentation"),
        (lambda r: (r / "JPEGImages").rename(r / "Images"), r"JPEGImages: no such folder; export the images, too"),
        (lambda r: (r / "classes.txt").unlink(), "none of labelmap.txt, class_names.txt, classes.txt; write classes"),
        (lambda r: (r / "classes.txt").write_text("background\n"), "no class beside the background"),
        (lambda r: (r / "JPEGImages/a.jpg").unlink(), r"a\.png: no image of this stem"),
        (lambda r: save_mask(r / "SegmentationClass/a.png", index_mask(9)), r"a\.png: value 9 at row 2"),
        (lambda r: save_mask(r / "SegmentationClass/a.png", np.ones((3, 4), np.uint8)), "the mask is 3 x 4, its image"),
    ],
)
def test_what_is_wrong_with_a_voc_folder_is_named(tmp_path: Path, change: Any, said: str) -> None:
    root = voc(tmp_path, index_mask(1), index_mask(1), classes="crack\n")
    change(root)
    with pytest.raises(DataError, match=said):
        VocDataset(root)
