"""Model cards: what the Hub reads, and that what is shown can be copied and run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from conftest import CLASSES, make_weights
from huggingface_hub import ModelCard

from albu_gan import bundled_names
from albu_gan.generators import GeneratorConfig
from albu_gan.hub import bank_card
from albu_gan.hub.find import find_weights
from albu_gan.hub.folder import CARD, WeightsConfig, read_folder
from training.card import PICTURE, main, model_card

TRAINING = {
    "name": "mine",
    "source": "Parts of line 2, 2024: an own data set",
    "licence": "internal",
    "dataset_id": "org/parts",
    "weights_licence": "apache-2.0",
    "steps": 1200,
}
FIGURES = {"draws": 96, "contrast_reached": 1.0, "diversity": 0.5, "kid_painted": 0.25, "kid_copy_paste": 0.5}
METRICS = {"classes": dict.fromkeys(CLASSES, FIGURES), "means": {}, "min_contrast": 8.0, "features": "resnet18"}


def config(training: dict[str, object], metrics: dict[str, object]) -> WeightsConfig:
    return WeightsConfig(GeneratorConfig(in_channels=1, num_classes=3), CLASSES, (64,), training, metrics)


def test_the_hub_reads_licence_tags_data_and_what_was_measured() -> None:
    data = ModelCard(model_card(config(TRAINING, METRICS))).data
    assert (data.license, data.library_name, data.datasets) == ("apache-2.0", "albu-gan", ["org/parts"])
    assert {"albumentations", "defect-segmentation"} <= set(data.tags)
    assert data.metrics == ["diversity", "kid"] and data.model_name == "mine"
    results = {(r.metric_type, r.metric_name): (r.metric_value, r.dataset_type) for r in data.eval_results}
    assert len(results) == 6
    assert results["kid", "KID painted, pit"] == (0.25, "org/parts")


def test_what_was_not_recorded_is_not_invented() -> None:
    data = ModelCard(model_card(config({}, {}))).data
    assert data.license == "other" and data.license_link == "README.md"
    assert data.datasets is None and data.metrics is None and data.eval_results is None


@pytest.mark.parametrize("name", bundled_names())
def test_bundled_cards_are_what_their_config_gives_and_their_snippets_run(name: str) -> None:
    folder = find_weights(name)
    card = (folder.path / CARD).read_text(encoding="utf-8")
    data = ModelCard(card).data
    if folder.paints == "exemplars":
        assert card == bank_card(folder.config, PICTURE) and data.license
    else:
        assert card == model_card(folder.config, picture=True)
        assert data.datasets and data.metrics and data.license and data.eval_results
    (block,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(block, name, "exec"), names)
    out = names["out"]
    assert isinstance(out, dict)
    changed = out["image"] != 128
    assert changed.any() or folder.paints == "exemplars"  # whose snippet paints with p=0.3
    assert not changed[out["mask"] == 0].any()
    assert out["mask"].dtype == np.uint8


def test_a_card_is_written_again_with_more_said(tmp_path: Path) -> None:
    folder = make_weights(tmp_path / "mine")
    assert main([str(folder), "--limit", "Only dry parts.", "--dataset-id", "org/parts"]) == 0
    card = (folder / CARD).read_text(encoding="utf-8")
    assert "- Only dry parts." in card and ModelCard(card).data.datasets == ["org/parts"]
    training = read_folder(folder, "mine").config.training
    assert training == {"limits": ["Only dry parts."], "dataset_id": "org/parts"}
    assert PICTURE not in card
