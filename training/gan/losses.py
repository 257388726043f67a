"""Adversarial losses by name, and the terms beside them. Functions of tensors; nothing here steps an optimiser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

MODE_PIXELS = 32  # side of the averages between which latents must differ


@dataclass(frozen=True)
class AdversarialLoss:
    """Losses of both players; each takes (real_logits, fake_logits), both (B,), and returns a scalar."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]


LOSSES: dict[str, AdversarialLoss] = {
    # Relativistic pairing: each fake against the real beside it (Jolicoeur-Martineau 2018; Huang et al. 2024, R3GAN).
    "rpgan": AdversarialLoss(
        lambda real, fake: F.softplus(fake - real).mean(),
        lambda real, fake: F.softplus(real - fake).mean(),
    ),
    # Goodfellow et al. 2014, section 3: the generator maximises log D(G(z)).
    "non-saturating": AdversarialLoss(
        lambda real, fake: (F.softplus(-real) + F.softplus(fake)).mean(),
        lambda real, fake: F.softplus(-fake).mean(),
    ),
    # Lim and Ye 2017; Miyato et al. 2018.
    "hinge": AdversarialLoss(
        lambda real, fake: (F.relu(1 - real) + F.relu(1 + fake)).mean(),
        lambda real, fake: -fake.mean(),
    ),
}


def zero_centred_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """Squared norm of the gradient of the logits by the images: R1 on real images, R2 on fake ones.

    Args:
        logits: (B,) of a discriminator.
        images: (B, C, H, W) they were computed from, requiring grad.

    References:
        Mescheder, Geiger, Nowozin: Which training methods for GANs do actually converge? 2018.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of (B, C, H, W) values where the (B, 1, H, W) mask is 1, a sample: (B,)."""
    total = (values * mask).sum(dim=(1, 2, 3))
    return total / (mask.sum(dim=(1, 2, 3)) * values.shape[1]).clamp_min(1)


def coarse_difference(a: Tensor, b: Tensor, mask: Tensor, pixels: int) -> Tensor:
    """Mean absolute difference of `pixels` x `pixels` averages of two images inside a mask, a sample: (B,).

    Args:
        a: (B, C, H, W).
        b: (B, C, H, W).
        mask: (B, 1, H, W) in {0, 1}.
        pixels: side of the averages. Texture finer than this does not count.
    """
    # Sums, with what is left over at the borders of a window that `pixels` does not divide.
    sums = F.avg_pool2d((a - b) * mask, pixels, ceil_mode=True, divisor_override=1)
    return sums.abs().sum(dim=(1, 2, 3)) / (mask.sum(dim=(1, 2, 3)) * a.shape[1]).clamp_min(1)


def low_frequency_l1(fake: Tensor, real: Tensor, mask: Tensor) -> Tensor:
    """L1 between averages of 8 x 8 pixels over the mask's pixels, a sample: (B,).

    Averages bind brightness and colour and leave texture to the discriminator, which L1 between pixels would blur.
    """
    return coarse_difference(fake, real, mask, 8)


def mode_seeking(fake: Tensor, other: Tensor, mask: Tensor, cap: float) -> Tensor:
    """How far two fakes of the same window and mask, from different latents, fall short of `cap`; a scalar in [0, 1].

    Measured between averages of `MODE_PIXELS`: between pixels white noise would satisfy it, and between small patches a
    pattern of blotches; what should differ is how dark, how wide, how rough a defect is.

    References:
        Mao et al.: Mode seeking generative adversarial networks for diverse image synthesis, 2019; capped here, so that
        the term stops pulling once latents differ enough.
    """
    return F.relu(cap - gray_spread(fake, other, mask)).mean() / cap


def gray_spread(fake: Tensor, other: Tensor, mask: Tensor) -> Tensor:
    """Coarse difference of the gray images inside the mask, a sample: (B,). Colour does not count.

    With colour, the cheapest way for two latents to differ is a green defect beside a purple one.
    """
    return coarse_difference(fake.mean(dim=1, keepdim=True), other.mean(dim=1, keepdim=True), mask, MODE_PIXELS)
