from __future__ import annotations

import pytest
import torch

from training.gan.discriminator import (
    NEAR_PIXELS,
    MultiScaleDiscriminator,
    PatchDiscriminator,
    build_discriminator,
    surrounding_mean,
)
from training.gan.losses import zero_centred_penalty


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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
    scores, stages = discriminator(image, masks)
    assert len(stages) == discriminator.num_stages == 2
    assert scores.shape == (3, 1) and torch.isfinite(scores).all()
    alone = torch.cat([discriminator(image[i : i + 1], masks[i : i + 1])[0] for i in range(3)])
    torch.testing.assert_close(scores, alone, atol=1e-5, rtol=1e-5)


def test_the_discriminator_judges_what_is_near_the_mask_and_sees_image_and_class(
    discriminator: MultiScaleDiscriminator,
) -> None:
    image = torch.zeros(1, 1, 128, 128, requires_grad=True)
    masks = torch.zeros(1, 2, 128, 128)
    masks[0, 0, 20:30, 20:30] = 1
    (gradient,) = torch.autograd.grad(discriminator(image, masks)[0].sum(), image)
    assert gradient[0, 0, 20:30, 20:30].abs().mean() > 0
    assert not gradient[0, 0, 90:, 90:].any()  # out of sight: 60 pixels from the mask, at these three depths
    assert gradient[0, 0, 20:30, 30 + NEAR_PIXELS].abs().sum() > 0
    other_class = masks.flip(1)
    assert discriminator(image, masks)[0].item() != discriminator(image, other_class)[0].item()


def test_pooling_over_the_window_sees_what_is_far_from_the_mask_and_both_gives_two_scores() -> None:
    image = torch.zeros(1, 1, 128, 128, requires_grad=True)
    masks = torch.zeros(1, 2, 128, 128)
    masks[0, 0, 20:30, 20:30] = 1
    scores = {}
    for pooling in ("mask", "window", "both"):
        torch.manual_seed(0)
        network = MultiScaleDiscriminator(1, 2, (4, 8, 8), pooling)
        scores[pooling], _ = network(image, masks)
        (gradient,) = torch.autograd.grad(scores[pooling].sum(), image, retain_graph=True)
        assert gradient[0, 0, 90:, 90:].any() == (pooling != "mask")
    torch.testing.assert_close(scores["both"], torch.cat([scores["mask"], scores["window"]], dim=1))


@pytest.mark.parametrize("size", [32, 64, 128])
def test_the_patch_discriminator_scores_patches_of_seventy_pixels(size: int) -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator(1, 2, (4, 8, 8, 8))
    image = torch.rand(2, 1, size, size, generator=seeded(0)).requires_grad_()
    scores, stages = network(image, torch.zeros(2, 2, size, size))
    assert scores.shape[0] == 2 and len(stages) == network.num_stages == 4
    assert torch.isfinite(scores).all()
    assert torch.isfinite(zero_centred_penalty(scores, image))  # twice differentiable


def test_the_field_of_a_patch_is_seventy_pixels() -> None:
    network = PatchDiscriminator(1, 1, (4, 8, 8, 8)).double()
    for index in range(len(network.norms)):
        network.norms[index] = torch.nn.Identity()  # a norm's statistics see everything
    image = torch.rand(1, 1, 256, 256, dtype=torch.float64, generator=seeded(0)).requires_grad_()
    scores, _ = network(image, torch.zeros(1, 1, 256, 256, dtype=torch.float64))
    side = int(scores.shape[1] ** 0.5)
    middle = scores.view(side, side)[side // 2, side // 2]
    (gradient,) = torch.autograd.grad(middle, image)
    rows = gradient[0, 0].abs().sum(dim=1).nonzero().flatten()
    assert int(rows.max() - rows.min()) + 1 == 70


def test_discriminators_are_built_by_name() -> None:
    assert isinstance(build_discriminator("patchgan", 1, 2, (4, 8), "mask"), PatchDiscriminator)
    assert isinstance(build_discriminator("multi-scale", 1, 2, (4, 8), "both"), MultiScaleDiscriminator)


def test_the_surroundings_of_a_mask_are_what_lies_near_it_or_else_all_outside_of_it() -> None:
    image = torch.zeros(3, 1, 16, 16)
    inside, near = torch.zeros(3, 1, 8, 8), torch.zeros(3, 1, 8, 8)
    inside[:2, :, 2:4, 2:4], near[0, :, 1:5, 1:5], inside[2], near[1:] = 1, 1, 1, inside[1:]
    image[0, :, 2:10, 2:10], image[0, :, 4:8, 4:8] = 0.5, 0.9
    image[1, :, :8], image[1, :, 4:8, 4:8] = 0.6, 0.9
    image[2] = 0.25
    assert surrounding_mean(image, inside, near).flatten().tolist() == pytest.approx([0.5, 0.6 * (32 - 4) / 60, 0.25])


@pytest.mark.parametrize("contrast_input", [True, False])
def test_a_patch_deep_inside_a_mask_is_judged_by_its_contrast_to_what_surrounds_the_mask(contrast_input: bool) -> None:
    torch.manual_seed(0)
    network = MultiScaleDiscriminator(1, 1, (4, 8), contrast_input=contrast_input)
    image = torch.zeros(1, 1, 128, 128, requires_grad=True)
    masks = torch.zeros(1, 1, 128, 128)
    masks[:, :, 24:104, 24:104] = 1
    _, (stage,) = network(image, masks)
    (gradient,) = torch.autograd.grad(stage[0, :, 16, 16].sum(), image)
    assert gradient[0, 0, 60:68, 60:68].any()
    assert gradient[0, 0, 18:23].any() == contrast_input
    assert not gradient[0, 0, :14].any()
