"""`albu-gan generate`: what it writes, that it is always the same, and what it says when it cannot."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from children import Child
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_api
from pycocotools.coco import COCO

from albu_gan.cli import main
from albu_gan.data.coco import CocoDataset
from albu_gan.data.folder import FolderDataset
from albu_gan.data.image_files import read_image
from albu_gan.data.rle import decode_counts
from albu_gan.generate import GenerateError, GenerateSettings, Share, generate
from albu_gan.generate import folder as folder_module
from albu_gan.generate.coco import encode_mask

# pycocotools' own arrays.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

ROOT = Path(__file__).parents[1]
COUNT = 7
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two gray images and a colour one in a subfolder, in three formats."""
    root = tmp_path_factory.mktemp("photographs")
    (root / "line 2").mkdir()
    for index, name in enumerate(("part_a.png", "part_b.JPG", "line 2/part_c.bmp")):
        shape = (70, 90, 3) if index == 2 else (64, 80 + index)
        data = np.random.default_rng(index).integers(90, 160, shape).astype(np.uint8)
        cv2.imwrite(str(root / name), data)
    (root / "notes.txt").write_text("no image")
    (root / ".thumbnails").mkdir()
    (root / ".thumbnails" / "part_a.png").write_bytes(b"no image either")
    return root


def command(images: Path, out: Path, weights: str, *more: str, n: int = COUNT) -> list[str]:
    """The arguments of `albu-gan`."""
    return ["generate", "--images", str(images), "--out", str(out), "-n", str(n), "--weights", weights, *more]


def read_tree(root: Path) -> Files:
    """Path to content of every file, hidden ones too."""
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def manifest(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def made(photographs: Path, weights: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set made in one go by one process."""
    out = tmp_path_factory.mktemp("made") / "set"
    assert main(command(photographs, out, weights)) == 0
    return out


@pytest.fixture(scope="module")
def whole(made: Path) -> Files:
    return read_tree(made)


def test_images_masks_and_manifest_agree(made: Path, photographs: Path, weights: str) -> None:
    names = {p.name for p in made.iterdir()}
    assert names == {"images", "masks", "classes.txt", "annotations.json", "manifest.jsonl", "settings.json"}
    assert (made / "classes.txt").read_text() == "pit\nscratch\nstain\n"
    lines = manifest(made)
    assert [line["index"] for line in lines] == list(range(COUNT))
    for line in lines:
        clean = read_image(photographs / line["source"])
        painted = read_image(made / line["image"])
        mask = cv2.imread(str(made / line["mask"]), cv2.IMREAD_UNCHANGED)
        assert mask.dtype == np.uint8 and mask.shape == clean.shape[:2] and painted.shape == clean.shape
        changed = (painted != clean).reshape(*mask.shape, -1).any(axis=2)
        assert changed.any() and not (changed & (mask == 0)).any()
        assert 1 <= len(line["defects"]) <= 2
        rebuilt = np.zeros_like(mask)
        for defect in line["defects"]:
            assert defect["class"] == ("pit", "scratch", "stain")[defect["value"] - 1]
            part = mask_api.decode(defect["segmentation"]).astype(bool)
            rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
            box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
            assert (defect["bbox"], defect["area"]) == (box, part.sum())
            rebuilt[part] = defect["value"]
        assert np.array_equal(rebuilt, mask)
        assert (line["seed"], line["weights"], line["commit"]) == (0, weights, None)
        assert (
            len(line["model.safetensors_sha256"]) == len(line["defects.safetensors_sha256"]) == 64 and line["albu_gan"]
        )


def test_every_image_has_its_turn_before_any_has_a_second(made: Path) -> None:
    sources = [line["source"] for line in manifest(made)]
    assert sorted(sources[:3]) == sorted(sources[3:6]) == ["line 2/part_c.bmp", "part_a.png", "part_b.JPG"]
    images = [(made / line["image"]).read_bytes() for line in manifest(made)]
    assert len(set(images)) == COUNT


def test_pycocotools_reads_the_annotations(made: Path) -> None:
    coco = COCO(str(made / "annotations.json"))
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == ["pit", "scratch", "stain"]
    for line in manifest(made):
        mask = cv2.imread(str(made / line["mask"]), cv2.IMREAD_UNCHANGED)
        image_id = line["index"] + 1
        assert coco.loadImgs(image_id)[0]["file_name"] == Path(line["image"]).name
        annotations = coco.loadAnns(coco.getAnnIds(image_id))
        assert len(annotations) == len(line["defects"])
        rebuilt = np.zeros_like(mask)
        for annotation in annotations:
            rebuilt[coco.annToMask(annotation) > 0] = annotation["category_id"]
            assert list(mask_api.toBbox(annotation["segmentation"])) == annotation["bbox"]
        assert np.array_equal(rebuilt, mask)


def test_the_trainer_reads_the_folder_and_the_annotations(made: Path) -> None:
    folder, coco = FolderDataset(made), CocoDataset(made)
    assert folder.class_names == ("pit", "scratch", "stain") and len(folder.records) == len(coco.records) == COUNT
    painted = [folder.class_names.index(name) + 1 for name in coco.class_names]
    values = np.array([0, *painted], np.uint8)  # COCO leaves out categories without annotations
    for one, other in zip(folder.records, coco.records, strict=True):
        assert np.array_equal(folder.read(one)[1], values[coco.read(other)[1]])


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_run_lengths_are_those_of_pycocotools(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 70))
    h, w = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    top, left = data.draw(st.integers(0, height - h)), data.draw(st.integers(0, width - w))
    share = data.draw(st.sampled_from([0.05, 0.5, 0.95, 1.0]))
    mask = np.random.default_rng(data.draw(st.integers(0, 99))).random((h, w)) < share
    mask[0, 0] = True
    full = np.zeros((height, width), bool)
    full[top : top + h, left : left + w] = mask
    code = encode_mask(mask, (top, left), (height, width))
    assert code["segmentation"]["counts"] == mask_api.encode(np.asfortranarray(full, np.uint8))["counts"].decode()
    assert np.array_equal(decode_counts(code["segmentation"]["counts"], (height, width)), full)


def test_several_workers_write_the_same_bytes(
    whole: Files, photographs: Path, weights: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(command(photographs, tmp_path / "out", weights, "--workers", "2")) == 0
    assert read_tree(tmp_path / "out") == whole
    captured = capfd.readouterr()
    assert captured.out.splitlines()[-1] == str(tmp_path / "out")
    assert f"{COUNT}/{COUNT}" in captured.err and "Traceback" not in captured.err


def test_another_seed_paints_others(whole: Files, photographs: Path, weights: str, tmp_path: Path) -> None:
    assert main(command(photographs, tmp_path / "out", weights, "--seed", "1")) == 0
    other = read_tree(tmp_path / "out")
    assert not any(other[name] == whole[name] for name in whole if name.startswith(("images", "masks")))


class Killed(BaseException):
    """The process ends here: nothing is cleaned up."""


def until_killed(method: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    """Let a method of paths change something `left` more times; from then on nothing happens, cleaning up neither."""

    def call(path: Path, *arguments: Any, **options: Any) -> Any:
        if left[0] <= 0:
            raise Killed
        left[0] -= path.exists()
        return method(path, *arguments, **options)

    return call


def test_killed_at_any_write_it_goes_on_to_the_same_bytes(
    whole: Files, photographs: Path, weights: str, tmp_path: Path
) -> None:
    """Every rename and every removal is the last thing that a process does, one after the other, in one folder each."""
    steps = 0
    while steps < 200:
        out = tmp_path / str(steps)
        with pytest.MonkeyPatch.context() as patch:
            left = [steps]
            for name in ("replace", "unlink"):
                patch.setattr(Path, name, until_killed(getattr(Path, name), left))
            try:
                assert main(command(photographs, out, weights, n=2)) == 0
                break
            except Killed:
                pass
        check_nothing_is_half_written(out)
        assert main(command(photographs, out, weights, n=2)) == 0
        tree = read_tree(out)
        assert {k: v for k, v in tree.items() if k.startswith(("images", "masks"))} == {
            k: v for k, v in whole.items() if k.startswith(("images/00000", "masks/00000")) and k[-5] in "01"
        }
        assert tree == read_tree(tmp_path / "0")
        steps += 1
    assert 10 < steps < 40  # settings, classes, 2 x 3 files of samples, annotations, manifest, 2 records removed


def check_nothing_is_half_written(out: Path) -> None:
    for path in out.rglob("*"):
        if not path.is_file() or path.name.startswith("."):
            continue
        if path.suffix == ".png":
            assert path.read_bytes().endswith(b"IEND\xaeB`\x82")
        elif path.suffix == ".jsonl":
            assert [json.loads(line)["index"] for line in path.read_text().splitlines()]
        elif path.suffix == ".json":
            json.loads(path.read_text())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_killed_for_good_it_leaves_no_process_and_goes_on(
    photographs: Path, weights: str, whole: Files, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    count = 200
    running = Child(lambda: main(command(photographs, out, weights, "--workers", "2", n=count)), tmp_path / "log")
    try:
        wait_for(lambda: len(list(out.glob("images/*.png"))) >= 5 or running.poll() is not None, 400)
        assert running.poll() is None
    finally:
        running.kill()  # SIGKILL to the parent alone: its workers must notice
    wait_for(lambda: not is_alive(running.pid), 60)
    check_nothing_is_half_written(out)
    begun = len(list(out.glob("records/*.json")))
    assert 0 < begun < count
    kept = {p: p.stat().st_mtime_ns for p in out.glob("images/*.png")}
    assert main(command(photographs, out, weights, n=count)) == 0
    tree = read_tree(out)
    assert all(tree[name] == data for name, data in whole.items() if name.startswith(("images", "masks")))
    assert len(manifest(out)) == count and not [name for name in tree if "partial" in name or "records" in name]
    assert sum(p.stat().st_mtime_ns == time_ for p, time_ in kept.items()) >= begun - 1, "made twice"


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def is_alive(group: int) -> bool:
    """Whether a process of the group lives."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_or_terminated_it_says_that_it_can_go_on(
    number: int,
    status: int,
    whole: Files,
    photographs: Path,
    weights: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write = folder_module.OutputFolder.write

    def interrupt(self: Any, sample: Any) -> None:
        if sample.record["index"] == 3:
            os.kill(os.getpid(), number)
        write(self, sample)

    monkeypatch.setattr(folder_module.OutputFolder, "write", interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores it
    try:
        assert main(command(photographs, tmp_path / "out", weights)) == status
    finally:
        signal.signal(signal.SIGINT, before)
    assert "goes on where it stopped" in capsys.readouterr().err
    monkeypatch.undo()
    assert main(command(photographs, tmp_path / "out", weights)) == 0
    assert read_tree(tmp_path / "out") == whole


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_shares_of_several_processes_make_the_same_data_set(
    whole: Files,
    photographs: Path,
    weights: str,
    tmp_path: Path,
    order: tuple[int, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    for position, rank in enumerate(order):
        monkeypatch.setenv("RANK", str(rank))
        assert main(command(photographs, tmp_path / "out", weights)) == 0
        said = capsys.readouterr().err
        assert (f"share {rank + 1} of 3 is done" in said) == (position < 2)
        assert (tmp_path / "out" / "manifest.jsonl").exists() == (position == 2)
    assert read_tree(tmp_path / "out") == whole


def test_folders_of_several_hosts_may_be_joined(whole: Files, photographs: Path, weights: str, tmp_path: Path) -> None:
    asked = {"images": photographs, "count": COUNT, "weights": weights}
    for rank in range(2):
        assert not generate(GenerateSettings(out=tmp_path / str(rank), **asked), share=Share(rank, 2), progress=False)
    joined = {**read_tree(tmp_path / "0"), **read_tree(tmp_path / "1")}
    for name, data in joined.items():
        (tmp_path / "joined" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "joined" / name).write_bytes(data)
    assert generate(GenerateSettings(out=tmp_path / "joined", **asked), progress=False)
    assert read_tree(tmp_path / "joined") == whole


def test_two_that_end_at_once_may_both_assemble(
    whole: Files, photographs: Path, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While this one writes the manifest, another one does, and removes the records."""
    out = tmp_path / "out"
    real = folder_module.write_annotations
    assemble = folder_module.OutputFolder.assemble

    def slowly(*arguments: Any) -> None:
        monkeypatch.setattr(folder_module, "write_annotations", real)
        assemble(folder_module.OutputFolder(out), ("pit", "scratch", "stain"), COUNT)
        real(*arguments)

    monkeypatch.setattr(folder_module, "write_annotations", slowly)
    assert main(command(photographs, out, weights)) == 0
    assert read_tree(out) == whole


def test_a_share_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert Share.from_environment() == Share(0, 1)
    for rank, world in (("2", "2"), ("x", "2"), ("0", "0"), ("-1", "2")):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", world)
        with pytest.raises(GenerateError, match="no share of a launch"):
            Share.from_environment()
    monkeypatch.delenv("WORLD_SIZE")
    with pytest.raises(GenerateError, match="WORLD_SIZE=None"):
        Share.from_environment()
    numbers = [index for rank in range(3) for index in Share(rank, 3).of(10)]
    assert sorted(numbers) == list(range(10))


@pytest.mark.slow
def test_under_torchrun_and_accelerate_launch(whole: Files, photographs: Path, weights: str, tmp_path: Path) -> None:
    plain = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    plain |= {"OMP_NUM_THREADS": "1"}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "albu_gan"]
    run = [sys.executable, *torchrun, *command(photographs, tmp_path / "a", weights)]
    subprocess.run(run, cwd=ROOT, env=plain, check=True, timeout=600)
    assert read_tree(tmp_path / "a") == whole
    launch = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "29611", "-m", "albu_gan"]
    run = [sys.executable, *launch, *command(photographs, tmp_path / "b", weights)]
    for rank in range(2):  # on CPUs it starts one process a call
        rank_environment = {**plain, "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
        subprocess.run(run, cwd=ROOT, env=rank_environment, check=True, timeout=600)
    assert read_tree(tmp_path / "b") == whole


def test_done_is_done_and_what_is_lost_is_made_again(
    whole: Files, photographs: Path, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert main(command(photographs, out, weights)) == 0
    written: list[int] = []
    write = folder_module.OutputFolder.write

    def record(self: Any, sample: Any) -> None:
        written.append(sample.record["index"])
        write(self, sample)

    monkeypatch.setattr(folder_module.OutputFolder, "write", record)
    assert main(command(photographs, out, weights)) == 0
    assert written == []
    (out / "images" / "000002.png").unlink()
    (out / "masks" / "000004.png").write_bytes(b"")
    (out / "annotations.json").unlink()
    assert main(command(photographs, out, weights)) == 0
    assert written == [2, 4] and read_tree(out) == whole


def test_a_data_set_may_grow_but_not_shrink(
    whole: Files, photographs: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(command(photographs, out, weights, n=3)) == 0
    assert len(manifest(out)) == 3
    assert main(command(photographs, out, weights)) == 0
    assert read_tree(out) == whole
    assert main(command(photographs, out, weights, n=3)) == 1
    assert "n was 7, now 3" in capsys.readouterr().err


def test_other_settings_need_overwrite_which_removes_what_is_ours_alone(
    whole: Files, photographs: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(command(photographs, out, weights, "--seed", "5", "--ext", "jpg", n=COUNT + 2)) == 0
    (out / "images" / "mine.png").write_bytes(b"keep")
    (out / "notes.md").write_bytes(b"keep")
    before = read_tree(out)
    assert main(command(photographs, out, weights)) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "seed was 5, now 0" in said and "ext was 'jpg', now 'png'" in said and "--overwrite" in said
    assert read_tree(out) == before
    assert main(command(photographs, out, weights, "--overwrite")) == 0
    assert read_tree(out) == {**whole, "images/mine.png": b"keep", "notes.md": b"keep"}


def test_regions_classes_and_odds_are_kept_to(photographs: Path, weights: str, tmp_path: Path) -> None:
    regions = tmp_path / "regions"
    for name in ("part_a.png", "part_b.png", "line 2/part_c.png"):
        (regions / name).parent.mkdir(parents=True, exist_ok=True)
        source = next(photographs.glob(f"{name[:-4]}.*"))
        region = np.zeros(read_image(source).shape[:2], np.uint8)
        region[:, :40] = 255
        cv2.imwrite(str(regions / name), region)
    odds = ["--classes", "pit", "stain", "--class-sampling", "stain=1", "pit=0", "--defects-range", "2", "2"]
    out = tmp_path / "out"
    assert main(command(photographs, out, weights, "--regions", str(regions), *odds)) == 0
    for line in manifest(out):
        assert [defect["class"] for defect in line["defects"]] == ["stain", "stain"]
        assert all(defect["bbox"][0] + defect["bbox"][2] <= 40 for defect in line["defects"])


def test_an_image_that_takes_no_defect_leaves_its_turn_to_others(
    photographs: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    cv2.imwrite(str(images / "black.png"), np.full((1, 1), 128, np.uint8))
    strict = ["--defects-range", "2", "2"]
    assert main(command(images, tmp_path / "none", weights, *strict, n=2)) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "sample 0: fewer than 2 visible defects" in said and "black.png" in said and "--min-contrast" in said
    cv2.imwrite(str(images / "part.png"), read_image(photographs / "part_a.png"))
    assert main(command(images, tmp_path / "out", weights, *strict, n=4)) == 0
    lines = manifest(tmp_path / "out")
    assert {line["source"] for line in lines} == {"part.png"} and sum(line["attempt"] > 0 for line in lines) == 2


def test_images_that_were_made_are_not_made_from(photographs: Path, weights: str, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    cv2.imwrite(str(images / "part.png"), read_image(photographs / "part_a.png"))
    for _ in range(2):
        assert main(command(images, images / "synthetic", weights, n=2)) == 0
    assert {line["source"] for line in manifest(images / "synthetic")} == {"part.png"}


def broken(folder: Path) -> list[str]:
    (folder / "images" / "broken.png").write_bytes(b"not a picture")
    return []


def cut_short(folder: Path) -> list[str]:
    whole = (folder / "images" / "part.png").read_bytes()
    (folder / "images" / "cut.png").write_bytes(whole[: len(whole) // 2])
    return []


def deep(folder: Path) -> list[str]:
    cv2.imwrite(str(folder / "images" / "deep.png"), np.full((40, 40), 3000, np.uint16))
    return []


def huge(folder: Path) -> list[str]:
    """A PNG of a few bytes that says it has 900 megapixels."""
    data = bytearray((folder / "images" / "part.png").read_bytes())
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    from zlib import crc32

    data[29:33] = crc32(bytes(data[12:29])).to_bytes(4, "big")
    (folder / "images" / "huge.png").write_bytes(bytes(data))
    return []


def large(folder: Path) -> list[str]:
    return ["--max-megapixels", "0.001"]


def empty(folder: Path) -> list[str]:
    (folder / "images" / "part.png").unlink()
    return []


def missing(folder: Path) -> list[str]:
    empty(folder)
    (folder / "images").rmdir()
    return []


def strangers(folder: Path) -> list[str]:
    (folder / "out").mkdir()
    (folder / "out" / "thesis.docx").write_bytes(b"years of work")
    return ["--overwrite"]


def file_in_the_way(folder: Path) -> list[str]:
    (folder / "out").write_bytes(b"a file")
    return []


def out_holds_images(folder: Path) -> list[str]:
    return ["--out", str(folder)]


def region_missing(folder: Path) -> list[str]:
    (folder / "regions").mkdir()
    return ["--regions", str(folder / "regions")]


def region_too_small(folder: Path) -> list[str]:
    region_missing(folder)
    cv2.imwrite(str(folder / "regions" / "part.png"), np.full((3, 4), 255, np.uint8))
    return ["--regions", str(folder / "regions")]


MISTAKES: list[tuple[Callable[[Path], list[str]], list[str]]] = [
    (broken, ["broken.png", "not an image that can be read", "remove or repair"]),
    (cut_short, ["cut.png", "cut short"]),
    (deep, ["deep.png", "uint16", "8 bits"]),
    (huge, ["huge.png", "30000 x 30000", "900 megapixels", "--max-megapixels 900"]),
    (large, ["part.png", "more than 0.001", "--max-megapixels"]),
    (empty, ["no images (.bmp, .jpeg, .jpg, .png, .tif, .tiff, .webp)"]),
    (missing, ["images: no such folder"]),
    (strangers, ["'thesis.docx'", "nothing is overwritten", "choose an empty folder"]),
    (file_in_the_way, ["out: is in the way", "--out"]),
    (out_holds_images, ["must not mix", "choose another --out"]),
    (region_missing, ["regions/part.png: no such file"]),
    (region_too_small, ["the region is 3 x 4, its image 64 x 80"]),
    (lambda _: ["--classes", "rust"], ["unknown class 'rust'"]),
    (lambda _: ["--class-sampling", "pit:3"], ["--class-sampling", "CLASS=WEIGHT", "pit:3"]),
    (lambda _: ["--class-sampling", "rust=1"], ["unknown class 'rust'"]),
    (lambda _: ["--defects-range", "0", "2"], ["--defects-range", "1 <= MIN"]),
    (lambda _: ["--workers", "0"], ["--workers must be at least 1"]),
    (lambda _: ["-n", "0"], ["-n must be from 1 to 10000000"]),
    (lambda _: ["-n", "99999999999999"], ["-n must be from 1 to 10000000", "several folders"]),
    (lambda _: ["--seed", "-1"], ["--seed must be 0 or more"]),
    (lambda _: ["--weights", "./typo"], ["./typo: no such folder"]),
    (lambda _: ["--device", "warp"], ["--device 'warp' cannot be used"]),
]


@pytest.mark.parametrize(("mistake", "said"), MISTAKES, ids=lambda value: getattr(value, "__name__", None))
def test_a_mistake_gives_one_line_and_status_1(
    mistake: Callable[[Path], list[str]],
    said: list[str],
    photographs: Path,
    weights: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "part.png"), read_image(photographs / "part_a.png"))
    more = mistake(tmp_path)
    assert main(command(tmp_path / "images", tmp_path / "out", weights, *more)) == 1
    error = capsys.readouterr().err.replace("\r", "\n").strip().splitlines()[-1]
    assert error.startswith("albu-gan: error: ")
    for words in said:
        assert words in error
    assert not (tmp_path / "out" / "manifest.jsonl").exists()


def test_an_image_may_be_removed_before_anything_was_made(
    photographs: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "part.png"), read_image(photographs / "part_a.png"))
    deep(tmp_path)
    assert main([*command(tmp_path / "images", tmp_path / "out", weights, n=1), "--seed", "3"]) in (0, 1)
    (tmp_path / "images" / "deep.png").unlink()
    if (tmp_path / "out" / "manifest.jsonl").exists():  # the other image had its turn first
        return
    assert main([*command(tmp_path / "images", tmp_path / "out", weights, n=1), "--seed", "3"]) == 0


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "cannot be written (Read-only file system); choose another --out"),
        (errno.EIO, "what is finished is kept"),
    ],
)
def test_a_full_or_read_only_disk_is_told_of_and_nothing_is_lost(
    whole: Files,
    photographs: Path,
    weights: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    code: int,
    said: str,
) -> None:
    write = Path.write_bytes
    with pytest.MonkeyPatch.context() as patch:

        def fail(path: Path, data: bytes) -> int:
            if path.name == ".000003.png.partial":
                write(path, data[:10])
                raise OSError(code, os.strerror(code), str(path))
            return write(path, data)

        patch.setattr(Path, "write_bytes", fail)
        assert main(command(photographs, tmp_path / "out", weights)) == 1
    error = capsys.readouterr().err.replace("\r", "\n").strip().splitlines()[-1]
    assert error.startswith("albu-gan: error: ") and said in error
    assert not list((tmp_path / "out").rglob("*.partial"))
    assert main(command(photographs, tmp_path / "out", weights)) == 0
    assert read_tree(tmp_path / "out") == whole


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="root may mount, and may become nobody")
def test_a_disk_that_is_really_full_and_a_folder_that_is_really_closed(
    photographs: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        assert main(command(photographs, small / "out", weights, n=50)) == 1
        assert "the disk is full" in capsys.readouterr().err
        check_nothing_is_half_written(small / "out")
        subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
        assert main(command(photographs, small / "other", weights)) == 1
        assert "cannot be written (Read-only file system)" in capsys.readouterr().err
        subprocess.run(["mount", "-o", "remount,rw,size=16m", str(small)], check=True)
        assert main(command(photographs, small / "out", weights, n=50)) == 0
        assert len(manifest(small / "out")) == 50
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_worker_that_dies_is_told_of(
    photographs: Path, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent's side: what a killed worker does to the pool."""
    from concurrent.futures.process import BrokenProcessPool

    from albu_gan.generate import run

    def broken_pool(*_: Any, **__: Any) -> Any:
        raise BrokenProcessPool("a process in the pool was terminated abruptly")

    monkeypatch.setattr(run, "wait", broken_pool)
    monkeypatch.setattr(run.ProcessPoolExecutor, "submit", lambda *_: object())
    with pytest.raises(GenerateError, match="fewer --workers"):
        generate(GenerateSettings(photographs, tmp_path / "out", 4, weights), workers=2, progress=False)
