from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from albu_gan.generators import GeneratorConfig, build_generator
from albu_gan.generators.base import initialise
from albu_gan.generators.encoder import WindowEncoder
from albu_gan.generators.ffc import FourierConvolution, FourierUnit, SpectralTransform
from albu_gan.generators.mapping import normalised_latent
from albu_gan.generators.normalisation import EPSILON, InstanceNorm, adaptive_instance_norm
from albu_gan.generators.stylegan import StyledLayer
from albu_gan.generators.stylegan2 import ModulatedConv2d, ModulatedLayer, enlarge


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_adain_gives_every_channel_the_mean_and_deviation_of_its_style() -> None:
    x = random(3, 5, 12, 9) * 4 + 7
    scale, shift = random(3, 5, 1, 1, seed=1), random(3, 5, 1, 1, seed=2)
    out = adaptive_instance_norm(x, scale, shift)
    torch.testing.assert_close(out.mean(dim=(2, 3), keepdim=True), shift, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(out.std(dim=(2, 3), keepdim=True, correction=0), scale.abs(), atol=1e-3, rtol=1e-3)


def test_instance_norm_equals_torchs() -> None:
    norm, reference = InstanceNorm(4), nn.InstanceNorm2d(4, eps=EPSILON, affine=True)
    with torch.no_grad():
        reference.weight.copy_(norm.weight.copy_(random(4, 1, 1)).flatten())
        reference.bias.copy_(norm.bias.copy_(random(4, 1, 1, seed=1)).flatten())
    x = random(2, 4, 6, 5)
    torch.testing.assert_close(norm(x), reference(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (2, 3, 8, 8)])
@pytest.mark.parametrize("level", [0.0, -1.0, 1e4])
def test_instance_norm_of_a_constant_map_is_its_shift_with_a_bounded_gradient(
    shape: tuple[int, ...], level: float
) -> None:
    norm = InstanceNorm(3).train()
    with torch.no_grad():
        norm.bias.fill_(0.5)
    x = torch.full(shape, level, requires_grad=True)
    out = norm(x)
    (out * random(*shape)).sum().backward()
    torch.testing.assert_close(out, torch.full(shape, 0.5), atol=0.1 if level == 1e4 else 1e-6, rtol=0)
    assert x.grad is not None and torch.isfinite(x.grad).all() and x.grad.abs().max() < 4 * EPSILON**-0.5


def test_instance_norm_keeps_half_precision_and_its_statistics_in_float32() -> None:
    x = (random(1, 2, 16, 16) + 200).bfloat16()
    out = adaptive_instance_norm(x, torch.ones(2, 1, 1), torch.zeros(2, 1, 1))
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), F.instance_norm(x.float(), eps=EPSILON), atol=0.02, rtol=0.01)


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_a_modulated_convolution_equals_one_with_each_samples_own_weights(demodulate: bool, kernel_size: int) -> None:
    conv = ModulatedConv2d(6, 4, kernel_size, style_dim=5, demodulate=demodulate)
    x, style = random(3, 6, 9, 8), random(3, 5, seed=1)
    out = conv(x, style)
    for i in range(3):
        weight = conv.weight * conv.affine(style[i])[None, :, None, None]
        if demodulate:
            weight = weight / weight.square().sum(dim=(1, 2, 3), keepdim=True).add(1e-8).sqrt()
        expected = F.conv2d(x[i : i + 1], weight, padding=kernel_size // 2)
        torch.testing.assert_close(out[i : i + 1], expected, atol=1e-4, rtol=1e-4)


def test_demodulation_keeps_the_variance_of_features_whatever_the_style() -> None:
    torch.manual_seed(0)
    conv = ModulatedConv2d(64, 64, 3, style_dim=8)
    out = conv(random(2, 64, 32, 32), 100 * random(2, 8))
    torch.testing.assert_close(out[..., 1:-1, 1:-1].std(), torch.tensor(1.0), atol=0.05, rtol=0)


@pytest.mark.parametrize("layer", [StyledLayer, ModulatedLayer])
def test_a_layer_adds_noise_in_proportion_to_its_learned_strength(layer: type[nn.Module]) -> None:
    torch.manual_seed(0)
    module = layer(4, 6, 5)
    x, style = random(1, 4, 8, 8), random(1, 5)
    a, b = random(1, 1, 8, 8, seed=1), random(1, 1, 8, 8, seed=2)
    assert (module(x, style, a) - module(x, style, b)).abs().mean() > 0.01
    with torch.no_grad():
        module.noise_strength.zero_()
    assert torch.equal(module(x, style, a), module(x, style, b))


@pytest.mark.parametrize("size", [(8, 8), (6, 10), (5, 7), (1, 1)])
def test_a_fourier_unit_equals_numpys_transform_with_a_matrix_between(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    unit = FourierUnit(3)
    x = random(2, 3, *size)
    spectrum = np.fft.rfft2(x.numpy().astype(np.float64), norm="ortho")
    parts = np.concatenate([spectrum.real, spectrum.imag], axis=1)
    weight, bias = unit.conv.weight.detach().numpy()[:, :, 0, 0], unit.conv.bias.detach().numpy()
    parts = np.einsum("oc,bchw->bohw", weight, parts) + bias[:, None, None]
    parts = np.where(parts > 0, parts, 0.2 * parts)
    expected = np.fft.irfft2(parts[:, :3] + 1j * parts[:, 3:], s=size, norm="ortho")
    out = unit(x)
    assert out.dtype == torch.float32 and out.shape == x.shape
    np.testing.assert_allclose(out.detach().numpy(), expected, atol=1e-4)


def test_the_spectral_transform_is_homogeneous_and_without_its_activations_linear(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    transform = SpectralTransform(6)
    for module in (transform.reduce, transform.fourier.conv, transform.expand):
        nn.init.zeros_(module.bias)
    x, y = random(1, 6, 8, 12), random(1, 6, 8, 12, seed=1)
    torch.testing.assert_close(transform(3 * x), 3 * transform(x), atol=1e-4, rtol=1e-4)
    monkeypatch.setattr(F, "leaky_relu_", lambda x, slope: x)
    torch.testing.assert_close(transform(2 * x - y), 2 * transform(x) - transform(y), atol=1e-4, rtol=1e-4)


def test_one_output_of_the_spectral_transform_sees_every_input() -> None:
    torch.manual_seed(0)
    transform = SpectralTransform(4)
    x = random(1, 4, 32, 32).requires_grad_()
    transform(x)[0, 0, 3, 5].backward()
    assert x.grad is not None
    assert (x.grad[0].abs().amax(dim=0) > 1e-6).float().mean() > 0.99


@pytest.mark.parametrize("channels", [2, 3, 16])
def test_a_fourier_convolution_has_a_local_quarter_and_global_rest(channels: int) -> None:
    torch.manual_seed(0)
    layer = FourierConvolution(channels)
    initialise(layer)
    x = random(1, channels, 16, 16).requires_grad_()
    out = layer(x)
    assert out.shape == x.shape and layer.local == max(1, channels // 4)
    (near,) = torch.autograd.grad(out[0, 0, 8, 8], x, retain_graph=True)
    assert near[..., 11:, :].abs().max() == 0 and near[..., :6, :].abs().max() == 0
    (far,) = torch.autograd.grad(out[0, -1, 8, 8], x)
    assert far[0, :, 11:].abs().max() > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_pixel_of_the_ffc_generator_sees_the_far_corner_of_the_window(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    network = build_generator(GeneratorConfig(architecture="ffc", channels=(8, 12), blocks=2, fine_channels=4))
    window = random(1, 1, 256, 256).requires_grad_()
    with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
        residual, _ = network(window, torch.ones(1, 1, 256, 256), random(1, 32))
    residual[0, 0, 10, 10].backward()
    assert window.grad is not None and window.grad[0, 0, 200:, 200:].abs().max() > 0


def test_the_ffc_generator_can_be_as_large_as_lama() -> None:
    with torch.device("meta"):
        network = build_generator(GeneratorConfig(architecture="ffc", channels=(128, 256, 512), blocks=9))
    assert 27e6 < sum(p.numel() for p in network.parameters()) < 29e6


def test_the_ffc_generator_says_how_few_features_it_can_do_with() -> None:
    with pytest.raises(ValueError, match="2 features or more"):
        build_generator(GeneratorConfig(architecture="ffc", channels=(8, 1)))


def test_the_encoder_gives_features_of_every_resolution_that_see_window_masks_and_classes() -> None:
    torch.manual_seed(0)
    encoder = WindowEncoder(GeneratorConfig(num_classes=2, channels=(8, 12, 16)))
    window, masks = random(1, 1, 32, 64), torch.zeros(1, 2, 32, 64)
    masks[:, 0, 8:24, 8:40] = 1
    plain = encoder(window, masks)
    assert [tuple(f.shape[1:]) for f in plain] == [(8, 8, 16), (12, 4, 8), (16, 2, 4)]
    for changed in (encoder(-window, masks), encoder(window, 0 * masks), encoder(window, masks.flip(1))):
        assert all((a - b).abs().max() > 1e-3 for a, b in zip(plain, changed, strict=True))


def test_co_modulation_lets_the_window_decide_the_style_everywhere() -> None:
    torch.manual_seed(0)
    network = build_generator(GeneratorConfig(architecture="stylegan2", channels=(8, 12), fine_channels=4))
    masks, z = torch.zeros(1, 1, 256, 256), random(1, 32)
    window = random(1, 1, 256, 256)
    other = window.clone()
    other[..., 128:] = -other[..., 128:]
    with torch.no_grad():
        far = (network(window, masks, z)[0] - network(other, masks, z)[0])[..., :32]
        network.window_style.weight.zero_()
        near = (network(window, masks, z)[0] - network(other, masks, z)[0])[..., :32]
    assert far.abs().max() > 1e-5 and near.abs().max() == 0


def test_the_style_depends_on_the_direction_of_z_alone() -> None:
    z = random(4, 16)
    torch.testing.assert_close(normalised_latent(z).square().mean(dim=1), torch.ones(4))
    torch.testing.assert_close(normalised_latent(5 * z), normalised_latent(z))
    assert torch.equal(normalised_latent(torch.zeros(1, 16)), torch.zeros(1, 16))


def test_enlarging_by_two_filters_with_1_3_3_1() -> None:
    x = random(1, 1, 6, 6)
    kernel = torch.tensor([1.0, 3, 3, 1])
    kernel = kernel[:, None] * kernel / 16  # of sum 4, as three of four of its inputs are the zeros between pixels
    expected = F.conv_transpose2d(x, kernel[None, None], stride=2, padding=1)
    torch.testing.assert_close(enlarge(x, 2)[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])
