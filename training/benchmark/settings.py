"""Settings that all arms share, and the presets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

ARMS = (
    "none",
    "oversample",
    "copy-paste",
    "poisson",
    "perlin",
    "gan",
    "gan+copy-paste",
    "gan+procedural",
    "gan-fixed-z",
    "decoder-only",
)
GAN_ARMS = frozenset({"gan", "gan+copy-paste", "gan+procedural", "gan-fixed-z"})  # need a painter
BASELINES = ("none", "copy-paste")  # that every arm is compared with


@dataclass(frozen=True)
class BenchmarkConfig:
    """Everything but data, arm, fold, fraction and seed that decides a run; written into its JSON."""

    encoder: str = "resnet18"  # of smp.Unet, by its name there; trained from scratch
    encoder_depth: int = 4  # halvings
    decoder_channels: tuple[int, ...] = (64, 48, 32, 16)  # one a halving
    scale: float = 0.5  # of what the network sees; crops, painting, labels and scores are in source pixels
    crop_size: int = 160  # source pixels
    batch_size: int = 8  # crops
    steps: int = 900  # of the optimiser
    learning_rate: float = 1e-3  # AdamW
    weight_decay: float = 1e-2
    defect_weight: float = 5.0  # of a defect's pixel in the cross-entropy; the background's have weight 1
    warmup_steps: int = 50
    decay_fraction: float = 0.4  # last part, in which the learning rate falls to a fiftieth along a cosine
    defect_fraction: float = 0.5  # of the crops, that are cut around a real defect; the others show clean images
    p: float = 0.5  # probability that an image is painted before it is cut, in every arm that paints
    defects_range: tuple[int, int] = (1, 2)  # painted at once
    class_sampling: str = "balanced"  # of what is painted, or "dataset"
    scale_range: tuple[float, float] = (0.8, 1.25)  # of painted shapes
    rotate_range: tuple[float, float] = (-15.0, 15.0)  # degrees
    max_shift: float = 1.0  # of painted shapes, from where they were seen; 1: anywhere
    min_contrast: float = 8.0  # levels of 255, below which a painted defect is drawn again
    curve_points: int = 8  # measurements of the validation curve
    curve_per_group: int = 2  # images of a validation group and class that it is measured on
    clean_per_group: int = 2  # clean test images of a group; of defective ones all are tested
    overlap: float = 0.25  # of neighbouring windows of a test image
    score_pixels: int = 40  # the most suspicious pixels, whose mean is an image's score

    def __post_init__(self) -> None:
        for field in ("decoder_channels", "defects_range", "scale_range", "rotate_range"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        for field in ("crop_size", "batch_size", "steps", "curve_points", "curve_per_group", "clean_per_group"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1, got {getattr(self, field)}")
        if not 0 <= self.p <= 1 or not 0 <= self.defect_fraction <= 1:
            raise ValueError(f"p and defect_fraction must lie in [0, 1], got {self.p} and {self.defect_fraction}")
        if self.class_sampling not in ("balanced", "dataset"):
            raise ValueError(f"class_sampling must be 'balanced' or 'dataset', got {self.class_sampling!r}")
        if not 0 < self.scale <= 1:
            raise ValueError(f"scale must lie above 0 and not above 1, got {self.scale}")
        if not 0 <= self.overlap < 1:
            raise ValueError(f"overlap must lie in [0, 1), got {self.overlap}")
        if not 3 <= self.encoder_depth <= 5 or len(self.decoder_channels) != self.encoder_depth:
            raise ValueError(
                f"encoder_depth must be 3 to 5, with one of decoder_channels each, got {self.encoder_depth} and "
                f"{list(self.decoder_channels)}"
            )
        multiple = 2**self.encoder_depth
        if round(self.crop_size * self.scale) % multiple or self.crop_size * self.scale != self.input_size:
            raise ValueError(
                f"crop_size {self.crop_size} times scale {self.scale:g} must be a multiple of {multiple} for "
                f"encoder_depth {self.encoder_depth}"
            )

    @property
    def input_size(self) -> int:
        """Pixels of a crop as the network sees it."""
        return round(self.crop_size * self.scale)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


PRESETS: dict[str, BenchmarkConfig] = {
    "cpu": BenchmarkConfig(),
    "gpu": BenchmarkConfig(
        encoder="resnet18", decoder_channels=(128, 64, 32, 16), scale=1.0, crop_size=192, batch_size=16, steps=3000
    ),
    "smoke": BenchmarkConfig(
        encoder_depth=3,
        decoder_channels=(16, 8, 8),
        crop_size=64,
        batch_size=2,
        steps=4,
        warmup_steps=1,
        curve_points=2,
        clean_per_group=1,
    ),
}


def with_overrides(config: BenchmarkConfig, values: dict[str, Any]) -> BenchmarkConfig:
    """Return `config` with those of `values` that are not None."""
    return replace(config, **{key: value for key, value in values.items() if value is not None})
