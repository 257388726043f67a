"""Terms beside the adversarial loss: what ties a fake to its real defect, and what keeps latents apart."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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

    Statistics, not maps: another realisation of the same noise has the same statistics and so does not count as another
    defect; a darker, rougher or wider one does.
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


class RealSpread(nn.Module):
    """Running mean distance of two real defects of one class, stage by stage of the discriminator.

    It is the yardstick for latents: two of them on one window and mask should differ by a share of it.
    """

    distance: Tensor
    weight: Tensor

    def __init__(self, num_classes: int, num_stages: int, keep: float = 0.98) -> None:
        super().__init__()
        self.keep = keep
        self.register_buffer("distance", torch.zeros(num_classes, num_stages))
        self.register_buffer("weight", torch.zeros(num_classes, 1))

    @torch.no_grad()
    def sums(self, pooled: Sequence[Tensor], class_index: Tensor) -> Tensor:
        """Return (K, S + 1): distances summed over pairs of one class, and the number of pairs in the last column."""
        distances = torch.stack([torch.cdist(vectors, vectors) for vectors in pooled], dim=-1)
        same = class_index[:, None] == class_index[None]
        same &= ~torch.eye(len(class_index), dtype=torch.bool, device=same.device)
        member = F.one_hot(class_index, len(self.weight)).float()
        chosen = distances * same[:, :, None]
        summed = torch.einsum("ik,ijs->ks", member, chosen)
        return torch.cat([summed, (member.T @ same.float()).sum(dim=1, keepdim=True)], dim=1)

    @torch.no_grad()
    def update(self, sums: Tensor) -> None:
        """Take over what `sums` gave, added over all processes."""
        seen = sums[:, -1:] > 0
        self.distance.copy_(
            torch.where(seen, self.keep * self.distance + (1 - self.keep) * self._mean(sums), self.distance)
        )
        self.weight.copy_(torch.where(seen, self.keep * self.weight + (1 - self.keep), self.weight))

    @staticmethod
    def _mean(sums: Tensor) -> Tensor:
        return sums[:, :-1] / sums[:, -1:].clamp_min(1)

    def share(self, a: Sequence[Tensor], b: Sequence[Tensor], class_index: Tensor) -> Tensor:
        """Distance of two fakes over that of two real defects of their class, mean over stages: (B,).

        A class of which no two real defects were seen yet gives 1, which asks for nothing.
        """
        real = self.distance[class_index] / self.weight[class_index].clamp_min(1e-6)
        known = self.weight[class_index][:, 0] > 0
        fake = torch.stack([torch.sqrt((x - y).square().sum(dim=1) + 1e-8) for x, y in zip(a, b, strict=True)], dim=1)
        return torch.where(known, (fake / real.clamp_min(1e-6)).mean(dim=1), torch.ones_like(fake[:, 0]))


def feature_matching(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """L1 between pooled statistics of fakes and of the real defects they replace, a sample: (B,).

    References:
        Salimans et al.: Improved techniques for training GANs, 2016; Wang et al.: pix2pixHD, 2018.
    """
    return torch.stack([(a - b.detach()).abs().mean(dim=1) for a, b in zip(fake, real, strict=True)]).mean(dim=0)
