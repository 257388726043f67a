"""What a painter is measured on, class by class, and the figures that a training's validation can afford.

Shapes of the training groups are painted onto clean windows of groups that no training saw, and compared with the real
defects of those groups: what a user does. All shapes of window count, as often as the unseen real defects have them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from scipy.stats import wasserstein_distance
from torch import Tensor

from albu_gan.generators import DefectGenerator, composite
from albu_gan.painting import contrast, edge_weight
from training.evaluation.copy_paste import feathered_copy_paste
from training.evaluation.distance import mean_distance, within_class_distance
from training.evaluation.features import DefectFeatures, pack
from training.evaluation.fid_kid import kid
from training.evaluation.prdc import coverage
from training.tensors import image_tensor, mask_tensor, uint8_images
from training.windows import Backgrounds, DefectWindow, WindowBatches

MIN_CONTRAST = 8.0
SURROUNDINGS = 8  # pixels around a mask that a defect's brightness is compared with
NO_MEAN = ("draws", "contrast_median", "unseen_defects", "unseen_groups")
Paint = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class ClassSamples:
    """Windows of one class.

    Attributes:
        class_index: of the defect.
        real: batches of one shape of window each; `real` and `real_mask` are unseen defects.
        to_paint: likewise; `clean` is an unseen background, `fake_mask` a training shape, `donor` its real defect;
            `real` is any training defect of the class.
        real_spread: mean feature distance of two real defects of different groups.
        real_coverage: share of the unseen defects that have a training defect like them; see `coverage`.
        groups: how many unseen groups the class has.
        defects: how many unseen defects.
    """

    class_index: int
    real: list[dict[str, np.ndarray]]
    to_paint: list[dict[str, np.ndarray]]
    real_spread: float
    real_coverage: float
    groups: int
    defects: int


def collect_samples(
    train: Sequence[DefectWindow],
    unseen: Sequence[DefectWindow],
    backgrounds: Backgrounds,
    class_index: int,
    count: int,
    features: DefectFeatures,
    seed: int,
) -> ClassSamples | None:
    """Draw the windows that a class is measured on; None if it has no unseen defect or no training shape.

    Args:
        train: windows of the training groups, of any class.
        unseen: windows of the groups to measure on, of any class.
        backgrounds: clean images of the unseen groups.
        class_index: of the class.
        count: windows to draw, real ones and clean ones alike.
        features: for the yardstick `real_spread`.
        seed: same seed, same windows.
    """
    train = [w for w in train if w.class_index == class_index]
    unseen = [w for w in unseen if w.class_index == class_index]
    if not train or not unseen:
        return None
    shared = {w.shape for w in unseen} & {w.shape for w in train}
    seen = [w for w in unseen if w.shape in shared] or unseen
    shapes = sorted({w.shape for w in seen})
    shares = np.array([sum(w.shape == shape for w in seen) for shape in shapes]) / len(seen)
    counts = np.maximum(1, np.rint(shares * count)).astype(int)
    real, to_paint = [], []
    for shape, wanted in zip(shapes, counts, strict=True):
        real.append(_draw([w for w in seen if w.shape == shape], backgrounds, int(wanted), seed))
        painted = [w for w in train if w.shape == shape] or list(train)
        to_paint.append(_draw(painted, backgrounds, int(wanted), seed))
    everything = [*train, *unseen]
    vectors = [features.embed(pack([w.image], [w.mask == class_index + 1]))[0] for w in everything]
    spread = within_class_distance(np.stack(vectors), np.array([w.group for w in everything]))
    unseen_vectors, train_vectors = (
        np.concatenate([features.embed(pack(b["real"], b["real_mask"] == class_index + 1)) for b in batches])
        for batches in (real, to_paint)
    )
    covered = coverage(unseen_vectors, train_vectors)
    return ClassSamples(class_index, real, to_paint, spread, covered, len({w.group for w in unseen}), len(unseen))


def _draw(windows: list[DefectWindow], backgrounds: Backgrounds, count: int, seed: int) -> dict[str, np.ndarray]:
    """Join batches of `windows`, all of one shape or not, until there are `count` samples of one shape."""
    shape = max({w.shape for w in windows}, key=lambda s: sum(w.shape == s for w in windows))
    windows = [w for w in windows if w.shape == shape]
    batches = WindowBatches(windows, backgrounds, 8, 0.0, seed, 10**6, donors=True)
    parts: list[dict[str, np.ndarray]] = []
    while sum(len(part["real"]) for part in parts) < count:
        parts.append(batches[len(parts)])
    return {key: np.concatenate([part[key] for part in parts])[:count] for key in parts[0]}


def painter_of(generator: DefectGenerator) -> Paint:
    """Return what paints (N, H, W, C) uint8 windows in (N, H, W) index masks from (N, latent_dim) latents."""

    def paint(clean: np.ndarray, mask: np.ndarray, z: np.ndarray) -> np.ndarray:
        device = next(generator.parameters()).device
        painted = []
        for start in range(0, len(clean), 16):
            part = slice(start, start + 16)
            window = image_tensor(torch.from_numpy(clean[part]).to(device))
            masks = mask_tensor(torch.from_numpy(mask[part]).to(device), generator.config.num_classes)
            latents = torch.from_numpy(z[part]).to(device)
            weight = np.stack([edge_weight(inside, 0, 0, inside.shape) for inside in mask[part] > 0])
            with torch.no_grad():
                residual, alpha = generator(window, masks, latents)
                done: Tensor = composite(window, masks, residual, alpha * torch.from_numpy(weight).to(device)[:, None])
            painted.append(uint8_images(done).numpy())
        return np.concatenate(painted)

    return paint


@dataclass(frozen=True)
class WindowSet:
    """Windows of one class and one origin; shapes may differ.

    Attributes:
        images: (H, W, C) uint8 each.
        labels: (H, W) uint8 each, class index + 1.
        vectors: (N, D) float64 features inside the class's mask.
        groups: (N,) str, the group that the defect or its shape is of.
        backgrounds: (N,) str, the group that the window around it is of.
    """

    images: list[np.ndarray]
    labels: list[np.ndarray]
    vectors: np.ndarray
    groups: np.ndarray
    backgrounds: np.ndarray


def window_sets(
    paint: Paint, latent_dim: int, samples: ClassSamples, features: DefectFeatures, seed: int, floors: bool = True
) -> dict[str, WindowSet]:
    """Paint the windows of a class, and embed them beside what they are compared with.

    Args:
        paint: of `painter_of`.
        latent_dim: length of z.
        samples: what to paint and what to compare with.
        features: of real and painted defects.
        seed: of the latents.
        floors: also make the sets that do not depend on the painter, `copy_paste` and `train`.

    Returns:
        real: unseen defects; clean: unseen backgrounds with the shapes to paint; painted and second: the same, painted
        with two latents; copy_paste: the shapes' own defects pasted there; train: training defects.
    """
    value = samples.class_index + 1
    rng = np.random.default_rng(seed)
    parts: dict[str, list[tuple[Any, ...]]] = {}
    for real, batch in zip(samples.real, samples.to_paint, strict=True):
        clean, mask = batch["clean"], batch["fake_mask"]
        latents = rng.standard_normal((2, len(clean), latent_dim), dtype=np.float32)
        first, second = (paint(clean, mask, z) for z in latents)
        of_shape, of_real = (batch["donor_group"], batch["background_group"]), (real["real_group"], real["real_group"])
        made = {
            "real": (real["real"], real["real_mask"], *of_real),
            "clean": (clean, mask, *of_shape),
            "painted": (first, mask, *of_shape),
            "second": (second, mask, *of_shape),
        }
        if floors:
            pasted = [feathered_copy_paste(*layers) for layers in zip(clean, mask, batch["donor"], strict=True)]
            made["copy_paste"] = (np.stack(pasted), mask, *of_shape)
            made["train"] = (batch["real"], batch["real_mask"], batch["real_group"], batch["real_group"])
        for name, (images, labels, groups, backgrounds) in made.items():
            vectors = np.empty((len(images), 0))
            if name != "clean":
                vectors = features.embed(pack(images, labels == value))
            parts.setdefault(name, []).append((images, labels, vectors, groups, backgrounds))
    sets = {}
    for name, batches in parts.items():
        images, labels, *arrays = zip(*batches, strict=True)
        one_by_one = ([row for part in layer for row in part] for layer in (images, labels))
        sets[name] = WindowSet(*one_by_one, *(np.concatenate(array) for array in arrays))
    return sets


def measure_class(
    paint: Paint, latent_dim: int, samples: ClassSamples, features: DefectFeatures, seed: int, floors: bool = True
) -> dict[str, Any]:
    """Return the cheap figures of one class; see `window_sets` for the arguments and `class_figures` for the result."""
    return class_figures(window_sets(paint, latent_dim, samples, features, seed, floors), samples)


def class_figures(sets: dict[str, WindowSet], samples: ClassSamples) -> dict[str, Any]:
    """Return the cheap figures of one class.

    Args:
        sets: of `window_sets`.
        samples: that they were made from.

    Returns:
        draws; contrast_reached (share of first draws with a contrast of `MIN_CONTRAST` levels) and contrast_median;
        diversity (mean feature distance of two latents on one window and mask over that of two real defects);
        kid_painted; brightness_painted (how far the brightness of painted defects against their surroundings is from
        that of unseen defects: the Wasserstein distance of the two distributions, in levels of 255); coverage and
        coverage_real (of painted and of training defects); kid and brightness with _copy_paste and _real if the sets
        have the floors; unseen_defects and unseen_groups.
    """
    seen = contrasts(sets["clean"], sets["painted"], samples.class_index)
    real, painted = sets["real"].vectors, sets["painted"].vectors
    figures: dict[str, Any] = {
        "draws": len(seen),
        "contrast_reached": float(np.mean(seen >= MIN_CONTRAST)),
        "contrast_median": float(np.median(seen)),
        "diversity": mean_distance(painted, sets["second"].vectors) / samples.real_spread,
        "kid_painted": kid(real, painted),
        "brightness_painted": brightness_distance(sets["real"], sets["painted"], samples.class_index),
        "coverage": coverage(real, painted),
        "coverage_real": samples.real_coverage,
    }
    if "train" in sets:
        for suffix, name in (("copy_paste", "copy_paste"), ("real", "train")):
            figures[f"kid_{suffix}"] = kid(real, sets[name].vectors)
            figures[f"brightness_{suffix}"] = brightness_distance(sets["real"], sets[name], samples.class_index)
    return {**figures, "unseen_defects": samples.defects, "unseen_groups": samples.groups}


def contrasts(clean: WindowSet, painted: WindowSet, class_index: int) -> np.ndarray:
    """Return the contrast of each painted window with its clean one, in levels of 255; see `contrast`."""
    layers = zip(clean.images, painted.images, painted.labels, strict=True)
    return np.array([contrast(before, after, labels == class_index + 1) for before, after, labels in layers])


def brightness_distance(one: WindowSet, other: WindowSet, class_index: int) -> float:
    """Return how far two sets are apart in `against_surroundings`: a Wasserstein distance, in levels of 255."""
    return float(wasserstein_distance(*(against_surroundings(windows, class_index) for windows in (one, other))))


def against_surroundings(windows: WindowSet, class_index: int) -> np.ndarray:
    """Return how much brighter than its surroundings the inside of each mask is on average, in levels of 255.

    Surroundings are what lies within `SURROUNDINGS` pixels and shows no labelled defect, or all such pixels of the
    window if there are none that near; without any, 0 is returned.
    """
    found = []
    for image, labels in zip(windows.images, windows.labels, strict=True):
        gray = image.mean(axis=2)
        inside = labels == class_index + 1
        side = 2 * SURROUNDINGS + 1
        near = cv2.dilate(inside.view(np.uint8), np.ones((side, side), np.uint8)) > 0
        around = near & (labels == 0)
        around = around if around.any() else labels == 0
        found.append(gray[inside].mean() - gray[around].mean() if around.any() and inside.any() else 0.0)
    return np.array(found)


def means(classes: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return the mean over classes of every figure that is a share or a distance, if each class has it."""
    figures = list(classes.values())
    keys = [key for key in figures[0] if key not in NO_MEAN] if figures else []
    return {
        key: float(np.mean([values[key] for values in figures]))
        for key in keys
        if all(isinstance(values.get(key), (int, float)) for values in figures)
    }
