"""Watches a training for what GANs die of, and says it in words.

A discriminator that wins starves the generator of gradients (vanishing gradient); a generator that ignores its latent
paints one defect for ever, and one that knows few kinds leaves out the others (mode collapse).
"""

from __future__ import annotations

from collections import deque
from statistics import median

RECENT = 12  # figures that must agree before anything is said
BLIND_IMAGES = 4000  # windows after which networks should know something


class Health:
    """Takes the figures of a run and returns each complaint once, when it begins to hold.

    Args:
        solved: the discriminator's loss when it tells every sample apart, or None where it has no such value.
        diversity_cap: spread of two latents that the run asks for, None if it asks for none.
    """

    def __init__(self, solved: float | None, diversity_cap: float | None) -> None:
        self.solved, self.diversity_cap = solved, diversity_cap
        self.recent: deque[dict[str, float]] = deque(maxlen=RECENT)
        self.first_gradients: list[float] = []
        self.said: set[str] = set()

    def step(self, figures: dict[str, float], images: int) -> list[str]:
        """Take the figures of a logged step; returns new complaints."""
        self.recent.append(figures)
        if len(self.first_gradients) < RECENT:
            self.first_gradients.append(figures["adversarial_gradient_norm"])
        if len(self.recent) < RECENT:
            return []
        now = {
            key: median(f[key] for f in self.recent if key in f)
            for key in ("loss_d", "d_accuracy", "adversarial_gradient_norm", "latent_spread")
            if any(key in f for f in self.recent)
        }
        ratio = now["adversarial_gradient_norm"] / max(median(self.first_gradients), 1e-12)
        won = now["d_accuracy"] > 0.97 and (self.solved is None or now["loss_d"] < self.solved + 0.05)
        return self._new(
            {
                "vanishing": won
                and ratio < 0.1
                and f"vanishing gradient: the discriminator tells {now['d_accuracy']:.0%} of the samples apart and the "
                f"gradient it gives the generator is down to {ratio:.2g} of what it was; use another --loss (rpgan, "
                "hinge), raise --gamma, or lower --discriminator-learning-rate",
                "saturated": won
                and ratio >= 0.1
                and f"the discriminator has won (loss {now['loss_d']:.3g}, {now['d_accuracy']:.0%} told apart), but "
                "the generator still gets gradients; with few images it may have learned them by heart; raise --gamma",
                "blind": images > BLIND_IMAGES
                and now["d_accuracy"] < 0.55
                and f"the discriminator tells only {now['d_accuracy']:.0%} apart, which is guessing; raise "
                "--discriminator-learning-rate or lower --gamma",
                "collapse": self.diversity_cap is not None
                and "latent_spread" in now
                and now["latent_spread"] < 0.15 * self.diversity_cap
                and f"mode collapse: two latents on one window differ by {now['latent_spread']:.2g}, of "
                f"{self.diversity_cap:g} asked for; raise --diversity-weight",
            }
        )

    def validation(self, diversity: float, coverage: float, real_coverage: float, images: int) -> list[str]:
        """Take the figures of a validation, see `training.evaluation.measure`; returns new complaints."""
        if images <= BLIND_IMAGES:
            return []
        return self._new(
            {
                "same": diversity < 0.1
                and f"mode collapse: on validation windows two latents differ by {diversity:.2f} of what two real "
                "defects do; raise --diversity-weight",
                "coverage": coverage < 0.4 * real_coverage
                and f"mode coverage: only {coverage:.0%} of the real validation defects have a painted one like them, "
                f"{real_coverage:.0%} have a real training defect like them",
            }
        )

    def _new(self, complaints: dict[str, str | bool]) -> list[str]:
        fresh = [str(text) for key, text in complaints.items() if text and key not in self.said]
        self.said |= {key for key, text in complaints.items() if text}
        self.said -= {key for key, text in complaints.items() if not text}
        return fresh
