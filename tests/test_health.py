from __future__ import annotations

import re

import pytest

from training.gan.health import BLIND_IMAGES, RECENT, Health

GOOD = {"loss_d": 0.6, "d_accuracy": 0.75, "adversarial_gradient_norm": 1.0, "latent_spread": 0.5}


def complaints(later: dict[str, float], images: int = 1000, solved: float | None = 0.0) -> list[str]:
    """What a run says that begins well and goes on with other figures."""
    health = Health(solved, 0.6)
    for _ in range(RECENT):
        assert health.step(dict(GOOD), 100) == []
    return [text for _ in range(2 * RECENT) for text in health.step({**GOOD, **later}, images)]


def test_a_healthy_run_says_nothing() -> None:
    assert complaints({}, images=10**6) == []


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (
            {"loss_d": 0.001, "d_accuracy": 1.0, "adversarial_gradient_norm": 0.01},
            "vanishing gradient: .*100%.*0.01 of what",
        ),
        ({"loss_d": 0.001, "d_accuracy": 1.0}, "the discriminator has won"),
        ({"latent_spread": 0.01}, "mode collapse: two latents on one window differ by 0.01, of 0.6 asked for"),
    ],
)
def test_what_gans_die_of_is_said_in_words_and_once(later: dict[str, float], said: str) -> None:
    (text,) = complaints(later)
    assert re.search(said, text)


def test_a_discriminator_that_guesses_is_told_of_after_a_while() -> None:
    assert complaints({"d_accuracy": 0.5}) == []
    (text,) = complaints({"d_accuracy": 0.5}, images=BLIND_IMAGES + 1)
    assert "guessing" in text and "--discriminator-learning-rate" in text


def test_a_critic_has_no_loss_at_which_it_has_won_but_a_generator_without_gradient_is_told_of() -> None:
    (text,) = complaints({"loss_d": -50.0, "d_accuracy": 1.0, "adversarial_gradient_norm": 1e-3}, solved=None)
    assert text.startswith("vanishing gradient")


def test_a_complaint_comes_again_when_it_begins_to_hold_again() -> None:
    health = Health(0.0, 0.6)
    assert len(health.validation(0.05, 0.9, 0.9, 10**4)) == 1
    assert health.validation(0.05, 0.9, 0.9, 10**4) == []
    assert health.validation(0.5, 0.9, 0.9, 10**4) == []
    (text,) = health.validation(0.05, 0.9, 0.9, 10**4)
    assert "on validation windows two latents differ by 0.05" in text


def test_a_painter_of_few_kinds_is_told_of_after_a_while() -> None:
    assert Health(0.0, None).validation(0.5, 0.1, 0.9, 1000) == []
    (text,) = Health(0.0, None).validation(0.5, 0.1, 0.9, 10**4)
    assert Health(0.0, None).validation(0.5, 0.1, 0.2, 10**4) == []  # real defects do no better
    assert "only 10% of the real validation defects" in text
