"""Settings of a training run, and the presets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from training.gan.losses import LOSSES


@dataclass(frozen=True)
class TrainConfig:
    """Everything but the data that decides a run; written to `config.json` of the run."""

    total_kimg: float = 60.0  # length of the training: thousands of fake windows shown to the discriminator
    batch_size: int = 8  # windows of the largest size a step; smaller windows come in larger batches
    window_sizes: tuple[int, ...] = (64, 128)  # network pixels; a mask gets the smallest that shows it with context
    train_fraction: float = 0.67  # share of the groups trained on; the others are held out
    split_seed: int = 0
    seed: int = 0
    loss: str = "rpgan"  # a key of training.gan.losses.LOSSES
    learning_rate: float = 2e-4  # Adam, of the generator
    discriminator_learning_rate: float = 3e-4  # Adam
    decay_fraction: float = 0.3  # last part of the training, in which the learning rate falls linearly to a tenth
    beta2: float = 0.99  # beta1 is 0
    gamma: float = 0.2  # weight of R1 and R2
    penalty_interval: int = 8  # steps between R1 + R2, whose weight is multiplied by it
    paired_fraction: float = 0.5  # share of fakes painted over filled-in real defects, the rest on clean windows
    low_frequency_weight: float = 4.0  # L1 between 8 x 8 averages of a fake and the real defect it replaces
    diversity_weight: float = 2.0  # mode-seeking term, capped so that it stops once two latents differ enough
    diversity_cap: float = 0.06  # mean coarse difference of two fakes inside the mask, in [-1, 1], that is enough
    ema_kimg: float = 5.0  # half-life of the averaged generator
    latent_dim: int = 32
    channels: tuple[int, ...] = (48, 64, 128)  # of the generator
    fine_channels: int = 16  # of the generator
    discriminator_channels: tuple[int, ...] = (32, 96, 160, 192)  # at 1/2, 1/4, 1/8 and 1/16 of the window
    precision: str = "auto"  # "auto", "bf16" or "no": bf16 autocast where the device has it in hardware
    sheet_kimg: float = 4.0  # between sample sheets
    checkpoint_seconds: float = 60.0  # between checkpoints

    def __post_init__(self) -> None:
        for field in ("window_sizes", "channels", "discriminator_channels"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        if self.total_kimg <= 0:
            raise ValueError(f"total_kimg must be positive, got {self.total_kimg}")
        if self.batch_size < 2:
            raise ValueError(f"batch_size must be at least 2, got {self.batch_size}")
        if not 0 <= self.paired_fraction <= 1:
            raise ValueError(f"paired_fraction must lie in [0, 1], got {self.paired_fraction}")
        if self.loss not in LOSSES:
            raise ValueError(f"unknown loss {self.loss!r}; known: {sorted(LOSSES)}")
        if self.penalty_interval < 1:
            raise ValueError(f"penalty_interval must be at least 1, got {self.penalty_interval}")
        if (
            not self.window_sizes
            or any(size % 16 or size < 16 for size in self.window_sizes)
            or list(self.window_sizes) != sorted(set(self.window_sizes))
        ):
            raise ValueError(f"window_sizes must be ascending multiples of 16, got {self.window_sizes}")
        if self.precision not in ("auto", "bf16", "no"):
            raise ValueError(f"precision must be 'auto', 'bf16' or 'no', got {self.precision!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


PRESETS: dict[str, TrainConfig] = {
    "cpu": TrainConfig(),
    "gpu": TrainConfig(total_kimg=400.0, batch_size=32, ema_kimg=10.0, sheet_kimg=20.0),
    "smoke": TrainConfig(
        total_kimg=0.048,
        batch_size=2,
        window_sizes=(32, 64),
        channels=(16, 24, 32),
        fine_channels=8,
        discriminator_channels=(8, 16, 16, 16),
        sheet_kimg=0.024,
    ),
}


def with_overrides(config: TrainConfig, values: dict[str, Any]) -> TrainConfig:
    """Return `config` with those of `values` that are not None."""
    return replace(config, **{key: value for key, value in values.items() if value is not None})
