"""`albu-gan bank`: whatever layout the data is in, a weights folder, a picture and a list of what was left out."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import make_weights
from test_bank import scene

from albu_gan import GANDefectInpaint
from albu_gan.cli import main
from albu_gan.data import DataError, open_dataset
from albu_gan.data.detect import detect_format
from albu_gan.hub import find_weights


def write_folder(root: Path, count: int = 4, groups: bool = True) -> Path:
    """Images, masks and classes.txt; the last image is clean."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    (root / "classes.txt").write_text("pit\nscratch\nnever\n")
    rows = ["image,group"]
    for seed in range(count):
        image, mask = scene(seed)
        cv2.imwrite(str(root / "images" / f"{seed}.png"), image)
        cv2.imwrite(str(root / "masks" / f"{seed}.png"), mask)
        rows.append(f"{seed}.png,part{seed // 2}")
    cv2.imwrite(str(root / "images" / "clean.png"), np.full((96, 128), 130, np.uint8))
    cv2.imwrite(str(root / "masks" / "clean.png"), np.zeros((96, 128), np.uint8))
    rows.append("clean.png,clean")
    if groups:
        (root / "groups.csv").write_text("\n".join(rows) + "\n")
    return root


def test_one_command_makes_weights_that_paint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_folder(tmp_path / "data")
    assert main(["bank", str(data), "--out", str(tmp_path / "mine")]) == 0
    printed = capsys.readouterr().out
    assert "12 defects of 4 annotated images: 8 pit, 4 scratch" in printed
    assert cv2.imread(str(tmp_path / "mine" / "preview.jpg")) is not None
    config = json.loads((tmp_path / "mine" / "config.json").read_text())
    assert config["class_names"] == ["pit", "scratch", "never"] and config["training"]["images"] == 4
    assert "holds pixels" in (tmp_path / "mine" / "README.md").read_text()
    out = GANDefectInpaint(str(tmp_path / "mine"), p=1.0)(image=scene(9)[0], mask=np.zeros((96, 128), np.uint8))
    assert out["mask"].any()
    assert main(["info", str(tmp_path / "mine")]) == 0
    said = capsys.readouterr().out
    assert "real defects" in said and "pit (8 shapes)" in said


def test_groups_beside_the_data_are_read(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data")
    assert {record.group for record in open_dataset("auto", data).records} == {"part0", "part1", "clean"}


def test_the_training_side_of_a_split_alone_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_folder(tmp_path / "data")
    split = {"sides": {"train": {"groups": ["part0", "clean"]}, "held_out": {"groups": ["part1"]}}}
    (tmp_path / "split.json").write_text(json.dumps(split))
    assert main(["bank", str(data), "--out", str(tmp_path / "w"), "--split", str(tmp_path / "split.json")]) == 0
    assert "6 defects of 2 annotated images" in capsys.readouterr().out


def test_some_classes_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_folder(tmp_path / "data")
    assert main(["bank", str(data), "--out", str(tmp_path / "w"), "--classes", "scratch"]) == 0
    assert "4 defects" in capsys.readouterr().out
    config = json.loads((tmp_path / "w" / "config.json").read_text())
    assert config["class_names"] == ["pit", "scratch", "never"], "mask values stay those of the data"
    assert config["training"]["defects"] == {"pit": 0, "scratch": 4, "never": 0}
    transform, values = GANDefectInpaint(str(tmp_path / "w"), p=1.0), set()
    transform.set_random_seed(0)
    for seed in range(4):
        image, mask = scene(seed)
        painted = transform(image=image, mask=np.zeros_like(mask))["mask"]
        values |= set(np.unique(painted).tolist())
    assert values == {0, 2}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--classes", "dent"], "no class 'dent'"),
        (["--classes", "never"], "no defect that can be painted"),
        (["--format", "severstal"], "train.csv"),
        (["--split", "missing.json"], "cannot be read"),
        (["--seed", "-1"], "--seed"),
    ],
)
def test_bad_arguments_are_one_clear_error_and_leave_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    data = write_folder(tmp_path / "data")
    assert main(["bank", str(data), "--out", str(tmp_path / "w"), *arguments]) != 0
    error = capsys.readouterr().err.strip()
    assert said in error and "Traceback" not in error
    assert not (tmp_path / "w").exists() and not list(tmp_path.glob(".w*"))


def test_a_generator_of_the_same_classes_goes_in_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_folder(tmp_path / "data")
    generator = make_weights(tmp_path / "generator", classes=("pit", "scratch", "never"))
    arguments = ["bank", str(data), "--out", str(tmp_path / "w"), "--weights"]
    assert main([*arguments, str(generator)]) == 0
    folder = find_weights(str(tmp_path / "w"))
    assert folder.paints == "generator" and folder.has_appearances
    transform = GANDefectInpaint(str(tmp_path / "w"), p=1.0)
    assert transform(image=scene(9)[0], mask=np.zeros((96, 128), np.uint8))["mask"].any()
    for other, said in (("magnetic-tile-v1", "must be the same"), ("surfaces-v1", "holds no generator")):
        assert main([*arguments, other]) != 0
        assert said in capsys.readouterr().err


def test_a_folder_that_is_no_weights_folder_is_not_replaced(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data")
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "thesis.txt").write_text("mine")
    assert main(["bank", str(data), "--out", str(tmp_path / "w")]) != 0
    assert (tmp_path / "w" / "thesis.txt").read_text() == "mine"


def test_the_picture_is_the_same_again(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data")
    for name in ("a", "b"):
        assert main(["bank", str(data), "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / "a" / "preview.jpg").read_bytes() == (tmp_path / "b" / "preview.jpg").read_bytes()
    assert (tmp_path / "a" / "defects.safetensors").read_bytes() == (
        tmp_path / "b" / "defects.safetensors"
    ).read_bytes()


def test_layouts_are_recognised_by_what_is_there(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder")
    coco, labelme, severstal, tiles = (tmp_path / name for name in ("coco", "labelme", "severstal", "tiles"))
    coco.mkdir()
    (coco / "annotations.json").write_text('{"images": [], "annotations": [], "categories": []}')
    labelme.mkdir()
    (labelme / "a.json").write_text('\ufeff{"shapes": []}', encoding="utf-8")
    (labelme / "._a.json").write_bytes(b"\x00\x05\x16\x07")
    (severstal / "train_images").mkdir(parents=True)
    (severstal / "train.csv").write_text("ImageId,ClassId,EncodedPixels\n")
    (tiles / "MT_Crack" / "Imgs").mkdir(parents=True)
    found = [detect_format(path) for path in (folder, coco, coco / "annotations.json", labelme, severstal, tiles)]
    assert found == ["folder", "coco", "coco", "labelme", "severstal", "magnetic-tile"]


def test_two_layouts_or_none_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no layout was recognised.*--format"):
        detect_format(tmp_path)
    both = write_folder(tmp_path / "both")
    (both / "annotations.json").write_text('{"images": [], "annotations": [], "categories": []}')
    with pytest.raises(DataError, match=r"folder .* or coco"):
        detect_format(both)
