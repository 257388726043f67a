"""Statistics of a data set, against an independent count."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import ndimage

from albu_gan.data import open_dataset
from training.datasets import measure
from training.datasets.__main__ import main
from training.datasets.plots import plot_statistics
from training.datasets.statistics import distribution

SIZE = (40, 60)


@pytest.fixture
def steel(tmp_path: Path) -> Path:
    """Twelve images of which a few hold blobs of several classes."""
    root = tmp_path / "steel"
    (root / "train_images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = ["ImageId,ClassId,EncodedPixels"]
    for number in range(12):
        cv2.imwrite(str(root / "train_images" / f"{number:02}.jpg"), rng.integers(60, 190, SIZE).astype(np.uint8))
        taken = np.zeros(SIZE, bool)
        for value in range(1, 4 if number % 3 else 1):
            blobs = cv2.dilate((rng.random(SIZE) < 0.003).astype(np.uint8), np.ones((4, 3))) > 0
            blobs &= ~taken
            taken |= blobs
            flat = np.concatenate([[0], blobs.ravel(order="F").astype(np.int8), [0]])
            starts, ends = np.flatnonzero(np.diff(flat) == 1), np.flatnonzero(np.diff(flat) == -1)
            code = " ".join(f"{s + 1} {e - s}" for s, e in zip(starts, ends, strict=True))
            if code:
                rows.append(f"{number:02}.jpg,{value},{code}")
    (root / "train.csv").write_text("\n".join(rows) + "\n")
    return root


def independent_areas(root: Path, size: tuple[int, int]) -> dict[tuple[str, int], list[int]]:
    """Areas of 8-connected parts by image and class: the code pixel by pixel, the parts by SciPy."""
    areas = {}
    with (root / "train.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            numbers = [int(n) for n in row["EncodedPixels"].split()]
            mask = np.zeros(size[0] * size[1], bool)
            for start, length in zip(numbers[::2], numbers[1::2], strict=True):
                mask[start - 1 : start - 1 + length] = True
            labels, count = ndimage.label(mask.reshape(size[::-1]).T, structure=np.ones((3, 3)))
            parts = np.bincount(labels.ravel(), minlength=count + 1)[1:]
            areas[row["ImageId"], int(row["ClassId"])] = sorted(parts.tolist())
    return areas


def assert_counts(root: Path, size: tuple[int, int]) -> None:
    dataset = open_dataset("severstal", root)
    statistics, expected = measure(dataset, progress=False), independent_areas(root, size)
    with_defects = {image for image, _ in expected}
    assert statistics["images"] == {
        "total": len(dataset.records),
        "with_defects": len(with_defects),
        "without_defects": len(dataset.records) - len(with_defects),
    }
    for number, name in enumerate(dataset.class_names, 1):
        figures = statistics["classes"][name]
        parts = [areas for (_, value), areas in expected.items() if value == number]
        flat = sorted(area for areas in parts for area in areas)
        assert (figures["images"], figures["polygons"], figures["pixels"]) == (len(parts), len(flat), sum(flat))
        assert sorted(figures["areas"]) == flat
        counts = figures["polygons_per_image"]["images_by_count"]
        assert {int(n): c for n, c in counts.items()} == {
            n: sum(len(areas) == n for areas in parts) for n in {len(areas) for areas in parts}
        }
        if flat:
            assert figures["area_pixels"]["median"] == np.median(flat)
            assert figures["area_share_of_image"]["max"] == pytest.approx(max(flat) / (size[0] * size[1]))
    polygons = {image: sum(len(a) for (i, _), a in expected.items() if i == image) for image in with_defects}
    counts = statistics["all"]["polygons_per_image"]["images_by_count"]
    assert {int(n): c for n, c in counts.items()} == {
        n: sum(value == n for value in polygons.values()) for n in set(polygons.values())
    }
    assert statistics["all"]["polygons"] == sum(polygons.values())
    assert sum(statistics["classes_per_image"].values()) == len(dataset.records)


def test_counts_and_areas_equal_an_independent_decoding(steel: Path) -> None:
    assert_counts(steel, SIZE)


@pytest.mark.skipif("ALBU_GAN_DATA" not in os.environ, reason="ALBU_GAN_DATA names no folder of data sets")
def test_counts_of_the_real_steel_strips_equal_an_independent_decoding() -> None:
    assert_counts(Path(os.environ["ALBU_GAN_DATA"]) / "severstal_mini", (256, 1600))


def test_distributions() -> None:
    assert distribution([4, 1, 2, 3, 10]) == {"min": 1, "q1": 2, "median": 3, "q3": 4, "max": 10, "mean": 4}
    assert set(distribution([]).values()) == {None}


def test_the_command_writes_figures_and_plots(steel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "out"
    assert main(["stats", "--data", str(steel), "--format", "severstal", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "12 images, 8 with defects, 4 without" in printed
    names = ["areas.webp", "class_balance.webp", "polygons_per_image.webp", "stats.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    written = json.loads((out / "stats.json").read_text())
    measured = json.loads(json.dumps(measure(open_dataset("severstal", steel), progress=False)))
    assert {key: written[key] for key in measured} == measured
    for name in names[:3]:
        image = cv2.imread(str(out / name))
        assert image is not None and image.std() > 5


def test_plots_of_nothing_and_of_many_classes_can_be_drawn(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    (tmp_path / "classes.txt").write_text("pit")
    for number in range(2):
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), np.full((20, 20), 90, np.uint8))
    plot_statistics(measure(open_dataset("folder", tmp_path), progress=False), tmp_path)
    (tmp_path / "classes.txt").write_text("\n".join(f"a class with number {i}" for i in range(9)))
    mask = np.zeros((20, 20), np.uint8)
    mask[2:5, 2:5], mask[10:12, 3:9] = 9, 5
    cv2.imwrite(str(tmp_path / "masks" / "0.png"), mask)
    statistics = measure(open_dataset("folder", tmp_path), progress=False)
    assert len(plot_statistics(statistics, tmp_path)) == 3
    assert statistics["classes_per_image"] == {"0": 1, "2": 1}


def test_a_broken_image_is_one_line_and_status_1(
    steel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = steel / "train_images" / "03.jpg"
    path.write_bytes(path.read_bytes()[:-30])
    argv = ["stats", "--data", str(steel), "--format", "severstal", "--out", str(tmp_path / "out")]
    assert main(argv) == 1
    error = capsys.readouterr().err.splitlines()[-1].rpartition("\r")[2].lstrip()
    assert error.startswith("error: ") and str(path) in error and "Traceback" not in error
    assert main([*argv, "--skip-bad"]) == 0
    captured = capsys.readouterr()
    assert f"skipped {path}" in captured.err and "11 images" in captured.out
    assert json.loads((tmp_path / "out" / "stats.json").read_text())["skipped"][0].startswith(str(path))
