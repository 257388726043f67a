"""The command line, run as a user runs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from albu_gan.cli import main


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


def test_an_unreadable_image_is_named(weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    assert main(["inpaint", str(tmp_path / "broken.png"), "--out", str(tmp_path / "o"), "--weights", weights]) == 1
    assert "broken.png: not an image" in capsys.readouterr().err


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
