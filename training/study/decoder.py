"""Measures the decoder-only GAN beside the inpainters: it has no clean window to paint into, so less can be said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from training.evaluation.features import DefectFeatures, pack
from training.evaluation.fid_kid import kid
from training.evaluation.measure import ClassSamples
from training.evaluation.prdc import coverage
from training.gan.dcgan.folder import DCGAN
from training.gan.dcgan.sample import sample_pairs
from training.gan.step import TrainingError

FEWEST = 16  # pairs with a mask of the class that was asked for; from fewer nothing is measured


def measure_decoder(
    dcgan: DCGAN, samples: Sequence[ClassSamples], features: DefectFeatures, draws: int
) -> dict[str, dict[str, Any]]:
    """Return, class by class, the figures that need no clean window.

    Args:
        dcgan: trained on pairs.
        samples: of the classes; their real defects are what the pairs are compared with.
        features: of the defects.
        draws: pairs a class.

    Returns:
        A class: draws, labelled (share of the pairs whose mask has the class asked for), and of those pairs
        kid_painted and coverage.

    Raises:
        TrainingError: if hardly a pair has the class asked for.
    """
    classes = {}
    for sample in samples:
        name, value = dcgan.class_names[sample.class_index], sample.class_index + 1
        images, masks = sample_pairs(dcgan, draws, sample.class_index, seed=0)
        inside = masks == value
        labelled = inside.any(axis=(1, 2))
        if labelled.sum() < FEWEST:
            raise TrainingError(
                f"class {name!r}: of {draws} pairs {labelled.sum()} have its label; train the decoder longer"
            )
        real = [features.embed(pack(batch["real"], batch["real_mask"] == value)) for batch in sample.real]
        made = features.embed(pack(images[labelled], inside[labelled]))
        classes[name] = {
            "draws": draws,
            "labelled": float(labelled.mean()),
            "kid_painted": kid(np.concatenate(real), made),
            "coverage": coverage(np.concatenate(real), made),
        }
    return classes
