"""Settings of a training run of the decoder-only GAN, and the presets."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from training.gan.losses import LOSSES

SIZES = (32, 64, 128)
USABLE = tuple(sorted(name for name, loss in LOSSES.items() if loss.penalty in ("none", "r1r2")))


@dataclass(frozen=True)
class DCGANConfig:
    """Everything but the data that decides a run; written to `config.json` of the run."""

    masks_only: bool = False  # learn shapes alone, for a mask bank, instead of images with their masks
    image_size: int = 64  # pixels; one of SIZES
    total_kimg: float = 60.0  # length of the training: thousands of fakes shown to the discriminator
    batch_size: int = 16
    train_fraction: float = 0.67  # share of the groups trained on; the others are held out
    validation_fraction: float = 0.15  # share of the groups left out too: those that `training.gan` chooses on
    split_seed: int = 0
    seed: int = 0
    loss: str = "rpgan"  # of training.gan.losses.LOSSES one that needs no other penalty than R1 + R2
    learning_rate: float = 3e-4  # Adam, of the generator
    discriminator_learning_rate: float = 5e-4  # Adam
    warmup_kimg: float = 1.5  # first part, in which it rises from 0; Adam's first steps are as bold as any
    decay_fraction: float = 0.3  # last part of the training, in which the learning rate falls linearly to a tenth
    beta2: float = 0.99  # beta1 is 0
    gamma: float = 2.0  # weight of R1 and R2
    penalty_interval: int = 4  # steps between R1 + R2, whose weight is multiplied by it
    mask_noise: float = 0.05  # deviation of the noise on masks, real and fake; hides that a fake's 0 is 0.01
    ema_kimg: float = 4.0  # half-life of the averaged generator
    latent_dim: int = 64
    width: int = 16  # channels at full resolution, doubled with every halving
    max_channels: int = 128  # where the doubling ends
    sheet_kimg: float = 4.0  # between sample sheets
    checkpoint_seconds: float = 60.0  # between checkpoints

    def __post_init__(self) -> None:
        if self.image_size not in SIZES:
            raise ValueError(f"image_size must be one of {SIZES}, got {self.image_size}")
        if self.batch_size < 2:
            raise ValueError(f"batch_size must be at least 2, got {self.batch_size}")
        if self.loss not in USABLE:
            raise ValueError(f"loss must be one of {', '.join(USABLE)}, got {self.loss!r}")
        for name in ("total_kimg", "learning_rate", "discriminator_learning_rate", "ema_kimg", "sheet_kimg"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("penalty_interval", "latent_dim", "width", "max_channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("mask_noise", "gamma", "warmup_kimg"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


PRESETS: dict[str, DCGANConfig] = {
    "cpu": DCGANConfig(),
    "gpu": DCGANConfig(total_kimg=1000.0, batch_size=64, width=48, max_channels=384, ema_kimg=10.0, sheet_kimg=50.0),
    "smoke": DCGANConfig(
        image_size=32, total_kimg=0.048, batch_size=4, latent_dim=8, width=8, max_channels=16, sheet_kimg=0.024
    ),
}
