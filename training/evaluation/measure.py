"""What a painter is measured on, class by class, and the figures themselves.

Shapes of the training groups are painted onto clean windows of groups that no training saw, and compared with the real
defects of those groups: what a user does. All sizes of window count, as often as the unseen real defects have them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from albu_gan.compositing import contrast
from albu_gan.generators import DefectGenerator, composite
from training.evaluation.copy_paste import feathered_copy_paste
from training.evaluation.features import DefectFeatures, pack
from training.evaluation.metrics import coverage, kid, mean_distance, within_class_distance
from training.tensors import image_tensor, mask_tensor, uint8_images
from training.windows import Backgrounds, DefectWindow, WindowBatches

MIN_CONTRAST = 8.0
Paint = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class ClassSamples:
    """Windows of one class.

    Attributes:
        class_index: of the defect.
        real: batches of one size of window each; `real` and `real_mask` are unseen defects.
        to_paint: likewise; `clean` is an unseen background, `fake_mask` a training shape, `donor` its real defect.
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
    shared = {w.size for w in unseen} & {w.size for w in train}
    sized = [w for w in unseen if w.size in shared] or unseen
    sizes = sorted({w.size for w in sized})
    shares = np.array([sum(w.size == size for w in sized) for size in sizes]) / len(sized)
    counts = np.maximum(1, np.rint(shares * count)).astype(int)
    real, to_paint = [], []
    for size, wanted in zip(sizes, counts, strict=True):
        real.append(_draw([w for w in sized if w.size == size], backgrounds, int(wanted), seed))
        shapes = [w for w in train if w.size == size] or list(train)
        to_paint.append(_draw(shapes, backgrounds, int(wanted), seed))
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
    """Join batches of `windows`, all of one size or not, until there are `count` samples of one size."""
    size = max({w.size for w in windows}, key=lambda s: sum(w.size == s for w in windows))
    windows = [w for w in windows if w.size == size]
    batches = WindowBatches(windows, backgrounds, 8, (size,), 0.0, seed, 10**6, donors=True)
    parts: list[dict[str, np.ndarray]] = []
    while sum(len(part["real"]) for part in parts) < count:
        parts.append(batches[len(parts)])
    return {key: np.concatenate([part[key] for part in parts])[:count] for key in parts[0]}


def painter_of(generator: DefectGenerator) -> Paint:
    """Return what paints (N, S, S, C) uint8 windows in (N, S, S) index masks from (N, latent_dim) latents."""

    def paint(clean: np.ndarray, mask: np.ndarray, z: np.ndarray) -> np.ndarray:
        device = next(generator.parameters()).device
        painted = []
        for start in range(0, len(clean), 16):
            part = slice(start, start + 16)
            window = image_tensor(torch.from_numpy(clean[part]).to(device))
            masks = mask_tensor(torch.from_numpy(mask[part]).to(device), generator.config.num_classes)
            latents = torch.from_numpy(z[part]).to(device)
            with torch.no_grad():
                done: Tensor = composite(window, masks, *generator(window, masks, latents))
            painted.append(uint8_images(done).numpy())
        return np.concatenate(painted)

    return paint


def measure_class(
    paint: Paint, latent_dim: int, samples: ClassSamples, features: DefectFeatures, seed: int, floors: bool = True
) -> dict[str, Any]:
    """Return the figures of one class.

    Args:
        paint: of `painter_of`.
        latent_dim: length of z.
        samples: what to paint and what to compare with.
        features: of real and painted defects.
        seed: of the latents.
        floors: also measure copy-paste and real training defects, which do not depend on the painter.

    Returns:
        draws; contrast_reached (share of first draws with a contrast of `MIN_CONTRAST` levels) and contrast_median;
        diversity (mean feature distance of two latents on one window and mask over that of two real defects);
        kid_painted; coverage and coverage_real (of painted and of training defects); kid_copy_paste and kid_real with
        `floors`; unseen_defects and unseen_groups.
    """
    value = samples.class_index + 1
    rng = np.random.default_rng(seed)
    seen: list[float] = []
    vectors: dict[str, list[np.ndarray]] = {"real": [], "first": [], "second": [], "pasted": [], "train": []}
    for real, batch in zip(samples.real, samples.to_paint, strict=True):
        latents = rng.standard_normal((2, len(batch["clean"]), latent_dim), dtype=np.float32)
        first, second = (paint(batch["clean"], batch["fake_mask"], z) for z in latents)
        inside = batch["fake_mask"] == value
        seen += [contrast(*triple) for triple in zip(batch["clean"], first, inside, strict=True)]
        vectors["real"].append(features.embed(pack(real["real"], real["real_mask"] == value)))
        vectors["first"].append(features.embed(pack(first, inside)))
        vectors["second"].append(features.embed(pack(second, inside)))
        if floors:
            layers = zip(batch["clean"], batch["fake_mask"], batch["donor"], strict=True)
            pasted = [feathered_copy_paste(*triple) for triple in layers]
            vectors["pasted"].append(features.embed(pack(pasted, inside)))
            vectors["train"].append(features.embed(pack(batch["real"], batch["real_mask"] == value)))
    joined = {name: np.concatenate(parts) for name, parts in vectors.items() if parts}
    figures = {
        "draws": len(seen),
        "contrast_reached": float(np.mean(np.array(seen) >= MIN_CONTRAST)),
        "contrast_median": float(np.median(seen)),
        "diversity": mean_distance(joined["first"], joined["second"]) / samples.real_spread,
        "kid_painted": kid(joined["real"], joined["first"]),
        "coverage": coverage(joined["real"], joined["first"]),
        "coverage_real": samples.real_coverage,
    }
    if floors:
        figures["kid_copy_paste"] = kid(joined["real"], joined["pasted"])
        figures["kid_real"] = kid(joined["real"], joined["train"])
    return {**figures, "unseen_defects": samples.defects, "unseen_groups": samples.groups}


def means(classes: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return the mean over classes of every figure that is a share or a distance."""
    keys = ("contrast_reached", "diversity", "kid_painted", "coverage", "coverage_real", "kid_copy_paste", "kid_real")
    return {
        key: float(np.mean([figures[key] for figures in classes.values()]))
        for key in keys
        if all(key in figures for figures in classes.values())
    }
