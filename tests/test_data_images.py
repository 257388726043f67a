"""Image files with more than 8 bits or several pages, and COCO's and Severstal's ways of writing masks."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_api

from albu_gan.data import CocoDataset, DataError, add_data_arguments, dataset_from_arguments, open_dataset, read_image
from albu_gan.data.coco_segmentation import decode_segmentation
from albu_gan.data.images import decode_image
from albu_gan.data.rle import decode_counts

SIZE = (20, 30)


def ramp(bits: int, channels: int = 1) -> np.ndarray:
    """0 to the largest value, down the columns."""
    values = np.linspace(0, 2**bits - 1, SIZE[0] * SIZE[1]).reshape(SIZE, order="F").astype(np.uint16)
    return values if channels == 1 else np.dstack([values, values // 2, values // 4])


def write_folder(root: Path, image: np.ndarray, suffix: str) -> Path:
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    cv2.imwrite(str(root / "images" / f"a{suffix}"), image)
    mask = np.zeros(SIZE, np.uint8)
    mask[2:6, 3:9] = 1
    cv2.imwrite(str(root / "masks" / "a.png"), mask)
    (root / "classes.txt").write_text("crack")
    return root


# More than 8 bits


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_more_bits_need_a_range(tmp_path: Path, bits: int, suffix: str, channels: int) -> None:
    image = ramp(bits, channels)
    root = write_folder(tmp_path, image, suffix)
    dataset = open_dataset("folder", root)
    assert dataset.channels == channels
    with pytest.raises(DataError, match=rf"a\{suffix}: has uint16 pixels, .* such as --range 0 {2**bits - 1}, or"):
        dataset.read(dataset.records[0])
    with pytest.raises(DataError, match=r"none of the images can be read; .*uint16"):
        open_dataset("folder", root, skip_bad=True)
    dataset = open_dataset("folder", root, range=(0, 2**bits - 1))
    read = dataset.read_image(dataset.records[0])
    assert read.dtype == np.uint8 and read.flags.c_contiguous
    expected = np.rint(image / (2**bits - 1) * 255).reshape(*SIZE, channels)[:, :, ::-1]
    assert np.abs(read.astype(int) - expected).max() <= 1  # 16 bits are more than the float32 of the product has


def test_the_range_cuts_off_and_does_not_touch_8_bits(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ramp(12), ".png")
    dataset = open_dataset("folder", root, range=(1000, 2000))
    image, values = dataset.read_image(dataset.records[0])[:, :, 0], ramp(12)
    assert (image[values <= 1000] == 0).all() and (image[values >= 2000] == 255).all()
    assert 126 <= image[np.abs(values.astype(int) - 1500) < 8].mean() <= 129
    cv2.imwrite(str(root / "images" / "a.png"), (ramp(12) >> 4).astype(np.uint8))
    np.testing.assert_array_equal(dataset.read_image(dataset.records[0])[:, :, 0], ramp(12) >> 4)


@pytest.mark.parametrize(
    ("image", "range_", "said"),
    [
        (ramp(12), (5000, 9000), "its values, from 0 to 4095, lie outside of the range 5000 to 9000"),
        (np.full(SIZE, 0.5, np.float32), None, "has float32 pixels, from 0.5 to 0.5"),
        (np.full(SIZE, np.nan, np.float32), (0, 1), "lie outside of the range 0 to 1"),
        (np.full(SIZE, -5, np.int16), None, r"has int16 pixels, from -5 to -5; .* such as --range -5 -5"),
    ],
)
def test_values_that_no_range_fits_are_named(tmp_path: Path, image: np.ndarray, range_: Any, said: str) -> None:
    path = tmp_path / "a.tif"
    cv2.imwrite(str(path), image)
    with pytest.raises(DataError, match=said) as error:
        decode_image(path, 1, range_)
    assert str(path) in str(error.value)


def test_the_flag_sets_the_range(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ramp(12), ".png")
    parser = argparse.ArgumentParser()
    add_data_arguments(parser)
    dataset = dataset_from_arguments(parser.parse_args(["--data", str(root), "--range", "0", "4095"]))
    assert dataset.read_image(dataset.records[0]).max() == 255
    for wrong in ((4095, 0), (0, 0), (0, float("nan"))):
        with pytest.raises(DataError, match="the range must be two numbers, the smaller first"):
            open_dataset("folder", root, range=wrong)


# Pages


def test_a_tiff_of_several_pages_is_refused(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full(SIZE, level, np.uint8)) for level in (10, 20, 30)]
    path = tmp_path / "a.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    for read in (lambda: decode_image(path, 1), lambda: read_image(path)):
        with pytest.raises(ValueError, match=r"a\.tif: a TIFF of 3 pages; save each page as an image of its own"):
            read()
    pages[0].save(path)
    assert (decode_image(path, 1) == 10).all()


def test_a_small_version_beside_the_image_is_no_page(tmp_path: Path) -> None:
    first, second = io.BytesIO(), Image.fromarray(np.full((5, 6), 9, np.uint8))
    second.encoderinfo = {"tiffinfo": {254: 1}}
    Image.fromarray(np.full(SIZE, 10, np.uint8)).save(first, "TIFF", save_all=True, append_images=[second])
    (tmp_path / "a.tif").write_bytes(first.getvalue())
    assert (decode_image(tmp_path / "a.tif", 1) == 10).all()


# COCO


def reference(polygons: list[list[float]]) -> np.ndarray:
    code = mask_api.merge(mask_api.frPyObjects(polygons, *SIZE))
    return decode_counts(code["counts"].decode(), SIZE)


SQUARE = [3, 2, 9, 2, 9, 7, 3, 7]


@pytest.mark.parametrize(
    ("segmentation", "polygons"),
    [
        ([SQUARE], [SQUARE]),
        (SQUARE, [SQUARE]),
        ([float(value) for value in SQUARE], [SQUARE]),
        ([SQUARE + SQUARE], [SQUARE]),
        ([SQUARE + SQUARE[:2] + SQUARE + SQUARE[:2]], [SQUARE]),
        ([SQUARE * 4], [SQUARE]),
        ([SQUARE * 3], [SQUARE * 3]),
        ([SQUARE * 2, [15, 3, 20, 3, 20, 9]], [SQUARE, [15, 3, 20, 3, 20, 9]]),
        ([[3, 2, 15, 2, 15, 3, 3, 3]], [[3, 2, 15, 2, 15, 3, 3, 3]]),  # one pixel high
        ([[3, 2, 4, 2, 4, 14, 3, 14]], [[3, 2, 4, 2, 4, 14, 3, 14]]),
        ([[3, 2, 20, 15, 20, 2, 3, 15]], [[3, 2, 20, 15, 20, 2, 3, 15]]),  # crosses itself
        ([[3.4, 2.6, 20.5, 15.5, 20.49, 2.5, 3.51, 15.1]], [[3.4, 2.6, 20.5, 15.5, 20.49, 2.5, 3.51, 15.1]]),
        ([SQUARE, [4, 3, 8, 3, 8, 6, 4, 6]], [SQUARE]),  # an inner ring is no hole
        ([[-9, -9, 99, -9, 99, 99, -9, 99]], [[0, 0, 30, 0, 30, 20, 0, 20]]),
    ],
)
def test_coco_polygons_are_those_of_pycocotools(segmentation: list[Any], polygons: list[list[float]]) -> None:
    expected = reference(polygons)
    assert expected.any()
    np.testing.assert_array_equal(decode_segmentation(segmentation, SIZE), expected)


def test_one_pixel_more_in_a_ring_is_one_pixel_more_in_the_mask() -> None:
    assert decode_segmentation([SQUARE], SIZE).sum() == 30 and decode_segmentation([SQUARE], SIZE)[2:7, 3:9].all()
    assert decode_segmentation([[3, 2, 15, 2, 15, 3, 3, 3]], SIZE).sum() == 12


@pytest.mark.parametrize(
    "segmentation",
    [
        [[3, 2, 15, 2, 15, 2]],
        [[-9, 2, -5, 2, -5, 8]],
        [[3, 2, 9, 2, 9, 7, 9, 2]],
        {"size": list(SIZE), "counts": [SIZE[0] * SIZE[1]]},
    ],
)
def test_an_annotation_without_a_pixel_is_refused(tmp_path: Path, segmentation: Any) -> None:
    with pytest.raises(ValueError, match="covers no pixel of the image; correct or remove it"):
        decode_segmentation(segmentation, SIZE)
    root = write_coco(tmp_path, segmentation=segmentation)
    with pytest.raises(DataError, match=r"annotation 0 \(id 4\): it covers no pixel"):
        CocoDataset(root).check(progress=False)


def write_coco(root: Path, categories: list[Any] | None = None, encoding: str = "utf-8", **annotation: Any) -> Path:
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(root / name), np.zeros(SIZE, np.uint8))
    first = {"id": 4, "image_id": 0, "category_id": 1, "segmentation": [SQUARE], **annotation}
    second = {"id": 5, "image_id": 1, "category_id": 2, "segmentation": [SQUARE]}
    content = {
        "images": [{"id": n, "file_name": f"{name}.png", "height": 20, "width": 30} for n, name in enumerate("ab")],
        "categories": categories or [{"id": 1, "name": "crack"}, {"id": 2, "name": "pit"}],
        "annotations": [first, second],
    }
    (root / "_annotations.coco.json").write_text(json.dumps(content), encoding=encoding)
    return root


def test_categories_of_one_name_are_refused_if_both_are_used(tmp_path: Path) -> None:
    twins = [{"id": 0, "name": "pit"}, {"id": 1, "name": "crack"}, {"id": 2, "name": "pit"}]
    assert CocoDataset(write_coco(tmp_path, twins)).class_names == ("crack", "pit")
    twins[1]["name"] = "pit"
    with pytest.raises(DataError, match="the categories 1 and 2 are both called 'pit' and both have annotations"):
        CocoDataset(write_coco(tmp_path, twins))


def test_coco_files_with_a_byte_order_mark_or_from_a_mac_are_read(tmp_path: Path) -> None:
    write_coco(tmp_path, encoding="utf-8-sig")
    (tmp_path / "_annotations.coco.json").rename(tmp_path / "mine.json")
    (tmp_path / "._mine.json").write_bytes(b"\0\5\26\7")
    assert len(CocoDataset(tmp_path).records) == 2


# Severstal


@pytest.mark.parametrize(
    "rows", ["s0.jpg,1.0,1000 50 1256 50\ns1.jpg,3.0,5000 100\n", "s0.jpg,1,1000 50\ns1.jpg,3,9 9\n"]
)
def test_a_table_that_went_through_pandas_is_read(tmp_path: Path, rows: str) -> None:
    root = write_steel(tmp_path, rows + "s2.jpg,,\n", (256, 1600))
    dataset = open_dataset("severstal", root)
    assert [r.classes for r in dataset.records] == [{0}, {2}, frozenset()]


def test_a_code_without_a_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.csv:2: class '' of image 's0\.jpg'"):
        open_dataset("severstal", write_steel(tmp_path, "s0.jpg,,1 2\n", (256, 1600)))


def test_codes_of_whole_images_are_not_read_into_resized_ones(tmp_path: Path) -> None:
    rows = "s0.jpg,1," + " ".join(f"{column * 256 + 100} 30" for column in range(40, 60)) + "\n"
    open_dataset("severstal", write_steel(tmp_path / "whole", rows, (256, 1600)))
    with pytest.raises(DataError, match=r"train\.csv:2: s0\.jpg: the runs are for 256 x 1600 pixels, but the image"):
        open_dataset("severstal", write_steel(tmp_path / "half", rows, (128, 800)))


def write_steel(root: Path, rows: str, size: tuple[int, int]) -> Path:
    (root / "train_images").mkdir(parents=True)
    for number in range(3):
        cv2.imwrite(str(root / "train_images" / f"s{number}.jpg"), np.full(size, 90, np.uint8))
    (root / "train.csv").write_text("ImageId,ClassId,EncodedPixels\n" + rows)
    return root
