from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from albu_gan.data import LabelmeDataset
from tests.test_gan_training import PATTERN, write_labelme
from training.evaluation.__main__ import main
from training.evaluation.real import compare, random_divisions
from training.evaluation.report import PAGE, PICTURES, predicted, write_page, write_pictures
from training.evaluation.table import MISSING, figure_table, inception_table, markdown, mean_table


def figures(**more: Any) -> dict[str, Any]:
    base = {"draws": 96, "unseen_defects": 8, "unseen_groups": 2, "kid_painted": 1.5, "kid_copy_paste": 2.0}
    return {**base, "kid_real": 0.25, "diversity": 0.5, **more}


METRICS: dict[str, Any] = {
    "classes": {
        "crack": figures(classifier_auc_painted=0.75, classifier_auc_copy_paste=0.9, classifier_auc_real=None),
        "pit & <co>": figures(classifier_auc_painted=None, classifier_auc_copy_paste=None, classifier_auc_real=None),
    },
    "means": {"kid_painted": 1.5, "kid_copy_paste": 2.0, "kid_real": 0.25, "diversity": 0.5},
    "together": {"draws": 192, "kid_painted": 1.0, "kid_copy_paste": 3.0, "kid_real": 0.1},
    "side": "held_out",
    "features": "an encoder",
}


def test_a_row_has_the_painter_beside_both_floors_in_each_class_their_mean_and_all_together() -> None:
    cells = {row[0]: row[1:] for row in figure_table(METRICS)}
    assert cells["painted / copy-paste / real"] == ["crack", "pit & <co>", "mean", "together"]
    assert cells["KID"] == ["1.50 / 2.00 / 0.25"] * 3 + ["1.00 / 3.00 / 0.10"]
    assert cells["diversity across z (painted only)"] == ["0.50", "0.50", "0.50", MISSING]
    assert cells["AUC of the classifier"] == [f"0.75 / 0.90 / {MISSING}", MISSING, MISSING, MISSING]
    assert cells["windows"] == ["96", "96", MISSING, "192"]
    assert "FID" not in cells  # not measured
    one = {**METRICS, "classes": {"crack": METRICS["classes"]["crack"]}}
    assert figure_table(one)[0] == ["painted / copy-paste / real", "crack"]


def test_tables_of_means_and_of_inception() -> None:
    assert ["KID", "1.50", "2.00", "0.25"] in mean_table(METRICS)
    assert ["diversity across z", "0.50", "", ""] in mean_table(METRICS)
    assert inception_table(METRICS) is None
    block = {f"{key}_{name}": 1.0 for key in ("fid", "kid") for name in ("painted", "copy_paste", "real")}
    found = inception_table({**METRICS, "together": {"inception": block}})
    assert found == [
        ["painted / copy-paste / real", "together"],
        ["FID, Inception", "1.0 / 1.0 / 1.0"],
        ["KID, Inception", "1.0000 / 1.0000 / 1.0000"],
    ]
    assert markdown([["a", "b"], ["1", "2"]]) == "| a | b |\n|---|---|\n| 1 | 2 |"


def test_the_page_holds_its_pictures_and_escapes_names(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"1-crack": np.zeros((8, 8, 3), np.uint8)})
    assert (tmp_path / PICTURES / "1-crack.png").is_file()
    page = write_page(tmp_path, "<mine>", METRICS, {"1-crack": "cracks & <more>"}).read_text()
    assert page.count("src='data:image/png;base64,iVBOR") == 1 and "http" not in page
    assert "&lt;mine&gt;, held-out groups" in page and "<th>pit &amp; &lt;co&gt;</th>" in page
    assert "cracks &amp; &lt;more&gt;" in page and (tmp_path / PAGE).is_file()


def test_predictions_are_drawn_in_one_colour_for_the_class_and_another_for_the_rest() -> None:
    image, prediction = np.full((30, 30, 1), 90, np.uint8), np.zeros((30, 30), np.uint8)
    prediction[2:8, 2:8], prediction[20:26, 20:26] = 1, 2
    before = image.copy()
    drawn = predicted(image, prediction, 1)
    assert len({tuple(drawn[2, 2]), tuple(drawn[20, 20]), tuple(drawn[15, 15])}) == 3
    np.testing.assert_array_equal(image, before)


def test_a_set_of_one_has_no_distance() -> None:
    rng = np.random.default_rng(0)
    assert compare(rng.random((1, 3)), rng.random((9, 3))) == {"fid": None, "kid": None}


def test_random_divisions_by_group_are_farther_apart_where_groups_differ() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat([f"part{i}" for i in range(8)], 6)
    alike = rng.standard_normal((48, 4))
    apart = alike + np.repeat(3 * rng.standard_normal((8, 4)), 6, axis=0)
    same, different = (random_divisions(vectors, groups, 0.5, 0) for vectors in (alike, apart))
    assert different["fid_random_mean"] > 2 * same["fid_random_mean"]
    assert same["fid_random_mean"] <= same["fid_random_p95"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelme(tmp_path_factory.mktemp("real") / "data")


def command(data: Path, out: Path, *more: str) -> list[str]:
    where = ["--data", str(data), "--format", "labelme", "--group-pattern", PATTERN, "--channels", "1"]
    return ["real", *where, "--out", str(out), "--window-sizes", "32", "64", "--feature-steps", "2", *more]


def test_real_training_defects_are_measured_against_real_test_defects(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.evaluation.real.DIVISIONS", 6)
    assert main(command(data, tmp_path, "--features", str(tmp_path / "features.safetensors"))) == 0
    result = json.loads((tmp_path / "fid.json").read_text())
    dataset = LabelmeDataset(data, PATTERN, 1)
    assert sum(result["images"].values()) == len(dataset.records)
    for name, values in result["classes"].items():
        count = sum(len(r.classes) for r in dataset.records) if name == "all classes" else None
        if count is not None:
            assert values["train_windows"] + values["test_windows"] == count
            assert values["fid_random_mean"] > 0
        assert values["train_groups"] == values["test_groups"] == 2
        assert values["fid"] > 0 and values["kid"] is not None
    assert "segment the real training groups" in result["features"] and result["feature_steps"] == 2


def test_a_missing_inception_file_is_a_clear_error(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    features = ["--feature-steps", "2", "--inception", str(tmp_path / "none.pth")]
    assert main(command(data, tmp_path, *features)) == 1
    assert f"error: {tmp_path / 'none.pth'}: no such file" in capfd.readouterr().err
