"""The decoder, and the discriminator that sees image and masks together. No normalisation mixes samples."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from albu_gan.generators import initialise
from training.gan.discriminator import GRAIN_GAIN

START = 4  # side of the first feature map


@dataclass(frozen=True)
class NetworkConfig:
    """What both networks are built from.

    Attributes:
        image_size: side of what is made, a power of two.
        in_channels: of the image; 0 for shapes alone.
        num_classes: classes that can be asked for.
        latent_dim: of z.
        width: channels at full resolution.
        max_channels: at the lowest.
    """

    image_size: int
    in_channels: int
    num_classes: int
    latent_dim: int
    width: int
    max_channels: int

    @property
    def masks_only(self) -> bool:
        """Whether shapes alone are made."""
        return self.in_channels == 0

    @property
    def mask_channels(self) -> int:
        """One a class beside an image; a shape alone is of the class that was asked for."""
        return 1 if self.masks_only else self.num_classes

    @property
    def condition_dim(self) -> int:
        """Class, and for shapes their scale and the four borders they touch."""
        return self.num_classes + (5 if self.masks_only else 0)

    @property
    def channels(self) -> list[int]:
        """Of each resolution, from START to `image_size`."""
        halvings = (self.image_size // START).bit_length() - 1
        return [min(self.max_channels, self.width << level) for level in range(halvings, -1, -1)]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def pixel_norm(x: Tensor) -> Tensor:
    """Scale the vector of channels at each place to length sqrt(channels).

    References:
        Karras et al.: Progressive growing of GANs for improved quality, stability, and variation, 2018.
    """
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


def leaky_clamp(x: Tensor, low: float, high: float) -> Tensor:
    """Clamp, with a tenth of the slope outside.

    A sigmoid that a few bold steps have driven to its end passes no gradient back, and no bound at all lets the decoder
    run off to where the discriminator is only guessing. Either ended trainings.
    """
    inside = x.clamp(low, high)
    return inside + 0.1 * (x - inside)


class DecoderBlock(nn.Module):
    """Twice the resolution: enlarge, then convolve, so that no checkerboard arises (Odena et al. 2016).

    The latent enters every block as a bias a channel.
    """

    def __init__(self, in_channels: int, out_channels: int, style_dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.style = nn.Linear(style_dim, out_channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = self.conv1(x) + self.style(style)[:, :, None, None]
        x = pixel_norm(F.leaky_relu(x, 0.2))
        return pixel_norm(F.leaky_relu(self.conv2(x), 0.2))


class DCGANGenerator(nn.Module):
    """From a latent and a condition to an image and its class masks, drawn as a sum over all resolutions.

    The sum lets the coarse maps place a shape before the fine ones can (output skips of Karras et al.: Analyzing and
    improving the image quality of StyleGAN, 2020). With one head at the end all fakes stayed flat for hundreds of
    steps.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        channels, style_dim = config.channels, config.latent_dim + config.condition_dim
        self.first = nn.Linear(style_dim, channels[0] * START * START)
        self.blocks = nn.ModuleList(DecoderBlock(a, b, style_dim) for a, b in pairwise(channels))
        outputs = config.in_channels + config.mask_channels
        self.heads = nn.ModuleList(nn.Conv2d(c, outputs, 1) for c in channels)
        initialise(self)
        with torch.no_grad():
            for head in self.heads:
                head.weight.mul_(0.3 * len(self.heads) ** -0.5)

    def forward(self, z: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Decode.

        Args:
            z: (B, latent_dim), standard normal.
            condition: (B, condition_dim); see `training.gan.dcgan.data`.

        Returns:
            The image (B, in_channels, H, W) in [-1, 1], and the masks (B, mask_channels, H, W) in [0, 1]; both may
            leave their range a little. Sampling clips them.
        """
        style = torch.cat([pixel_norm(z), condition], dim=1)
        x = self.first(style).view(len(z), -1, START, START)
        x = pixel_norm(F.leaky_relu(x, 0.2))
        drawn = self.heads[0](x)
        for block, head in zip(self.blocks, self.heads[1:], strict=True):
            x = block(x, style)
            drawn = head(x) + F.interpolate(drawn, scale_factor=2, mode="bilinear", align_corners=False)
        image, masks = drawn[:, : self.config.in_channels], drawn[:, self.config.in_channels :]
        return leaky_clamp(image, -1, 1), leaky_clamp(masks, 0, 1)


class DCGANDiscriminator(nn.Module):
    """Strided convolutions over image and masks together; the condition enters by projection.

    References:
        Miyato, Koyama: cGANs with projection discriminator, 2018.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.in_channels = config.in_channels
        channels = config.channels[-2::-1]  # from half the resolution down: unshuffled pixels hold all of the detail
        self.stem = nn.Conv2d(4 * (2 * config.in_channels + config.mask_channels), channels[0], 3, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(c, c, 3, padding=1) for c in channels[:-1])
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(channels))
        self.feature = nn.Linear(channels[-1] * START * START, channels[-1])
        self.score = nn.Linear(channels[-1], 1)
        self.projection = nn.Linear(config.condition_dim, channels[-1], bias=False)
        initialise(self)
        with torch.no_grad():  # no opinion yet: a discriminator that starts sharp drives the decoder into a corner
            self.score.weight.mul_(0.1)
            self.projection.weight.mul_(0.1)

    def forward(self, sample: Tensor, condition: Tensor) -> Tensor:
        """Judge.

        Args:
            sample: (B, in_channels + mask_channels, H, W): image, then masks.
            condition: (B, condition_dim) the sample was made for.

        Returns:
            (B,) logits.
        """
        image, masks = sample[:, : self.in_channels], sample[:, self.in_channels :]
        # Grain is a few levels strong; beside brightness and masks it would be overlooked for thousands of steps.
        grain = image - F.avg_pool2d(image, 7, 1, 3, count_include_pad=False) if self.in_channels else image
        seen = torch.cat([image, GRAIN_GAIN * grain, 2 * masks - 1], dim=1)
        x = F.leaky_relu(self.stem(F.pixel_unshuffle(seen, 2)), 0.2)
        for conv, down in zip(self.convs, self.downs, strict=True):
            x = F.leaky_relu(down(x + F.leaky_relu(conv(x), 0.2)), 0.2)
        feature = F.leaky_relu(self.feature(x.flatten(1)), 0.2)
        matched = (feature * self.projection(condition)).sum(dim=1) / feature.shape[1] ** 0.5
        return self.score(feature).squeeze(1) + matched
