"""The command line, run as a user runs it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from albu_gan.cli import explain, main
from albu_gan.pictures.sheet import MAX_JPEG_BYTES, jpeg_bytes, png_bytes, write_picture


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    """Two small colour images on disk."""
    paths = []
    for index in range(2):
        image = np.random.default_rng(index).integers(80, 170, (90, 120, 3)).astype(np.uint8)
        paths.append(tmp_path / f"photo{index}.png")
        cv2.imwrite(str(paths[-1]), image)
    return paths


def test_demo_writes_a_sheet_with_a_row_a_class_and_prints_its_path_last(
    weights: str, colour_weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "sheet.png"
    assert main(["demo", "--weights", weights, "--weights", colour_weights, "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip().splitlines()[-1] == str(out.resolve())
    sheet = cv2.imread(str(out))
    assert sheet.shape[0] > 6 * 216 and sheet.shape[1] > 6 * 288
    assert [p.name for p in out.parent.iterdir()] == ["sheet.png"]


def test_demo_is_the_same_for_the_same_seed_and_another_for_another(weights: str, tmp_path: Path) -> None:
    sheets = []
    for number, seed in enumerate(("1", "1", "2")):
        path = tmp_path / f"{number}.png"
        assert main(["demo", "--weights", weights, "--out", str(path), "--seed", seed]) == 0
        sheets.append(path.read_bytes())
    assert sheets[0] == sheets[1] != sheets[2]


def test_a_sheet_is_what_its_name_says_and_a_jpeg_stays_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3)).astype(np.uint8)
    write_picture(tmp_path / "a.jpg", noise)
    write_picture(tmp_path / "a.png", noise)
    assert (tmp_path / "a.jpg").read_bytes()[:2] == b"\xff\xd8" and (tmp_path / "a.png").read_bytes()[1:4] == b"PNG"
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.png"))[:, :, ::-1], noise)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.2)
    assert len(jpeg_bytes(smooth)) <= MAX_JPEG_BYTES < len(png_bytes(smooth))
    decoded = cv2.imdecode(np.frombuffer(jpeg_bytes(smooth), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert np.abs(decoded.astype(int) - smooth).mean() < 12


def test_inpaint_writes_images_and_masks_that_agree(weights: str, photographs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["inpaint", *map(str, photographs), "--out", str(out), "--weights", weights]) == 0
    for path in photographs:
        before, after = cv2.imread(str(path)), cv2.imread(str(out / "images" / path.name))
        mask = cv2.imread(str(out / "masks" / path.name), cv2.IMREAD_UNCHANGED)
        changed = (before != after).any(axis=2)
        assert changed.any()
        assert not (changed & (mask == 0)).any()
        assert set(np.unique(mask)) <= {0, 1, 2, 3}


def test_inpaint_paints_only_the_classes_asked_for(weights: str, photographs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    main(["inpaint", str(photographs[0]), "--out", str(out), "--weights", weights, "--classes", "scratch"])
    mask = cv2.imread(str(out / "masks" / photographs[0].name), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(mask)) == {0, 2}


def test_inpaint_overwrites_nothing_unless_told_to(
    weights: str, photographs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["inpaint", str(photographs[0]), "--out", str(tmp_path / "out"), "--weights", weights]
    assert main(command) == 0
    first = (tmp_path / "out" / "images" / photographs[0].name).read_bytes()
    assert main([*command, "--seed", "9"]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "out" / "images" / photographs[0].name).read_bytes() == first
    assert main([*command, "--seed", "9", "--overwrite"]) == 0
    assert (tmp_path / "out" / "images" / photographs[0].name).read_bytes() != first


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["inpaint", "missing.png", "--out", "out"], "missing.png: no such image"),
        (["demo", "--weights", "./typo"], "no such folder"),
        (["info", "typo"], "no bundled name"),
        (["inpaint", "missing.png", "--out", "out", "--classes", "rust"], "unknown class 'rust'"),
    ],
)
def test_a_mistake_gives_one_line_and_status_1(
    arguments: list[str],
    said: str,
    weights: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "inpaint":
        arguments = [*arguments, "--weights", weights]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("albu-gan: error: ") and len(error.strip().splitlines()) == 1


def huge_png(side: int) -> bytes:
    """A PNG of a few bytes that claims to be huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image)[1].tobytes()


NOISE = np.random.default_rng(0).integers(80, 170, (90, 120)).astype(np.uint8)
UNREADABLE = {
    "text": ("a.png", b"not a picture", "not an image"),
    "empty": ("a.png", b"", "not an image"),
    "cut short": ("a.jpg", jpeg(NOISE)[:2000], "cut short"),
    "16 bits": ("a.png", cv2.imencode(".png", NOISE.astype(np.uint16))[1].tobytes(), "uint16"),
    "11 megapixels too many": ("a.png", huge_png(10_536), "more than 100; cut it into tiles"),
    "more pixels than OpenCV takes": ("a.png", huge_png(60_000), "--max-megapixels 3600"),
}


@pytest.mark.parametrize("command", ["inpaint", "demo"])
@pytest.mark.parametrize(("name", "content", "said"), UNREADABLE.values(), ids=UNREADABLE)
def test_an_image_that_cannot_be_used_is_named(
    weights: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    command: str,
    name: str,
    content: bytes,
    said: str,
) -> None:
    path, out = tmp_path / name, tmp_path / "out.png"
    path.write_bytes(content)
    given = [str(path)] if command == "inpaint" else ["--images", str(path)]
    assert main([command, *given, "--out", str(out), "--weights", weights]) == 1
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"albu-gan: error: {path}: ") and said in error
    assert not out.is_file() and not list(out.glob("**/*.png"))


def test_a_gray_image_stays_gray(weights: str, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "gray.png"), NOISE)
    assert main(["inpaint", str(tmp_path / "gray.png"), "--out", str(tmp_path / "out"), "--weights", weights]) == 0
    painted = cv2.imread(str(tmp_path / "out" / "images" / "gray.png"), cv2.IMREAD_UNCHANGED)
    mask = cv2.imread(str(tmp_path / "out" / "masks" / "gray.png"), cv2.IMREAD_UNCHANGED)
    assert painted.shape == NOISE.shape and mask.any()
    assert not ((painted != NOISE) & (mask == 0)).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1)])
def test_demo_shows_images_of_any_shape(weights: str, tmp_path: Path, shape: tuple[int, int]) -> None:
    cv2.imwrite(str(tmp_path / "thin.png"), np.resize(NOISE, shape))
    command = ["demo", "--images", str(tmp_path / "thin.png"), "--out", str(tmp_path / "sheet.png")]
    assert main([*command, "--weights", weights]) == 0
    assert cv2.imread(str(tmp_path / "sheet.png")) is not None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a system that knows pipes in the file system")
def test_what_is_no_file_is_neither_read_nor_replaced(
    weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe, folder = tmp_path / "pipe", tmp_path / "folder"
    os.mkfifo(pipe)
    folder.mkdir()
    for path in (pipe, folder):
        assert main(["demo", "--out", str(path), "--weights", weights]) == 1
        assert main(["inpaint", str(path), "--out", str(tmp_path / "out"), "--weights", weights]) == 1
        for line in capsys.readouterr().err.splitlines():
            assert line.startswith(f"albu-gan: error: {path}: is a folder or a device; give ")
    assert pipe.is_fifo() and sorted(tmp_path.iterdir()) == [folder, pipe]


def test_an_output_that_cannot_be_written_is_named(
    weights: str, photographs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for out in ("file", "file/below"):
        command = ["inpaint", str(photographs[0]), "--out", str(tmp_path / out), "--weights", weights]
        assert main(command) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert str(tmp_path / "file") in error and "give another --out" in error and "Errno" not in error
    for code, remedy in ((errno.ENOSPC, "free some space"), (errno.EROFS, "a place that is yours")):
        assert remedy in explain(OSError(code, os.strerror(code), "sheet.png"))


@pytest.mark.parametrize("command", [["demo", "--out"], ["inpaint", "photo.png", "--out"]])
def test_a_seed_below_zero_is_refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "out", "--seed", "-1"]) == 1
    assert capsys.readouterr().err == "albu-gan: error: --seed must be 0 or more, got -1\n"


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs a device that is always full")
def test_a_full_or_closed_output_is_no_traceback() -> None:
    command = [sys.executable, "-m", "albu_gan", "info"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr) == (
        1,
        "albu-gan: error: output: No space left on device; free some space, or write elsewhere\n",
    )
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None and running.stderr is not None
    running.stdout.close()
    assert running.stderr.read() == b"" and running.wait() == 1
    running.stderr.close()


@pytest.mark.parametrize(
    "entries",
    [
        {"metrics": {"classes": {"pit": {}}}},
        {"metrics": {"classes": {"pit": {"contrast_reached": "all", "kid_painted": None}}}},
        {"metrics": {"classes": ["pit"]}},
        {"metrics": {"classes": {"pit": 3}}},
        {"training": {"held_out_groups": 7}},
        {"training": {"held_out_groups": [1, None]}},
        {"training": {"source": "\x1b]0;owned\x07", "licence": "a\nb"}},
    ],
)
def test_info_says_of_anything_what_there_is_and_moves_no_cursor(
    weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], entries: dict[str, Any]
) -> None:
    folder = Path(shutil.copytree(weights, tmp_path / "weights"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **entries}))
    assert main(["info", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.isprintable() for line in lines)
    assert sum(line.startswith("training:") for line in lines) == 1


def test_info_says_classes_shapes_and_provenance(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", weights]) == 0
    text = capsys.readouterr().out
    assert "pit (5 shapes), scratch (4 shapes), stain (4 shapes)" in text
    assert "32 x 32, 64 x 64" in text
