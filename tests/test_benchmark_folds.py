from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from albu_gan.data import DataError, DefectDataset, Record, open_dataset
from tests.benchmark_data import PATTERN, write_parts
from training.benchmark.folds import Fold, make_folds, nested_groups
from training.benchmark.painters import split_document
from training.datasets.split_file import read_split

FRACTIONS = (0.1, 0.25, 0.5, 1.0)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DefectDataset:
    return open_dataset("folder", write_parts(tmp_path_factory.mktemp("parts") / "data", 8), PATTERN)


def folds_of(dataset: DefectDataset, fraction: float, folds: int = 2) -> list[Fold]:
    return make_folds(dataset.records, dataset.class_names, folds, fraction)


def test_no_group_is_on_two_sides_and_each_is_tested_once(dataset: DefectDataset) -> None:
    folds = folds_of(dataset, 1.0)
    groups = {record.group for record in dataset.records}
    for fold in folds:
        sides = [set(fold.train), set(fold.validation), set(fold.test)]
        assert sum(map(len, sides)) == len(set.union(*sides)) and set.union(*sides) == groups
    assert sorted(name for fold in folds for name in fold.test) == sorted(groups)


@pytest.mark.parametrize("number", [0, 1])
def test_fractions_are_nested_and_leave_validation_and_test_alone(dataset: DefectDataset, number: int) -> None:
    folds = [folds_of(dataset, fraction)[number] for fraction in FRACTIONS]
    assert len({(fold.validation, fold.test) for fold in folds}) == 1
    for smaller, larger in pairwise(folds):
        assert set(smaller.train) <= set(larger.train)
    assert len(folds[0].train) < len(folds[-1].train)


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_every_class_and_clean_images_are_in_every_training_part(dataset: DefectDataset, fraction: float) -> None:
    for fold in folds_of(dataset, fraction):
        records = fold.select(dataset.records, "train")
        assert set().union(*(record.classes for record in records)) == {0, 1, 2}
        assert any(not record.classes for record in records)


def test_groups_of_several_classes_do_not_cost_a_class_its_only_group() -> None:
    def record(group: str, *classes: int) -> Record:
        return Record(group, Path("x.png"), None, group, frozenset(classes))

    records = [record(f"both{i}", 0, 1) for i in range(5)] + [record("second", 1), record("third", 2)]
    for seed in range(20):
        chosen = nested_groups(records, 0.01, seed)
        assert set().union(*(r.classes for r in records if r.group in chosen)) == {0, 1, 2}


def test_the_split_of_a_painter_holds_out_all_but_the_training_groups(dataset: DefectDataset, tmp_path: Path) -> None:
    fold = folds_of(dataset, 0.5)[1]
    path = tmp_path / "split.json"
    path.write_text(json.dumps(split_document(fold, sorted({record.group for record in dataset.records}))))
    split = read_split(path, dataset.records)
    assert sorted(split.train) == sorted(fold.train) and split.validation == ()
    assert {*fold.validation, *fold.test} <= set(split.held_out)


def test_too_few_groups_and_wrong_fractions_are_errors(dataset: DefectDataset) -> None:
    with pytest.raises(DataError, match=r"8 group\(s\); 9 folds need at least 9"):
        folds_of(dataset, 0.5, folds=9)
    with pytest.raises(DataError, match="not above 1, got 25"):
        folds_of(dataset, 25)
