"""The evaluation of a bank: made-up surfaces on which the right answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from albu_gan.data import DataError, open_dataset
from albu_gan.painting import window_shapes
from training.datasets import split_by_group
from training.evaluation.__main__ import main
from training.evaluation.bank_draws import WORN, copy_paste, draw_places, key_of
from training.evaluation.bank_figures import class_views, mean_figures
from training.evaluation.bank_sides import Sides, View, in_turns, read_sides
from training.evaluation.bank_table import bank_table, class_table, nearer, row_of
from training.evaluation.blind import CELL, COLUMNS, GAP, TITLE, blind_sheet
from training.evaluation.memorisation import TrainingBank
from training.evaluation.pair_classifiers import areas, statistics
from training.evaluation.same_background import FOLDS, Pair, make_pairs

CLASSES = ("pit", "stripe")
SHAPES = window_shapes((64,), long=False)


def write_folder(root: Path, clean: bool = True) -> Path:
    """Eight groups of two annotated images and, if wanted, a clean one; every group of another brightness."""
    rng = np.random.default_rng(0)
    rows = ["image,group"]
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for group in range(8):
        for number in range(3 if clean else 2):
            image = 90 + 12 * group + 3 * rng.standard_normal((110, 130))
            mask = np.zeros(image.shape, np.uint8)
            if number < 2:
                centre = int(rng.integers(25, 45)), int(rng.integers(25, 45))
                cv2.ellipse(mask, centre, (int(rng.integers(5, 9)), int(rng.integers(5, 9))), 0, 0, 360, 1, -1)
                top, left = int(rng.integers(70, 90)), int(rng.integers(20, 60))
                mask[top : top + 4, left : left + int(rng.integers(25, 40))] = 2
            image[mask == 1] *= 0.5
            image[mask == 2] += 40
            name = f"g{group}n{number}"
            cv2.imwrite(str(root / "images" / f"{name}.png"), np.clip(image, 0, 255).astype(np.uint8))
            cv2.imwrite(str(root / "masks" / f"{name}.png"), mask)
            rows.append(f"{name}.png,g{group}")
    (root / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    (root / "groups.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("bank") / "data")


@pytest.fixture(scope="module")
def sides(data: Path) -> Sides:
    return sides_of(data)


def sides_of(data: Path) -> Sides:
    dataset = open_dataset("folder", data)
    split = split_by_group(dataset.records, dataset.class_names, 0.5, 0)
    halves = [split.select(dataset.records, side) for side in ("train", "held_out")]
    return read_sides(dataset, *halves, 50, 50, 0)


def test_halves_share_no_group_and_defects_lie_where_their_labels_are(sides: Sides) -> None:
    trained, unseen = ({defect.group for defect in half} for half in (sides.donors, sides.unseen))
    assert len(trained) == len(unseen) == 4 and not trained & unseen
    assert {surface.group for surface in sides.surfaces} <= unseen
    assert sides.classes() == [0, 1]
    for defect in (*sides.donors, *sides.unseen):
        h, w = defect.shape.mask.shape
        labels = defect.labels[defect.top : defect.top + h, defect.left : defect.left + w]
        assert np.array_equal(labels == defect.class_index + 1, defect.shape.mask)


def test_without_clean_images_nothing_is_painted_near_a_defect(tmp_path: Path) -> None:
    sides = sides_of(write_folder(tmp_path / "data", clean=False))
    labels = {defect.name: defect.labels for defect in sides.unseen}
    found = list(draw_places(sides, 0, 6, (0.5,), 0))
    assert len(found) == 6
    for placed, made in found:
        near = cv2.dilate(labels[placed.surface.name], np.ones((9, 9), np.uint8)) > 0
        changed = (made[key_of(0.5)].image != placed.surface.image).any(axis=2)
        assert changed.any() and not (changed & near).any()


def test_records_are_chosen_from_every_group_in_turn(data: Path) -> None:
    records = open_dataset("folder", data).records
    assert len({record.group for record in in_turns(records, 8, 0)}) == 8
    assert len(in_turns(records, 1000, 0)) == len(records)


def test_everything_painted_of_a_draw_shares_its_place_and_stays_in_its_mask(sides: Sides) -> None:
    for placed, made in draw_places(sides, 1, 4, (0.0, 1.0), 0):
        assert set(made) == {key_of(v, a) for v in (0.0, 1.0) for a in (False, True)} | {"copy_paste", *WORN}
        assert np.array_equal(made["worn"].mask, placed.shape.mask)
        assert np.array_equal(made["painted_0"].image, made["painted_0_again"].image)
        assert not np.array_equal(made["painted_1"].image, made["painted_1_again"].image)
        for painted in made.values():
            whole = np.zeros(painted.image.shape[:2], bool)
            h, w = painted.mask.shape
            whole[painted.top : painted.top + h, painted.left : painted.left + w] = painted.mask
            assert np.array_equal(painted.image[~whole], placed.surface.image[~whole])
        assert np.array_equal(made["copy_paste"].mask, made["painted_0"].mask)
        assert (made["copy_paste"].top, made["copy_paste"].left) == (made["painted_0"].top, made["painted_0"].left)


def test_copy_paste_shows_the_donors_own_pixels_in_its_middle(sides: Sides) -> None:
    for placed, _ in draw_places(sides, 0, 4, (0.0,), 0):
        assert placed.shape.donor is not None
        donor, pasted = sides.donors[placed.shape.donor], copy_paste(sides, placed)
        deep = cv2.erode(pasted.mask.view(np.uint8), np.ones((7, 7), np.uint8), borderValue=0) > 0
        h, w = pasted.mask.shape
        inside = pasted.image[pasted.top : pasted.top + h, pasted.left : pasted.left + w][deep]
        h, w = donor.shape.mask.shape
        theirs = donor.image[donor.top : donor.top + h, donor.left : donor.left + w][donor.shape.mask]
        assert abs(float(np.median(inside)) - float(np.median(theirs))) < 3


def test_relit_defects_follow_the_surface_and_pasted_ones_do_not(sides: Sides) -> None:
    """The made-up pits halve the light: laid into another brightness, only relit ones still do."""
    views = class_views(sides, 0, 16, (0.0,), SHAPES, 0)

    def ratios(name: str) -> np.ndarray:
        return np.array([np.median(v.image[v.mask]) / np.median(v.image[~v.mask]) for v in views[name]])

    relit, pasted = (np.abs(ratios(name) - 0.5).mean() for name in ("painted_0", "copy_paste"))
    assert np.abs(ratios("real") - 0.5).mean() < 0.03
    assert relit < 0.07 and pasted > 1.5 * relit


def test_the_nearest_training_defect_of_a_copy_is_itself(sides: Sides) -> None:
    views = [defect.view(SHAPES) for defect in sides.donors if defect.class_index == 0]
    bank = TrainingBank.of_masks([view.image for view in views], [view.mask for view in views])
    likeness, nearest = bank.nearest([view.image for view in views], [view.mask for view in views])
    assert likeness.min() > 0.999 and nearest.tolist() == list(range(len(views)))


def test_pairs_share_background_and_neither_side_shows_more_filling(sides: Sides) -> None:
    pairs = make_pairs(sides, 12, 0.5, SHAPES, 0)
    assert len(pairs["painted"]) == len(pairs["copy_paste"]) == 12
    for pair in (*pairs["painted"], *pairs["copy_paste"]):
        changed = (pair.real != pair.painted).any(axis=2)
        assert changed[pair.mask].mean() > 0.3
        assert not changed[~(cv2.dilate(pair.mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0)].any()
    of_group: dict[str, set[int]] = {}
    for pair in pairs["painted"]:
        of_group.setdefault(pair.group, set()).add(pair.fold)
    assert all(len(folds) == 1 for folds in of_group.values())
    assert {pair.fold for pair in pairs["painted"]} <= set(range(FOLDS))


def made_up_pairs(difference: float) -> list[Pair]:
    """Squares; painted ones are brighter by so much."""
    rng = np.random.default_rng(0)
    mask = np.zeros((64, 64), bool)
    mask[20:44, 20:44] = True
    pairs = []
    for number in range(40):
        real, painted = (
            np.clip(rng.normal(100, 4, (64, 64, 1)) + plus * mask[:, :, None], 0, 255).astype(np.uint8)
            for plus in (40, 40 + difference)
        )
        pairs.append(Pair(real, painted, mask, 0, number % FOLDS, str(number % 8)))
    return pairs


def by_mean(views: list[View]) -> np.ndarray:
    return np.array([statistics(view.image, view.mask) for view in views])


@pytest.mark.parametrize(("difference", "low", "high"), [(0.0, 0.2, 0.8), (25.0, 0.9, 1.0)])
def test_classifiers_tell_apart_what_differs_and_nothing_else(difference: float, low: float, high: float) -> None:
    found = areas(made_up_pairs(difference), by_mean, 0)
    assert set(found) == {None, 0} and found[None] == found[0]
    assert set(found[0]) == {"features", "statistics", "network"}
    assert all(area is not None and low <= area <= high for area in found[0].values()), found


def test_too_few_pairs_are_not_judged() -> None:
    assert set(areas(made_up_pairs(25)[:8], by_mean, 0)[None].values()) == {None}


def test_the_key_of_a_blind_sheet_says_which_cell_is_which(sides: Sides) -> None:
    sheet, key = blind_sheet(sides, 5, 0.5, 0)
    again, _ = blind_sheet(sides, 5, 0.5, 0)
    assert np.array_equal(sheet, again)
    assert [key["windows"][str(n)]["painted"] for n in range(1, 11)].count(True) == 5
    names = {defect.name: defect for defect in sides.unseen}
    for number, said in key["windows"].items():
        index = int(number) - 1
        top, left = GAP + index // COLUMNS * (CELL + TITLE + GAP) + TITLE, GAP + index % COLUMNS * (CELL + GAP)
        cell = sheet[top : top + CELL, left : left + CELL, 0]
        original = {surface.name: surface.image for surface in sides.surfaces} | {n: d.image for n, d in names.items()}
        image = original[said["image"]][:, :, 0]
        shown = cv2.resize(cell, (CELL // 2, CELL // 2), interpolation=cv2.INTER_AREA)
        match = cv2.matchTemplate(image, shown, cv2.TM_SQDIFF).min() / shown.size
        assert (match < 10) != said["painted"], (number, match)


def figures(painted: float, pasted: float) -> dict[str, object]:
    kid = {"painted_0": painted, "painted_0.5": painted, "painted_1": painted, "copy_paste": pasted, "train": 0.1}
    means = {"kid": kid, "newness": {"painted_0": 0.0, "painted_0.5": 0.6}, "memorisation": {"painted_0.5": 1.4}}
    means |= {"newness_pixels": {"painted_0.5": 0.5}, "repeats": {"painted_0.5": 0.8}}
    told = {name: {"mean": area, "sharpest": area} for name, area in (("painted", 0.6), ("copy_paste", 0.8))}
    return {"means": means, "same_background": told}


def test_the_table_has_a_row_a_set_and_the_mean_and_says_who_wins() -> None:
    sets = {"a": figures(0.2, 0.4), "b": figures(0.6, 0.4)}
    lines = bank_table(sets).splitlines()
    assert len(lines) == 5 and lines[-1].startswith("| mean | 0.40 | 0.40 | 0.40 | 0.40 | 0.10 | 0.60 | 0.80 |")
    assert "on 1 of 2 sets by KID" in nearer(sets) and "on 2 of 2" in nearer(sets)
    unjudged = figures(0.2, 0.4) | {"same_background": {"painted": {"mean": None, "sharpest": None}}}
    assert row_of(unjudged)[5:9] == [None] * 4
    assert mean_figures({"x": {"kid": {"a": 1.0}, "draws": 3}, "y": {"kid": {"a": 3.0}, "draws": 5}}) == {
        "kid": {"a": 2}
    }


def test_the_command_measures_and_writes_sheet_and_key(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["bank", "--data", str(data), "--out", str(tmp_path), "--draws", "6", "--pairs", "16", "--blind", "4"]
    assert main([*command, "--feature-steps", "2", "--window-sizes", "64", "--variation", "0", "0.5"]) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert set(metrics["classes"]) == set(CLASSES)
    assert [line.split(" | ")[1] for line in class_table({"made up": metrics}).splitlines()[2:]] == list(CLASSES)
    for values in (*metrics["classes"].values(), metrics["means"]):
        assert set(values["kid"]) == {"painted_0", "painted_0.5", "copy_paste", "train"}
        assert values["newness"]["painted_0"] == values["newness_pixels"]["painted_0"] == 0
        assert values["newness"]["painted_0.5"] > 0
        assert values["memorisation"]["copy_paste"] == pytest.approx(1)
        assert -1 <= values["repeats"]["painted_0.5"] <= values["repeats"]["painted_0"] <= 1
    assert {"commit", "hardware", "versions", "seed", "formulas", "surfaces_clean"} <= set(metrics)
    assert (tmp_path / "blind.png").is_file()
    assert len(json.loads((tmp_path / "blind-key" / "key.json").read_text())["windows"]) == 8


def test_bad_arguments_are_a_clear_error(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bank", "--data", str(data), "--out", str(tmp_path / "out")]
    for more, said in (
        (["--draws", "1"], "--draws"),
        (["--variation", "1.5"], "--variation"),
        (["--pairs", "-1"], "--pairs"),
    ):
        assert main([*command, *more]) == 1
        assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_halves_without_a_common_class_are_a_clear_error(data: Path) -> None:
    dataset = open_dataset("folder", data)
    with pytest.raises(DataError, match="held-out"):
        read_sides(dataset, dataset.records[:3], [r for r in dataset.records if not r.classes], 9, 9, 0)
