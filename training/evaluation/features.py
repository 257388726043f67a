"""Features of a defect inside its mask, from a segmentation network trained on the real training groups.

Inception weights must be downloaded; and on gray technical surfaces, an encoder that has learned to tell these defects
from these backgrounds measures more of what matters than one that has learned cats and cars. The whole network is kept:
what it predicts on painted windows says whether they show what their masks say.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from albu_gan.data import DataError, DefectDataset
from training.tensors import image_tensor
from training.windows import Backgrounds, DefectWindow, WindowBatches

ENCODER = "resnet18"
DEFECT_WEIGHT = 5.0  # of a defect's pixel in the cross-entropy; with 1 the U-Net hardly finds a defect of unseen parts
NAME = (
    f"{ENCODER} encoder of a U-Net trained to segment the real training groups, a defect's pixel counting "
    f"{DEFECT_WEIGHT:g} times"
)
DECODER_CHANNELS = (64, 48, 32, 16, 16)  # a light decoder: the encoder is what matters
STANDARD_BATCHES = 24  # of real windows, that give features their unit
CLIP = 3.0  # standard deviations; else the few features that an unseen part drives to ten decide a cubic kernel alone
STRIDE = 32  # of the encoder: sides of what it segments are multiples of this
RING = 2  # pixels around a mask that count as the defect: its rim is part of it


class DefectFeatures(nn.Module):
    """Mean and standard deviation of encoder features inside a mask, in units of their spread over real windows.

    Also fits torchmetrics' metrics: `forward` takes images whose last channel is the mask, uint8, and `num_features`
    says how long a feature is.

    Args:
        encoder: of the segmentation network.
        channels: of the images, 1 or 3.
        decoder: of the same network; None if only features are wanted.
        head: likewise; its outputs are the background and the classes.
    """

    num_features: int

    def __init__(
        self, encoder: nn.Module, channels: int, decoder: nn.Module | None = None, head: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.steps: int | None = None  # of the network's training, where they are known
        self.encoder, self.channels = encoder, channels
        self.decoder, self.head = decoder, head
        self.eval().requires_grad_(False)
        probe = torch.zeros(1, channels + 1, 64, 64, dtype=torch.uint8)
        self.num_features = self._raw(probe).shape[1]
        self.register_buffer("centre", torch.zeros(self.num_features))
        self.register_buffer("scale", torch.ones(self.num_features))

    def standardise(self, packed: Sequence[Tensor]) -> None:
        """Give every feature mean 0 and standard deviation 1 over these real windows, so that each counts alike."""
        raw = torch.cat([self._raw(part) for part in packed])
        self.centre, self.scale = raw.mean(dim=0), raw.std(dim=0).clamp_min(1e-3 * raw.std().item() + 1e-6)

    def forward(self, packed: Tensor) -> Tensor:
        """(B, C + 1, H, W) uint8, mask 0 or 255 in the last channel, to (B, num_features) float32 in [-CLIP, CLIP]."""
        return ((self._raw(packed) - self.centre) / self.scale).clamp(-CLIP, CLIP)

    @torch.no_grad()
    def _raw(self, packed: Tensor) -> Tensor:
        image = packed[:, :-1].float() / 127.5 - 1
        mask = F.max_pool2d((packed[:, -1:] > 127).float(), 2 * RING + 1, 1, RING)
        vectors = []
        for feature in _stages(self.encoder, image):
            weight = F.adaptive_avg_pool2d(mask, feature.shape[-2:]) + 1e-6
            total = weight.sum(dim=(2, 3))
            mean = (feature * weight).sum(dim=(2, 3)) / total
            spread = ((feature - mean[:, :, None, None]).square() * weight).sum(dim=(2, 3)) / total
            vectors += [mean, spread.sqrt()]
        return torch.cat(vectors, dim=1)

    def embed(self, packed: Tensor) -> np.ndarray:
        """(N, C + 1, H, W) uint8, see `pack`, to (N, num_features) float64."""
        device = next(self.encoder.parameters()).device
        return torch.cat([self(part.to(device)).cpu() for part in packed.split(64)]).double().numpy()

    @property
    def can_segment(self) -> bool:
        """Whether the decoder is there, so that `segment` works."""
        return self.decoder is not None and self.head is not None

    @property
    def num_classes(self) -> int:
        """How many classes the segmenter tells apart, without the background."""
        return len(self.head[0].weight) - 1 if isinstance(self.head, nn.Sequential) else 0

    @torch.no_grad()
    def segment(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Predict index masks.

        Args:
            images: (H, W, C) uint8, all of one size.

        Returns:
            (N, H, W) uint8: 0 for the background, class index + 1 for a defect.
        """
        assert self.decoder is not None and self.head is not None
        device = next(self.encoder.parameters()).device
        height, width = images[0].shape[:2]
        bottom, right = -height % STRIDE, -width % STRIDE
        predicted = []
        for start in range(0, len(images), 16):
            part = torch.from_numpy(np.stack(images[start : start + 16])).to(device)
            padded = F.pad(image_tensor(part), (0, right, 0, bottom), mode="replicate")
            logits = self.head(self.decoder(self.encoder(padded)))[:, :, :height, :width]
            predicted.append(logits.argmax(dim=1).to(torch.uint8).cpu())
        return torch.cat(predicted).numpy()

    def save(self, path: Path) -> None:
        """Write the network under a temporary name and rename it (safetensors)."""
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {} if self.steps is None else {"steps": str(self.steps)}
        partial = path.with_name(f".{path.name}.partial")
        save_file({name: tensor.cpu().contiguous() for name, tensor in self.state_dict().items()}, partial, metadata)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path, channels: int) -> DefectFeatures:
        """Read a network that `save` wrote; without its decoder if the file has none.

        Raises:
            DataError: if the file is not one, or is for another number of channels.
        """
        try:
            state = load_file(path)
            with safe_open(path, framework="pt") as file:
                steps = (file.metadata() or {}).get("steps")
            if "head.0.weight" in state:
                features = cls.of(_segmenter(channels, len(state["head.0.weight"])), channels)
            else:
                features = cls(smp.encoders.get_encoder(ENCODER, in_channels=channels, weights=None), channels)
            features.load_state_dict(state)
        except (OSError, SafetensorError, RuntimeError) as err:
            raise DataError(
                f"{path}: no {ENCODER} for images of {channels} channel(s); let the command train the features again"
            ) from err
        features.steps = int(steps) if steps else None
        return features

    @classmethod
    def of(cls, network: smp.Unet, channels: int) -> DefectFeatures:
        """Take over a segmentation network."""
        return cls(network.encoder, channels, network.decoder, network.segmentation_head)


def _stages(encoder: nn.Module, image: Tensor) -> list[Tensor]:
    """Return what the ResNet gives at 1/2, 1/4 and 1/8 of the window; the rest, half of its work, is not needed."""
    half = encoder.relu(encoder.bn1(encoder.conv1(image)))
    quarter = encoder.layer1(encoder.maxpool(half))
    return [half, quarter, encoder.layer2(quarter)]


def _segmenter(channels: int, outputs: int) -> smp.Unet:
    return smp.Unet(
        ENCODER, encoder_weights=None, in_channels=channels, classes=outputs, decoder_channels=DECODER_CHANNELS
    )


def pack(images: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> Tensor:
    """Stack (H, W, C) uint8 images and (H, W) masks of one size to (N, C + 1, H, W) uint8."""
    layers = [np.dstack([i, (m > 0).astype(np.uint8) * 255]) for i, m in zip(images, masks, strict=True)]
    return torch.from_numpy(np.stack(layers)).permute(0, 3, 1, 2).contiguous()


def train_features(
    batches: WindowBatches,
    channels: int,
    num_classes: int,
    steps: int,
    seed: int,
    device: torch.device | str = "cpu",
) -> DefectFeatures:
    """Train a small U-Net on real windows and return its features.

    Args:
        batches: of the training groups; real defects and clean windows are used, nothing painted.
        channels: 1 or 3.
        num_classes: without the background.
        steps: of training.
        seed: of the initial weights.
        device: to train on, and where the features then are.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _segmenter(channels, num_classes + 1)
    network.to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=steps)
    dice = smp.losses.DiceLoss("multiclass")
    weights = torch.tensor([1.0, *[DEFECT_WEIGHT] * num_classes], device=device)
    for step in tqdm(range(steps), desc="features", unit="step"):
        batch = {key: torch.from_numpy(value).to(device) for key, value in batches[step].items()}
        clean = torch.zeros_like(batch["real_mask"])
        image = torch.cat([image_tensor(batch["real"]), image_tensor(batch["clean"])])
        target = torch.cat([batch["real_mask"], clean]).long()
        logits = network(image)
        loss = F.cross_entropy(logits, target, weights) + dice(logits, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    features = DefectFeatures.of(network.cpu(), channels)
    features.steps = steps
    drawn = [batches[step] for step in range(min(STANDARD_BATCHES, steps))]
    features.standardise([pack(batch["real"], batch["real_mask"] > 0) for batch in drawn])
    return features.to(device)


def read_or_train_features(
    path: Path | None,
    train: tuple[list[DefectWindow], Backgrounds],
    dataset: DefectDataset,
    *,
    steps: int,
    seed: int,
    device: torch.device | str,
) -> DefectFeatures:
    """Read the features of `path`, or train them on the training groups and write them there.

    Args:
        path: of a file that there may not be yet; None writes none.
        train: windows and clean images of the training groups.
        dataset: that they are of.
        steps: of training.
        seed: of the initial weights and the windows.
        device: for the features.

    Raises:
        DataError: if the file holds no such features.
    """
    if path is not None and path.is_file():
        return DefectFeatures.load(path, dataset.channels).to(device)
    batches = WindowBatches(*train, 8, 0.0, seed, steps)
    features = train_features(batches, dataset.channels, len(dataset.class_names), steps, seed, device)
    if path is not None:
        features.save(path)
    return features
