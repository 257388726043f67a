from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.gan.losses import LOSSES, clip_weights, gradient_penalty, zero_centred_penalty

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
        "minimax": (sum(softplus(-r) + softplus(f) for r, f in pairs), sum(-softplus(f) for _, f in pairs)),
        "lsgan": (sum((r - 1) ** 2 + f**2 for r, f in pairs) / 2, sum((f - 1) ** 2 for _, f in pairs) / 2),
        "hinge": (sum(max(0, 1 - r) + max(0, 1 + f) for r, f in pairs), sum(-f for _, f in pairs)),
        "wgan": (sum(f - r for r, f in pairs), sum(-f for _, f in pairs)),
        "wgan-gp": (sum(f - r for r, f in pairs), sum(-f for _, f in pairs)),
    }
    assert set(expected) == set(LOSSES)
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
    assert LOSSES["minimax"].generator(zero, zero).item() == pytest.approx(-math.log(2))
    # Pairing is relative: only the difference counts.
    assert LOSSES["rpgan"].generator(zero + 3, zero + 3).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_loss_pulls_the_logits_the_right_way(name: str) -> None:
    real, fake = torch.full((4, 2), 0.2, requires_grad=True), torch.full((4, 2), 0.1, requires_grad=True)
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


def test_the_saturating_loss_gives_no_gradient_where_the_discriminator_has_won_and_the_others_do() -> None:
    fake = torch.full((4, 1), -12.0, requires_grad=True)
    real = torch.full((4, 1), 12.0)
    slopes = {
        name: torch.autograd.grad(LOSSES[name].generator(real, fake), fake)[0].abs().sum().item() for name in LOSSES
    }
    assert slopes["minimax"] < 1e-4
    assert all(slope > 0.9 for name, slope in slopes.items() if name != "minimax")


def test_losses_name_the_penalty_of_their_authors() -> None:
    assert {name: loss.penalty for name, loss in LOSSES.items() if loss.penalty != "none"} == {
        "wgan": "clip",
        "wgan-gp": "gp",
        "rpgan": "r1r2",
    }


@pytest.mark.parametrize("norm", [0.0, 0.5, 1.0, 3.0])
def test_the_gradient_penalty_of_a_linear_critic_is_how_far_its_norm_is_from_one(norm: float) -> None:
    w = torch.randn(1, 6, 6, generator=seeded(0))
    w = (w / w.norm() * norm).requires_grad_()
    between = (torch.randn(3, 1, 6, 6, generator=seeded(1), requires_grad=True),)
    penalty = gradient_penalty((between[0] * w).sum(dim=(1, 2, 3)), between)
    assert penalty.item() == pytest.approx((norm - 1) ** 2, abs=1e-4)
    (gradient,) = torch.autograd.grad(penalty, w)
    if norm > 1:  # it pulls a steep critic down
        assert (gradient * w).sum() > 0


def test_the_gradient_penalty_counts_image_and_masks_together() -> None:
    image = torch.zeros(2, 1, 2, 2, requires_grad=True)
    masks = torch.zeros(2, 1, 2, 2, requires_grad=True)
    scores = 3 * image[:, 0, 0, 0] + 4 * masks[:, 0, 0, 0]
    assert gradient_penalty(scores, (image, masks)).item() == pytest.approx(16)


def test_penalties_take_several_scores_a_sample_by_their_mean() -> None:
    images = torch.randn(2, 1, 3, 3, generator=seeded(0), requires_grad=True)
    score = images.square().sum(dim=(1, 2, 3))
    several = torch.stack([2 * score, 0 * score], dim=1)
    assert zero_centred_penalty(several, images).item() == pytest.approx(zero_centred_penalty(score, images).item())


def test_clipping_brings_weights_into_the_limit_and_leaves_smaller_ones() -> None:
    layer = torch.nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.005, -3.0]]))
    clip_weights(layer, 0.01)
    torch.testing.assert_close(layer.weight.detach(), torch.tensor([[0.005, -0.01]]))
