"""Measures a generator on validation windows while it trains, so that the best one is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from albu_gan.generators import DefectGenerator
from training.evaluation.features import DefectFeatures, train_features
from training.evaluation.measure import ClassSamples, collect_samples, means, measure_class, painter_of
from training.gan.config import TrainConfig
from training.windows import Backgrounds, DefectWindow, WindowBatches

DRAWS = 48  # painted windows a class
FEATURES = "features.safetensors"


@dataclass(frozen=True)
class Validator:
    """Fixed windows, latents and features; the same generator gives the same figures.

    Attributes:
        samples: of every class that has validation defects.
        features: of real and painted defects.
        class_names: for the figures.
    """

    samples: Sequence[ClassSamples]
    features: DefectFeatures
    class_names: tuple[str, ...]

    def __call__(self, generator: DefectGenerator) -> dict[str, Any]:
        """Return the means over classes of kid, diversity, contrast_reached and coverage, and `classes` with each."""
        paint = painter_of(generator)
        classes = {
            self.class_names[sample.class_index]: measure_class(
                paint, generator.config.latent_dim, sample, self.features, seed=0, floors=False
            )
            for sample in self.samples
        }
        mean = means(classes)
        return {"kid": mean.pop("kid_painted"), **mean, "classes": classes}


def build_validator(
    config: TrainConfig,
    train: list[DefectWindow],
    train_backgrounds: Backgrounds,
    validation: list[DefectWindow],
    validation_backgrounds: Backgrounds,
    class_names: tuple[str, ...],
    channels: int,
    out: Path,
    features_path: Path | None = None,
    device: torch.device | str = "cpu",
) -> Validator | None:
    """Train (or read) the features and draw the windows; None if no class has a validation defect.

    Args:
        config: of the run.
        train: windows of the training groups.
        train_backgrounds: clean images of the training groups.
        validation: windows of the validation groups.
        validation_backgrounds: clean images of the validation groups.
        class_names: in index order.
        channels: of the images.
        out: folder of the run; the features are kept there for a resumed run.
        features_path: features that an earlier run trained on the same training groups.
        device: for the features.
    """
    path = features_path or out / FEATURES
    if path.is_file() or features_path is not None:
        features = DefectFeatures.load(path, channels).to(device)
    else:
        batches = WindowBatches(train, train_backgrounds, 8, 0.0, config.seed, config.feature_steps)
        features = train_features(batches, channels, len(class_names), config.feature_steps, config.seed, device)
        features.save(path)
    found = [
        collect_samples(train, validation, validation_backgrounds, index, DRAWS, features, seed=1)
        for index in range(len(class_names))
    ]
    samples = [sample for sample in found if sample is not None]
    return Validator(samples, features, class_names) if samples else None
