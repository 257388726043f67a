from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from training.gan.augment import SHIFT, diff_augment
from training.gan.discriminator import NEAR_PIXELS, MultiScaleDiscriminator
from training.gan.losses import (
    LOSSES,
    coarse_difference,
    gray_spread,
    low_frequency_l1,
    masked_mean,
    mode_seeking,
    zero_centred_penalty,
)
from training.tensors import image_tensor, mask_tensor, uint8_images

quick = settings(max_examples=25, deadline=None)
logits = st.lists(st.floats(-20, 20), min_size=1, max_size=5)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def softplus(x: float) -> float:
    return max(x, 0) + math.log1p(math.exp(-abs(x)))


@quick
@given(st.lists(st.tuples(st.floats(-20, 20), st.floats(-20, 20)), min_size=1, max_size=5))
def test_adversarial_losses_are_the_formulas_of_their_papers(pairs: list[tuple[float, float]]) -> None:
    real, fake = torch.tensor(pairs, dtype=torch.float64).T
    mean = len(pairs)
    expected = {
        "rpgan": (sum(softplus(f - r) for r, f in pairs), sum(softplus(r - f) for r, f in pairs)),
        "non-saturating": (sum(softplus(-r) + softplus(f) for r, f in pairs), sum(softplus(-f) for _, f in pairs)),
        "hinge": (sum(max(0, 1 - r) + max(0, 1 + f) for r, f in pairs), sum(-f for _, f in pairs)),
    }
    assert set(expected) <= set(LOSSES)
    for name, (of_discriminator, of_generator) in expected.items():
        loss = LOSSES[name]
        assert loss.discriminator(real, fake).item() == pytest.approx(of_discriminator / mean, abs=1e-6)
        assert loss.generator(real, fake).item() == pytest.approx(of_generator / mean, abs=1e-6)


def test_losses_of_a_discriminator_that_sees_no_difference() -> None:
    zero = torch.zeros(4)
    for name, of_discriminator, of_generator in (
        ("rpgan", math.log(2), math.log(2)),
        ("non-saturating", 2 * math.log(2), math.log(2)),
        ("hinge", 2, 0),
    ):
        assert LOSSES[name].discriminator(zero, zero).item() == pytest.approx(of_discriminator)
        assert LOSSES[name].generator(zero, zero).item() == pytest.approx(of_generator)
    # Pairing is relative: only the difference counts.
    assert LOSSES["rpgan"].generator(zero + 3, zero + 3).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_loss_pulls_the_logits_the_right_way(name: str) -> None:
    real, fake = torch.zeros(4, requires_grad=True), torch.zeros(4, requires_grad=True)
    for_real, for_fake = torch.autograd.grad(LOSSES[name].discriminator(real, fake), (real, fake))
    assert (for_real < 0).all() and (for_fake > 0).all()
    (for_fake,) = torch.autograd.grad(LOSSES[name].generator(real, fake), fake)
    assert (for_fake < 0).all()


@pytest.mark.parametrize("shape", [(1, 1, 4, 4), (5, 3, 6, 7)])
def test_the_penalty_of_a_linear_discriminator_is_the_square_of_its_weights(shape: tuple[int, ...]) -> None:
    w = torch.randn(shape[1:], generator=seeded(0), requires_grad=True)
    images = torch.randn(shape, generator=seeded(1), requires_grad=True)
    penalty = zero_centred_penalty((images * w).sum(dim=(1, 2, 3)), images)
    assert penalty.item() == pytest.approx(w.square().sum().item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(penalty, w)  # it can be trained on
    torch.testing.assert_close(gradient, 2 * w)


def test_the_penalty_of_a_quadratic_discriminator_is_the_mean_over_its_samples() -> None:
    images = torch.randn(3, 1, 2, 2, generator=seeded(0), requires_grad=True)
    penalty = zero_centred_penalty(images.square().sum(dim=(1, 2, 3)), images)
    assert penalty.item() == pytest.approx(4 * images.square().sum().item() / 3, rel=1e-5)


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
        assert mode_seeking(fake, fake + difference, mask, 0.1).item() == pytest.approx(expected, abs=1e-5)
        assert mode_seeking(fake, fake - difference, mask, 0.1).item() == pytest.approx(expected, abs=1e-5)
    half = torch.stack([fake[0], fake[1] + 0.7])
    assert mode_seeking(fake, half, mask, 0.1).item() == pytest.approx(0.5)
    noise = torch.randn(2, 1, 64, 64, generator=seeded(0)) * 0.5
    assert mode_seeking(noise, -noise, mask, 0.1).item() > 0.5  # white noise satisfies it hardly


def test_latents_that_differ_in_hue_alone_do_not_differ() -> None:
    fake, mask = torch.zeros(1, 3, 32, 32), torch.ones(1, 1, 32, 32)
    green_for_purple = torch.tensor([-0.2, 0.4, -0.2])[None, :, None, None].expand_as(fake)
    assert gray_spread(fake + green_for_purple, fake, mask).item() == pytest.approx(0, abs=1e-6)
    assert mode_seeking(fake + green_for_purple, fake, mask, 0.1).item() == pytest.approx(1)
    assert gray_spread(fake + 0.3, fake, mask).item() == pytest.approx(0.3)


def test_mode_seeking_pushes_apart_only_what_is_too_alike_and_only_inside_the_mask() -> None:
    fake = torch.zeros(1, 1, 32, 32, requires_grad=True)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 4:9, 4:9] = 1
    (gradient,) = torch.autograd.grad(mode_seeking(fake, torch.full_like(mask, -0.01), mask, 0.1), fake)
    assert (gradient[mask > 0] < 0).all() and not gradient[mask == 0].any()
    (gradient,) = torch.autograd.grad(mode_seeking(fake, torch.full_like(mask, -0.5), mask, 0.1), fake)
    assert not gradient.any()


@pytest.mark.parametrize("side", [16, 32, 48, 64])
def test_every_size_of_window_that_can_be_configured_has_a_mode_seeking_term(side: int) -> None:
    fake, mask = torch.zeros(2, 1, side, side), torch.zeros(2, 1, side, side)
    mask[..., side - 9 : side - 2, 2:9] = 1
    assert mode_seeking(fake, fake, mask, 0.1).item() == pytest.approx(1)
    assert mode_seeking(fake, fake + 0.5, mask, 0.1).item() == pytest.approx(0)


def positions(B: int, side: int) -> Tensor:
    """(B, 2, side, side): every pixel holds its own row and column."""
    index = torch.arange(side, dtype=torch.float32)
    return torch.stack([index[:, None].expand(side, side), index.expand(side, side)]).expand(B, 2, side, side)


def test_augmentation_moves_image_and_masks_alike_and_by_at_most_an_eighth() -> None:
    B, side = 64, 32
    image = torch.zeros(B, 1, side, side)
    _, moved = diff_augment(image, positions(B, side) + 1, seeded(0))
    reach = int(side * SHIFT)
    centre = moved[:, :, side // 2, side // 2] - 1 - side // 2
    assert centre.abs().max() == reach and (centre.amin(0) == -reach).all() and (centre.amax(0) == reach).all()
    # The same shift carries the image: a bright pixel stays on its label.
    label = torch.zeros(B, 1, side, side)
    label[:, :, 13:17, 20:22] = 1
    seen, label_seen = diff_augment(label * 2 - 1, label, seeded(3))
    assert torch.equal(seen > seen.mean(dim=(1, 2, 3), keepdim=True), label_seen > 0)
    assert (label_seen.sum(dim=(1, 2, 3)) == 8).all()


def test_what_a_shift_brings_in_is_mirrored_and_has_no_label() -> None:
    B, side = 32, 16
    image = torch.rand(B, 1, side, side, generator=seeded(0))
    seen, label = diff_augment(image, torch.ones(B, 1, side, side), seeded(1))
    checked = 0
    for i in range(B):
        inside = label[i, 0] > 0
        rows, columns = inside.any(dim=1), inside.any(dim=0)
        assert torch.equal(inside, rows[:, None] & columns[None])
        first, left = int(rows.int().argmax()), int(columns.int().argmax())
        if first:  # a mirror on the border's pixel
            torch.testing.assert_close(seen[i, 0, first - 1], seen[i, 0, first + 1])
        if left:
            torch.testing.assert_close(seen[i, 0, :, left - 1], seen[i, 0, :, left + 1])
        checked += (first > 0) + (left > 0)
    assert checked > B / 2


def test_augmentation_changes_brightness_and_contrast_of_each_sample_by_its_own_draw() -> None:
    image = torch.rand(200, 1, 16, 16, generator=seeded(0)) * 0.1
    image[:, :, 4:12, 4:12] += 0.4  # far enough from the border to survive every shift
    seen, _ = diff_augment(image, torch.zeros(200, 1, 16, 16), seeded(1))
    shifts = seen.mean(dim=(1, 2, 3)) - image.mean(dim=(1, 2, 3))
    ratios = (seen.amax(dim=(1, 2, 3)) - seen.amin(dim=(1, 2, 3))) / (
        image.amax(dim=(1, 2, 3)) - image.amin(dim=(1, 2, 3))
    )
    assert shifts.abs().max() < 0.7 and shifts.min() < -0.3 and shifts.max() > 0.3
    assert 0.6 < ratios.min() < 0.8 and 1.2 < ratios.max() < 1.31
    assert len(shifts.unique()) > 190


def test_augmentation_depends_on_its_generator_alone_and_keeps_the_size() -> None:
    image, masks = torch.rand(3, 3, 24, 40, generator=seeded(0)), torch.ones(3, 2, 24, 40)
    before, state = image.clone(), torch.get_rng_state()
    first, again, other = (diff_augment(image, masks, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    assert first[0].shape == image.shape and first[1].shape == masks.shape
    assert torch.equal(image, before) and torch.equal(torch.get_rng_state(), state)


def test_gradients_pass_through_the_augmentation() -> None:
    image = torch.rand(4, 1, 16, 16, generator=seeded(0), requires_grad=True)
    weights = torch.randn(4, 1, 16, 16, generator=seeded(1))
    (gradient,) = torch.autograd.grad(
        (diff_augment(image, torch.zeros(4, 1, 16, 16), seeded(2))[0] * weights).sum(), image
    )
    assert (gradient != 0).float().mean() > 0.9
    # Linear but for a constant: the gradient predicts any change of the image.
    step = torch.randn(4, 1, 16, 16, generator=seeded(3))
    change = (
        (diff_augment(image + step, torch.zeros(4, 1, 16, 16), seeded(2))[0] * weights).sum()
        - (diff_augment(image, torch.zeros(4, 1, 16, 16), seeded(2))[0] * weights).sum()
    ).item()
    assert change == pytest.approx((gradient * step).sum().item(), rel=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_survive_the_way_to_tensors_and_back(channels: int) -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).repeat(1, 1, 1, channels)
    tensor = image_tensor(levels)
    assert tensor.shape == (1, channels, 16, 16) and tensor.dtype == torch.float32
    assert (tensor.min().item(), tensor.max().item()) == (-1, 1)
    assert torch.equal(uint8_images(tensor), levels)
    assert uint8_images(torch.tensor([[[[-3.0, 7.0]]]])).flatten().tolist() == [0, 255]


def test_index_masks_become_one_plane_a_class() -> None:
    planes = mask_tensor(torch.tensor([[[0, 1], [2, 3]]], dtype=torch.uint8), 3)
    expected = torch.tensor([[[[0, 1], [0, 0]], [[0, 0], [1, 0]], [[0, 0], [0, 1]]]], dtype=torch.float32)
    assert torch.equal(planes, expected) and planes.is_contiguous()


@pytest.fixture(scope="module")
def discriminator() -> MultiScaleDiscriminator:
    torch.manual_seed(0)
    return MultiScaleDiscriminator(1, 2, (4, 8, 8))


@pytest.mark.parametrize("size", [(32, 32), (64, 48), (128, 128)])
def test_the_discriminator_gives_one_finite_number_a_sample(
    discriminator: MultiScaleDiscriminator, size: tuple[int, int]
) -> None:
    image = torch.rand(3, 1, *size, generator=seeded(0)) * 2 - 1
    masks = torch.zeros(3, 2, *size)
    masks[0, 0, 5, 5] = masks[1, 1, 10:20, 8:] = 1  # the third has no mask at all
    scores = discriminator(image, masks)
    assert scores.shape == (3,) and torch.isfinite(scores).all()
    alone = torch.cat([discriminator(image[i : i + 1], masks[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(scores, alone, atol=1e-5, rtol=1e-5)


def test_the_discriminator_judges_what_is_near_the_mask_and_sees_image_and_class(
    discriminator: MultiScaleDiscriminator,
) -> None:
    image = torch.zeros(1, 1, 128, 128, requires_grad=True)
    masks = torch.zeros(1, 2, 128, 128)
    masks[0, 0, 20:30, 20:30] = 1
    (gradient,) = torch.autograd.grad(discriminator(image, masks).sum(), image)
    assert gradient[0, 0, 20:30, 20:30].abs().mean() > 0
    assert not gradient[0, 0, 90:, 90:].any()  # out of sight: 60 pixels from the mask, at these three depths
    assert gradient[0, 0, 20:30, 30 + NEAR_PIXELS].abs().sum() > 0
    other_class = masks.flip(1)
    assert discriminator(image, masks).item() != discriminator(image, other_class).item()
