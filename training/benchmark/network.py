"""The segmentation network, its loss, and its predictions for whole images."""

from __future__ import annotations

from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.benchmark.crops import network_input
from training.benchmark.settings import BenchmarkConfig

MAX_WINDOWS = 16  # of an image, that go through the network at once


class Segmenter(nn.Module):
    """`smp.Unet` that sees images at a reduced scale and answers at theirs.

    Args:
        config: of the benchmark.
        channels: of the images.
        num_classes: of defects; output 0 is the background.

    Raises:
        ValueError: if smp does not know the encoder.
    """

    def __init__(self, config: BenchmarkConfig, channels: int, num_classes: int) -> None:
        super().__init__()
        self.scale = config.scale
        try:
            self.unet = smp.Unet(
                config.encoder,
                encoder_depth=config.encoder_depth,
                encoder_weights=None,
                decoder_channels=config.decoder_channels,
                in_channels=channels,
                classes=num_classes + 1,
            )
        except (KeyError, RuntimeError, ValueError) as err:
            reason = " ".join(str(err).split())[:120]
            raise ValueError(
                f"--encoder {config.encoder!r} with depth {config.encoder_depth}: segmentation_models_pytorch cannot "
                f"build it ({reason}); resnet18 and tu-resnet10t, say, can be built"
            ) from err
        layout: Any = {"memory_format": torch.channels_last}  # a tenth faster on a CPU
        self.unet.to(**layout)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W) float32 in [-1, 1] to logits (B, K + 1, H, W)."""
        size = image.shape[-2:]
        if self.scale != 1:
            image = F.interpolate(image, [round(side * self.scale) for side in size], mode="bilinear", antialias=True)
        logits: Tensor = self.unet(image.contiguous(memory_format=torch.channels_last))
        return logits if self.scale == 1 else F.interpolate(logits, size, mode="bilinear", align_corners=False)


class SegmentationLoss(nn.Module):
    """Cross-entropy and Dice of the defect classes, both with weight 1.

    Args:
        num_classes: of defects.
        defect_weight: of a defect's pixel in the cross-entropy; one of the background has weight 1.
    """

    weights: Tensor

    def __init__(self, num_classes: int, defect_weight: float) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor([1.0, *[defect_weight] * num_classes]))
        self.dice = smp.losses.DiceLoss("multiclass", classes=list(range(1, num_classes + 1)))

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, K + 1, H, W) and mask (B, H, W) int64 to a scalar."""
        return F.cross_entropy(logits, mask, self.weights) + self.dice(logits, mask)


def predict(network: nn.Module, image: np.ndarray, size: int, overlap: float, device: torch.device) -> np.ndarray:
    """Predict a whole image by overlapping windows, weighted by a Hann window each.

    Args:
        network: gives logits for (B, C, size, size).
        image: (H, W, C) uint8; smaller sides than `size` are mirrored outwards.
        size: side of a window.
        overlap: of neighbouring windows, as a share of their side.
        device: of the network.

    Returns:
        (K + 1, H, W) float32, probabilities.
    """
    height, width = image.shape[:2]
    room = [(0, max(0, size - side)) for side in (height, width)]
    padded = network_input(np.pad(image, (*room, (0, 0)), mode="symmetric"))
    starts = [_starts(side, size, overlap) for side in padded.shape[1:]]
    places = [(y, x) for y in starts[0] for x in starts[1]]
    hann = torch.hann_window(size + 2, periodic=False)[1:-1]
    weight = hann[:, None] * hann[None]
    total: Tensor | None = None
    weights = torch.zeros(padded.shape[1:])
    with torch.inference_mode():
        for i in range(0, len(places), MAX_WINDOWS):
            batch = torch.stack([padded[:, y : y + size, x : x + size] for y, x in places[i : i + MAX_WINDOWS]])
            answers = network(batch.to(device)).float().softmax(dim=1).cpu()
            if total is None:
                total = torch.zeros(answers.shape[1], *padded.shape[1:])
            for answer, (y, x) in zip(answers, places[i : i + MAX_WINDOWS], strict=True):
                total[:, y : y + size, x : x + size] += answer * weight
                weights[y : y + size, x : x + size] += weight
    assert total is not None
    return (total / weights)[:, :height, :width].numpy()


def _starts(side: int, size: int, overlap: float) -> list[int]:
    """Evenly spaced starts of windows that cover a side and overlap by at least the given share."""
    if side == size:
        return [0]
    count = int(np.ceil((side - size) / (size * (1 - overlap)))) + 1
    return [int(v) for v in np.rint(np.linspace(0, side - size, count))]
