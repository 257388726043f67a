"""Discriminators: patches at three scales judged near the mask, and the PatchGAN of pix2pix."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from albu_gan.generators import initialise

NEAR_PIXELS = 8  # how far around a mask a patch still counts
GRAIN_GAIN = 5.0  # brings the local contrast of technical surfaces near 1
CONTRAST_GAIN = 3.0  # brings the contrast between a defect and what surrounds it near 1
POOLINGS = ("both", "mask", "window")


class Discriminator(nn.Module):
    """Judges an image given its class masks.

    Attributes:
        num_stages: how many feature maps `forward` returns.
    """

    num_stages: int

    def forward(self, image: Tensor, class_masks: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Judge.

        Args:
            image: (B, C, H, W) in [-1, 1].
            class_masks: (B, K, H, W) in {0, 1}.

        Returns:
            Float logits (B, P), P scores a sample, and the feature maps of the stages.
        """
        raise NotImplementedError


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.leaky_relu(self.conv1(F.leaky_relu(x, 0.2)), 0.2))


class MultiScaleDiscriminator(Discriminator):
    """One score a sample, from three depths whose patches see about 15, 50 and 120 pixels.

    They see grain, edge and shape, and the fit to what surrounds the defect. A defect covers few pixels of its window,
    so patch scores are averaged with a weight that is 1 near the mask and 0 elsewhere (the local discriminator of
    inpainting GANs).

    Args:
        in_channels: of the image.
        num_classes: channels of the class masks.
        channels: widths at 1/2, 1/4, 1/8 and 1/16 of the window.
        pooling: "mask" averages patches near the mask, "window" all of them, "both" gives both scores.
        contrast_input: whether it also sees how much brighter every pixel is than the surroundings of the mask.
            Patches inside of a large mask see nothing of its surroundings: without this, any brightness that some
            defect has is right for them, whatever it is painted into.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        channels: tuple[int, ...],
        pooling: str = "mask",
        contrast_input: bool = False,
    ) -> None:
        super().__init__()
        self.pooling, self.contrast_input, self.num_stages = pooling, contrast_input, len(channels) - 1
        self.stem = nn.Conv2d(4 * ((2 + contrast_input) * in_channels + num_classes), channels[0], 3, padding=1)
        self.fine = ResidualBlock(channels[0])
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(channels))
        self.blocks = nn.ModuleList(ResidualBlock(c) for c in channels[1:])
        self.heads = nn.ModuleList(nn.Conv2d(c, 1, 1) for c in channels[1:])
        initialise(self)
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, ResidualBlock):
                    module.conv2.weight.mul_(0.3)

    def forward(self, image: Tensor, class_masks: Tensor) -> tuple[Tensor, list[Tensor]]:
        inside = F.max_pool2d(class_masks.amax(dim=1, keepdim=True), 2)
        near = F.max_pool2d(inside, (NEAR_PIXELS + 1, 1), 1, (NEAR_PIXELS // 2, 0))
        near = F.max_pool2d(near, (1, NEAR_PIXELS + 1), 1, (0, NEAR_PIXELS // 2))
        # Grain is a few levels strong; beside brightness and masks it would be overlooked for thousands of steps.
        grain = image - F.avg_pool2d(image, 7, 1, 3, count_include_pad=False)
        seen = [image, GRAIN_GAIN * grain, class_masks]
        if self.contrast_input:
            seen.append(CONTRAST_GAIN * (image - surrounding_mean(image, inside, near)))
        x = self.stem(F.pixel_unshuffle(torch.cat(seen, dim=1), 2))
        x = self.fine(x)
        local, whole, stages = [], [], []
        for down, block, head in zip(self.down, self.blocks, self.heads, strict=True):
            x = block(down(F.leaky_relu(x, 0.2)))
            stages.append(x)
            patch = head(F.leaky_relu(x, 0.2)).float()
            weight = F.adaptive_avg_pool2d(near, patch.shape[-2:]).float()
            local.append((patch * weight).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3)).clamp_min(1e-3))
            whole.append(patch.mean(dim=(1, 2, 3)))
        scores = {"mask": [local], "window": [whole], "both": [local, whole]}[self.pooling]
        return torch.stack([torch.stack(score).sum(dim=0) for score in scores], dim=1), stages


def surrounding_mean(image: Tensor, inside: Tensor, near: Tensor) -> Tensor:
    """Mean of an image around its mask, a channel: (B, C, 1, 1).

    Args:
        image: (B, C, H, W).
        inside: (B, 1, H / 2, W / 2) in {0, 1}, the mask.
        near: likewise, the mask and what is around it. If it is nothing else, the mean is that of all outside of the
            mask, and if there is nothing of that either, of the image.
    """
    weight = near - inside
    for instead in (1 - inside, torch.ones_like(inside)):
        weight = torch.where(weight.sum(dim=(2, 3), keepdim=True) > 0, weight, instead)
    half = F.avg_pool2d(image, 2)
    return (half * weight).sum(dim=(2, 3), keepdim=True) / weight.sum(dim=(2, 3), keepdim=True)


class PatchDiscriminator(Discriminator):
    """The PatchGAN of pix2pix: every patch of 70 pixels is judged by itself, wherever it lies.

    Args:
        in_channels: of the image.
        num_classes: channels of the class masks.
        channels: widths of the strided convolutions and of the last one.

    References:
        Isola et al.: Image-to-image translation with conditional adversarial networks, 2017, section 3.2.2.
    """

    def __init__(self, in_channels: int, num_classes: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.num_stages = len(channels)
        widths = (in_channels + num_classes, *channels)
        strides = [2] * (len(channels) - 1) + [1]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=stride, padding=1)
            for (a, b), stride in zip(pairwise(widths), strides, strict=True)
        )
        self.norms = nn.ModuleList(nn.InstanceNorm2d(width, affine=True) for width in channels[1:])
        self.head = nn.Conv2d(channels[-1], 1, 4, padding=1)
        initialise(self)

    def forward(self, image: Tensor, class_masks: Tensor) -> tuple[Tensor, list[Tensor]]:
        x, stages = torch.cat([image, class_masks], dim=1), []
        for index, convolution in enumerate(self.convolutions):
            x = convolution(x)
            if index:
                x = self.norms[index - 1](x)
            stages.append(x)
            x = F.leaky_relu(x, 0.2)
        return self.head(x).float().flatten(1), stages


DISCRIMINATORS = ("multi-scale", "patchgan")


def build_discriminator(
    name: str, in_channels: int, num_classes: int, channels: tuple[int, ...], pooling: str, contrast_input: bool = False
) -> Discriminator:
    """Build the discriminator of that name with fresh weights; the last two are for "multi-scale"."""
    if name == "patchgan":
        return PatchDiscriminator(in_channels, num_classes, channels)
    return MultiScaleDiscriminator(in_channels, num_classes, channels, pooling, contrast_input)
