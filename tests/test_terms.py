from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from training.gan.terms import (
    coarse_difference,
    feature_matching,
    gray_spread,
    low_frequency_l1,
    masked_mean,
    nearest_of_pairs,
    pooled_statistics,
    shortfall,
)

quick = settings(max_examples=25, deadline=None)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@quick
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_a_masked_mean_is_the_mean_of_the_values_inside(seed: int, C: int) -> None:
    values = torch.randn(3, C, 5, 6, generator=seeded(seed))
    mask = (torch.rand(3, 1, 5, 6, generator=seeded(seed + 1)) < 0.5).float()
    mask[2] = 0
    result = masked_mean(values, mask)
    assert result.shape == (3,) and result[2] == 0
    for i in range(2):
        inside = values[i][:, mask[i, 0] > 0]
        if inside.numel():
            assert result[i].item() == pytest.approx(inside.mean().item(), abs=1e-5)


def naive_coarse_difference(a: Tensor, b: Tensor, mask: Tensor, pixels: int) -> list[float]:
    """Cells of the grid: absolute value of the summed difference inside the mask, over the mask's pixels."""
    results = []
    for i in range(len(a)):
        total, weight = 0.0, 0.0
        for y in range(0, a.shape[2], pixels):
            for x in range(0, a.shape[3], pixels):
                cell = (slice(y, y + pixels), slice(x, x + pixels))
                inside = mask[i, 0][cell] > 0
                weight += inside.sum().item() * a.shape[1]
                for c in range(a.shape[1]):
                    total += abs((a[i, c] - b[i, c])[cell][inside].sum().item())
        results.append(total / weight if weight else 0.0)
    return results


@quick
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 4, 7, 8, 32]), st.integers(1, 3))
def test_a_coarse_difference_is_what_a_loop_over_the_cells_finds(seed: int, pixels: int, C: int) -> None:
    a, b = torch.randn(2, 2, C, 16, 24, generator=seeded(seed))
    mask = (torch.rand(2, 1, 16, 24, generator=seeded(seed + 1)) < 0.4).float()
    result = coarse_difference(a, b, mask, pixels)
    assert result.tolist() == pytest.approx(naive_coarse_difference(a, b, mask, pixels), abs=1e-5)


def test_a_coarse_difference_sees_brightness_and_overlooks_texture() -> None:
    image = torch.zeros(1, 1, 32, 32)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    checkers = ((torch.arange(32)[:, None] + torch.arange(32)) % 2 * 2.0 - 1).expand(1, 1, 32, 32)
    assert low_frequency_l1(image + 0.3, image, mask).item() == pytest.approx(0.3)
    assert low_frequency_l1(image + checkers, image, mask).item() == pytest.approx(0, abs=1e-6)
    assert low_frequency_l1(image + 0.3, image, torch.zeros_like(mask)).item() == 0
    outside = image + (1 - mask)
    assert low_frequency_l1(outside, image, mask).item() == 0


def test_mode_seeking_falls_linearly_from_one_to_nothing_once_latents_differ_enough() -> None:
    fake, mask = torch.zeros(2, 1, 64, 64), torch.ones(2, 1, 64, 64)
    for difference, expected in ((0.0, 1.0), (0.025, 0.75), (0.1, 0.0), (0.7, 0.0)):
        assert shortfall(gray_spread(fake, fake + difference, mask), 0.1).item() == pytest.approx(expected, abs=1e-5)
        assert shortfall(gray_spread(fake, fake - difference, mask), 0.1).item() == pytest.approx(expected, abs=1e-5)
    half = torch.stack([fake[0], fake[1] + 0.7])
    assert shortfall(gray_spread(fake, half, mask), 0.1).item() == pytest.approx(0.5)
    noise = torch.randn(2, 1, 64, 64, generator=seeded(0)) * 0.5
    assert shortfall(gray_spread(noise, -noise, mask), 0.1).item() > 0.5  # white noise satisfies it hardly


def test_latents_that_differ_in_hue_alone_do_not_differ() -> None:
    fake, mask = torch.zeros(1, 3, 32, 32), torch.ones(1, 1, 32, 32)
    green_for_purple = torch.tensor([-0.2, 0.4, -0.2])[None, :, None, None].expand_as(fake)
    assert gray_spread(fake + green_for_purple, fake, mask).item() == pytest.approx(0, abs=1e-6)
    assert shortfall(gray_spread(fake + green_for_purple, fake, mask), 0.1).item() == pytest.approx(1)
    assert gray_spread(fake + 0.3, fake, mask).item() == pytest.approx(0.3)


def test_mode_seeking_pushes_apart_only_what_is_too_alike_and_only_inside_the_mask() -> None:
    fake = torch.zeros(1, 1, 32, 32, requires_grad=True)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 4:9, 4:9] = 1
    (gradient,) = torch.autograd.grad(shortfall(gray_spread(fake, torch.full_like(mask, -0.01), mask), 0.1), fake)
    assert (gradient[mask > 0] < 0).all() and not gradient[mask == 0].any()
    (gradient,) = torch.autograd.grad(shortfall(gray_spread(fake, torch.full_like(mask, -0.5), mask), 0.1), fake)
    assert not gradient.any()


@pytest.mark.parametrize("side", [16, 32, 48, 64])
def test_every_size_of_window_that_can_be_configured_has_a_mode_seeking_term(side: int) -> None:
    fake, mask = torch.zeros(2, 1, side, side), torch.zeros(2, 1, side, side)
    mask[..., side - 9 : side - 2, 2:9] = 1
    assert shortfall(gray_spread(fake, fake, mask), 0.1).item() == pytest.approx(1)
    assert shortfall(gray_spread(fake, fake + 0.5, mask), 0.1).item() == pytest.approx(0)


def test_of_two_latents_on_one_window_only_the_nearer_counts() -> None:
    values = torch.tensor([1.0, 5.0, 3.0, 2.0])
    everywhere = torch.ones(4)
    assert nearest_of_pairs(values, everywhere, True).item() == pytest.approx((1 + 2) / 2)
    assert nearest_of_pairs(values, everywhere, False).item() == pytest.approx(values.mean().item())
    only_second = torch.tensor([0.0, 1.0, 0.0, 1.0])
    assert nearest_of_pairs(values, only_second, True).item() == pytest.approx(2)
    assert nearest_of_pairs(values, torch.zeros(4), True).item() == 0


def test_the_farther_latent_is_free() -> None:
    values = torch.tensor([1.0, 5.0, 3.0, 2.0], requires_grad=True)
    nearest_of_pairs(values, torch.ones(4), True).backward()
    assert values.grad is not None and values.grad.tolist() == [0.5, 0, 0, 0.5]


def test_pooled_statistics_are_mean_and_deviation_inside_the_mask() -> None:
    stage = torch.randn(2, 3, 8, 8, generator=seeded(0))
    masks = torch.zeros(2, 2, 8, 8)
    masks[0, 0, 2:5, 1:7] = 1
    masks[1, 1, :, 4:] = 1
    (pooled,) = pooled_statistics([stage], masks)
    assert pooled.shape == (2, 6)
    for i in range(2):
        inside = stage[i][:, masks[i].amax(0) > 0].numpy()
        np.testing.assert_allclose(pooled[i, :3], inside.mean(axis=1), atol=1e-4)
        np.testing.assert_allclose(pooled[i, 3:], inside.std(axis=1), atol=2e-3)


def test_another_realisation_of_noise_is_no_other_defect_and_a_rougher_one_is() -> None:
    masks = torch.ones(1, 1, 64, 64)
    noise, other = (torch.randn(1, 1, 64, 64, generator=seeded(i)) for i in (0, 1))
    same, again, rougher = (pooled_statistics([x], masks)[0] for x in (noise, other, 2 * noise))
    assert (same - again).norm() < 0.1 < 0.9 < (same - rougher).norm()


def test_feature_matching_is_the_mean_difference_of_statistics_and_moves_the_fake_only() -> None:
    fake = [torch.zeros(2, 3, requires_grad=True), torch.zeros(2, 5, requires_grad=True)]
    real = [torch.ones(2, 3, requires_grad=True), torch.full((2, 5), -3.0, requires_grad=True)]
    values = feature_matching(fake, real)
    assert values.tolist() == [2, 2]
    values.sum().backward()
    assert fake[0].grad is not None and real[0].grad is None
