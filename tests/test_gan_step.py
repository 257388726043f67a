from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from albu_gan.generators import GeneratorConfig, build_generator
from training.gan.config import TrainConfig
from training.gan.discriminator import build_discriminator
from training.gan.step import GANStep, TrainingError, gradient_norm

SIZE = 32


@pytest.fixture(autouse=True)
def clean_accelerator() -> Iterator[None]:
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def make_step(**changes: Any) -> GANStep:
    config = TrainConfig(
        **{
            "total_kimg": 100.0,
            "window_sizes": (SIZE,),
            "discriminator_channels": (8, 8, 8),
            "latent_dim": 8,
            "precision": "no",
            **changes,
        }
    )
    torch.manual_seed(0)
    generator = build_generator(
        GeneratorConfig(num_classes=2, latent_dim=8, channels=(8, 8), fine_channels=4, style_dim=16)
    )
    network = build_discriminator("multi-scale", 1, 2, config.discriminator_channels, config.pooling)
    return GANStep(config, generator, network, 2, Accelerator(cpu=True))


def make_batch(count: int = 6, seed: int = 0) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)
    real, clean = rng.integers(90, 160, (2, count, SIZE, SIZE, 1)).astype(np.uint8)
    mask = np.zeros((count, SIZE, SIZE), np.uint8)
    for index in range(count):
        mask[index, 8:20, 6:18] = 1 + index % 2
    real[mask > 0] //= 2
    arrays = {"real": real, "clean": clean, "real_mask": mask, "fake_mask": mask, "paired": np.arange(count) % 2 == 0}
    return {key: torch.from_numpy(value) for key, value in arrays.items()}


def weights(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten().clone() for p in module.parameters()])


def test_a_step_moves_both_networks_and_the_average_and_gives_figures_now_and_then() -> None:
    step = make_step()
    before = [weights(m) for m in (step.generator, step.discriminator, step.average)]
    figures = step(make_batch(), 0, 0)
    after = [weights(m) for m in (step.generator, step.discriminator, step.average)]
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    expected = {
        "loss_d",
        "loss_g",
        "d_accuracy",
        "adversarial_gradient_norm",
        "g_gradient_norm",
        "latent_spread",
        "penalty",
        "low_frequency",
    }
    assert expected <= figures.keys() and all(np.isfinite(value) for value in figures.values())
    assert step(make_batch(), 1, 6) == {}
    assert all(p.requires_grad for p in step.discriminator.parameters())


def test_a_step_depends_on_seed_step_and_batch_alone() -> None:
    results = []
    for seed, number in ((0, 5), (0, 5), (1, 5), (0, 6)):
        AcceleratorState._reset_state(reset_partial_state=True)
        step = make_step(seed=seed)
        torch.manual_seed(len(results))  # the global generator must not matter
        step(make_batch(), number, 0)
        results.append(weights(step.generator))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2]) and not torch.equal(results[0], results[3])


def test_a_state_restores_everything_a_later_step_depends_on() -> None:
    first = make_step()
    for number in range(3):
        first(make_batch(seed=number), number, 6 * number)
    state = copy.deepcopy(first.state_dict())
    AcceleratorState._reset_state(reset_partial_state=True)
    second = make_step(seed=0)
    second.load_state_dict(state)
    for step in (first, second):
        step(make_batch(seed=9), 3, 18)
    assert torch.equal(weights(first.generator), weights(second.generator))
    assert torch.equal(weights(first.average), weights(second.average))


def test_an_odd_batch_works_and_two_latents_share_each_window() -> None:
    step = make_step()
    seen: list[torch.Tensor] = []
    step.generator.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs))
    step(make_batch(5), 0, 0)
    window, masks, z = seen
    assert len(window) == 5
    assert torch.equal(window[:2], window[2:4]) and torch.equal(masks[:2], masks[2:4])
    assert not torch.equal(z[:2], z[2:4])


def test_without_a_diversity_term_every_window_is_painted_once() -> None:
    step = make_step(diversity_weight=0.0)
    seen: list[torch.Tensor] = []
    step.generator.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs))
    figures = step(make_batch(4), 0, 0)
    assert not torch.equal(seen[0][:2], seen[0][2:4])
    assert "latent_spread" not in figures


def test_the_diversity_term_pulls_two_latents_apart() -> None:
    spreads = {}
    for weight in (0.01, 20.0):
        AcceleratorState._reset_state(reset_partial_state=True)
        step = make_step(diversity_weight=weight, low_frequency_weight=0.0, diversity_cap=1.0, learning_rate=2e-3)
        for number in range(48):
            step(make_batch(8, seed=number % 4), number + 1, 8 * number)
        spreads[weight] = step(make_batch(8, seed=1), 0, 400)["latent_spread"]
    assert spreads[20.0] > 1.5 * spreads[0.01]


def test_the_learning_rate_is_constant_and_then_falls_linearly_to_a_tenth() -> None:
    step = make_step(decay_fraction=0.3, learning_rate=1e-3, discriminator_learning_rate=2e-3)
    rates = []
    for images in (0, 50_000, 70_000, 85_000, 99_000, 100_000):
        step._set_learning_rates(images)
        rates.append([o.param_groups[0]["lr"] * 1000 for o in (step.optimizer_g, step.optimizer_d)])
    np.testing.assert_allclose([g for g, _ in rates], [1, 1, 1, 0.5, 0.1, 0.1])
    np.testing.assert_allclose([d for _, d in rates], [2, 2, 2, 1, 0.2, 0.2])


@pytest.mark.parametrize(
    ("ema_kimg", "images_seen", "half_life"), [(5.0, 10**6, 5000), (5.0, 20_000, 2000), (5.0, 0, 1), (0.0, 10**6, 0)]
)
def test_the_average_moves_half_way_in_its_half_life(ema_kimg: float, images_seen: int, half_life: int) -> None:
    step = make_step(ema_kimg=ema_kimg)
    with torch.no_grad():
        for slow, fast in zip(step.average.parameters(), step.generator.parameters(), strict=True):
            slow.zero_()
            fast.fill_(1)
    step._update_average(half_life or 8, images_seen)
    torch.testing.assert_close(weights(step.average).mean().item(), 0.5 if half_life else 1.0)


def test_a_loss_that_is_no_number_leaves_the_weights() -> None:
    step = make_step()
    before = weights(step.generator)
    with torch.no_grad():
        next(step.discriminator.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="discriminator's loss is not finite at step 7"):
        step(make_batch(), 7, 0)
    assert torch.equal(before, weights(step.generator))


@pytest.mark.parametrize(
    ("changes", "turns"),
    [
        ({}, [0, 1, 2, 3, 4, 5, 6]),
        ({"loss": "wgan"}, [0, 5]),
        ({"loss": "wgan-gp"}, [0, 5]),
        ({"loss": "wgan-gp", "discriminator_steps": 1}, [0, 1, 2, 3, 4, 5, 6]),
        ({"discriminator_steps": 3}, [0, 3, 6]),
    ],
)
def test_the_generator_moves_once_in_as_many_steps_as_the_loss_wants(changes: dict[str, Any], turns: list[int]) -> None:
    step, moved = make_step(**changes), []
    for number in range(7):
        before = weights(step.generator), weights(step.average), weights(step.discriminator)
        step(make_batch(seed=number), number, 6 * number)
        assert not torch.equal(before[2], weights(step.discriminator))
        assert torch.equal(before[0], weights(step.generator)) == torch.equal(before[1], weights(step.average))
        if not torch.equal(before[0], weights(step.generator)):
            moved.append(number)
    assert moved == turns


def test_figures_come_also_from_a_step_that_is_the_discriminators_own() -> None:
    step = make_step(discriminator_steps=5)
    before = weights(step.generator)
    figures = step(make_batch(), 24, 0)
    assert figures["g_gradient_norm"] > 0 and figures["adversarial_gradient_norm"] > 0
    assert torch.equal(before, weights(step.generator))


@pytest.mark.parametrize(("loss", "steps"), [("rpgan", [0, 4]), ("wgan-gp", [0, 1, 2, 3, 4])])
def test_a_wasserstein_critic_is_held_at_every_step_and_others_now_and_then(loss: str, steps: list[int]) -> None:
    step, penalised = make_step(loss=loss, penalty_interval=4), []
    plain = step._penalty
    for number in range(5):

        def noted(*arguments: Any, number: int = number) -> torch.Tensor | None:
            penalty = plain(*arguments)
            if penalty is not None:
                penalised.append(number)
            return penalty

        step._penalty = noted  # type: ignore[method-assign]
        step(make_batch(), number, 0)
    assert penalised == steps


def test_the_gradient_norm_is_that_of_all_gradients_together() -> None:
    layer = torch.nn.Linear(2, 1)
    (3 * layer.weight[0, 0] + 4 * layer.bias[0]).backward()
    assert gradient_norm(layer).item() == pytest.approx(5)
