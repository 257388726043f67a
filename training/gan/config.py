"""Settings of a training run, and the presets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from albu_gan.generators import ARCHITECTURES
from training.gan.discriminator import DISCRIMINATORS, POOLINGS
from training.gan.losses import LOSSES, PENALTIES

CHOICES: dict[str, tuple[str, ...]] = {
    "generator": tuple(sorted(ARCHITECTURES)),
    "discriminator": ("auto", *DISCRIMINATORS),
    "pooling": POOLINGS,
    "loss": tuple(sorted(LOSSES)),
    "penalty": ("auto", *PENALTIES),
    "precision": ("auto", "bf16", "no"),
}


@dataclass(frozen=True)
class TrainConfig:
    """Everything but the data that decides a run; written to `config.json` of the run."""

    total_kimg: float = 48.0  # length of the training: thousands of fake windows shown to the discriminator
    batch_size: int = 8  # windows of the largest size a step and process; smaller windows come in larger batches
    window_sizes: tuple[int, ...] = (64, 128)  # network pixels; a mask gets the smallest that shows it with context
    long_windows: bool = True  # for long masks, of no more pixels than the largest square
    train_fraction: float = 0.67  # share of the groups trained on; the others are held out
    validation_fraction: float = 0.15  # share of the groups taken out of the training ones, for choosing a checkpoint
    split_seed: int = 0
    seed: int = 0
    generator: str = "default"  # an architecture of albu_gan.generators
    generator_channels: tuple[int, ...] = ()  # widths; none: the architecture's own
    fine_channels: int = 16  # of the generator "default"
    latent_dim: int = 32
    discriminator: str = "auto"  # "multi-scale", "patchgan"; "auto" gives pix2pix its PatchGAN
    discriminator_channels: tuple[int, ...] = (32, 64, 128, 192)  # at 1/2, 1/4, 1/8 and 1/16 of the window
    pooling: str = "mask"  # multi-scale patches that count: near the "mask", of the whole "window", or "both"
    contrast_input: bool = False  # multi-scale: it also sees how much brighter than the mask's surroundings pixels are
    augment: bool = True  # DiffAugment of what the discriminator sees
    loss: str = "rpgan"  # a key of training.gan.losses.LOSSES
    penalty: str = "auto"  # on the discriminator: "r1r2", "gp", "clip", "none"; "auto": what the loss's authors add
    gamma: float = 0.2  # weight of R1 and R2
    gradient_penalty_weight: float = 10.0  # of "gp"
    clip_limit: float = 0.01  # of "clip"
    discriminator_steps: int = 0  # for one of the generator; 0: as many as the loss's authors take, 1 or 5
    penalty_interval: int = 8  # steps between R1 and R2, whose weight is multiplied by it; "gp" is taken every step
    learning_rate: float = 2e-4  # Adam, of the generator
    discriminator_learning_rate: float = 3e-4  # Adam
    decay_fraction: float = 0.3  # last part of the training, in which the learning rate falls linearly to a tenth
    beta2: float = 0.99  # beta1 is 0
    paired_fraction: float = 0.5  # share of fakes painted over filled-in real defects, the rest on clean windows
    low_frequency_weight: float = 4.0  # L1 between 8 x 8 averages of a fake and the real defect it replaces
    feature_matching_weight: float = 0.0  # L1 between the discriminator's statistics of the same two
    diversity_weight: float = 2.0  # mode-seeking: two latents on one window and mask must differ; 0 switches it off
    diversity_cap: float = 0.12  # mean coarse difference of two fakes inside the mask, in [-1, 1], that is enough
    ema_kimg: float = 5.0  # half-life of the averaged generator; 0 takes the generator as it is
    precision: str = "auto"  # "auto", "bf16" or "no": bf16 autocast where the device has it in hardware
    sheet_kimg: float = 4.0  # between sample sheets
    validation_kimg: float = 8.0  # between KID measurements on validation windows; 0: the last generator is exported
    feature_steps: int = 200  # training steps of the network whose features KID uses
    checkpoint_seconds: float = 60.0  # between checkpoints

    def __post_init__(self) -> None:
        for field in ("window_sizes", "generator_channels", "discriminator_channels"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        if self.generator == "dcgan":
            raise ValueError("dcgan has no window to paint into; train it with python -m training.gan.dcgan")
        for field, known in CHOICES.items():
            if getattr(self, field) not in known:
                raise ValueError(f"unknown {field} {getattr(self, field)!r}; known: {', '.join(known)}")
        for field in ("total_kimg", "learning_rate", "discriminator_learning_rate", "diversity_cap", "clip_limit"):
            if getattr(self, field) <= 0:
                raise ValueError(f"{field} must be positive, got {getattr(self, field)}")
        if self.batch_size < 2:
            raise ValueError(f"batch_size must be at least 2, got {self.batch_size}")
        if not 0 <= self.paired_fraction <= 1:
            raise ValueError(f"paired_fraction must lie in [0, 1], got {self.paired_fraction}")
        if self.penalty_interval < 1:
            raise ValueError(f"penalty_interval must be at least 1, got {self.penalty_interval}")
        if self.discriminator_steps < 0:
            raise ValueError(f"discriminator_steps must be 0 or more, got {self.discriminator_steps}")
        if (
            not self.window_sizes
            or any(size % 16 or size < 16 for size in self.window_sizes)
            or list(self.window_sizes) != sorted(set(self.window_sizes))
        ):
            raise ValueError(f"window_sizes must be ascending multiples of 16, got {self.window_sizes}")
        if len(self.discriminator_channels) < 2:
            raise ValueError(f"discriminator_channels must be two widths or more, got {self.discriminator_channels}")

    @property
    def resolved_discriminator(self) -> str:
        """The discriminator, "auto" replaced."""
        if self.discriminator != "auto":
            return self.discriminator
        return "patchgan" if self.generator == "pix2pix" else "multi-scale"

    @property
    def resolved_penalty(self) -> str:
        """The penalty, "auto" replaced."""
        return LOSSES[self.loss].penalty if self.penalty == "auto" else self.penalty

    @property
    def resolved_discriminator_steps(self) -> int:
        """Steps of the discriminator for one of the generator, 0 replaced."""
        return self.discriminator_steps or LOSSES[self.loss].discriminator_steps

    @property
    def resolved_penalty_interval(self) -> int:
        """Steps between penalties.

        R1 and R2 may be lazy (Karras et al. 2020, StyleGAN2). "gp" is all that holds a Wasserstein critic, whose loss
        has no lower bound: between penalties it would run away.
        """
        return self.penalty_interval if self.resolved_penalty == "r1r2" else 1

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


PRESETS: dict[str, TrainConfig] = {
    "cpu": TrainConfig(),
    "gpu": TrainConfig(
        total_kimg=400.0, batch_size=32, ema_kimg=10.0, sheet_kimg=20.0, validation_kimg=40.0, feature_steps=400
    ),
    "smoke": TrainConfig(
        total_kimg=0.048,
        batch_size=2,
        window_sizes=(32, 64),
        generator_channels=(16, 24, 32),
        fine_channels=8,
        discriminator_channels=(8, 16, 16, 16),
        sheet_kimg=0.024,
        validation_kimg=0.024,
        feature_steps=4,
    ),
}


def with_overrides(config: TrainConfig, values: dict[str, Any]) -> TrainConfig:
    """Return `config` with those of `values` that are not None."""
    return replace(config, **{key: value for key, value in values.items() if value is not None})
