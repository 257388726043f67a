"""The layout of MVTec AD, MVTec AD 2 and VisA, on files made here."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from albu_gan.data import DataError, MvtecDataset, open_dataset

SIZE_HW = (20, 30)


def write(path: Path, values: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(0).integers(0, 256, (*SIZE_HW, 3)).astype(np.uint8) if values is None else values
    assert cv2.imwrite(str(path), image)
    return path


def spot(value: int = 255) -> np.ndarray:
    mask = np.zeros(SIZE_HW, np.uint8)
    mask[3:8, 4:10] = value
    return mask


@pytest.fixture
def bottle(tmp_path: Path) -> Path:
    """Two clean images for training and one for testing, two defects, of which one has unpadded names."""
    root = tmp_path / "bottle"
    for name in ("train/good/000.png", "train/good/001.png", "test/good/000.png"):
        write(root / name)
    for name in ("1", "10", "2"):
        write(root / "test" / "crack" / f"{name}.png")
        write(root / "ground_truth" / "crack" / f"{name}_mask.png", spot() if name == "10" else spot(0))
    write(root / "test" / "hole" / "000.JPG")
    write(root / "ground_truth" / "hole" / "000.png", spot(3))
    return root


def test_the_folder_is_the_class_and_the_mask_has_the_images_name(bottle: Path) -> None:
    dataset = open_dataset("auto", bottle)
    assert isinstance(dataset, MvtecDataset) and dataset.class_names == ("crack", "hole")
    by_name = {record.name: record for record in dataset.records}
    assert sorted(by_name) == [
        *("test/crack/1", "test/crack/10", "test/crack/2", "test/good/000", "test/hole/000"),
        *("train/good/000", "train/good/001"),
    ]
    assert len(dataset.clean_records(dataset.records)) == 3
    assert [int(dataset.read(by_name[f"test/crack/{name}"])[1].sum()) for name in ("1", "10", "2")] == [0, 30, 0]
    np.testing.assert_array_equal(dataset.read(by_name["test/hole/000"])[1], spot(2))
    assert not dataset.read(by_name["train/good/000"])[1].any()
    assert by_name["test/crack/1"].group == "test/crack/1"


def test_mvtec_ad_2(tmp_path: Path) -> None:
    for name in ("train/good/000_regular", "validation/good/001_regular", "test_public/good/002_regular"):
        write(tmp_path / f"{name}.png")
    write(tmp_path / "test_public/bad/003_overexposed.png")
    write(tmp_path / "test_public/ground_truth/bad/003_overexposed_mask.png", spot())
    write(tmp_path / "test_private/004_regular.png")
    dataset = open_dataset("auto", tmp_path, r"(\d+)_")
    assert dataset.class_names == ("bad",)
    assert sorted((record.group, bool(record.classes)) for record in dataset.records) == [
        *(("000", False), ("001", False), ("002", False), ("003", True)),
    ]
    assert "1 image of test_private without labels" in dataset.notes[0]


def test_a_defect_without_a_mask_is_named_or_left_out(bottle: Path) -> None:
    (bottle / "ground_truth" / "crack" / "10_mask.png").unlink()
    with pytest.raises(DataError, match=r"10\.png: no mask .*10_mask\.png"):
        MvtecDataset(bottle)
    dataset = MvtecDataset(bottle, skip_bad=True)
    assert len(dataset.records) == 6 and len(dataset.skipped) == 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"no image"), "cannot be read"),
        (lambda path: write(path, np.zeros((5, 5), np.uint8)), "the mask is 5 x 5, its image 20 x 30"),
    ],
)
def test_a_damaged_mask_is_named(bottle: Path, damage: object, message: str) -> None:
    damage(bottle / "ground_truth" / "hole" / "000.png")  # type: ignore[operator]
    dataset = MvtecDataset(bottle)
    record = next(record for record in dataset.records if record.name == "test/hole/000")
    with pytest.raises(DataError, match=rf"000\.png.*{message}"):
        dataset.read(record)


def test_a_folder_of_several_objects_is_refused_by_their_names(bottle: Path) -> None:
    for name in ("cable/train/good/0.png", "cable/test/cut/0.png", "cable/ground_truth/cut/0_mask.png"):
        write(bottle.parent / name)
    with pytest.raises(DataError, match="holds 2 objects; give the folder of one: bottle, cable"):
        open_dataset("auto", bottle.parent)


def test_other_layouts_and_two_images_of_one_name_are_refused(bottle: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no folder of defects"):
        MvtecDataset(tmp_path / "empty")
    write(bottle / "test" / "good" / "000.bmp")
    with pytest.raises(DataError, match="two images of this name"):
        MvtecDataset(bottle)
