from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from albu_gan.data import DataError
from albu_gan.defects.shapes import Shape
from albu_gan.hub.errors import WeightsError
from training.gan.dcgan import DCGAN, load_dcgan, sample_pairs, sample_shapes
from training.gan.dcgan.config import PRESETS, DCGANConfig
from training.gan.dcgan.data import Balanced, PairBatches, ShapeBatches, shape_condition, turned
from training.gan.dcgan.folder import MAX_SIZES, recorded_sizes, write_dcgan
from training.gan.dcgan.loop import soften
from training.gan.dcgan.networks import DCGANDiscriminator, DCGANGenerator, NetworkConfig
from training.gan.dcgan.sample import SamplingError, index_masks, shape_mask
from training.windows import DefectWindow

NAMES = ("pit", "scratch", "stain")
SIZES = {name: [[20 + 10 * i, 0, 0, 0, 0] for i in range(5)] + [[60, 1, 0, 0, 0]] for name in NAMES}


def network(masks_only: bool = False, size: int = 32, channels: int = 1) -> NetworkConfig:
    return NetworkConfig(size, 0 if masks_only else channels, len(NAMES), latent_dim=6, width=4, max_channels=8)


def make_dcgan(masks_only: bool = False, channels: int = 1, gain: float = 20.0) -> DCGAN:
    """A decoder of random weights."""
    torch.manual_seed(0)
    generator = DCGANGenerator(network(masks_only, channels=channels)).eval().requires_grad_(False)
    for head in generator.heads:
        head.weight.mul_(gain)
    return DCGAN(generator, NAMES, SIZES if masks_only else {}, {"train_groups": ["a"]})


class Disc(torch.nn.Module):
    """Stands for a trained decoder of shapes: a disc as wide as its latent says; of class 0 only specks."""

    def __init__(self) -> None:
        super().__init__()
        self.config = network(masks_only=True)
        self.device = torch.nn.Parameter(torch.zeros(1))

    def forward(self, z: torch.Tensor, condition: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
        radius = torch.where(condition[:, 0] == 1, 1.0, 9 + 2 * z[:, 0].tanh())[:, None, None]
        distance = ((y - 15.5) ** 2 + (x - 15.5) ** 2).sqrt()
        coverage = (radius - distance + 0.5).clamp(0, 1)[:, None]
        return coverage[:, :0], coverage


def disc_dcgan() -> DCGAN:
    return DCGAN(Disc(), NAMES, SIZES, {})  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("channels", [0, 1, 3])
def test_networks_have_the_promised_shapes(size: int, channels: int) -> None:
    config = NetworkConfig(size, channels, 3, 6, 4, 8)
    generator, discriminator = DCGANGenerator(config), DCGANDiscriminator(config)
    z, condition = 3 * torch.randn(2, 6), torch.randn(2, config.condition_dim)
    image, masks = generator(z, condition)
    assert image.shape == (2, channels, size, size) and masks.shape == (2, 3 if channels else 1, size, size)
    logits = discriminator(torch.cat([image, masks], dim=1), condition)
    assert logits.shape == (2,) and torch.isfinite(logits).all()


def test_a_sample_does_not_depend_on_those_beside_it_and_latent_and_condition_both_matter() -> None:
    config = network()
    generator, discriminator = DCGANGenerator(config), DCGANDiscriminator(config)
    z, condition = torch.randn(4, 6), torch.eye(3)[[0, 1, 2, 0]]
    image, masks = generator(z, condition)
    alone = generator(z[1:2], condition[1:2])
    torch.testing.assert_close(alone[0], image[1:2])
    sample = torch.cat([image, masks], dim=1)
    torch.testing.assert_close(discriminator(sample[2:3], condition[2:3]), discriminator(sample, condition)[2:3])
    assert not torch.allclose(generator(z[:1], condition[1:2])[0], image[:1])
    assert not torch.allclose(generator(z[3:], condition[:1])[0], image[:1])
    assert not torch.allclose(discriminator(sample, condition), discriminator(sample, condition.roll(1, 0)))


def test_softened_masks_come_back_whole_and_at_most_a_pixel_wider() -> None:
    mask = np.zeros((40, 40), np.uint8)
    cv2.line(mask, (3, 4), (33, 30), 1, 1)
    cv2.line(mask, (3, 35), (25, 35), 2, 2)
    cv2.circle(mask, (30, 12), 6, 3, -1)
    hot = torch.nn.functional.one_hot(torch.from_numpy(mask).long(), 4)[..., 1:].permute(2, 0, 1)[None].float()
    soft = soften(hot)
    assert soft.shape == hot.shape and ((soft > 0.05) & (soft < 0.95)).any()
    back = index_masks(soft)[0].numpy()
    assert (back[mask > 0] == mask[mask > 0]).mean() > 0.97
    wide = cv2.dilate((mask > 0).astype(np.uint8), np.ones((3, 3), np.uint8))
    assert not back[wide == 0].any() and (back > 0).sum() < 1.15 * (mask > 0).sum()


def window(class_index: int, group: str, level: int) -> DefectWindow:
    image = np.full((40, 40, 1), level, np.uint8)
    mask = np.zeros((40, 40), np.uint8)
    mask[15:20, 15:25] = class_index + 1
    return DefectWindow(image, mask, None, (15, 15, 5, 10), class_index, (32, 32), 1.0, group, (0.5, 0.5), (False,) * 4)


def test_batches_of_pairs_follow_the_step_alone_and_count_a_group_once() -> None:
    windows = [window(0, "a", 100)] * 9 + [window(0, "b", 200), window(1, "c", 20)]
    batches = PairBatches(windows, ("pit", "scratch"), 16, seed=3, length=50)
    items = [batches[step] for step in range(50)]
    for key, value in batches[7].items():
        np.testing.assert_array_equal(value, items[7][key])
    assert items[0]["image"].shape == (16, 32, 32, 1) and items[0]["mask"].shape == (16, 32, 32)
    classes = np.concatenate([item["condition"].argmax(axis=1) for item in items])
    for item in items[:5]:
        np.testing.assert_array_equal(item["mask"].max(axis=(1, 2)), item["condition"].argmax(axis=1) + 1)
    levels = np.concatenate([item["image"].mean(axis=(1, 2, 3)) for item in items])
    assert 0.42 < classes.mean() < 0.58
    assert 0.4 < (levels[classes == 0] > 150).mean() < 0.6


def test_a_shape_in_a_batch_keeps_its_size_and_its_area() -> None:
    line = np.zeros((301, 301), bool)
    line[149:152] = True  # less than a pixel of the window
    shapes = [("g", Shape(line[149:152], 0)), ("g", Shape(np.ones((9, 15), bool), 1)), ("g", Shape(line[:152], 2))]
    batches = ShapeBatches(shapes, NAMES, 64, 32, seed=0, length=9)
    for step in range(4):
        batch = batches[step]
        assert batch["coverage"].shape == (32, 1, 64, 64) and batch["condition"].shape == (32, 8)
        assert batch["coverage"].min() >= 0 and batch["coverage"].max() <= 1
        for coverage, condition in zip(batch["coverage"][:, 0], batch["condition"], strict=True):
            scale = 2.0 ** (2 * condition[3])
            assert not coverage[[0, -1]].any() and not coverage[:, [0, -1]].any()
            area = shapes[int(condition[:3].argmax())][1].mask.sum()
            assert coverage.sum() * scale**2 == pytest.approx(area, rel=0.12)


def test_turning_a_shape_turns_the_borders_it_touches() -> None:
    array = np.zeros((7, 9))
    array[0] = 1  # the top row lies at the border
    seen = set()
    for seed in range(40):
        out, edges = turned(array, (True, False, False, False), np.random.default_rng(seed))
        rows = (out[0].all(), out[:, 0].all(), out[-1].all(), out[:, -1].all())
        assert rows == edges and sum(edges) == 1
        seen.add(edges)
    assert len(seen) == 4


def test_a_class_without_a_defect_to_learn_from_is_named() -> None:
    with pytest.raises(DataError, match="class 'stain' has no defect to learn from"):
        Balanced([(0, "a", 1), (1, "a", 1)], NAMES)


def test_pairs_are_uint8_images_with_index_masks() -> None:
    images, masks = sample_pairs(make_dcgan(channels=3), 35, None, seed=1)
    assert images.shape == (35, 32, 32, 3) and images.dtype == np.uint8 and images.flags.c_contiguous
    assert masks.shape == (35, 32, 32) and masks.dtype == np.uint8
    assert set(np.unique(masks)) <= {0, 1, 2, 3} and masks.any()
    assert images.std() > 1


def test_samples_follow_the_seed_and_leave_the_global_generators_alone() -> None:
    pairs, shapes = make_dcgan(), disc_dcgan()
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = sample_pairs(pairs, 5, 1, seed=3), sample_shapes(shapes, 5, 1, seed=3)
    assert torch.equal(torch.get_rng_state(), before[0]) and (np.random.get_state()[1] == before[1]).all()
    torch.manual_seed(6)
    again = sample_pairs(pairs, 5, 1, seed=3), sample_shapes(shapes, 5, 1, seed=3)
    other = sample_pairs(pairs, 5, 1, seed=4), sample_shapes(shapes, 5, 1, seed=4)
    for a, b, c in zip(first[0], again[0], other[0], strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()
    for a, b in zip(first[1], again[1], strict=True):
        np.testing.assert_array_equal(a.mask, b.mask)
    assert [s.mask.shape for s in first[1]] != [s.mask.shape for s in other[1]]


def test_shapes_are_tight_connected_and_as_large_as_real_ones() -> None:
    shapes = sample_shapes(disc_dcgan(), 60, 1, seed=0)
    sides = []
    for shape in shapes:
        assert shape.class_index == 1 and shape.edges == (False,) * 4 and shape.mask.dtype == bool
        assert shape.mask[0].any() and shape.mask[-1].any() and shape.mask[:, 0].any() and shape.mask[:, -1].any()
        assert cv2.connectedComponents(shape.mask.astype(np.uint8), connectivity=8)[0] == 2
        sides.append(max(shape.mask.shape))
    assert min(sides) >= 8 and max(sides) <= 75 and max(sides) > 2 * min(sides)


def test_classes_of_one_seed_do_not_share_latents() -> None:
    a, b = (sample_shapes(disc_dcgan(), 8, class_index, seed=0) for class_index in (1, 2))
    assert [shape.mask.shape for shape in a] != [shape.mask.shape for shape in b]


def test_shapes_at_the_border_are_made_only_when_asked_for() -> None:
    assert any(shape.edges == (True, False, False, False) for shape in sample_shapes(disc_dcgan(), 60, 1, 0, True))
    assert not any(any(shape.edges) for shape in sample_shapes(disc_dcgan(), 60, 1, 0))


def test_a_decoder_that_gives_only_specks_is_an_error_after_a_bounded_number_of_tries() -> None:
    with pytest.raises(SamplingError, match=r"class 'pit': 0 usable shapes in 20 tries for each of 3; train longer"):
        sample_shapes(disc_dcgan(), 3, 0, seed=0)


@pytest.mark.parametrize("scale", [0.4, 1.0, 4.0])
def test_a_shape_gets_the_area_that_its_coverage_stands_for(scale: float) -> None:
    y, x = np.mgrid[:64, :64].astype(np.float32)
    disc = np.clip(16 - np.hypot(y - 30, x - 33), 0, 1)
    mask = shape_mask(disc, 40 * scale, 40)
    assert mask is not None
    assert mask.sum() == pytest.approx(disc.sum() * scale**2, rel=0.1)
    assert max(mask.shape) == pytest.approx(31 * scale, abs=2)


def test_a_line_thinner_than_a_pixel_stays_thin() -> None:
    coverage = np.zeros((64, 64), np.float32)
    coverage[30, 8:56] = 0.6
    mask = shape_mask(coverage, 48 * 6, 48)
    assert mask is not None and mask.shape[1] == pytest.approx(48 * 6, abs=6)
    assert mask.sum() / mask.shape[1] == pytest.approx(0.6 * 6, abs=0.8)


@pytest.mark.parametrize("drawing", ["nothing", "everything", "cut off", "scattered"])
def test_a_drawing_that_is_no_shape_is_rejected(drawing: str) -> None:
    coverage = np.zeros((64, 64), np.float32)
    if drawing == "everything":
        coverage[:] = 1
    elif drawing == "cut off":
        coverage[20:40, :50] = 1
    elif drawing == "scattered":
        for start in range(4, 60, 14):
            coverage[start : start + 8, 4:60] = 1
    assert shape_mask(coverage, 50, 50) is None


@pytest.mark.parametrize("masks_only", [False, True])
def test_a_folder_comes_back_as_it_was(masks_only: bool, tmp_path: Path) -> None:
    made = make_dcgan(masks_only)
    made.generator.to(memory_format=torch.channels_last)
    write_dcgan(tmp_path / "run" / "dcgan", made.generator, NAMES, made.sizes, made.training)
    write_dcgan(tmp_path / "run" / "dcgan", made.generator, NAMES, made.sizes, made.training)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["dcgan"]
    loaded = load_dcgan(tmp_path / "run" / "dcgan")
    assert (loaded.class_names, loaded.sizes, loaded.training) == (NAMES, made.sizes, {"train_groups": ["a"]})
    for name, tensor in made.generator.state_dict().items():
        assert torch.equal(loaded.generator.state_dict()[name], tensor.half().float())
    assert not any(parameter.requires_grad for parameter in loaded.generator.parameters())


def damage(folder: Path, how: str) -> None:
    config = folder / "config.json"
    values: dict[str, Any] = json.loads(config.read_text())
    if how == "no config":
        config.unlink()
    elif how == "no model":
        (folder / "model.safetensors").unlink()
    elif how == "truncated":
        data = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(data[:-10])
    elif how == "not JSON":
        config.write_text("{")
    else:
        change: dict[str, Any] = {
            "other kind": {"architecture": "default"},
            "newer": {"format_version": 2},
            "other network": {"network": {**values["network"], "width": 5}},
            "other classes": {"class_names": ["pit"]},
            "no sizes": {"sizes": {}},
            "nonsense": {"network": {"depth": 3}},
        }[how]
        config.write_text(json.dumps({**values, **change}))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("no config", r"config\.json: no such file"),
        ("no model", r"model\.safetensors: no such file"),
        ("truncated", r"model\.safetensors: truncated"),
        ("not JSON", r"config\.json: is not valid JSON"),
        ("other kind", r"config\.json: does not describe a dcgan"),
        ("newer", r"config\.json: has format_version 2"),
        ("other network", r"model\.safetensors: does not hold the network"),
        ("other classes", r"config\.json: is not understood"),
        ("no sizes", r"config\.json: is not understood"),
        ("nonsense", r"config\.json: is not understood"),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_clear_error(how: str, said: str, tmp_path: Path) -> None:
    made = make_dcgan(masks_only=True)
    write_dcgan(tmp_path / "dcgan", made.generator, NAMES, made.sizes, {})
    damage(tmp_path / "dcgan", how)
    with pytest.raises(WeightsError, match=said):
        load_dcgan(tmp_path / "dcgan")


def test_asking_for_what_a_decoder_was_not_trained_for_is_an_error() -> None:
    with pytest.raises(ValueError, match="trained on masks only"):
        sample_pairs(make_dcgan(masks_only=True), 1, None, 0)
    with pytest.raises(ValueError, match="trained on pairs"):
        sample_shapes(make_dcgan(), 1, 0, 0)
    with pytest.raises(ValueError, match="no class 3; this dcgan knows 0 pit, 1 scratch, 2 stain"):
        sample_pairs(make_dcgan(), 1, 3, 0)
    with pytest.raises(ValueError, match="count must be at least 1"):
        sample_pairs(make_dcgan(), 0, None, 0)


def test_recorded_sizes_are_thinned_evenly() -> None:
    shapes = [Shape(np.ones((1, 1 + i), bool), 0, (True, False, False, False)) for i in range(1000)]
    shapes.append(Shape(np.ones((30, 4), bool), 1))
    sizes = recorded_sizes(shapes, ("pit", "scratch"))
    assert 300 < len(sizes["pit"]) <= MAX_SIZES and sizes["pit"][-1][0] > 990
    assert sizes["scratch"] == [[30, 0, 0, 0, 0]]


def test_the_scale_of_a_shape_is_told_in_octaves() -> None:
    np.testing.assert_allclose(shape_condition(1, 2, 4.0, (False, True, False, False)), [0, 1, 1, 0, 1, 0, 0])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_size": 48}, "image_size must be one of"),
        ({"batch_size": 1}, "batch_size must be at least 2"),
        ({"loss": "mystery"}, "loss must be one of .*rpgan, got 'mystery'"),
        ({"loss": "wgan-gp"}, "loss must be one of .*, got 'wgan-gp'"),
        ({"total_kimg": 0.0}, "total_kimg must be positive"),
        ({"width": 0}, "width must be at least 1"),
        ({"mask_noise": -0.1}, "must not be negative"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DCGANConfig(**changes)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_preset_survives_json(preset: str) -> None:
    assert DCGANConfig(**json.loads(json.dumps(PRESETS[preset].to_dict()))) == PRESETS[preset]


def test_the_average_moves_half_way_in_its_half_life() -> None:
    from training.gan.dcgan.loop import DCGANTrainer

    slow, fast = (torch.nn.Linear(2, 2, bias=False) for _ in range(2))
    torch.nn.init.zeros_(slow.weight)
    torch.nn.init.ones_(fast.weight)
    trainer = SimpleNamespace(images_seen=10**6, config=DCGANConfig(ema_kimg=5), average=slow, generator=fast)
    DCGANTrainer.update_average(trainer, 5000)  # type: ignore[arg-type]
    torch.testing.assert_close(slow.weight.detach(), torch.full((2, 2), 0.5))
