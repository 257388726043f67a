"""Adversarial losses by name, and what each needs to keep its discriminator smooth. Functions of tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class AdversarialLoss:
    """Losses of both players.

    Attributes:
        discriminator: takes (real_logits, fake_logits), both (B, P) for P scores a sample; returns a scalar.
        generator: likewise.
        penalty: what its authors add: "r1r2", "gp" (gradient penalty), "clip" (weights), or "none".
        solved: the discriminator's loss when it tells every sample apart, where there is such a value.
        discriminator_steps: that its authors take for one of the generator.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    penalty: str
    solved: float | None
    discriminator_steps: int = 1


def _bce(real: Tensor, fake: Tensor) -> Tensor:
    return (F.softplus(-real) + F.softplus(fake)).mean()


def _critic(real: Tensor, fake: Tensor) -> Tensor:
    return fake.mean() - real.mean()


def _negative_score(real: Tensor, fake: Tensor) -> Tensor:
    return -fake.mean()


LOSSES: dict[str, AdversarialLoss] = {
    # Goodfellow et al. 2014, equation 1: the generator minimises log(1 - D(G(z))), which saturates when D wins.
    "minimax": AdversarialLoss(_bce, lambda real, fake: -F.softplus(fake).mean(), "none", 0.0),
    # Goodfellow et al. 2014, section 3: the generator maximises log D(G(z)).
    "non-saturating": AdversarialLoss(_bce, lambda real, fake: F.softplus(-fake).mean(), "none", 0.0),
    # Mao et al. 2017: targets 1 and 0.
    "lsgan": AdversarialLoss(
        lambda real, fake: 0.5 * ((real - 1).square() + fake.square()).mean(),
        lambda real, fake: 0.5 * (fake - 1).square().mean(),
        "none",
        0.0,
    ),
    # Lim and Ye 2017; Miyato et al. 2018.
    "hinge": AdversarialLoss(
        lambda real, fake: (F.relu(1 - real) + F.relu(1 + fake)).mean(), _negative_score, "none", 0.0
    ),
    # Arjovsky et al. 2017: a critic whose weights are clipped, and which is trained to near its optimum.
    "wgan": AdversarialLoss(_critic, _negative_score, "clip", None, discriminator_steps=5),
    # Gulrajani et al. 2017.
    "wgan-gp": AdversarialLoss(_critic, _negative_score, "gp", None, discriminator_steps=5),
    # Relativistic pairing: each fake against the real beside it (Jolicoeur-Martineau 2018; Huang et al. 2024, R3GAN).
    "rpgan": AdversarialLoss(
        lambda real, fake: F.softplus(fake - real).mean(),
        lambda real, fake: F.softplus(real - fake).mean(),
        "r1r2",
        0.0,
    ),
}
PENALTIES = ("clip", "gp", "none", "r1r2")


def zero_centred_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """Squared norm of the gradient of a sample's mean score by its image: R1 on real images, R2 on fake ones.

    Args:
        logits: (B,) or (B, P) of a discriminator.
        images: (B, C, H, W) they were computed from, requiring grad.

    References:
        Mescheder, Geiger, Nowozin: Which training methods for GANs do actually converge? 2018.
    """
    (gradient,) = torch.autograd.grad(logits.reshape(len(logits), -1).mean(dim=1).sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def gradient_penalty(logits: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
    """How far the gradient's norm is from 1 at points between real and fake; a scalar.

    Args:
        logits: (B,) or (B, P) at `inputs`.
        inputs: tensors of batch B, requiring grad, interpolated between real and fake by the same share a sample.

    References:
        Gulrajani et al.: Improved training of Wasserstein GANs, 2017, equation 3.
    """
    scores = logits.reshape(len(logits), -1).mean(dim=1).sum()
    gradients = torch.autograd.grad(scores, inputs, create_graph=True)
    squared = sum(gradient.square().flatten(1).sum(dim=1) for gradient in gradients)
    return (torch.sqrt(squared + 1e-12) - 1).square().mean()


def clip_weights(module: nn.Module, limit: float) -> None:
    """Bring every parameter into [-limit, limit] (Arjovsky et al. 2017, algorithm 1)."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.clamp_(-limit, limit)
