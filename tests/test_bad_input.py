"""Each format with one thing broken: the message names file and place and says what to do; --skip-bad goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from albu_gan.cli import main
from albu_gan.data import open_dataset

HW = (60, 80)
POLYGON = [[30, 20], [45, 20], [45, 30], [30, 30]]
Change = Callable[[Path], object]


def image(path: Path, hw: tuple[int, int] = HW) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).normal(150, 6, (*hw, 3)).astype(np.uint8)
    pixels[20:30, 30:45] = 60
    Image.fromarray(pixels).save(path)


def mask(path: Path, hw: tuple[int, int] = HW, value: int = 255) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros(hw, np.uint8)
    pixels[20:30, 30:45] = value
    Image.fromarray(pixels).save(path)


def images(folder: Path) -> None:
    for name in "abc":
        image(folder / f"{name}.png")


def folder(root: Path) -> None:
    images(root / "images")
    for name in "ab":
        mask(root / "masks" / f"{name}.png")
    (root / "classes.txt").write_text("pit\n")


def coco(root: Path) -> None:
    images(root)
    content = {
        "images": [{"id": i, "file_name": f"{n}.png", "width": 80, "height": 60} for i, n in enumerate("abc", 1)],
        "categories": [{"id": 1, "name": "pit"}],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "segmentation": [np.ravel(POLYGON).tolist()]} for i in (1, 2)
        ],
    }
    (root / "annotations.json").write_text(json.dumps(content))


def labelme(root: Path) -> None:
    images(root)
    for name in "ab":
        shape = {"label": "pit", "shape_type": "polygon", "points": POLYGON}
        (root / f"{name}.json").write_text(json.dumps({"imagePath": f"{name}.png", "shapes": [shape]}, indent=1))


def cvat(root: Path) -> None:
    images(root / "images")
    shape = '<polygon label="pit" points="30,20;45,20;45,30;30,30" z_order="0"></polygon>'
    entries = "\n".join(
        f'<image id="{i}" name="{n}.png" width="80" height="60">\n{shape if n != "c" else ""}\n</image>'
        for i, n in enumerate("abc")
    )
    labels = "<meta><task><labels><label><name>pit</name></label></labels></task></meta>"
    (root / "annotations.xml").write_text(f"<annotations><version>1.1</version>{labels}\n{entries}\n</annotations>\n")


def label_studio(root: Path) -> None:
    images(root)
    tasks = []
    for number, name in enumerate("abc", 1):
        result = {"id": "x", "type": "polygonlabels", "original_width": 80, "original_height": 60}
        result["value"] = {"points": [[37, 33], [56, 33], [56, 50]], "polygonlabels": ["pit"]}
        annotation = {"id": number, "result": [result] if name != "c" else []}
        tasks.append({"id": number, "data": {"image": f"/data/upload/1/{name}.png"}, "annotations": [annotation]})
    (root / "export.json").write_text(json.dumps(tasks, indent=1))


def yolo(root: Path) -> None:
    images(root / "images" / "train")
    (root / "labels" / "train").mkdir(parents=True)
    for name in "ab":
        (root / "labels" / "train" / f"{name}.txt").write_text("0 0.375 0.33 0.56 0.33 0.56 0.5 0.375 0.5\n")
    (root / "data.yaml").write_text("train: images/train\nval: images/train\nnames:\n  0: pit\n")


def mvtec(root: Path) -> None:
    image(root / "train" / "good" / "0.png")
    for name in "ab":
        image(root / "test" / "pit" / f"{name}.png")
        mask(root / "ground_truth" / "pit" / f"{name}_mask.png")


WRITERS: dict[str, Change] = {
    "folder": folder,
    "coco": coco,
    "labelme": labelme,
    "cvat": cvat,
    "label-studio": label_studio,
    "yolo": yolo,
    "mvtec": mvtec,
}
FIRST = {"folder": "images/", "cvat": "images/", "yolo": "images/train/", "mvtec": "test/pit/"}


def remove(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def as_text(path: Path) -> None:
    path.write_text("hello")


def of_another_size(path: Path) -> None:
    mask(path, (50, 70))


def of_three_pages(path: Path) -> None:
    pages = [Image.new("L", HW[::-1], value) for value in (0, 1, 2)]
    pages[0].save(path, format="TIFF", save_all=True, append_images=pages[1:])


def put(old: str, new: str, path: Path) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def with_runs(path: Path) -> None:
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = {"size": list(HW), "counts": [10, 5]}
    path.write_text(json.dumps(content))


RUNS = '<mask label="pit" rle="3,4" left="1" top="1" width="5" height="5" z_order="0"></mask>'
SHAPE = '<polygon label="pit" points="30,20;45,20;45,30;30,30" z_order="0"></polygon>'
# What is broken, in which file, and how; the place that is named, and what the message says.
CASES: list[tuple[str, str, Change, str, str]] = [
    ("folder", "masks/a.png", cut_short, "", "cannot be read"),
    ("folder", "masks/a.png", empty, "", "cannot be read"),
    ("folder", "masks/a.png", of_another_size, "", "50 x 70, its image 60 x 80"),
    ("folder", "masks/a.png", of_three_pages, "", "3 pages"),
    ("folder", "masks/a.png", partial(mask, value=9), "", "value 9 at row 20, column 30"),
    ("mvtec", "ground_truth/pit/a_mask.png", cut_short, "", "cannot be read"),
    ("mvtec", "ground_truth/pit/a_mask.png", of_another_size, "", "50 x 70, its image 60 x 80"),
    ("mvtec", "ground_truth/pit/a_mask.png", of_three_pages, "", "3 pages"),
    ("coco", "annotations.json", partial(put, "30,", '"x",'), ": annotation 0 (id 1)", "list of numbers"),
    ("coco", "annotations.json", with_runs, ": annotation 0 (id 1)", "do not add up"),
    ("coco", "annotations.json", partial(put, '"category_id": 1', '"category_id": 7'), ": annotation 0", "the id 7"),
    ("coco", "annotations.json", partial(put, '"image_id": 1', '"image_id": 77'), ": annotation 0", "the id 77"),
    ("labelme", "a.json", cut_short, ":", "not JSON"),
    ("labelme", "a.json", partial(put, "30,", '"x",'), ": shape 0", "two numbers"),
    ("labelme", "a.json", partial(put, "polygon", "cuboid"), ": shape 0", "'cuboid'"),
    ("cvat", "annotations.xml", partial(put, "30,20", "x,20"), ":3", "not pairs of numbers"),
    ("cvat", "annotations.xml", partial(put, 'label="pit"', 'label="pot"'), ":3", "'pot'"),
    ("cvat", "annotations.xml", partial(put, SHAPE, RUNS), ":3", "add up to 7 pixels"),
    ("label-studio", "export.json", partial(put, "37,", '"x",'), ": task 1: result 0 (id x)", "not pairs of numbers"),
    ("label-studio", "export.json", partial(put, '"pit"', "5"), ": task 1: result 0 (id x)", "without a label"),
    ("yolo", "labels/train/a.txt", partial(put, "0.375", "x"), ":1", "no number"),
    ("yolo", "labels/train/a.txt", partial(put, "0 0", "5 0"), ":1", "class 5"),
    ("yolo", "labels/train/a.txt", lambda path: path.write_bytes(b"\xff\xfe"), "", "not text in UTF-8"),
]
for name in WRITERS:
    for change in (empty, cut_short, as_text, of_three_pages):
        CASES.append((name, f"{FIRST.get(name, '')}a.png", change, "", ""))
REMEDY = re.compile(r"correct|remove|repair|export|use the image|save|add it|copy|Copy|put it|write|draw it|give it")


def error(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    status = main(command)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    return f"{status} {lines[-1]}"


@pytest.mark.parametrize(
    ("name", "file", "change", "place", "said"), CASES, ids=lambda value: getattr(value, "func", value)
)
def test_what_cannot_be_read_is_named_with_what_to_do_or_left_out(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    file: str,
    change: Change,
    place: str,
    said: str,
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    WRITERS[name](root)
    change(root / file)
    command = ["bank", str(root), "--format", name, "--out", str(tmp_path / "bank")]
    message = error(command, capsys)
    assert message.startswith(f"1 albu-gan: error: {root / file}{place}") and said in message
    assert message.count(str(root)) <= 2 and REMEDY.search(message.replace(str(root / file), ""))
    paragraph = error([*command, "--skip-bad"], capsys)
    assert f"0 {root}: {name}, " in paragraph and "left out for 1 problem, listed above" in paragraph
    assert paragraph.count(", 1 with defects") == 1


@pytest.mark.parametrize(
    ("name", "file"),
    [("coco", "annotations.json"), ("labelme", "a.json"), ("cvat", "annotations.xml"), ("label-studio", "export.json")],
)
@pytest.mark.parametrize("change", [remove, empty, cut_short, as_text, lambda p: p.write_bytes(b"\xe9\xff")])
def test_a_label_file_that_is_broken_as_a_whole_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, file: str, change: Change
) -> None:
    WRITERS[name](tmp_path)
    change(tmp_path / file)
    if name == "labelme" and change is remove:
        return  # an image without a file is clean
    message = error(["bank", str(tmp_path), "--format", name, "--out", str(tmp_path / "bank")], capsys)
    assert message.startswith(f"1 albu-gan: error: {tmp_path}")
    assert change is remove or file in message
    assert REMEDY.search(message) or change is remove


@pytest.mark.parametrize("name", ["folder", "coco", "labelme", "cvat", "label-studio", "mvtec"])
def test_a_label_without_its_image_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    WRITERS[name](tmp_path)
    (tmp_path / f"{FIRST.get(name, '')}a.png").unlink()
    message = error(["bank", str(tmp_path), "--format", name, "--out", str(tmp_path / "bank")], capsys)
    assert message.startswith("1 ") and re.search(r"a(_mask)?\.(png|json)", message) and REMEDY.search(message)


def test_labels_of_yolo_without_an_image_are_told(tmp_path: Path) -> None:
    yolo(tmp_path)
    assert not any("without an image" in note for note in open_dataset("yolo", tmp_path).notes)
    (tmp_path / "images" / "train" / "a.png").rename(tmp_path / "images" / "train" / "renamed.png")
    (told,) = (note for note in open_dataset("yolo", tmp_path).notes if "without an image" in note)
    assert told.startswith("1 label file ") and "a.txt" in told


@pytest.mark.parametrize("kind", ["CMYK", "palette with alpha", "turned"])
@pytest.mark.parametrize("name", WRITERS)
def test_images_of_other_kinds_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, kind: str
) -> None:
    """The content decides, whatever the name ends in."""
    WRITERS[name](tmp_path)
    path = tmp_path / f"{FIRST.get(name, '')}a.png"
    with Image.open(path) as opened:
        upright = opened.convert("RGB")
    if kind == "CMYK":
        upright.convert("CMYK").save(path, format="JPEG")
    elif kind == "turned":
        exif = Image.Exif()
        exif[0x112] = 6
        upright.transpose(Image.Transpose.ROTATE_90).save(path, format="JPEG", exif=exif)
    else:
        upright.quantize(16).save(path, format="PNG", transparency=0)
    dataset = open_dataset(name, tmp_path)
    (record,) = (record for record in dataset.records if record.image_path == path)
    read, labels = dataset.read(record)
    assert read.shape[:2] == HW and labels.any()
    gray = read.mean(axis=2)
    assert gray[labels > 0].mean() + 20 < gray[labels == 0].mean()
