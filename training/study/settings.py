"""What is compared: each row of the study, as flags over the same short training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Setting:
    """One row.

    Attributes:
        table: "generators", "losses" or "terms".
        label: what the row is called.
        changes: fields of `training.gan.config.TrainConfig` that differ from the common ones.
        decoder_only: trained by `training.gan.dcgan`, with that command's own settings; the common ones do not apply.
    """

    table: str
    label: str
    changes: dict[str, Any] = field(default_factory=dict)
    decoder_only: bool = False


#: The common part: windows of one small square, so that twenty trainings fit into an afternoon on two cores.
COMMON: dict[str, Any] = {
    "window_sizes": (64,),
    "long_windows": False,
    "batch_size": 16,
    "ema_kimg": 1.5,
    "sheet_kimg": 1000.0,
    "validation_kimg": 0.0,
}
BASE = "default"  # the row that every table begins with
SEEDS = ("seed-1", "seed-2")  # rows that differ from it in the seed alone

SETTINGS: dict[str, Setting] = {
    BASE: Setting("generators", "`default`: residual U on a folded grid"),
    "narrow": Setting(
        "generators",
        "`default`, two thirds as wide",
        {"generator_channels": (32, 48, 96), "fine_channels": 12},
    ),
    "pix2pix": Setting("generators", "`pix2pix`: U-Net, judged by its PatchGAN", {"generator": "pix2pix"}),
    "pix2pix-local": Setting(
        "generators",
        "`pix2pix`, judged by the multi-scale discriminator",
        {"generator": "pix2pix", "discriminator": "multi-scale"},
    ),
    "ffc": Setting("generators", "`ffc`: Fourier convolutions (LaMa)", {"generator": "ffc"}),
    "stylegan": Setting("generators", "`stylegan`: AdaIN", {"generator": "stylegan"}),
    "stylegan2": Setting("generators", "`stylegan2`: modulated convolutions", {"generator": "stylegan2"}),
    "dcgan": Setting("generators", "`dcgan`: decoder only, makes image and mask together", decoder_only=True),
    "minimax": Setting("losses", "`minimax` (BCE)", {"loss": "minimax"}),
    "non-saturating": Setting("losses", "`non-saturating`", {"loss": "non-saturating"}),
    "lsgan": Setting("losses", "`lsgan`", {"loss": "lsgan"}),
    "hinge": Setting("losses", "`hinge`", {"loss": "hinge"}),
    "wgan": Setting("losses", "`wgan` (clipped weights), one critic step", {"loss": "wgan", "discriminator_steps": 1}),
    "wgan-5": Setting("losses", "`wgan`, five critic steps", {"loss": "wgan"}),
    "wgan-gp": Setting("losses", "`wgan-gp`, one critic step", {"loss": "wgan-gp", "discriminator_steps": 1}),
    "wgan-gp-5": Setting("losses", "`wgan-gp`, five critic steps", {"loss": "wgan-gp"}),
    "rpgan-no-penalty": Setting("losses", "`rpgan` without R1 + R2", {"penalty": "none"}),
    "seed-1": Setting("terms", "nothing but the seed, 1", {"seed": 1}),
    "seed-2": Setting("terms", "nothing but the seed, 2", {"seed": 2}),
    "no-augment": Setting("terms", "without DiffAugment", {"augment": False}),
    "no-ema": Setting("terms", "without the average (EMA)", {"ema_kimg": 0.0}),
    "no-low-frequency": Setting("terms", "without the low-frequency L1", {"low_frequency_weight": 0.0}),
    "no-diversity": Setting("terms", "without the mode-seeking term", {"diversity_weight": 0.0}),
    "feature-matching": Setting("terms", "with feature matching", {"feature_matching_weight": 2.0}),
    "pooling-window": Setting("terms", "discriminator of the whole window", {"pooling": "window"}),
    "pooling-both": Setting("terms", "local and whole-window discriminator", {"pooling": "both"}),
    "patchgan": Setting("terms", "PatchGAN in place of the local discriminator", {"discriminator": "patchgan"}),
}


def flags(changes: dict[str, Any]) -> list[str]:
    """Return the flags of `python -m training.gan` for fields of its config."""
    words = []
    for name, value in changes.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            values = value if isinstance(value, tuple) else (value,)
            words += [f"--{flag}", *(str(v) for v in values)]
    return words
