from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import segmentation_models_pytorch as smp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from albu_gan.data import DataError
from training.evaluation.classifier import tell_apart
from training.evaluation.features import DECODER_CHANNELS, ENCODER, DefectFeatures, _stages, pack
from training.evaluation.fid_kid import fid
from training.evaluation.full import segment
from training.evaluation.inception import FILE, InceptionFeatures
from training.evaluation.mask_agreement import iou, mask_agreement
from training.evaluation.memorisation import TrainingBank
from training.evaluation.prdc import coverage, prdc
from training.windows import DefectWindow

quick = settings(max_examples=20, deadline=None)


def whitened(n: int, d: int, seed: int) -> np.ndarray:
    """Samples whose mean is exactly 0 and whose covariance is exactly 1."""
    x = np.random.default_rng(seed).standard_normal((n, d))
    x -= x.mean(axis=0)
    return x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T


@quick
@given(st.integers(0, 2**31), st.floats(0.2, 3), st.floats(-2, 2))
def test_fid_of_two_gaussians_is_the_closed_form(seed: int, scale: float, shift: float) -> None:
    real = whitened(40, 5, seed)
    fake = whitened(30, 5, seed + 1) * scale + shift
    assert fid(real, fake) == pytest.approx(5 * shift**2 + 5 * (1 - scale) ** 2, abs=1e-6)


@pytest.mark.parametrize("n", [12, 60])  # fewer samples than features, and more
def test_fid_is_that_of_scipy(n: int) -> None:
    rng = np.random.default_rng(n)
    mix = rng.standard_normal((20, 20))
    real, fake = rng.standard_normal((n, 20)), rng.standard_normal((n + 3, 20)) @ mix + 0.5
    a, b = np.cov(real.T), np.cov(fake.T)
    root = scipy.linalg.sqrtm(a @ b + 1e-12 * np.eye(20))
    expected = ((real.mean(0) - fake.mean(0)) ** 2).sum() + np.trace(a + b - 2 * root.real)
    assert fid(real, fake) == pytest.approx(expected, rel=1e-3)


def test_fid_of_a_set_with_itself_is_zero_even_with_fewer_samples_than_features() -> None:
    real = np.random.default_rng(0).standard_normal((8, 30))
    assert fid(real, real) == pytest.approx(0, abs=1e-5)


def brute_force(real: np.ndarray, fake: np.ndarray, k: int) -> dict[str, float]:
    """The definitions of Kynkaanniemi et al. 2019 and Naeem et al. 2020, written out in loops."""

    def radius(points: np.ndarray, i: int) -> float:
        return float(sorted(np.linalg.norm(points[i] - points[j]) for j in range(len(points)) if j != i)[k - 1])

    def inside(centres: np.ndarray, i: int, point: np.ndarray) -> bool:
        return bool(np.linalg.norm(centres[i] - point) <= radius(centres, i))

    n, m = len(real), len(fake)
    return {
        "precision": sum(any(inside(real, i, f) for i in range(n)) for f in fake) / m,
        "recall": sum(any(inside(fake, j, r) for j in range(m)) for r in real) / n,
        "density": sum(inside(real, i, f) for f in fake for i in range(n)) / (k * m),
        "coverage": sum(any(inside(real, i, f) for f in fake) for i in range(n)) / n,
    }


@quick
@given(st.integers(0, 2**31), st.integers(4, 9), st.integers(4, 9), st.integers(1, 3), st.floats(0, 1.5))
def test_prdc_is_what_the_papers_define(seed: int, n: int, m: int, k: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    real, fake = rng.standard_normal((n, 2)), rng.standard_normal((m, 2)) + shift
    assert prdc(real, fake, k) == pytest.approx(brute_force(real, fake, k))
    assert coverage(real, fake, k) == pytest.approx(brute_force(real, fake, k)["coverage"])


def test_prdc_of_the_same_set_of_a_far_one_and_of_one_that_lost_its_modes() -> None:
    rng = np.random.default_rng(0)
    real = rng.standard_normal((40, 3))
    same = prdc(real, real)
    assert same["precision"] == same["recall"] == same["coverage"] == 1
    assert same["density"] == pytest.approx(6 / 5)  # each of n balls holds its centre and k neighbours
    assert prdc(real, real + 100) == dict.fromkeys(("precision", "recall", "density", "coverage"), 0.0)
    collapsed = prdc(real, real[:1] + 1e-3 * rng.standard_normal((40, 3)))
    assert collapsed["precision"] == 1 and collapsed["recall"] < 0.1 and collapsed["coverage"] < 0.4


def test_prdc_of_a_single_sample_has_no_ball_there() -> None:
    figures = prdc(np.zeros((1, 2)), np.zeros((3, 2)))
    assert np.isnan(figures["precision"]) and np.isnan(figures["coverage"]) and figures["recall"] == 1


def labelled(value: int) -> np.ndarray:
    mask = np.zeros((20, 20), np.uint8)
    mask[5:9, 4:14] = value
    return mask


@pytest.mark.parametrize(
    ("prediction", "found", "found_class", "mask_iou"),
    [
        (labelled(2), 1, 1, 1),
        (labelled(1), 1, 0, 0),  # the place and the shape, but another class
        (np.zeros((20, 20), np.uint8), 0, 0, 0),
        (np.full((20, 20), 2, np.uint8), 0, 0, 0.1),  # what sees defects everywhere has found none
        (np.roll(labelled(2), 2, axis=0), 1, 1, 1 / 3),  # two pixels beside
        (np.roll(labelled(2), 10, axis=0), 0, 0, 0),
    ],
)
def test_a_defect_is_found_where_the_prediction_overlaps_it(
    prediction: np.ndarray, found: float, found_class: float, mask_iou: float
) -> None:
    expected = {"found": found, "found_class": found_class, "mask_iou": pytest.approx(mask_iou)}
    assert mask_agreement([prediction], [labelled(2)], 1) == expected


def test_agreement_is_a_mean_over_windows_of_any_size_and_empty_masks_do_not_overlap() -> None:
    small = np.full((4, 4), 2, np.uint8)
    assert mask_agreement([labelled(2), small * 0], [labelled(2), small], 1)["found"] == 0.5
    assert iou(np.zeros(3, bool), np.zeros(3, bool)) == 0


def sample(groups: int, each: int, spread: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Windows of parts that look alike within a part; `spread` is how far parts lie apart."""
    centres = rng.standard_normal((groups, 12)) * spread
    names = np.repeat(np.arange(groups), each)
    return centres[names] + rng.standard_normal((len(names), 12)), np.array([f"part{i}" for i in names])


def test_a_classifier_tells_apart_what_differs_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    (a, a_groups), (b, b_groups) = sample(8, 8, 0.0, rng), sample(8, 8, 0.0, rng)
    same = tell_apart(a, a_groups, b, np.char.add("other ", b_groups))
    different = tell_apart(a, a_groups, b + 2, np.char.add("other ", b_groups))
    assert same is not None and different is not None
    assert abs(same - 0.5) < 0.15 and different > 0.98


def test_recognising_a_part_does_not_help_on_groups_that_were_not_fitted() -> None:
    areas = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        (a, a_groups), (b, b_groups) = sample(4, 10, 3.0, rng), sample(4, 10, 3.0, rng)
        areas.append(tell_apart(a, a_groups, b, b_groups))
    assert 0.2 < np.mean(areas) < 0.7  # type: ignore[arg-type]  # 1.0 with folds that divide parts


def test_recognising_a_background_does_not_help_either() -> None:
    blind, held_out = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        (a, a_groups), (b, backgrounds) = sample(4, 12, 3.0, rng), sample(4, 12, 3.0, rng)
        shapes = np.array([f"shape{i}" for i in rng.integers(0, 4, len(b))])
        blind.append(tell_apart(a, a_groups, b, shapes))
        held_out.append(tell_apart(a, a_groups, b, shapes, backgrounds))
    assert np.mean(held_out) < 0.7 < np.mean(blind)  # type: ignore[arg-type]


def test_one_group_cannot_be_cross_validated() -> None:
    rng = np.random.default_rng(0)
    (a, a_groups), (b, b_groups) = sample(1, 8, 0.0, rng), sample(4, 8, 0.0, rng)
    assert tell_apart(a, a_groups, b, b_groups) is None
    assert tell_apart(b, b_groups, b, b_groups, np.repeat(["one"], len(b))) is None


@pytest.fixture(scope="module")
def features() -> DefectFeatures:
    torch.manual_seed(0)
    network = smp.Unet(ENCODER, encoder_weights=None, in_channels=1, classes=3, decoder_channels=DECODER_CHANNELS)
    return DefectFeatures.of(network, 1)


def window(seed: int) -> DefectWindow:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 255, (64, 64, 1)).astype(np.uint8)
    mask = np.zeros((64, 64), np.uint8)
    mask[10:30, 20:50] = 2
    return DefectWindow(image, mask, None, (10, 20, 20, 30), 1, (48, 48), 1.0, "part", (0.5, 0.5), (False,) * 4)


def test_a_copy_of_a_training_defect_is_found_mirrored_darker_and_elsewhere_and_a_new_one_is_not() -> None:
    windows = [window(seed) for seed in range(3)]
    bank = TrainingBank.of(windows, 1)
    copies, masks = [], []
    for w in windows:
        image, mask = np.full((80, 90, 1), 200, np.uint8), np.zeros((80, 90), bool)
        image[28:52, 40:74] = (w.image[8:32, 18:52, :][:, ::-1] * 0.6).astype(np.uint8)
        mask[30:50, 42:72] = True
        copies.append(image)
        masks.append(mask)
    likeness, indices = bank.nearest(copies, masks)
    assert list(indices) == [0, 1, 2] and likeness.min() > 0.98
    new = window(9)
    assert bank.nearest([new.image], [new.mask == 2])[0] < 0.5
    flat = np.full((64, 64, 1), 128, np.uint8)
    assert bank.nearest([flat], [new.mask == 2])[0] == 0  # nothing inside, like nothing


def test_a_segmenter_is_kept_with_its_encoder_and_takes_windows_of_any_size(
    features: DefectFeatures, tmp_path: Path
) -> None:
    images = [np.random.default_rng(seed).integers(0, 255, (50, 70, 1)).astype(np.uint8) for seed in range(2)]
    predicted = features.segment(images)
    assert predicted.shape == (2, 50, 70) and predicted.dtype == np.uint8 and predicted.max() <= 2
    features.save(tmp_path / "features.safetensors")
    loaded = DefectFeatures.load(tmp_path / "features.safetensors", 1)
    assert loaded.can_segment and loaded.num_classes == 2
    np.testing.assert_array_equal(loaded.segment(images), predicted)
    encoder = DefectFeatures(features.encoder, 1)
    encoder.save(tmp_path / "encoder.safetensors")
    alone = DefectFeatures.load(tmp_path / "encoder.safetensors", 1)
    assert not alone.can_segment and alone.num_classes == 0
    np.testing.assert_array_equal(alone.embed(pack(images, [images[0][..., 0] > 9] * 2)).shape[0], 2)


def test_windows_of_several_shapes_are_segmented_each_as_alone(features: DefectFeatures) -> None:
    rng = np.random.default_rng(0)
    sizes = [(64, 64), (64, 128), (128, 64), (64, 64), (64, 128)]
    images = [rng.integers(0, 255, (*size, 1)).astype(np.uint8) for size in sizes]
    for image, predicted in zip(images, segment(features, images), strict=True):
        np.testing.assert_array_equal(predicted, features.segment([image])[0])


def test_features_are_of_the_first_three_stages_of_the_encoder(features: DefectFeatures) -> None:
    image = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        expected, stages = features.encoder(image), _stages(features.encoder, image)
    assert len(stages) == 3
    for stage, other in zip(stages, expected[1:4], strict=True):
        torch.testing.assert_close(stage, other)


def test_inception_weights_that_are_not_there_are_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"nothing\.pth: no such file; give the path of weights-inception.*, or .download."
    ):
        InceptionFeatures(str(tmp_path / "nothing.pth"))


def test_inception_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    (tmp_path / FILE).write_bytes(b"weights")
    with pytest.raises(DataError, match=r"pip install .torch-fidelity"):
        InceptionFeatures(str(tmp_path / FILE))


def test_a_damaged_file_of_inception_weights_is_a_clear_error(tmp_path: Path) -> None:
    pytest.importorskip("torch_fidelity")
    (tmp_path / FILE).write_bytes(b"weights")
    with pytest.raises(DataError, match="no Inception weights, or a damaged file"):
        InceptionFeatures(str(tmp_path / FILE))
    torch.save({"weight": torch.zeros(2)}, tmp_path / FILE)
    with pytest.raises(DataError, match="no Inception weights, or a damaged file"):
        InceptionFeatures(str(tmp_path / FILE))


@pytest.mark.slow
def test_inception_features_come_from_a_local_file(tmp_path: Path) -> None:
    torch_fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    from torchmetrics.image.fid import NoTrainInceptionV3

    torch.manual_seed(0)
    made: list[torch.nn.Module] = []

    class Random(NoTrainInceptionV3):  # the architecture, with whatever weights torch draws
        def load_state_dict(self, state: dict[str, torch.Tensor], strict: bool = True, assign: bool = False) -> None:
            made.append(self)

    torch.save({}, tmp_path / "empty.pth")
    assert torch_fidelity is not None
    network = Random("inception-v3-compat", ["2048"], str(tmp_path / "empty.pth"))
    torch.save(network.state_dict(), tmp_path / FILE)
    features = InceptionFeatures(str(tmp_path / FILE))
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, size).astype(np.uint8) for size in ((40, 40, 1), (64, 64, 3))]
    vectors = features.embed(images)
    assert vectors.shape == (2, 2048) and np.isfinite(vectors).all()
    np.testing.assert_allclose(features.embed(images[1:])[0], vectors[1], atol=1e-4)
