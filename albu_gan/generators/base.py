"""The interface that every generator shares."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from albu_gan.generators.config import GeneratorConfig


class DefectGenerator(nn.Module):
    """An encoder-decoder that paints defects into a clean window.

    Subclasses implement `forward(window, class_masks, z) -> (residual, alpha)`; `composite` applies the result.
    """

    #: Height and width of a window must be multiples of this.
    size_multiple: int = 16
    #: `GeneratorConfig.channels` where the user names the architecture alone.
    default_channels: tuple[int, ...]

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, window: Tensor, class_masks: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Predict what to add to the window.

        Args:
            window: (B, C, H, W) float in [-1, 1], H and W multiples of `size_multiple`.
            class_masks: (B, K, H, W) float, 1 where a defect of that class is to be painted, else 0.
            z: (B, latent_dim) float, standard normal.

        Returns:
            residual (B, C, H, W) in [-2, 2] and alpha (B, 1, H, W) in [0, 1].
        """
        raise NotImplementedError

    def paint(self, window: Tensor, inside: Tensor, present: Tensor, z: Tensor) -> Tensor:
        """Say what to add to windows that have one class each.

        Args:
            window: (B, C, H, W) float in [-1, 1].
            inside: (B, H, W) float, 1 where the defect goes, else 0.
            present: (B, K) float, 1 for the class of the window, else 0.
            z: (B, latent_dim) float, standard normal.

        Returns:
            (B, C, H, W) float, in units of the full range of the image; 0 outside.
        """
        residual, alpha = self(window, present[:, :, None, None] * inside[:, None], z)
        added: Tensor = residual * alpha * inside[:, None] * 0.5
        return added

    def class_inputs(self) -> dict[str, int]:
        """Say where classes enter, so that weights can be taken over to other classes.

        Returns:
            Name in the state of every weight whose dimension 1 holds `num_classes` consecutive columns, one a class in
            index order, to the first of these columns.
        """
        raise NotImplementedError


def residual_and_alpha(out: Tensor) -> tuple[Tensor, Tensor]:
    """Squash a head's output, (B, C + 1, H, W), to a residual in [-2, 2] and an alpha in [0, 1], both float32.

    An untrained alpha starts above a half, so that the residual gets gradients.
    """
    out = out.float()
    return 2 * torch.tanh(out[:, :-1]), torch.sigmoid(out[:, -1:] + 1)


def initialise(module: nn.Module) -> None:
    """Give every convolution and linear layer weights that keep the variance of features, and zero biases.

    torch's default divides the variance of features by three a layer; a discriminator then needs thousands of steps to
    wake.

    References:
        He et al.: Delving deep into rectifiers, 2015.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, a=0.2)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def composite(window: Tensor, class_masks: Tensor, residual: Tensor, alpha: Tensor) -> Tensor:
    """Add `alpha * residual` to `window` inside the union of `class_masks`; bit-identical to `window` outside.

    Args:
        window: (B, C, H, W) float in [-1, 1].
        class_masks: (B, K, H, W) float in {0, 1}.
        residual: (B, C, H, W) float.
        alpha: (B, 1, H, W) float in [0, 1].

    Returns:
        (B, C, H, W) float in [-1, 1].
    """
    inside = class_masks.amax(dim=1, keepdim=True)
    return torch.clamp(window + inside * alpha * residual, -1.0, 1.0)
