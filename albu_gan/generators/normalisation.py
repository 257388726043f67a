"""Instance normalisation, plain and adaptive, that bears constant windows and maps of one pixel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

EPSILON = 1e-4  # of the variance; bounds the gain of a featureless map, and of the gradient through it, at 100


def adaptive_instance_norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Give every channel of every sample a mean of `shift` and a standard deviation of `|scale|`.

    torch's own `instance_norm` refuses a map of one pixel while training; here such a map becomes `shift`. Statistics
    are float32 under autocast too: the mean of a flat map is far larger than its deviation.

    Args:
        x: (B, C, H, W) float.
        scale: (B, C, 1, 1) or (C, 1, 1) float.
        shift: like `scale`.

    Returns:
        (B, C, H, W) of `x`'s dtype.

    References:
        Ulyanov et al.: Instance normalization, 2016.
        Huang and Belongie: Arbitrary style transfer in real-time with adaptive instance normalization, 2017.
    """
    features = x.float()
    variance, mean = torch.var_mean(features, dim=(2, 3), keepdim=True, correction=0)
    gain = torch.rsqrt(variance + EPSILON) * scale
    return torch.addcmul(shift - mean * gain, features, gain).to(x.dtype)


class InstanceNorm(nn.Module):
    """Instance normalisation with a learned scale and shift a channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return adaptive_instance_norm(x, self.weight, self.bias)
