"""`albu-gan look`: the outline lies around the mask, every class is shown, large images by windows."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from albu_gan.cli import main
from albu_gan.data import open_dataset
from albu_gan.look import look_sheet
from albu_gan.look.choose import choose, window_of
from albu_gan.look.sheet import CELL, colour_of, outlined


def write_data(root: Path, size_hw: tuple[int, int] = (60, 80), count: int = 12) -> Path:
    """Images with one patch each, of `pit` or rarely of `scratch`; every fourth is clean."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    (root / "classes.txt").write_text("pit\nscratch\n")
    for number in range(count):
        image = np.full((*size_hw, 3), 120, np.uint8)
        mask = np.zeros(size_hw, np.uint8)
        if number % 4:
            mask[20:31, 25:45] = 2 if number == 5 else 1
            image[mask > 0] = 60
        cv2.imwrite(str(root / "images" / f"part{number:02}.png"), image)
        cv2.imwrite(str(root / "masks" / f"part{number:02}.png"), mask)
    return root


def test_the_command_writes_a_picture_and_says_what_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_data(tmp_path / "data")
    assert main(["look", str(data), "--out", str(tmp_path / "sheet.png")]) == 0
    captured = capsys.readouterr()
    assert captured.out.strip() == str((tmp_path / "sheet.png").resolve())
    assert "12 images, 9 with defects, 3 clean" in captured.err
    sheet = cv2.cvtColor(cv2.imread(str(tmp_path / "sheet.png")), cv2.COLOR_BGR2RGB)
    for index in (0, 1):
        assert (sheet[40:] == colour_of(index)).all(axis=2).sum() > 100, "its outline is there"


@pytest.mark.parametrize(
    ("flags", "message"),
    [(["--images", "0"], "--images must be from 1 to 200"), (["--classes", "dent"], "the data has pit, scratch")],
)
def test_wrong_flags_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    data = write_data(tmp_path / "data")
    assert main(["look", str(data), "--out", str(tmp_path / "sheet.png"), *flags]) == 1
    assert message in capsys.readouterr().err


def test_every_class_and_some_clean_images_are_shown(tmp_path: Path) -> None:
    dataset = open_dataset("folder", write_data(tmp_path))
    chosen = choose(dataset, 8, [0, 1])
    assert [index for _, index in chosen].count(1) == 1 and [index for _, index in chosen].count(None) == 1
    assert len(chosen) == 8 == len({record.name for record, _ in chosen})
    assert len(choose(dataset, 100, [0, 1])) == 12
    assert {index for _, index in choose(dataset, 4, [1])} == {1, None}


@pytest.mark.parametrize("factor", [1, 2, 5])
def test_the_outline_lies_around_the_mask_and_not_on_it(factor: int) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 200, (30, 40, 1)).astype(np.uint8)
    mask = np.zeros((30, 40), np.uint8)
    mask[5:9, 4:20], mask[20, 3:37] = 1, 2
    drawn = outlined(image, mask, (30 * factor, 40 * factor))
    larger = np.repeat(np.repeat(mask, factor, 0), factor, 1)
    plain = np.repeat(np.repeat(np.repeat(image, 3, 2), factor, 0), factor, 1)
    np.testing.assert_array_equal(drawn[larger > 0], plain[larger > 0])
    changed = (drawn != plain).any(axis=2)
    ring = cv2.dilate((larger > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    np.testing.assert_array_equal(changed, ring & (larger == 0))


def test_a_thin_line_is_not_lost_when_the_picture_is_smaller() -> None:
    mask = np.zeros((200, 200), np.uint8)
    mask[101] = 1
    drawn = outlined(np.zeros((200, 200, 3), np.uint8), mask, (40, 40))
    assert (drawn == colour_of(0)).all(axis=2).sum() >= 2 * 40


def test_a_window_shows_the_defect_and_its_surroundings() -> None:
    mask = np.zeros((2000, 3000), np.uint8)
    mask[100:140, 200:260], mask[1500:1510, 2500:2504] = 1, 1
    rows, columns = window_of(mask, 0, CELL, (53, 640))
    assert mask[rows, columns].sum() == 40 * 60 and rows.stop - rows.start == columns.stop - columns.start == 106
    rows, columns = window_of(mask, 1, CELL, (53, 640))
    assert mask[rows, columns].sum() == 40 and rows.stop - rows.start == 53
    mask[:] = 0
    cv2.circle(mask, (1500, 1000), 900, 1, 3)
    rows, columns = window_of(mask, 0, CELL, (53, 640))
    assert mask[rows, columns].any(), "not the empty middle of a ring"


def test_a_large_image_is_shown_by_a_window_about_its_defect(tmp_path: Path) -> None:
    sheet = look_sheet(open_dataset("folder", write_data(tmp_path, (900, 1600), count=3)), 2)
    outline = (sheet[40:] == colour_of(0)).all(axis=2)
    assert outline.sum() > 4 * 6 * 20, "a patch of 20 pixels fills a good part of its cell"


def test_a_label_without_a_pixel_is_shown_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = open_dataset("folder", write_data(tmp_path))
    texts: list[str] = []
    monkeypatch.setattr("albu_gan.look.sheet.cv2.putText", lambda picture, text, *rest: texts.append(text))
    monkeypatch.setattr(dataset, "read_mask", lambda record, size_hw: np.zeros(size_hw, np.uint8))
    look_sheet(dataset, 4)
    assert texts.count("LABEL WITHOUT A PIXEL") == 3 or texts.count("LABEL WITHOUT A PIXEL") == 4
