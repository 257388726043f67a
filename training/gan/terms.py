"""Terms beside the adversarial loss: what ties a fake to its real defect, and what keeps latents apart."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

MODE_PIXELS = 32  # side of the averages between which latents must differ


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


def nearest_of_pairs(values: Tensor, paired: Tensor, latents_share_windows: bool) -> Tensor:
    """Mean of the values of paired samples; of two latents on one window only the smaller counts.

    One real defect is one of many that could be there. Pulling every latent to it would teach the generator to ignore
    its latent; pulling the nearer of two leaves the other free (the variety loss of Gupta et al.: Social GAN, 2018).

    Args:
        values: (B,); with `latents_share_windows`, samples i and B / 2 + i show one window.
        paired: (B,) in {0, 1}, 1 where there is a real defect to compare with.
        latents_share_windows: see values.
    """
    if latents_share_windows:
        half = len(values) // 2
        values, paired = torch.minimum(values[:half], values[half : 2 * half]), paired[:half]
    return (values * paired).sum() / paired.sum().clamp_min(1)


def gray_spread(fake: Tensor, other: Tensor, mask: Tensor) -> Tensor:
    """Coarse difference of the gray images inside the mask, a sample: (B,). Colour does not count.

    With colour, the cheapest way for two latents to differ is a green defect beside a purple one.
    """
    return coarse_difference(fake.mean(dim=1, keepdim=True), other.mean(dim=1, keepdim=True), mask, MODE_PIXELS)


def shortfall(spread: Tensor, cap: float) -> Tensor:
    """How far spreads (B,) fall short of `cap`; a scalar in [0, 1]. The cap stops the pull once latents differ enough.

    References:
        Mao et al.: Mode seeking generative adversarial networks for diverse image synthesis, 2019; capped here.
    """
    return F.relu(cap - spread).mean() / cap


def pooled_statistics(stages: Sequence[Tensor], class_masks: Tensor) -> list[Tensor]:
    """Mean and standard deviation of a discriminator's features inside the masks: one (B, 2 * channels) a stage.

    Statistics, not maps: where a real defect has a dark grain does not matter, how dark and how many there are does.
    """
    inside = class_masks.amax(dim=1, keepdim=True)
    pooled = []
    for stage in stages:
        stage = stage.float()
        weight = F.adaptive_avg_pool2d(inside, stage.shape[-2:]) + 1e-6
        total = weight.sum(dim=(2, 3))
        mean = (stage * weight).sum(dim=(2, 3)) / total
        variance = ((stage - mean[:, :, None, None]).square() * weight).sum(dim=(2, 3)) / total
        pooled.append(torch.cat([mean, torch.sqrt(variance + 1e-6)], dim=1))
    return pooled


def feature_matching(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """L1 between pooled statistics of fakes and of the real defects they replace, a sample: (B,).

    References:
        Salimans et al.: Improved techniques for training GANs, 2016; Wang et al.: pix2pixHD, 2018.
    """
    return torch.stack([(a - b.detach()).abs().mean(dim=1) for a, b in zip(fake, real, strict=True)]).mean(dim=0)
