"""Features of a defect inside its mask, from a segmentation encoder trained on the real training groups.

Inception weights must be downloaded; and on gray technical surfaces, an encoder that has learned to tell these defects
from these backgrounds measures more of what matters than one that has learned cats and cars.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from training.tensors import image_tensor
from training.windows import WindowBatches

NAME = "resnet18 encoder of a U-Net trained to segment the real training groups"
STAGES = (1, 2, 3)  # of the encoder: 1/2, 1/4 and 1/8 of the window
RING = 2  # pixels around a mask that count as the defect: its rim is part of it


class DefectFeatures(nn.Module):
    """Mean and standard deviation of encoder features inside a mask.

    Also fits torchmetrics' metrics: `forward` takes images whose last channel is the mask, uint8, and `num_features`
    says how long a feature is.
    """

    num_features: int

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network, self.channels = network.eval(), channels
        probe = torch.zeros(1, channels + 1, 64, 64, dtype=torch.uint8)
        self.num_features = self.forward(probe).shape[1]

    @torch.no_grad()
    def forward(self, packed: Tensor) -> Tensor:
        """(B, C + 1, H, W) uint8, mask 0 or 255 in the last channel, to (B, num_features) float32."""
        image = packed[:, :-1].float() / 127.5 - 1
        mask = F.max_pool2d((packed[:, -1:] > 127).float(), 2 * RING + 1, 1, RING)
        stages = self.network.encoder(image)
        vectors = []
        for index in STAGES:
            feature = stages[index]
            weight = F.adaptive_avg_pool2d(mask, feature.shape[-2:]) + 1e-6
            total = weight.sum(dim=(2, 3))
            mean = (feature * weight).sum(dim=(2, 3)) / total
            spread = ((feature - mean[:, :, None, None]).square() * weight).sum(dim=(2, 3)) / total
            vectors += [mean, spread.sqrt()]
        return torch.cat(vectors, dim=1)


def pack(images: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> Tensor:
    """Stack (H, W, C) uint8 images and (H, W) masks of one size to (N, C + 1, H, W) uint8."""
    layers = [np.dstack([i, (m > 0).astype(np.uint8) * 255]) for i, m in zip(images, masks, strict=True)]
    return torch.from_numpy(np.stack(layers)).permute(0, 3, 1, 2).contiguous()


def train_features(batches: WindowBatches, channels: int, num_classes: int, steps: int, seed: int) -> DefectFeatures:
    """Train a small U-Net on real windows and return its encoder's features.

    Args:
        batches: of the training groups; real defects and clean windows are used, nothing painted.
        channels: 1 or 3.
        num_classes: without the background.
        steps: of training.
        seed: of the initial weights.
    """
    torch.manual_seed(seed)
    network = smp.Unet("resnet18", encoder_weights=None, in_channels=channels, classes=num_classes + 1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=steps)
    dice = smp.losses.DiceLoss("multiclass")
    for step in tqdm(range(steps), desc="features", unit="step"):
        batch = {key: torch.from_numpy(value) for key, value in batches[step].items()}
        clean = torch.zeros_like(batch["real_mask"])
        image = torch.cat([image_tensor(batch["real"]), image_tensor(batch["clean"])])
        target = torch.cat([batch["real_mask"], clean]).long()
        logits = network(image)
        loss = F.cross_entropy(logits, target) + dice(logits, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    return DefectFeatures(network, channels)
