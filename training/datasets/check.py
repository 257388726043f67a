"""What is likely to be wrong with a data set: copies, labels of nothing, shifted labels, odd sizes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from albu_gan.data import DefectDataset
from training.datasets.label_fit import MIN_AREA, LabelFit, measure_fit
from training.datasets.near_duplicates import NearDuplicates
from training.datasets.twins import TURNS, Twin, find_copies, find_twins

SHOWN = 5  # findings of a kind that are printed
MOVED = 3.0  # pixels from which a shift of one image is reported
BETTER = 2.5  # times as much must be seen where the mask would be moved to
SEEN = 3.0  # and this times what can just be seen
AGREE = 0.6  # share of the images whose shifts must agree, for that of a whole set
LEAST_AGREE = 5  # and their number

#: Kinds of findings: what they are, and what to do.
KINDS = {
    "copies-labelled-differently": (
        "images with the same pixels, turned or not, have different masks",
        "decide which mask is right, and remove the other image",
    ),
    "copies-across-groups": (
        "images with the same pixels, turned or not, are in different groups",
        "put them into one group, or remove one: a split would test on what it trained on",
    ),
    "near-duplicates-across-groups": (
        "images of different groups seem to show the same place",
        "look at them; put them into one group if they do",
    ),
    "shifted-set": (
        "the masks of the whole set seem to lie beside what they label",
        "look at the masks over their images (albu-gan look); move them back",
    ),
    "shifted-labels": (
        "masks seem to lie beside what they label",
        "look at them over their images; draw them anew, or move them back",
    ),
    "labels-of-nothing": (
        "masks label parts where nothing can be seen",
        "look at them; remove the label, or take the image that it was drawn on",
    ),
    "tiny-components": (f"masks have parts of fewer than {MIN_AREA} pixels", "remove them if they were not meant"),
    "huge-components": (
        "masks have parts of more than half of the image",
        "see whether defect and surface are swapped",
    ),
}


@dataclass(frozen=True)
class Finding:
    """Something that is likely to be wrong.

    Attributes:
        kind: one of `KINDS`.
        files: names of the records; empty for the whole set.
        detail: what was found.
    """

    kind: str
    files: tuple[str, ...]
    detail: str


def check_dataset(dataset: DefectDataset, progress: bool = True) -> list[Finding]:
    """Look for what is likely to be wrong.

    Args:
        dataset: its images are read some times.
        progress: show progress bars.

    Returns:
        Findings in the order of `KINDS`.

    Raises:
        DataError: naming the file that cannot be read.
    """
    across, relabelled = find_copies(dataset, progress=progress)
    copies = {frozenset((twin.first, twin.second)) for twin in across}
    twins = find_twins(NearDuplicates(dataset, progress=progress))
    found = [
        *_of_twins("copies-labelled-differently", relabelled),
        *_of_twins("copies-across-groups", across),
        *_of_twins("near-duplicates-across-groups", (t for t in twins if not _joined(t, copies))),
        *_of_masks(dataset, progress),
    ]
    order = list(KINDS)
    return sorted(found, key=lambda finding: order.index(finding.kind))


def describe(findings: Sequence[Finding], dataset: DefectDataset) -> dict[str, Any]:
    """Return findings as plain JSON."""
    counts = {kind: sum(finding.kind == kind for finding in findings) for kind in KINDS}
    return {"images": len(dataset.records), "counts": counts, "findings": [asdict(finding) for finding in findings]}


def print_findings(findings: Sequence[Finding], dataset: DefectDataset) -> None:
    """Print the first findings of each kind, and what to do."""
    print(f"{len(dataset.records)} images, {len({r.group for r in dataset.records})} groups")
    for kind, (what, remedy) in KINDS.items():
        mine = [finding for finding in findings if finding.kind == kind]
        if not mine:
            continue
        print(f"\n{len(mine)} x {kind}: {what}. {remedy[0].upper()}{remedy[1:]}.")
        for finding in mine[:SHOWN]:
            print("  " + "  ".join((*finding.files, finding.detail)))
        if len(mine) > SHOWN:
            print(f"  ... and {len(mine) - SHOWN} more")
    if not findings:
        print("nothing found: no copies, no labels of nothing, no shifted labels, no odd sizes")


def _joined(twin: Twin, copies: set[frozenset[str]]) -> bool:
    """Whether two images are known as copies, also by way of a third."""
    linked = {frozenset((twin.first, twin.second))}
    firsts = {name for pair in copies if twin.first in pair for name in pair}
    return bool(linked & copies) or any(frozenset((name, twin.second)) in copies for name in firsts)


def _of_twins(kind: str, twins: Iterable[Twin]) -> list[Finding]:
    findings = []
    for twin in twins:
        alike = "" if twin.similarity >= 1 else f", correlation {twin.similarity:.2f}"
        findings.append(Finding(kind, (twin.first, twin.second), f"{TURNS[twin.turn]}{alike}"))
    return findings


def _of_masks(dataset: DefectDataset, progress: bool) -> list[Finding]:
    """Look at each image with its mask."""
    found: list[Finding] = []
    fits: list[tuple[str, LabelFit]] = []
    labelled = [record for record in dataset.records if record.classes]
    for record in tqdm(labelled, desc="look at masks", unit="image", leave=False, disable=None if progress else True):
        image, mask = dataset.read(record)
        tiny, huge = _odd_sizes(mask)
        if tiny:
            found.append(Finding("tiny-components", (record.name,), f"{tiny} part(s)"))
        if huge:
            found.append(Finding("huge-components", (record.name,), f"{100 * huge:.0f} % of the image"))
        fit = measure_fit(image, mask)
        if fit is not None:
            fits.append((record.name, fit))
    return [*found, *_of_fits(fits)]


def _odd_sizes(mask: np.ndarray) -> tuple[int, float]:
    """Return the number of tiny parts, and the share of the image of the largest part if that is more than half."""
    tiny, largest = 0, 0
    for value in np.unique(mask[mask > 0]):
        stats = cv2.connectedComponentsWithStats((mask == value).astype(np.uint8), connectivity=8)[2]
        areas = stats[1:, cv2.CC_STAT_AREA]
        tiny += int((areas < MIN_AREA).sum())
        largest = max(largest, int(areas.max()))
    return tiny, largest / mask.size if largest > mask.size / 2 else 0.0


def _of_fits(fits: Sequence[tuple[str, LabelFit]]) -> list[Finding]:
    found = []
    whole = _common_shift([fit for _, fit in fits])
    if whole is not None:
        found.append(
            Finding("shifted-set", (), f"by about {_direction(whole[0])}, in {whole[1]} of {len(fits)} images")
        )
    for name, fit in fits:
        distance = float(np.hypot(*fit.shift_yx))
        if distance >= MOVED and fit.best >= max(SEEN, BETTER * fit.visibility):
            detail = f"would fit {fit.best / max(fit.visibility, 0.1):.0f} times better {_direction(fit.shift_yx)}"
            found.append(Finding("shifted-labels", (name,), detail))
        elif fit.invisible:
            found.append(Finding("labels-of-nothing", (name,), f"{fit.invisible} of {fit.components} part(s)"))
    return found


def _common_shift(fits: Sequence[LabelFit]) -> tuple[tuple[float, float], int] | None:
    """Return the shift that most images agree on, and how many do; None if there is none."""
    clear = [fit for fit in fits if fit.best >= SEEN]
    if len(clear) < LEAST_AGREE:
        return None
    middle = median(fit.shift_yx[0] for fit in clear), median(fit.shift_yx[1] for fit in clear)
    alike = [fit for fit in clear if np.hypot(fit.shift_yx[0] - middle[0], fit.shift_yx[1] - middle[1]) <= 1.5]
    if np.hypot(*middle) < 1 or len(alike) < AGREE * len(clear):
        return None
    return middle, len(alike)


def _direction(shift_yx: tuple[float, float]) -> str:
    """Say where a mask would have to be moved."""
    down, right = shift_yx
    words = [
        f"{abs(length):.0f} px {names[length > 0]}"
        for length, names in ((down, ("up", "down")), (right, ("left", "right")))
        if round(abs(length))
    ]
    return " and ".join(words)
