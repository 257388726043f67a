"""Draw docs/images/variations.jpg: each way of variation alone, on five surfaces of the samples.

What has a strength is drawn at 0.25, 0.5, 0.75 and 1, each as far as that strength goes, with one seed; of appearances
and shapes, which are another one or not, four are shown.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from albu_gan import DefectInpainter
from albu_gan.data import read_image
from albu_gan.defects import (
    CONTRAST_RANGE,
    Laid,
    Occupancy,
    Place,
    Variation,
    blob_mix,
    contrast,
    elastic,
    find_alike_place,
    invented,
    lay,
    look,
    procedural_shape,
    relight,
    rim_on_rim,
    soften,
    stature,
)
from albu_gan.painting import Patch, paste
from albu_gan.pictures import SAMPLES, grid, write_picture

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "images" / "variations.jpg"
STRENGTHS = (0.25, 0.5, 0.75, 1.0)
MOST_INVENTED = 0.9  # of a mask, at full strength
CELL_HW = (96, 116)
MARGIN = 34  # pixels from the border of the sample, that show the surface around a defect
#: Class, sample, longer side in pixels that its donor has about.
SURFACES = (
    ("solar cell crack", "solar-cell-2.jpg", 70),
    ("leather hole", "leather-2.jpg", 40),
    ("weld leak", "weld-1.jpg", 70),
    ("ball screw pitting", "ball-screw-3.jpg", 50),
    ("capsule defect", "capsule-2.jpg", 30),
)
PAINTER = DefectInpainter.from_pretrained("surfaces-v1")
BANK = PAINTER.bank
Layer = Callable[[Place], Laid]


class Case:
    """One donor, and the place on a sample that it is laid into."""

    def __init__(self, class_name: str, sample: str, length: int) -> None:
        self.class_index = PAINTER.class_names.index(class_name)
        self.members = [index for index in range(len(BANK)) if BANK.class_of(index) == self.class_index]
        whole = [index for index in self.members if not any(BANK[index].edges)]
        self.donor = min(whole, key=lambda index: abs(max(BANK.size_of(index)) - length))
        self.shape, self.appearance = BANK[self.donor], BANK.appearance(self.donor)
        self.image = read_image(SAMPLES / sample)
        blocked = np.ones(self.image.shape[:2], bool)
        blocked[MARGIN:-MARGIN, MARGIN:-MARGIN] = False
        occupied = Occupancy((blocked.shape[0], blocked.shape[1]), blocked)
        placed = find_alike_place(BANK, self.shape, occupied, np.random.default_rng(0), self.image, 1.0)
        assert placed is not None, "the sample is larger"
        self.corner = placed[0]

    def painted(self, mask: np.ndarray, layer: Layer, offset_yx: tuple[int, int] = (0, 0)) -> np.ndarray:
        """Relight what is laid into a mask; return a view around it."""
        top, left = self.corner[0] + offset_yx[0], self.corner[1] + offset_yx[1]
        place = look(self.image, top, left, (mask.shape[0], mask.shape[1]))
        laid = layer(place)
        residual = relight(laid, place, BANK.formulas[self.class_index])
        residual = soften(residual, mask, top, left, (self.image.shape[0], self.image.shape[1]), laid.beyond)
        out = self.image.copy()
        paste(out, Patch(top, left, mask, residual, self.class_index))
        return self.view(out)

    def view(self, image: np.ndarray) -> np.ndarray:
        """Cut out what lies around the defect."""
        sides = zip(self.corner, self.shape.mask.shape, CELL_HW, image.shape[:2], strict=True)
        most = max(side / cell for side, cell in zip(self.shape.mask.shape, CELL_HW, strict=True))
        slices = []
        for start, side, cell, limit in sides:
            want = min(round(cell * max(1.6 * most, 0.5)), limit)
            first = min(max(start + side // 2 - want // 2, 0), limit - want)
            slices.append(slice(first, first + want))
        return image[slices[0], slices[1]]

    def laid(self, place: Place) -> Laid:
        """The donor as it is."""
        return lay(self.appearance, np.eye(2, 3), self.shape.mask.shape, None, place)

    def relit(self) -> np.ndarray:
        """What every way starts from."""
        return self.painted(self.shape.mask, self.laid)

    def contrast(self, end: int) -> list[np.ndarray]:
        """Fainter (0) or stronger (1)."""
        factors = [CONTRAST_RANGE[end] ** strength for strength in STRENGTHS]
        return [self.painted(self.shape.mask, lambda p, f=f: contrast(self.laid(p), f)) for f in factors]

    def elastic(self) -> list[np.ndarray]:
        """Shape and appearance bent together."""
        cells = []
        for strength in STRENGTHS:
            bent = elastic(self.shape.mask, strength, np.random.default_rng(0), self.shape.edges)
            cells.append(self.painted(bent.mask, partial(self.bent, bent), bent.offset_yx))
        return cells

    def bent(self, variation: Variation, place: Place) -> Laid:
        """The donor in the frame of its warped mask."""
        y, x = variation.offset_yx
        moved = np.array([[1.0, 0, -x], [0, 1, -y]])
        return lay(self.appearance, moved, variation.mask.shape[:2], variation.displacement, place)

    def blobs(self) -> list[np.ndarray]:
        """An invented appearance in more and more of the mask."""

        def layer(p: Place, strength: float) -> Laid:
            rng, laid = np.random.default_rng(0), self.laid(p)
            made = invented(laid, self.shape.mask, rng)
            return blob_mix(laid, made, MOST_INVENTED * strength, self.shape.mask, rng)

        return [self.painted(self.shape.mask, lambda p, s=s: layer(p, s)) for s in STRENGTHS]

    def others(self) -> list[np.ndarray]:
        """Appearances of other defects, from the most alike to the least."""
        own = stature(self.appearance)
        rest = [index for index in self.members if index != self.donor]
        rest.sort(key=lambda index: float(np.linalg.norm(stature(BANK.appearance(index)) - own)))
        chosen = [rest[0], rest[2], rest[len(rest) // 2], rest[-1]]
        return [self.worn(self.shape.mask, index) for index in chosen]

    def shapes(self) -> list[np.ndarray]:
        """The donor's appearance in invented shapes."""
        rng = np.random.default_rng(0)
        masks = [procedural_shape(self.shape, rng).mask for _ in STRENGTHS]
        return [self.worn(mask, self.donor) for mask in masks]

    def worn(self, mask: np.ndarray, donor: int) -> np.ndarray:
        """Lay an appearance of the bank into a mask about the middle of the place, rim on rim."""
        appearance = BANK.appearance(donor)
        (h, w), (H, W) = mask.shape, self.shape.mask.shape
        by = rim_on_rim(appearance.mask, mask)
        middle = (H - h) // 2, (W - w) // 2
        return self.painted(mask, lambda p: lay(appearance, np.eye(2, 3), (h, w), by, p), middle)


def titles(*ways: tuple[str, tuple[str, ...]]) -> list[str]:
    """Names of the columns: relit, then four of each way."""
    return ["relit", *(f"{name} {text}" for name, texts in ways for text in texts)]


if __name__ == "__main__":
    cases = [Case(*surface) for surface in SURFACES]
    strengths, numbers = tuple(f"{s:g}" for s in STRENGTHS), ("1", "2", "3", "4")
    blocks = (
        (titles(("fainter", strengths), ("stronger", strengths)), lambda c: c.contrast(0) + c.contrast(1)),
        (titles(("elastic", strengths), ("blobs", strengths)), lambda c: c.elastic() + c.blobs()),
        (titles(("wears", ("1st", "3rd", "middle", "last")), ("shape", numbers)), lambda c: c.others() + c.shapes()),
    )
    sheets = [grid([[c.relit(), *cells(c)] for c in cases], CELL_HW, names) for names, cells in blocks]
    write_picture(OUT, np.concatenate(sheets))
