"""Which formula relights the defects of a class: the one that explains them on surfaces of other brightness.

Every donor says what its class looks like on one surface. Carried to the surface of another donor by a formula, it
should show what that one shows. The shares of `Formula` are those that come nearest, over all pairs of a class; with
few donors, or with surfaces that are all alike, they stay near those of the whole bank.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from albu_gan.defects.appearance import DIFFERENCE, MARGIN, PIXELS, RATIO, Appearance, Formula, effect_bands, thin
from albu_gan.defects.relight import Laid, Place, relight
from albu_gan.defects.touching import CUT_SHARE, outline_met
from albu_gan.painting import mask_box

STEPS = 10  # of a share between 0 and 1
MOST_DONORS = 80  # of a class that are compared, each with each
SHRINKAGE = 2.0  # groups' worth of evidence that the prior counts as
PRIOR = Formula(0.4, 0.3, 0.3)  # about what the sets of the survey have in common
LEAST_PART = 0.05  # of a mask that must be darker, or brighter, for the two to be compared
LEAST_LEVELS = 3.0  # of 255, that a defect differs by from its surface at least
LEAST_GRAINS = 2.1  # deviations of the grain, likewise, in its strongest tenth; in that of bare grain it is 1.6
LARGEST_SHARE = 0.5  # of the image that a defect covers


@dataclass(frozen=True)
class Evidence:
    """What one donor says about its class: levels of the defect and of the surface under it.

    Attributes:
        level: (2, C) float32 in [0, 1], mean of the defect where it is darker than its surface, and where brighter.
        surface: (2, C) float32, of the surface there.
        share: (2,) float32, of the mask that is so.
    """

    level: np.ndarray
    surface: np.ndarray
    share: np.ndarray


def evidence(appearance: Appearance) -> Evidence:
    """Measure a donor where it differs from its surface."""
    surface, low, high = effect_bands(appearance)
    alpha = appearance.full_mattes()[:, :, 1]
    effect = low + high
    level = effect.mean(axis=2)
    weight = np.where(appearance.mask, alpha * np.abs(level), 0)
    levels, surfaces, shares = [], [], []
    for part in (level < 0, level >= 0):
        inside = weight * part
        total = float(inside.sum()) + 1e-6
        surfaces.append((surface * inside[:, :, None]).sum(axis=(0, 1)) / total)
        levels.append(surfaces[-1] + (effect * inside[:, :, None]).sum(axis=(0, 1)) / total)
        shares.append(float((alpha * part)[appearance.mask].mean()))
    return Evidence(*(np.asarray(array, np.float32) for array in (levels, surfaces, shares)))


def choose_formulas(
    donors: Sequence[Evidence], classes: Sequence[int], groups: Sequence[Hashable], num_classes: int
) -> list[Formula]:
    """Choose a formula for every class, nearer to the bank's the fewer donors it has.

    Args:
        donors: what every donor says.
        classes: of the donors.
        groups: of the donors: photographs of one part say nothing about another surface. Pairs from different groups
            are compared, unless there is only one.
        num_classes: how many formulas are wanted.
    """
    bank = choose(donors, classes, groups, PRIOR)
    chosen = []
    for index in range(num_classes):
        members = [i for i, c in enumerate(classes) if c == index]
        own = [groups[i] for i in members]
        chosen.append(choose([donors[i] for i in members], [index] * len(members), own, bank) if members else bank)
    return chosen


def choose(donors: Sequence[Evidence], classes: Sequence[int], groups: Sequence[Hashable], prior: Formula) -> Formula:
    """Choose the shares that predict donors from others of their class best, drawn towards a prior.

    Args:
        donors: what every donor says.
        classes: of the donors; only donors of one class are compared.
        groups: likewise; see `choose_formulas`.
        prior: what it is drawn towards, with the weight of `SHRINKAGE` groups.
    """
    if len(donors) > MOST_DONORS:
        kept = [i * len(donors) // MOST_DONORS for i in range(MOST_DONORS)]
        donors, classes, groups = [donors[i] for i in kept], [classes[i] for i in kept], [groups[i] for i in kept]
    predicted, actual, weight = predictions(donors, classes, groups)
    if weight.sum() == 0:
        return prior
    grid = shares()
    error = errors(predicted, actual, weight, grid)
    scale = errors(np.broadcast_to(_surfaces(donors)[:, None, :, None], predicted.shape), actual, weight, grid[:1])[0]
    pull = SHRINKAGE / len(set(groups)) * ((grid - _shares(prior)) ** 2).sum(axis=1)
    best = grid[int(np.argmin(error / max(scale, 1e-6) + 0.1 * pull))]
    return Formula(*(float(share) for share in best))


def predictions(
    donors: Sequence[Evidence], classes: Sequence[int], groups: Sequence[Hashable]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predict every donor from every other by each formula alone.

    Returns:
        (N, N, 2, 3, C) float32, level of the first donor as predicted from the second, where it is darker and where
        brighter, by ratio, difference and pixels; (N, 1, 2, 1, C) what it is; (N, N, 2) the weight of a pair, 0 for
        those of one group or of different classes.
    """
    level, surface = (np.stack([getattr(d, name) for d in donors]) for name in ("level", "surface"))
    share = np.stack([d.share for d in donors])
    N, _, C = level.shape
    flat = (N, N * 2, C)
    laid = Laid(
        np.broadcast_to(level[None], (N, N, 2, C)).reshape(flat),
        np.broadcast_to(surface[None], (N, N, 2, C)).reshape(flat),
        np.zeros(flat[:2], np.float32),
        np.ones(flat[:2], np.float32),
        0.0,
    )
    there = np.broadcast_to(surface[:, None], (N, N, 2, C)).reshape(flat)
    place = Place(there, there, 0.0, 0.0)
    by = [(there + relight(laid, place, f)).reshape(N, N, 2, C) for f in (RATIO, DIFFERENCE, PIXELS)]
    weight = np.minimum(share[:, None], share[None])
    weight = np.where(weight >= LEAST_PART, weight, 0)
    kinds, places = np.unique([str(c) for c in classes], return_inverse=True)[1], _numbered(groups)
    comparable = kinds[:, None] == kinds[None]
    comparable &= places[:, None] != places[None] if places.max() > 0 else ~np.eye(N, dtype=bool)
    return np.stack(by, axis=3), level[:, None, :, None], weight * comparable[:, :, None]


def errors(predicted: np.ndarray, actual: np.ndarray, weight: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Mean absolute errors, (K,), of mixtures with (K, 3) shares; see `predictions`."""
    pairs = np.nonzero(weight)
    alone = predicted[pairs]  # (P, 3, C)
    true = actual[pairs[0], 0, pairs[2]]  # (P, 1, C)
    mixed = np.einsum("ks,psc->pkc", grid, alone)
    return np.asarray(np.average(np.abs(mixed - true).mean(axis=2), axis=0, weights=weight[pairs]))


def shares() -> np.ndarray:
    """(K, 3) float32, every mixture of three formulas in steps of 1 / `STEPS`."""
    whole = [(r, d, STEPS - r - d) for r, d in product(range(STEPS + 1), repeat=2) if r + d <= STEPS]
    return np.array(whole, np.float32) / STEPS


def slope(donors: Sequence[Evidence], groups: Sequence[Hashable], logarithmic: bool) -> float | None:
    """Slope of the defects' levels over their surfaces'; about 1 in logarithms says ratio, else difference, 0 pixels.

    Args:
        donors: of one class.
        groups: of the donors; each counts as one.
        logarithmic: whether of the logarithms.

    Returns:
        By least squares over group means, darker and brighter parts about their own means; None if the surfaces do
        not differ.
    """
    x, y = [], []
    for part in (0, 1):
        by_group: dict[Hashable, list[tuple[float, float]]] = {}
        for donor, group in zip(donors, groups, strict=True):
            if donor.share[part] >= LEAST_PART:
                pair = float(donor.surface[part].mean()), float(donor.level[part].mean())
                by_group.setdefault(group, []).append(pair)
        if len(by_group) > 2:
            means = np.array([np.mean(v, axis=0) for v in by_group.values()])
            means = np.log(means + 8 / 255) if logarithmic else means
            means = means - means.mean(axis=0)
            x.append(means[:, 0])
            y.append(means[:, 1])
    if not x or np.concatenate(x).std() < 0.02:
        return None
    u, v = np.concatenate(x), np.concatenate(y)
    return float((u * v).sum() / (u * u).sum())


def reject(appearance: Appearance, mask: np.ndarray, labelled: np.ndarray | None = None) -> str | None:
    """Say why a donor cannot be used; None if it can.

    Args:
        appearance: that was cut.
        mask: (H, W), nonzero where this one defect is, in the image that it was cut from.
        labelled: (H, W), nonzero where any defect is; None if there is no other.
    """
    box = mask_box(mask)
    assert box is not None, "a defect has pixels"
    covered = np.count_nonzero(mask) / mask.size
    if covered > LARGEST_SHARE:
        return f"larger than half of the image: {covered:.0%} of it"
    faint = faintness(appearance)
    if faint is not None:
        return faint
    if labelled is not None:
        top, left = max(0, box[0] - MARGIN), max(0, box[1] - MARGIN)
        around = slice(top, box[0] + box[2] + MARGIN), slice(left, box[1] + box[3] + MARGIN)
        met, _ = outline_met(np.ascontiguousarray(mask[around] != 0), labelled[around])
        if met > CUT_SHARE:
            return f"cut by a neighbour: another label runs along {met:.0%} of its outline"
    return None


def faintness(appearance: Appearance) -> str | None:
    """Say how far a defect is from being seen in the grain of its surface; None if it is seen.

    It is by its level, by single pixels, or, if its label is wide, by a grain that is another one.
    """
    inside = appearance.mask
    _, low, high = effect_bands(appearance)
    even, fine = (float(np.percentile(np.sqrt((band * band).mean(axis=2))[inside], 90)) for band in (low, high))
    if 255 * max(even, fine) < LEAST_LEVELS:
        return f"fainter than {LEAST_LEVELS:.0f} levels of 255: {255 * max(even, fine):.1f}"
    grains = max(even / appearance.grain.mean, fine / appearance.grain.pixel)
    if grains < LEAST_GRAINS and (thin(inside) or np.percentile(appearance.full_mattes()[inside, 0], 90) < 0.5):
        return f"fainter than the grain of its surface: {grains / LEAST_GRAINS:.0%} of what is seen in it"
    return None


def _surfaces(donors: Sequence[Evidence]) -> np.ndarray:
    """(N, 2, C) of the donors."""
    return np.stack([donor.surface for donor in donors])


def _shares(formula: Formula) -> np.ndarray:
    return np.array([formula.ratio, formula.difference, formula.pixels], np.float32)


def _numbered(groups: Sequence[Hashable]) -> np.ndarray:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups])
