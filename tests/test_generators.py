from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from albu_gan.defects.bank import DefectBank
from albu_gan.defects.inpainter import DefectInpainter
from albu_gan.defects.shapes import Shape
from albu_gan.generators import (
    ARCHITECTURES,
    DefectGenerator,
    GeneratorConfig,
    build_generator,
    composite,
    default_config,
)
from albu_gan.generators.base import initialise
from albu_gan.generators.noise import NOISE_SHIFT, NOISE_TERMS, NOISE_TILE, NoiseField
from albu_gan.hub.folder import WeightsConfig, write_folder

quick = settings(max_examples=25, deadline=None)
SMALL: dict[str, Any] = {"channels": (8, 12), "fine_channels": 4, "style_dim": 16, "latent_dim": 8, "blocks": 2}
# Weights whose first columns take z; the noise is the other way in.
LATENT_INPUTS: dict[str, tuple[str, ...]] = {
    "default": ("mapping.0.weight",),
    "ffc": ("mapping.0.weight",),
    "pix2pix": ("stem_code.weight", "bottleneck_code.weight"),
    "stylegan": ("mapping.0.weight",),
    "stylegan2": ("mapping.0.weight",),
}


def small(seed: int = 0, **changes: Any) -> DefectGenerator:
    torch.manual_seed(seed)
    return build_generator(GeneratorConfig(**{**SMALL, "num_classes": 3, **changes})).eval()


def inputs(B: int = 2, C: int = 1, K: int = 3, H: int = 64, W: int = 64, latent_dim: int = 8) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    window = torch.rand(B, C, H, W, generator=generator) * 2 - 1
    class_masks = torch.zeros(B, K, H, W)
    for i in range(B):
        class_masks[i, i % K, H // 4 : 3 * H // 4, W // 3 : 2 * W // 3] = 1
    return window, class_masks, torch.randn(B, latent_dim, generator=generator)


@pytest.fixture(params=sorted(ARCHITECTURES))
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@quick
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3]), st.integers(1, 4))
def test_a_composite_is_the_windows_own_bits_outside_the_masks_and_the_sum_inside(seed: int, C: int, K: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    window = torch.rand(2, C, 9, 7, generator=generator) * 2 - 1
    class_masks = (torch.rand(2, K, 9, 7, generator=generator) < 0.3).float()
    residual = torch.randn(2, C, 9, 7, generator=generator)
    alpha = torch.rand(2, 1, 9, 7, generator=generator)
    painted = composite(window, class_masks, residual, alpha)
    inside = (class_masks.sum(dim=1, keepdim=True) > 0).expand_as(window)
    assert torch.equal(painted[~inside], window[~inside])
    torch.testing.assert_close(painted[inside], (window + alpha * residual).clamp(-1, 1)[inside])


def test_gradients_of_a_composite_stay_inside_the_mask() -> None:
    window, class_masks, _ = inputs(H=16, W=16)
    residual = torch.full_like(window, 0.1, requires_grad=True)
    composite(window * 0.5, class_masks, residual, torch.full((2, 1, 16, 16), 0.5)).sum().backward()
    assert residual.grad is not None
    torch.testing.assert_close(residual.grad, class_masks.amax(dim=1, keepdim=True) * 0.5)


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("size", [(16, 16), (32, 48), (64, 64), (128, 128), (160, 144)])
def test_any_multiple_of_the_step_is_painted_within_the_promised_ranges(
    architecture: str, in_channels: int, size: tuple[int, int]
) -> None:
    network = small(in_channels=in_channels, architecture=architecture)
    H, W = (side // network.size_multiple * network.size_multiple for side in size)
    window, class_masks, z = inputs(C=in_channels, H=H, W=W)
    before = [t.clone() for t in (window, class_masks, z)]
    with torch.no_grad():
        residual, alpha = network(window, class_masks, z * 10)
    assert residual.shape == (2, in_channels, H, W) and alpha.shape == (2, 1, H, W)
    assert residual.abs().max() <= 2 and alpha.min() >= 0 and alpha.max() <= 1
    assert torch.isfinite(residual).all()
    assert all(torch.equal(a, b) for a, b in zip(before, (window, class_masks, z), strict=True))


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_the_step_follows_from_the_number_of_levels(architecture: str, levels: int) -> None:
    network = small(channels=(8,) * levels, architecture=architecture)
    finest = 2 if architecture in ("pix2pix", "ffc") else 4
    assert network.size_multiple == finest * 2 ** (levels - 1)
    window, class_masks, z = inputs(H=network.size_multiple, W=2 * network.size_multiple)
    residual, _ = network(window, class_masks, z)
    assert residual.shape == window.shape and torch.isfinite(residual).all()


@pytest.mark.parametrize("size", [(32, 32), (64, 128)])
def test_the_widths_of_an_architecture_suit_the_usual_windows_and_start_with_a_small_residual(
    architecture: str, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    network = build_generator(default_config(architecture, num_classes=3))
    assert 16 % network.size_multiple == 0 and 100_000 < sum(p.numel() for p in network.parameters()) < 3_000_000
    with torch.no_grad():
        residual, alpha = network(*inputs(H=size[0], W=size[1], latent_dim=32))
    assert 0.003 < residual.abs().mean() < 0.6
    assert 0.6 < alpha.mean() < 0.8


def test_one_window_is_painted_at_the_edge_of_what_normalisation_bears(architecture: str) -> None:
    """A constant window, alone, of the smallest size, painted nowhere, everywhere, and with a latent of zeros."""
    network = small(architecture=architecture).train()
    side = network.size_multiple
    for class_masks in (torch.zeros(1, 3, side, side), torch.ones(1, 3, side, side)):
        network.zero_grad()
        residual, alpha = network(torch.full((1, 1, side, side), -1.0), class_masks, torch.zeros(1, 8))
        (residual.sum() + alpha.sum()).backward()
        assert torch.isfinite(residual).all() and torch.isfinite(alpha).all()
        assert all(torch.isfinite(p.grad).all() and p.grad.abs().max() < 1e5 for p in network.parameters())


def test_bf16_autocast_and_channels_last_paint_nearly_the_same_in_float32(architecture: str) -> None:
    network = small(architecture=architecture)
    window, class_masks, z = inputs(B=3, C=1)
    with torch.no_grad():
        expected = network(window, class_masks, z)
        layout: Any = {"memory_format": torch.channels_last}
        strided = copy.deepcopy(network).to(**layout)(window.to(**layout), class_masks.to(**layout), z)
        with torch.autocast("cpu", torch.bfloat16):
            low = network(window, class_masks, z)
    for a, b, c in zip(expected, strided, low, strict=True):
        assert c.dtype == torch.float32
        torch.testing.assert_close(b, a, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(c, a, atol=0.05, rtol=0)


def test_gradients_are_finite_and_of_float32_under_bf16_autocast(architecture: str) -> None:
    network = small(architecture=architecture)
    with torch.autocast("cpu", torch.bfloat16):
        residual, alpha = network(*inputs())
    (residual * alpha).square().mean().backward()
    assert all(p.grad.dtype == torch.float32 and torch.isfinite(p.grad).all() for p in network.parameters())


def test_the_same_input_is_painted_the_same_alone_or_in_a_batch(architecture: str) -> None:
    network = small(architecture=architecture)
    window, class_masks, z = inputs(B=5)
    with torch.no_grad():
        first, again = network(window, class_masks, z), network(window, class_masks, z)
        alone = [network(window[i : i + 1], class_masks[i : i + 1], z[i : i + 1]) for i in range(5)]
    for k in range(2):
        assert torch.equal(first[k], again[k])
        torch.testing.assert_close(first[k], torch.cat([pair[k] for pair in alone]), atol=1e-5, rtol=1e-5)


def test_nothing_is_drawn_from_the_global_generator(architecture: str) -> None:
    network = small(architecture=architecture)
    state = torch.get_rng_state()
    network(*inputs())
    assert torch.equal(torch.get_rng_state(), state)


def test_training_and_evaluation_paint_alike_for_there_is_no_batch_normalisation_and_no_dropout(
    architecture: str,
) -> None:
    network = small(architecture=architecture)
    banned = (nn.modules.batchnorm._NormBase, nn.modules.dropout._DropoutNd)
    assert not [name for name, module in network.named_modules() if isinstance(module, banned)]
    with torch.no_grad():
        evaluated = network.eval()(*inputs())
        trained = network.train()(*inputs())
    assert all(torch.equal(a, b) for a, b in zip(evaluated, trained, strict=True))


def test_two_latents_paint_differently_on_the_same_window_and_mask(architecture: str) -> None:
    network = small(architecture=architecture)
    window, class_masks, z = (t[:1].expand(2, *t.shape[1:]) for t in inputs())
    z = torch.cat([z[:1], -z[:1].roll(1, dims=1)])
    with torch.no_grad():
        painted = composite(window, class_masks, *network(window, class_masks, z))
    inside = class_masks[0].amax(dim=0) > 0
    assert (painted[0] - painted[1]).abs()[0][inside].mean() > 1e-3


@pytest.mark.parametrize("without", ["noise", "style"])
def test_z_matters_through_the_noise_alone_and_through_the_style_alone(architecture: str, without: str) -> None:
    network = small(architecture=architecture)
    with torch.no_grad():
        if without == "noise":
            network.noise.basis.zero_()
        else:
            for name in LATENT_INPUTS[architecture]:
                network.get_parameter(name)[:, :8] = 0  # z comes first, then the classes
    window, class_masks, _ = (t[:1].expand(2, *t.shape[1:]) for t in inputs())
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        residual, _ = network(window, class_masks, z)
    assert (residual[0] - residual[1]).abs().mean() > 1e-4


def test_two_latents_differ_in_texture_too(architecture: str) -> None:
    network = small(architecture=architecture)
    window, class_masks, _ = (t[:1].expand(2, *t.shape[1:]) for t in inputs())
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        residual, _ = network(window, class_masks, z)
    difference = (residual[:1] - residual[1:])[..., 16:-16, 16:-16]
    fine = difference - F.interpolate(F.avg_pool2d(difference, 4), scale_factor=4)
    assert fine.std() > 0.2 * difference.std() > 1e-4


def test_the_class_decides_what_is_painted_into_the_same_mask(architecture: str) -> None:
    network = small(architecture=architecture)
    window, class_masks, z = (t[:1].expand(3, *t.shape[1:]) for t in inputs())
    class_masks = torch.stack([class_masks[0].roll(i, dims=0) for i in range(3)])
    with torch.no_grad():
        residual, _ = network(window, class_masks, z)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (residual[a] - residual[b]).abs().mean() > 1e-4


def test_every_parameter_learns(architecture: str) -> None:
    network = small(architecture=architecture)
    window, class_masks, z = inputs(B=3)
    painted = composite(window * 0.5, class_masks, *network(window * 0.5, class_masks, z))
    (painted - window).square().sum().backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_a_copy_a_half_precision_round_trip_and_a_meta_build_give_the_same_network(architecture: str) -> None:
    network = small(architecture=architecture)
    with torch.device("meta"):
        empty = build_generator(network.config)
    stored = {name: tensor.half() for name, tensor in network.state_dict().items()}
    empty.load_state_dict({name: tensor.float() for name, tensor in stored.items()}, assign=True)
    with torch.no_grad():
        expected = network(*inputs())
        assert all(torch.equal(a, b) for a, b in zip(copy.deepcopy(network)(*inputs()), expected, strict=True))
        for a, b in zip(empty.eval()(*inputs()), expected, strict=True):
            torch.testing.assert_close(a, b, atol=0.01, rtol=0)


def test_permuting_the_columns_of_the_classes_undoes_permuting_the_class_masks(architecture: str) -> None:
    network = small(architecture=architecture, in_channels=3)
    window, class_masks, z = inputs(B=3, C=3)
    order = torch.tensor([2, 0, 1])
    moved = copy.deepcopy(network)
    assert moved.class_inputs()
    with torch.no_grad():
        for name, first in moved.class_inputs().items():
            weight = moved.state_dict()[name]
            weight[:, first : first + 3] = weight[:, first + order]
        expected, painted = network(window, class_masks, z), moved(window, class_masks[:, order], z)
        wrong, _ = network(window, class_masks[:, order], z)
    for a, b in zip(expected, painted, strict=True):
        torch.testing.assert_close(b, a, atol=1e-5, rtol=1e-5)
    assert (wrong - expected[0]).abs().max() > 1e-3


def test_a_class_that_is_absent_changes_nothing_through_the_columns_named(architecture: str) -> None:
    """So no other weight sees the classes."""
    network = small(architecture=architecture)
    window, class_masks, z = inputs(B=2)  # classes 0 and 1; 2 is absent
    more = torch.cat([class_masks, class_masks[:, 2:]], dim=1)
    larger = small(architecture=architecture, num_classes=4)
    state = {}
    for name, tensor in network.state_dict().items():
        if name in network.class_inputs():
            end = network.class_inputs()[name] + 3
            tensor = torch.cat([tensor[:, :end], torch.full_like(tensor[:, :1], 9.0), tensor[:, end:]], dim=1)
        state[name] = tensor
    larger.load_state_dict(state)
    with torch.no_grad():
        for a, b in zip(network(window, class_masks, z), larger(window, more, z), strict=True):
            torch.testing.assert_close(b, a, atol=1e-5, rtol=1e-5)


def test_building_an_empty_network_in_a_worker_does_not_import_torchs_compiler(untouched: dict[str, Any]) -> None:
    assert untouched["all meta"] == dict.fromkeys(ARCHITECTURES, True)
    assert "torch._dynamo" not in untouched["after building skeletons"]


@pytest.mark.parametrize("in_channels", [1, 3])
def test_a_weights_folder_of_each_architecture_paints_what_its_network_paints(
    architecture: str, in_channels: int, tmp_path: Path
) -> None:
    network = small(architecture=architecture, in_channels=in_channels)
    with torch.no_grad():
        network.head.weight.mul_(20)
    names = ("pit", "scratch", "stain")
    state = {name: tensor.half().numpy() for name, tensor in network.state_dict().items()}
    bank = DefectBank([Shape(np.ones((5, 5), bool), index) for index in range(3)], 3)
    write_folder(tmp_path / "w", WeightsConfig(network.config, names, (32, 64)), state, bank.to_tensors(), "# test\n")

    inpainter = DefectInpainter.from_pretrained(str(tmp_path / "w"))
    image = np.random.default_rng(0).integers(90, 160, (70, 80, 3), dtype=np.uint8)
    mask = np.zeros((70, 80), np.uint8)
    mask[20:40, 30:50] = 1
    painted = inpainter(image, mask, "scratch", seed=1)
    assert np.array_equal(painted[mask == 0], image[mask == 0])
    assert (painted[mask == 1] != image[mask == 1]).mean() > 0.5
    assert np.array_equal(painted, inpainter(image, mask, "scratch", seed=1))
    assert not np.array_equal(painted, inpainter(image, mask, "scratch", seed=2))
    with torch.no_grad():
        expected = network(*inputs(C=in_channels))
        for a, b in zip(inpainter.network(*inputs(C=in_channels)), expected, strict=True):
            torch.testing.assert_close(a, b, atol=0.1, rtol=0)


@pytest.mark.parametrize(("in_channels", "num_classes"), [(1, 5), (3, 5), (3, 64)])
def test_the_default_has_at_most_three_million_parameters(in_channels: int, num_classes: int) -> None:
    network = build_generator(GeneratorConfig(in_channels=in_channels, num_classes=num_classes))
    assert 100_000 < sum(p.numel() for p in network.parameters()) <= 3_000_000


def test_fresh_layers_keep_the_variance_of_their_features() -> None:
    torch.manual_seed(0)
    layers = [module for _ in range(6) for module in (nn.Linear(512, 512), nn.LeakyReLU(0.2))]
    stack = nn.Sequential(*layers)
    initialise(stack)
    x = torch.randn(2000, 512)
    with torch.no_grad():
        ratio = stack(x).square().mean() / x.square().mean()
    assert 0.7 < ratio < 1.4
    assert all(not layer.bias.any() for layer in stack if isinstance(layer, nn.Linear))


@pytest.mark.parametrize("latent_dim", [4, 16, 40])
def test_the_noise_field_has_unit_variance_and_no_mean_whatever_z_is(latent_dim: int) -> None:
    field = NoiseField(latent_dim)
    for seed in range(3):
        z = torch.randn(1, latent_dim, generator=torch.Generator().manual_seed(seed)) * 10 ** (seed - 1)
        noise = field(z, NOISE_TILE, NOISE_TILE)
        assert noise.shape == (1, 1, NOISE_TILE, NOISE_TILE)
        assert noise.mean().abs() < 0.05 and abs(noise.std() - 1) < 0.05


@quick
@given(st.integers(0, 2**32 - 1), st.floats(-3, 3), st.floats(-3, 3))
def test_the_noise_field_is_linear_in_the_direction_of_z(seed: int, a: float, b: float) -> None:
    field = NoiseField(NOISE_TERMS)
    u, v = torch.randn(2, NOISE_TERMS, generator=torch.Generator().manual_seed(seed))

    def scaled(z: Tensor) -> Tensor:
        return z.norm() * field(z[None], 8, 8)

    torch.testing.assert_close(scaled(a * u + b * v), a * scaled(u) + b * scaled(v), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(field(3 * u[None], 8, 8), field(u[None], 8, 8))


def test_noise_of_orthogonal_latents_is_uncorrelated_and_white() -> None:
    field = NoiseField(4)
    z = torch.tensor([[1.0, 1, 0, 0], [1.0, -1, 0, 0]])
    a, b = field(z, NOISE_TILE, NOISE_TILE)[:, 0]
    assert (a * b).mean().abs() < 0.05
    assert (a * a.roll(1, 0)).mean().abs() < 0.05 and (a * a.roll(1, 1)).mean().abs() < 0.05


def test_noise_repeats_with_its_tile_and_does_not_depend_on_the_size_of_the_window() -> None:
    field = NoiseField(8)
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    large = field(z, 2 * NOISE_TILE + 32, NOISE_TILE + 16)
    assert torch.equal(large[:, :, :32, :48], field(z, 32, 48))
    assert torch.equal(large[:, :, NOISE_TILE : 2 * NOISE_TILE], large[:, :, :NOISE_TILE])
    assert torch.equal(large[..., NOISE_TILE:], large[..., :16])


def test_rolled_noise_is_uncorrelated_with_the_noise_of_other_layers() -> None:
    field = NoiseField(4)
    z = torch.randn(1, 4, generator=torch.Generator().manual_seed(0))
    maps = torch.stack([field(z, 64, 64, shift=NOISE_SHIFT * i).flatten() for i in range(12)])
    assert (torch.corrcoef(maps) - torch.eye(12)).abs().max() < 0.1
    whole = field(z, NOISE_TILE, NOISE_TILE)
    assert torch.equal(field(z, NOISE_TILE, NOISE_TILE, shift=5), whole.roll((5, 5), dims=(2, 3)))


def test_the_noise_is_stored_with_the_weights_and_the_same_in_every_network() -> None:
    assert torch.equal(small(seed=0).state_dict()["noise.basis"], small(seed=1).state_dict()["noise.basis"])


configs = st.builds(
    GeneratorConfig,
    in_channels=st.sampled_from([1, 3]),
    num_classes=st.integers(1, 64),
    latent_dim=st.integers(1, 512),
    channels=st.lists(st.integers(1, 1024), min_size=1, max_size=6).map(tuple),
    fine_channels=st.integers(2, 256),
    style_dim=st.integers(1, 1024),
    blocks=st.integers(1, 32),
)


def test_a_config_of_before_there_were_blocks_still_loads() -> None:
    old = {
        "architecture": "default",
        "in_channels": 3,
        "num_classes": 5,
        "latent_dim": 16,
        "channels": [8, 16],
        "fine_channels": 6,
        "style_dim": 32,
    }
    config = GeneratorConfig.from_dict(old)
    assert {name: config.to_dict()[name] for name in old} == old


def test_a_default_config_has_the_widths_of_its_architecture_unless_they_are_given(architecture: str) -> None:
    config = default_config(architecture, num_classes=7)
    assert config == GeneratorConfig(
        architecture=architecture, channels=ARCHITECTURES[architecture].default_channels, num_classes=7
    )
    assert GeneratorConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert default_config(architecture, channels=(4, 6)).channels == (4, 6)
    with pytest.raises(ValueError, match=r"'mystery'; known: \[.*'stylegan2'"):
        default_config("mystery")


@quick
@given(configs)
def test_a_config_survives_json(config: GeneratorConfig) -> None:
    assert GeneratorConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("in_channels", 2),
        ("in_channels", "1"),
        ("in_channels", True),
        ("in_channels", 3.0),
        ("num_classes", 0),
        ("num_classes", 65),
        ("num_classes", 2.0),
        ("num_classes", True),
        ("latent_dim", 0),
        ("latent_dim", 513),
        ("fine_channels", 1),
        ("fine_channels", 257),
        ("style_dim", None),
        ("style_dim", 10**9),
        ("blocks", 0),
        ("blocks", 33),
        ("blocks", 2.0),
        ("channels", ()),
        ("channels", (8,) * 7),
        ("channels", (8, 0)),
        ("channels", (8, 4096)),
        ("channels", (8, 1.5)),
        ("channels", "88"),
        ("channels", 8),
        ("architecture", 3),
        ("architecture", ["default"]),
    ],
)
def test_a_config_out_of_range_is_refused_by_the_name_of_its_field(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        GeneratorConfig.from_dict({field: value})


def test_a_config_with_a_foreign_field_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown fields \['depth'\]"):
        GeneratorConfig.from_dict({"depth": 3})
    with pytest.raises(ValueError, match="must be an object, got list"):
        GeneratorConfig.from_dict([])  # type: ignore[arg-type]


def test_an_unknown_architecture_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'mystery'; known: \[.*'default'"):
        build_generator(GeneratorConfig(architecture="mystery"))


@pytest.mark.parametrize("fine_channels", [2, 3, 5])
def test_an_odd_or_small_number_of_fine_channels_can_be_built(architecture: str, fine_channels: int) -> None:
    network = small(fine_channels=fine_channels, architecture=architecture)
    residual, _ = network(*inputs())
    assert residual.shape == (2, 1, 64, 64)
