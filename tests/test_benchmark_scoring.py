from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from albu_gan.data import DefectDataset, Record, open_dataset
from tests.benchmark_data import PATTERN, write_parts
from training.benchmark.arms import Painting
from training.benchmark.crops import Crops, cut_crop, network_input
from training.benchmark.images import ImageStore, at_most_per_group, defective_and_clean
from training.benchmark.network import Segmenter, predict
from training.benchmark.operating import (
    alarm_share,
    dice_at_budget,
    factor_of_budget,
    has_operating_points,
    place_of_budget,
)
from training.benchmark.report import mean_dice_at_budget
from training.benchmark.scoring import (
    FACTORS,
    average_precision,
    by_group,
    dice,
    false_alarms,
    iou,
    pixels_at,
    score_image,
    summary,
)
from training.benchmark.settings import PRESETS, BenchmarkConfig
from training.benchmark.train import rate_at

SMOKE = PRESETS["smoke"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DefectDataset:
    return open_dataset("folder", write_parts(tmp_path_factory.mktemp("scoring") / "data"), PATTERN)


def record(group: str = "g") -> Record:
    return Record("a", Path("a.png"), None, group, frozenset())


def test_counts_are_those_of_the_pixels() -> None:
    mask = np.array([[1, 1, 0], [0, 2, 2]], np.uint8)
    probabilities = np.zeros((3, 2, 3), np.float32)
    for (row, column), value in {(0, 0): 1, (0, 1): 0, (0, 2): 1, (1, 0): 0, (1, 1): 2, (1, 2): 1}.items():
        probabilities[value, row, column] = 0.9
        probabilities[0, row, column] += 0.1
    scored = score_image(record(), mask, probabilities, score_pixels=2)
    assert scored["counts"] == [[1, 2, 1], [1, 0, 1]] and scored["classes"] == [0, 1]
    assert (scored["alarm"], scored["pixels"]) == (4, 6)
    assert scored["score"] == pytest.approx(0.9)
    assert dice([1, 2, 1]) == pytest.approx(2 / 5) and iou([1, 2, 1]) == pytest.approx(1 / 4)
    assert dice([0, 0, 5]) == iou([0, 0, 5]) == 0 and dice([7, 0, 0]) == iou([7, 0, 0]) == 1


def test_pixels_are_called_what_they_are_when_the_background_is_weighed(dataset: DefectDataset) -> None:
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 4, (30, 40)).astype(np.uint8)
    probabilities = (rng.random((4, 30, 40)) ** 8).astype(np.float32)
    probabilities /= probabilities.sum(axis=0)
    found = pixels_at(mask, probabilities)
    for index, factor in enumerate(FACTORS):
        weighted = probabilities * np.array([factor, 1, 1, 1], np.float32)[:, None, None]
        called = weighted.argmax(axis=0)
        expected = [[((mask == truth) & (called == name)).sum() for name in range(4)] for truth in range(4)]
        np.testing.assert_array_equal(found[:, :, index], expected)
    scored = score_image(record(), mask, probabilities, 3)
    at_one = FACTORS.index(1.0)
    assert scored["classes"] == [0, 1, 2] and len(scored["dice_at"]) == 3 and "alarm_at" not in scored
    for counts, values in zip(scored["counts"], scored["dice_at"], strict=True):
        assert values[at_one] == pytest.approx(dice(counts), abs=1e-4)
    clean = score_image(record(), np.zeros_like(mask), probabilities, 3)
    assert clean["dice_at"] == [] and clean["alarm_at"][at_one] == clean["alarm"]
    assert clean["alarm_at"] == sorted(clean["alarm_at"], reverse=True) and clean["alarm_at"][0] > clean["alarm_at"][-1]


def budget_run(shares: dict[str, list[float]], dice_of_group: dict[str, list[list[float]]]) -> dict[str, Any]:
    """Clean groups with their share of alarms at each factor, and groups of one class with the Dice of each image."""
    images = [
        {"group": group, "classes": [], "dice_at": [], "alarm_at": [round(10000 * v) for v in values], "pixels": 10000}
        for group, values in shares.items()
    ]
    images += [
        {"group": group, "classes": [0], "dice_at": [values], "pixels": 1000}
        for group, several in dice_of_group.items()
        for values in several
    ]
    return {"images": images, "class_names": ["pit"]}


def falling(at_one: float) -> list[float]:
    """A share that halves from factor to factor."""
    return [at_one / factor for factor in FACTORS]


def test_networks_are_compared_where_a_thousandth_of_clean_pixels_is_called_a_defect() -> None:
    rising = [0.05 * index for index in range(len(FACTORS))]
    run = budget_run({"a": falling(0.128), "b": falling(0.0)}, {"c": [rising, [0.0] * len(FACTORS)], "d": [rising]})
    np.testing.assert_allclose(alarm_share(run)[FACTORS.index(1.0)], 0.064)
    assert factor_of_budget(run) == pytest.approx(64) and place_of_budget(run) == pytest.approx(FACTORS.index(64.0))
    expected = 0.05 * FACTORS.index(64.0)
    assert dice_at_budget(run, 0) == pytest.approx({"c": expected / 2, "d": expected}) and not dice_at_budget(run, 1)
    assert mean_dice_at_budget(run) == dice_at_budget(run, 0)
    between = budget_run({"a": falling(0.0032)}, {"d": [rising]})  # 0.0016 at 2, 0.0008 at 4: 3 / 4 of the way
    assert dice_at_budget(between, 0)["d"] == pytest.approx(0.05 * (FACTORS.index(2.0) + 3 / 4))


def test_a_network_below_the_budget_is_left_alone_and_one_that_never_is_ends_at_the_last_factor() -> None:
    dice_of_group = {"c": [[0.1] * 3 + [0.6] + [0.5] * (len(FACTORS) - 5) + [0.9]]}
    quiet, loud = (budget_run({"a": [share] * len(FACTORS)}, dice_of_group) for share in (0.001, 0.9))
    assert dice_at_budget(quiet, 0) == {"c": 0.6} and factor_of_budget(quiet) == pytest.approx(1)
    assert dice_at_budget(loud, 0) == {"c": 0.9} and factor_of_budget(loud) == pytest.approx(FACTORS[-1])


def test_runs_without_other_odds_or_clean_images_have_no_budget() -> None:
    run = budget_run({"a": falling(0.04)}, {"c": [falling(0.5)]})
    older = {"images": [{k: v for k, v in image.items() if k != "dice_at"} for image in run["images"]]}
    assert has_operating_points(run) and not has_operating_points(older) and mean_dice_at_budget(older) == {}
    assert not has_operating_points(budget_run({}, {"c": [falling(0.5)]}))
    assert not has_operating_points({**run, "background_factors": [1.0, 3.0]}), "of other factors"


def image(group: str, counts: list[int] | None, alarm: int = 0, score: float = 0.5) -> dict[str, Any]:
    classes = [] if counts is None else [0]
    return {
        "name": "n",
        "group": group,
        "classes": classes,
        "pixels": 1000,
        "counts": [counts or [0, 0, 0]],
        "alarm": alarm,
        "score": score,
    }


def test_exposures_are_averaged_before_groups() -> None:
    images = [image("a", [5, 0, 0])] * 9 + [image("b", [0, 0, 5])] + [image("c", None, 10), image("c", None, 30)]
    assert by_group(images, 0) == {"a": 1.0, "b": 0.0}
    figures = summary(images, ["pit"])
    assert figures["mean_dice"] == 0.5 and figures["dice"] == {"pit": 0.5}
    assert false_alarms(images) == {"c": pytest.approx(20000)} and figures["false_alarm_ppm"] == pytest.approx(20000)


def test_average_precision_of_a_known_ranking() -> None:
    ranking = [image("a", [1, 0, 0], score=0.9), image("b", None, score=0.8), image("c", [1, 0, 0], score=0.7)]
    assert average_precision(ranking) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(ranking[:1]) is None and average_precision(ranking[1:2]) is None


class Threshold(nn.Module):
    """A perfect local network: bright is class 1; it also checks what windows it is given."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        assert images.shape[-2:] == (self.size, self.size)
        bright = images.mean(dim=1)
        return torch.stack([-20 * bright, 20 * bright], dim=1)


@pytest.mark.parametrize("shape", [(64, 64), (40, 50), (65, 200), (31, 64), (130, 97)])
def test_a_whole_image_is_predicted_pixel_by_pixel(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).choice(np.array([10, 240], np.uint8), (*shape, 1))
    found = predict(Threshold(64), picture, 64, 0.25, torch.device("cpu"))
    assert found.shape == (2, *shape)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(found.argmax(axis=0), picture[:, :, 0] > 128)


@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_the_network_answers_at_the_scale_of_the_image(scale: float) -> None:
    config = BenchmarkConfig(encoder_depth=3, decoder_channels=(8, 8, 8), crop_size=64, scale=scale)
    assert Segmenter(config, 1, 2).eval()(torch.zeros(2, 1, 64, 64)).shape == (2, 3, 64, 64)


def test_an_unknown_encoder_is_one_clear_error() -> None:
    with pytest.raises(ValueError, match=r"--encoder 'resnet1' with depth 4: .*cannot build it"):
        Segmenter(BenchmarkConfig(encoder="resnet1"), 1, 2)
    with pytest.raises(ValueError, match="multiple of 16"):
        BenchmarkConfig(crop_size=100)
    with pytest.raises(ValueError, match="one of decoder_channels each"):
        BenchmarkConfig(encoder_depth=5)


@pytest.mark.parametrize("shape", [(100, 110), (40, 200), (30, 30)])
def test_a_crop_shows_the_pixel_it_is_cut_around(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(1, 255, (*shape, 1), np.uint8)
    for _ in range(20):
        y, x = (int(rng.integers(side)) for side in shape)
        mask = np.zeros(shape, np.uint8)
        mask[y, x] = 1
        crop, label = cut_crop(picture, mask, (y, x), 64, rng)
        assert crop.shape == (64, 64, 1) and label.any()
        assert (crop[label > 0] == picture[y, x]).all()


def make_crops(dataset: DefectDataset, painting: Painting | None, balanced: bool = False, length: int = 200) -> Crops:
    stores = (ImageStore(dataset, side) for side in defective_and_clean(dataset, dataset.records))
    return Crops(*stores, SMOKE, painting, balanced, 3, length)


def test_arms_differ_in_nothing_but_the_painting(dataset: DefectDataset) -> None:
    def white(image: np.ndarray, mask: np.ndarray, seed: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        return image, np.where(mask == 0, 200, mask) if seed[1] % 2 else mask

    plain, painted = make_crops(dataset, None), make_crops(dataset, white)
    for index in (i for i in range(40) if plain.crop(i)[1].any()):
        (image, mask), (other, label) = plain[index], painted[index]
        assert torch.equal(image, other) and torch.equal(mask == 0, label == 200) == bool(index % 2)
        again = plain[index]
        assert torch.equal(image, again[0]) and torch.equal(mask, again[1])
    assert not torch.equal(plain[0][0], plain[1][0])
    assert image.dtype == torch.float32 and mask.dtype == torch.int64 and image.abs().max() <= 1


def test_a_painted_clean_image_is_cut_around_what_was_painted(dataset: DefectDataset) -> None:
    def corner(image: np.ndarray, mask: np.ndarray, seed: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        label = mask.copy()
        label[:2, -3:] = 3
        return image, label

    crops = make_crops(dataset, corner)
    plain = make_crops(dataset, None)
    clean = [i for i in range(40) if not plain.crop(i)[1].any()]
    assert len(clean) > 10
    for index in clean:
        label = crops.crop(index)[1]
        assert (label == 3).any() and not ((label > 0) & (label != 3)).any()
    for index in set(range(40)) - set(clean):  # cut around the real defect, as without painting
        (image, mask), (other, label) = plain.crop(index), crops.crop(index)
        assert (image == other).all() and (label[label != 3] == mask[label != 3]).all() and mask.any()


@pytest.mark.parametrize("balanced", [False, True])
def test_half_of_the_crops_show_a_real_defect(dataset: DefectDataset, balanced: bool) -> None:
    crops = make_crops(dataset, None, balanced)
    shown = [np.unique(crops.crop(i)[1]).max() for i in range(200)]
    assert 75 < sum(value > 0 for value in shown) < 125
    if balanced:
        assert all(15 < shown.count(value) < 55 for value in (1, 2, 3))


def test_oversampling_evens_out_a_rare_class(dataset: DefectDataset) -> None:
    rare = [r for r in dataset.records if 0 not in r.classes or r.group == "part00"]
    counts = []
    for balanced in (False, True):
        stores = (ImageStore(dataset, side) for side in defective_and_clean(dataset, rare))
        crops = Crops(*stores, SMOKE, None, balanced, 0, 300)
        shown = [np.unique(crops.crop(i)[1]).max() for i in range(300)]
        counts.append(shown.count(1))
    assert counts[0] < 30 < counts[1]  # of 150: a ninth, and a third


def test_images_of_a_group_are_limited_evenly(dataset: DefectDataset) -> None:
    kept = at_most_per_group(dataset.records, 1)
    assert len(kept) == len({r.group for r in dataset.records})
    assert at_most_per_group(dataset.records, 9) == sorted(dataset.records, key=lambda r: r.name)


def test_the_learning_rate_warms_up_stays_and_falls() -> None:
    config = BenchmarkConfig(steps=100, warmup_steps=10, decay_fraction=0.4)
    rates = [rate_at(step, config) for step in range(100)]
    assert rates[0] == 0.1 and rates[9:60] == [1.0] * 51
    assert sorted(rates[60:], reverse=True) == rates[60:] and rates[-1] < 0.03


def test_input_is_centred() -> None:
    found = network_input(np.array([[[0], [255]]], np.uint8))
    assert found.tolist() == [[[-1.0, 1.0]]]
