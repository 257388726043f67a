from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from albu_gan.data import DataError, LabelmeDataset
from albu_gan.hub.folder import read_folder
from albu_gan.painting.windows import window_shapes
from tests.conftest import CLASSES, make_weights
from tests.test_gan_training import PATTERN, arguments, write_labelme
from training.evaluation.__main__ import main
from training.evaluation.copy_paste import feathered_copy_paste
from training.evaluation.distance import mean_distance, within_class_distance
from training.evaluation.features import DECODER_CHANNELS, ENCODER, DefectFeatures, pack
from training.evaluation.fid_kid import kid
from training.evaluation.measure import (
    ClassSamples,
    WindowSet,
    against_surroundings,
    brightness_distance,
    collect_samples,
    means,
    measure_class,
)
from training.evaluation.prdc import coverage
from training.gan.__main__ import main as train_main
from training.windows import DefectWindow, cut_defects

quick = settings(max_examples=20, deadline=None)


def squared_mmd(real: np.ndarray, fake: np.ndarray) -> float:
    """Unbiased squared MMD with the cubic kernel of Binkowski et al. 2018, written out."""
    n, d = real.shape
    kernel = lambda a, b: (a @ b.T / d + 1) ** 3  # noqa: E731
    rr, ff, rf = kernel(real, real), kernel(fake, fake), kernel(real, fake)
    within = (rr.sum() - np.trace(rr) + ff.sum() - np.trace(ff)) / (n * (n - 1))
    return float(within - 2 * rf.mean())


@quick
@given(st.integers(0, 2**31), st.integers(4, 30), st.floats(0, 2))
def test_kid_of_sets_as_large_as_a_subset_is_the_squared_mmd(seed: int, n: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    real, fake = rng.standard_normal((n, 6)), rng.standard_normal((n, 6)) + shift
    assert kid(real, fake) == pytest.approx(squared_mmd(real, fake), rel=1e-3, abs=1e-3)


def test_kid_is_larger_the_farther_apart_and_does_not_touch_the_global_generator() -> None:
    rng = np.random.default_rng(0)
    real = rng.standard_normal((80, 4))
    state = torch.get_rng_state()
    values = [kid(real, rng.standard_normal((90, 4)) + shift) for shift in (0.0, 0.5, 1.0)]
    assert values == sorted(values) and abs(values[0]) < 0.2 < values[2]
    assert torch.equal(torch.get_rng_state(), state)


def test_coverage_counts_real_samples_with_a_fake_one_among_their_neighbours() -> None:
    real = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]])
    assert coverage(real, real, neighbours=1) == 1
    assert coverage(real, np.array([[1.1]]), neighbours=1) == pytest.approx(2 / 6)  # 1 and 2, whose radius is 1
    assert coverage(real, np.array([[0.9], [11.0]]), neighbours=2) == 1
    assert coverage(real, np.array([[100.0]])) == 0
    assert np.isnan(coverage(real[:1], real))


def test_distances_are_paired_and_those_within_a_class_are_between_groups() -> None:
    assert mean_distance(np.array([[0.0, 0], [1, 1]]), np.array([[3.0, 4], [1, 1]])) == 2.5
    vectors = np.array([[0.0], [1.0], [10.0]])
    assert within_class_distance(vectors, np.array(["a", "a", "b"])) == pytest.approx(9.5)
    assert within_class_distance(vectors, np.array(["a", "a", "a"])) == pytest.approx(20 / 3)


@pytest.fixture(scope="module")
def features() -> DefectFeatures:
    torch.manual_seed(0)
    return DefectFeatures(smp.encoders.get_encoder(ENCODER, in_channels=1, weights=None), 1)


def packed(count: int, seed: int, size: int = 64) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    mask = np.zeros((size, size), np.uint8)
    mask[20:30, 10:40] = 1
    return pack(rng.integers(0, 255, (count, size, size, 1)).astype(np.uint8), [mask] * count)


def test_features_see_the_masked_part_whatever_the_size_of_the_window(features: DefectFeatures) -> None:
    one = packed(1, 0)
    far = one.clone()
    far[:, 0, 60:, 60:] = 255 - far[:, 0, 60:, 60:]
    near = one.clone()
    near[:, 0, 20:30, 10:40] = 255 - near[:, 0, 20:30, 10:40]
    base, changed_far, changed_near = (features.embed(x)[0] for x in (one, far, near))
    assert np.linalg.norm(base - changed_near) > 3 * np.linalg.norm(base - changed_far)
    assert features.embed(packed(2, 0, 128)).shape == (2, features.num_features)


def test_standardised_features_have_unit_spread_over_the_windows_they_were_given(tmp_path: Path) -> None:
    torch.manual_seed(0)
    features = DefectFeatures(smp.encoders.get_encoder(ENCODER, in_channels=1, weights=None), 1)
    windows = [packed(8, seed) for seed in range(4)]
    features.standardise(windows)
    vectors = features.embed(torch.cat(windows))
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=0.15)
    assert 0.85 < np.median(vectors.std(axis=0)) <= 1.01 and np.abs(vectors).max() <= 3
    features.standardise(windows)  # again changes nothing
    np.testing.assert_allclose(features.embed(torch.cat(windows)), vectors, atol=2e-2)
    features.steps = 7
    features.save(tmp_path / "features.safetensors")
    assert DefectFeatures.load(tmp_path / "features.safetensors", 1).steps == 7
    loaded = DefectFeatures.load(tmp_path / "features.safetensors", 1)
    np.testing.assert_allclose(loaded.embed(windows[0]), features.embed(windows[0]), atol=1e-5)
    with pytest.raises(DataError, match=r"features.safetensors: no resnet18 for images of 3 channel"):
        DefectFeatures.load(tmp_path / "features.safetensors", 3)
    with pytest.raises(DataError, match="train the features again"):
        DefectFeatures.load(tmp_path / "nothing.safetensors", 1)


@quick
@given(st.integers(0, 2**31))
def test_copy_paste_changes_the_mask_alone_and_shows_the_donor_in_its_middle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clean, donor = rng.integers(0, 255, (2, 40, 40, 1)).astype(np.uint8)
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 8:30] = 2
    pasted = feathered_copy_paste(clean, mask, donor)
    np.testing.assert_array_equal(pasted[mask == 0], clean[mask == 0])
    np.testing.assert_array_equal(pasted[18:22, 17:21], donor[18:22, 17:21])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelme(tmp_path_factory.mktemp("evaluation") / "data")


@pytest.fixture(scope="module")
def sides(data: Path) -> tuple[list[DefectWindow], list[DefectWindow], list[tuple[np.ndarray, None]]]:
    dataset = LabelmeDataset(data, PATTERN, 1)
    train = [r for r in dataset.records if r.group in ("part0", "part1")]
    unseen = [r for r in dataset.records if r.group not in ("part0", "part1")]
    clean = [(dataset.read_image(r), None) for r in dataset.clean_records(unseen)]
    return (
        cut_defects(dataset, train, window_shapes((32, 64))),
        cut_defects(dataset, unseen, window_shapes((32, 64))),
        clean,
    )


@pytest.fixture(scope="module")
def samples(
    sides: tuple[list[DefectWindow], list[DefectWindow], list[tuple[np.ndarray, None]]], features: DefectFeatures
) -> ClassSamples:
    found = collect_samples(*sides, 1, 12, features, seed=0)
    assert found is not None
    return found


def test_samples_have_as_many_windows_of_each_size_as_the_unseen_defects(samples: ClassSamples) -> None:
    assert sum(len(batch["real"]) for batch in samples.real) == 12
    for real, clean in zip(samples.real, samples.to_paint, strict=True):
        assert real["real"].shape == clean["clean"].shape
        assert (real["real_mask"] == 2).any(axis=(1, 2)).all() and (clean["fake_mask"] == 2).any(axis=(1, 2)).all()
    assert samples.groups == 2 and samples.real_spread > 0


def test_a_class_without_an_unseen_defect_is_not_measured(
    sides: tuple[list[DefectWindow], list[DefectWindow], list[tuple[np.ndarray, None]]], features: DefectFeatures
) -> None:
    train, unseen, clean = sides
    assert collect_samples(train, [w for w in unseen if w.class_index != 1], clean, 1, 12, features, 0) is None


def test_a_painter_that_paints_nothing_is_invisible_and_one_that_ignores_its_latent_has_no_diversity(
    samples: ClassSamples, features: DefectFeatures
) -> None:
    def nothing(clean: np.ndarray, mask: np.ndarray, z: np.ndarray) -> np.ndarray:
        return clean

    def same(clean: np.ndarray, mask: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.where(mask[..., None] > 0, np.uint8(220), clean)

    def varied(clean: np.ndarray, mask: np.ndarray, z: np.ndarray) -> np.ndarray:
        level = np.clip(200 + 30 * z[:, :1, None, None], 0, 255).astype(np.uint8)
        return np.where(mask[..., None] > 0, level, clean)

    figures = {f.__name__: measure_class(f, 4, samples, features, seed=0) for f in (nothing, same, varied)}
    assert figures["nothing"]["contrast_reached"] == 0 and figures["same"]["contrast_reached"] == 1
    assert figures["nothing"]["diversity"] == figures["same"]["diversity"] == 0 < figures["varied"]["diversity"]
    assert figures["same"]["kid_painted"] < figures["nothing"]["kid_painted"]
    # What does not depend on the painter does not.
    assert len({f["kid_copy_paste"] for f in figures.values()}) == 1
    assert len({f["brightness_copy_paste"] for f in figures.values()}) == 1
    assert figures["nothing"]["brightness_painted"] > figures["nothing"]["brightness_real"] >= 0
    assert "kid_real" not in measure_class(same, 4, samples, features, seed=0, floors=False)


def shaded(levels: list[tuple[int, int]]) -> WindowSet:
    """Windows of a square defect of class 0, brightness inside and around, and another class's defect beside it."""
    images, labels = [], []
    for inside, around in levels:
        label = np.zeros((40, 40), np.uint8)
        label[12:24, 12:24], label[12:24, 24:28] = 1, 2
        image = np.full((40, 40, 3), 7, np.uint8)
        image[4:32, 4:32], image[label == 2], image[label == 1] = around, 250, inside
        images.append(image)
        labels.append(label)
    names = np.array(["g"] * len(levels))
    return WindowSet(images, labels, np.empty((len(levels), 0)), names, names)


def test_brightness_is_that_against_the_surroundings_whatever_the_exposure() -> None:
    assert against_surroundings(shaded([(90, 120), (150, 120)]), 0).tolist() == pytest.approx([-30, 30])
    real, darker = shaded([(90, 120), (60, 80)]), shaded([(60, 120), (20, 80)])
    assert brightness_distance(real, darker, 0) == pytest.approx(35)
    assert brightness_distance(real, shaded([(140, 160), (10, 40)]), 0) == pytest.approx(0)


def test_means_are_over_the_classes_and_leave_out_what_a_class_lacks() -> None:
    classes = {
        "a": {"draws": 6, "diversity": 0.2, "coverage": 1.0, "classifier_auc_painted": 0.7, "inception": {"fid": 1.0}},
        "b": {"draws": 6, "diversity": 0.4, "classifier_auc_painted": None, "inception": {"fid": 2.0}},
    }
    assert means(classes) == {"diversity": pytest.approx(0.3)}
    assert means({}) == {}


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    torch.set_num_threads(1)
    out = data.parent / "run"
    assert train_main(arguments(data, out, "--channels", "1", "--total-kimg", "0.004", "--validation-kimg", "0")) == 0
    return out


def command(weights: Path | str, data: Path, out: Path, *more: str) -> list[str]:
    where = ["--data", str(data), "--format", "labelme", "--group-pattern", PATTERN, "--channels", "1"]
    return ["--weights", str(weights), *where, "--out", str(out), "--draws", "6", "--feature-steps", "2", *more]


def test_the_command_measures_compares_and_writes_the_card(
    run: Path, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    weights = shutil.copytree(run / "weights", tmp_path / "weights")
    features = tmp_path / "features.safetensors"
    more = ["--compare", str(run / "weights"), "--write-card", "--features", str(features)]
    assert main(command(weights, data, tmp_path / "out", *more)) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    for name in ("pit", "scratch"):
        new, old = metrics["classes"][name], metrics["compared"]["classes"][name]
        assert new["draws"] == 6 and new["unseen_groups"] >= 1
        assert {key: new[key] for key in old} == old  # the very same weights
    assert metrics["means"]["diversity"] == pytest.approx(
        np.mean([c["diversity"] for c in metrics["classes"].values()])
    )
    config = read_folder(weights, "weights").config
    assert config.metrics == metrics
    card = (weights / "README.md").read_text()
    assert "Beside" in card and "coverage" in card and (weights / "preview.jpg").is_file()
    assert f"| found by the segmenter | {metrics['means']['found_painted']:.0%} |" in card
    assert (tmp_path / "out" / "sheet.png").is_file()
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("src='data:image/png;base64,") == len(list((tmp_path / "out" / "pictures").iterdir())) == 4
    for figure in ("KID", "FID", "precision", "found, with the right class", "likeness"):
        assert f"<td>{figure}" in page
    assert metrics["together"]["draws"] == 12
    first = features.read_bytes()
    assert main(command(weights, data, tmp_path / "again", "--features", str(features))) == 0
    again = json.loads((tmp_path / "again" / "metrics.json").read_text())
    assert again["classes"] == metrics["classes"] and features.read_bytes() == first


def test_validation_groups_can_be_measured_on(run: Path, data: Path, tmp_path: Path) -> None:
    assert main(command(run / "weights", data, tmp_path, "--side", "validation")) == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["side"] == "validation"


def test_weights_of_other_classes_are_a_clear_error(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = make_weights(tmp_path / "other")
    assert main(command(other, data, tmp_path / "out")) == 1
    said = capfd.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("error: ") and str(list(CLASSES)) in said and "['pit', 'scratch']" in said


def test_data_without_the_held_out_groups_is_a_clear_error(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = write_labelme(tmp_path / "data")
    pattern = ["--group-pattern", r"_\d"]
    assert main([*command(run / "weights", data, tmp_path / "out"), *pattern]) == 1
    assert "none of the groups" in capfd.readouterr().err


def test_features_without_a_segmenter_do_without_it_and_those_of_other_classes_are_a_clear_error(
    run: Path, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], features: DefectFeatures
) -> None:
    path = tmp_path / "features.safetensors"
    features.save(path)  # the encoder alone, as files were before
    assert main(command(run / "weights", data, tmp_path / "out", "--features", str(path))) == 0
    assert f"warning: {path}: features of an older version, without a segmenter" in capfd.readouterr().err
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())["classes"]["pit"]
    assert "fid_painted" in figures and "found_painted" not in figures
    network = smp.Unet(ENCODER, encoder_weights=None, in_channels=1, classes=4, decoder_channels=DECODER_CHANNELS)
    DefectFeatures.of(network, 1).save(path)
    assert main(command(run / "weights", data, tmp_path / "out", "--features", str(path))) == 1
    assert "segments 3 classes, the data has 2" in capfd.readouterr().err


def test_too_few_draws_are_a_clear_error(
    run: Path, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(run / "weights", data, tmp_path / "out"), "--draws", "1"]) == 1
    assert "--draws must be at least 2, got 1" in capfd.readouterr().err
