"""Wherever an image and its mask are resized, warped or cropped, they stay on each other.

A dark disc or bar is drawn into both. Behind each such place its centre and its size are measured in the image, by how
dark it is, and in the mask. A rule that decides pixel by pixel is off by a part of a pixel in a single case; what is
tested is the mean over many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from albu_gan.batch.windows import Outline, Pixels, extract_windows, residual_at, window_masks
from albu_gan.data import DefectDataset
from albu_gan.defects.appearance import Appearance, cut_appearance
from albu_gan.defects.relight import lay
from albu_gan.defects.shapes import Shape, jitter_shape, scale_shape
from albu_gan.defects.variation import elastic
from albu_gan.defects.wearing import rim_on_rim
from albu_gan.look.sheet import outlined
from albu_gan.painting import Draw, Origin, Window, extract, extract_mask, mask_box
from albu_gan.painting.windows import patch_residual
from training import windows as trainer
from training.benchmark.arms import classic_augmentation, seed_transform
from training.benchmark.crops import cut_crop
from training.benchmark.donors import MARGIN, CopyPaste, Donor
from training.benchmark.network import Segmenter
from training.datasets.label_fit import measure_fit, reduce_both
from training.evaluation.bank_draws import Placed, copy_paste
from training.evaluation.memorisation import patch
from training.evaluation.pair_classifiers import _tensors
from training.evaluation.same_background import Pair

BRIGHT, DARK = 200, 40
SIDE = 96  # of the image
FAR = 3  # pixels kept around a shape that is warped with its mask
DRAWS = 80
MOST = 0.1  # pixels, of the mean offset and of the mean difference in size

Seen = tuple[np.ndarray, np.ndarray]  # (H, W) float, how much of a pixel is the shape in the image; (H, W), its mask


def disc(rng: np.random.Generator, side: int = SIDE, radius: float | None = None) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    cy, cx = rng.uniform(0.42 * side, 0.58 * side, 2)
    return np.asarray(np.hypot(y - cy, x - cx) <= (rng.uniform(5, 10) if radius is None else radius))


def bar(rng: np.random.Generator, side: int = SIDE) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    cy, cx = rng.uniform(0.42 * side, 0.58 * side, 2)
    angle = rng.uniform(0, np.pi)
    along = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
    across = (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
    return np.asarray((np.abs(along) <= rng.uniform(10, 14)) & (np.abs(across) <= rng.uniform(3, 4)))


def photo(mask: np.ndarray) -> np.ndarray:
    """(H, W, 1) uint8 image with the shape in it."""
    return np.where(mask, DARK, BRIGHT).astype(np.uint8)[:, :, None]


def shown(image: np.ndarray) -> np.ndarray:
    """How much of each pixel is the shape."""
    pixels = image.reshape(*image.shape[:2], -1)[:, :, 0].astype(float)
    return np.asarray((BRIGHT - pixels) / (BRIGHT - DARK))


def tight(mask: np.ndarray) -> np.ndarray:
    box = mask_box(mask)
    assert box is not None
    return np.ascontiguousarray(mask[box[0] : box[0] + box[2], box[1] : box[1] + box[3]])


def offset(seen: Seen) -> np.ndarray:
    """Down and right by how much the mask lies off its image, and by how much larger it is: pixels, of a side."""
    weights = [np.clip(seen[0], 0, 1), np.asarray(seen[1], float)]
    places = []
    for weight in weights:
        y, x = np.mgrid[: weight.shape[0], : weight.shape[1]]
        places.append(np.array([(y * weight).sum(), (x * weight).sum()]) / weight.sum())
    return np.append(places[1] - places[0], np.sqrt(weights[1].sum()) - np.sqrt(weights[0].sum()))


def seen_window(mask: np.ndarray, rng: np.random.Generator) -> Seen:
    """Window at a reduced scale, as the network sees it."""
    height, width = (int(rng.integers(70, 120)) for _ in range(2))
    window = Window(int(rng.integers(-12, 8)), int(rng.integers(-12, 8)), height, width, (48, 48))
    image = np.full((*mask.shape, 1), BRIGHT, np.uint8)
    image[mask] = DARK
    return shown(extract(image, window)), extract_mask(mask, window)


def enlarged_residual(mask: np.ndarray, rng: np.random.Generator) -> Seen:
    """What the network adds at a reduced scale, brought back to the image."""
    window = Window(0, 0, SIDE, SIDE, (int(rng.integers(40, 80)), int(rng.integers(40, 80))))
    added = extract_mask(mask, window).astype(np.float32)[:, :, None]
    return patch_residual(added, window, (0, 0, SIDE, SIDE))[:, :, 0], mask


def batch_window(mask: np.ndarray, rng: np.random.Generator) -> Seen:
    """The same of a batch."""
    window, outline, corner = _batch(mask, rng)
    images = torch.from_numpy(photo(mask)).permute(2, 0, 1)[None].float()
    pixels = Pixels.of([outline], [corner], [0])
    cut = extract_windows(images, [0], [window])[0].permute(1, 2, 0).numpy()
    return shown(cut), window_masks([outline], [corner], [window], pixels)[0].numpy()


def batch_residual(mask: np.ndarray, rng: np.random.Generator) -> Seen:
    """What the network adds to a window of a batch."""
    window, outline, corner = _batch(mask, rng)
    everywhere = Outline.of(Shape(np.ones_like(mask), 0), torch.device("cpu"))
    added = window_masks([outline], [corner], [window], Pixels.of([outline], [corner], [0])).float()[:, None]
    whole = Pixels.of([everywhere], [(0, 0)], [0])
    return residual_at(added, [window], whole).reshape(mask.shape).numpy(), mask


def _batch(mask: np.ndarray, rng: np.random.Generator) -> tuple[Window, Outline, tuple[int, int]]:
    box = mask_box(mask)
    assert box is not None
    window = Window(0, 0, SIDE, SIDE, (int(rng.integers(40, 80)), int(rng.integers(40, 80))))
    return window, Outline.of(Shape(tight(mask), 0), torch.device("cpu")), (box[0], box[1])


class _One(DefectDataset):
    licence = source = "made up"
    channels, class_names = 1, ("a",)

    def __init__(self, mask: np.ndarray) -> None:
        self.mask = mask

    def read_image(self, record: Any) -> np.ndarray:
        return photo(self.mask)

    def read_mask(self, record: Any, image_hw: tuple[int, int]) -> np.ndarray:
        return self.mask.astype(np.uint8)


RECORD: Any = SimpleNamespace(classes={0}, group="g", image_path="a.png")


def training_window(mask: np.ndarray, rng: np.random.Generator) -> Seen:
    """A window that is cut for training, at a reduced scale."""
    side = 16 if rng.random() < 0.5 else 24
    (window,) = trainer.cut_defects(_One(mask), [RECORD], ((side, side),))
    return shown(window.image), window.mask


def training_crop(mask: np.ndarray, rng: np.random.Generator) -> Seen:
    """A crop of such a window at another scale."""
    (window,) = trainer.cut_defects(_One(mask), [RECORD], ((48, 48),))
    image, cut = trainer.jitter_crop(window, [window.image, window.mask], rng)
    return shown(image), cut


def training_shape(mask: np.ndarray, rng: np.random.Generator) -> Seen:
    """A shape turned and scaled in its window."""
    moved, image = trainer.jitter_shape(mask.astype(np.uint8), photo(mask), rng)
    return shown(image), moved


def training_batch(mask: np.ndarray, rng: np.random.Generator) -> Seen:
    """A donor, as batches for training hold it."""
    defects = trainer.cut_defects(_One(mask), [RECORD], ((48, 48),))
    backgrounds = [(np.full((SIDE, SIDE, 1), BRIGHT, np.uint8), None)]
    batch = trainer.WindowBatches(defects, backgrounds, 1, 0.0, int(rng.integers(1 << 30)), 1, donors=True)[0]
    donor = batch["donor"][0].astype(float)
    return shown(donor * BRIGHT / np.median(donor)), batch["fake_mask"][0]


def _with_margin(appearance: Appearance, matrix: np.ndarray, mask: np.ndarray, displacement: Any = None) -> Seen:
    """Lay an appearance into the frame of a mask and a little around it."""
    moved = np.asarray(matrix, np.float64) + np.array([[0, 0, FAR], [0, 0, FAR]])
    if displacement is not None:
        displacement = cv2.copyMakeBorder(displacement, FAR, FAR, FAR, FAR, cv2.BORDER_REPLICATE)
    laid = lay(appearance, moved, (mask.shape[0] + 2 * FAR, mask.shape[1] + 2 * FAR), displacement)
    return shown(255 * laid.pixels), np.pad(mask, FAR)


def _appearance(mask: np.ndarray) -> Appearance:
    """With a mask's pixels as they are, whatever may be told from the surface."""
    appearance = cut_appearance(photo(mask), mask)
    return replace(appearance, mattes=np.full_like(appearance.mattes, 255))


def _stored(mask: np.ndarray) -> Shape:
    return Shape(tight(mask), 0, origin=Origin(0, np.eye(2, 3)), donor=0)


def exemplar(mask: np.ndarray, rng: np.random.Generator) -> Seen:
    """A real defect mirrored, scaled and turned."""
    shape = jitter_shape(_stored(mask), (0.8, 1.25), (-30, 30), rng)
    assert shape.origin is not None
    return _with_margin(_appearance(mask), shape.origin.matrix, shape.mask)


def exemplar_smaller(mask: np.ndarray, rng: np.random.Generator) -> Seen:
    """A real defect that is made smaller, so that there is room for it."""
    shape = scale_shape(jitter_shape(_stored(mask), (0.8, 1.25), (-30, 30), rng), float(rng.uniform(0.5, 0.9)))
    assert shape.origin is not None
    return _with_margin(_appearance(mask), shape.origin.matrix, shape.mask)


def exemplar_warped(mask: np.ndarray, rng: np.random.Generator) -> Seen:
    """A real defect bent and rippled."""
    shape = jitter_shape(_stored(mask), (0.8, 1.25), (-30, 30), rng)
    bent = elastic(shape.mask, 1.0, rng, shape.edges)
    assert shape.origin is not None
    y, x = bent.offset_yx
    matrix = shape.origin.matrix - np.array([[0, 0, x], [0, 0, y]])
    return _with_margin(_appearance(mask), matrix, bent.mask, bent.displacement)


def exemplar_worn(mask: np.ndarray, rng: np.random.Generator) -> Seen:
    """A real defect's looks in the shape of another: rim on rim."""
    donor, target = disc(rng, radius=9), tight(disc(rng, radius=float(rng.uniform(6, 12))))
    appearance = _appearance(donor)
    laid = lay(appearance, np.eye(2, 3), target.shape[:2], rim_on_rim(appearance.mask, target, False, False))
    return shown(255 * laid.pixels), target


def pasted(mask: np.ndarray, rng: np.random.Generator) -> Seen:
    """Copy-paste of the evaluation."""
    shape, appearance = jitter_shape(_stored(mask), (0.8, 1.25), (-30, 30), rng), _appearance(mask)
    surface: Any = SimpleNamespace(image=np.full((SIDE, SIDE, 1), BRIGHT, np.uint8))
    sides: Any = SimpleNamespace(painter=SimpleNamespace(bank=SimpleNamespace(appearance=lambda _: appearance)))
    painted = copy_paste(sides, Placed(surface, shape, 20, 24, 0))
    whole = np.zeros((SIDE, SIDE), bool)
    whole[20 : 20 + shape.mask.shape[0], 24 : 24 + shape.mask.shape[1]] = shape.mask
    return shown(painted.image), whole


def donor_of_benchmark(mask: np.ndarray, rng: np.random.Generator) -> Seen:
    """The donor of copy-paste in the benchmark, moved with its shape."""
    box = mask_box(mask)
    assert box is not None
    image = photo(mask)[box[0] - MARGIN : box[0] + box[2] + MARGIN, box[1] - MARGIN : box[1] + box[3] + MARGIN]
    shape = jitter_shape(_stored(mask), (0.8, 1.25), (-30, 30), rng)
    draw = Draw(shape.mask, 0, 0, 0, np.empty(0, np.float32), shape.origin)
    window = np.zeros((shape.mask.shape[0] + 2 * FAR, shape.mask.shape[1] + 2 * FAR, 1), np.uint8)
    peer: Any = SimpleNamespace(donors=[Donor(image)])
    return shown(CopyPaste.moved(peer, window, draw, (FAR, FAR))), np.pad(shape.mask, FAR)


def crop_of_benchmark(mask: np.ndarray, rng: np.random.Generator) -> Seen:
    """A crop that the benchmark's network is trained on, augmented."""
    image, cut = cut_crop(photo(mask), mask.astype(np.uint8), (SIDE // 2, SIDE // 2), 88, rng)
    augment = classic_augmentation()
    augment.transforms = augment.transforms[:4]  # those that move something
    seed_transform(augment, (int(rng.integers(1 << 30)),))
    done = augment(image=image, mask=cut)
    return shown(done["image"]), done["mask"]


def answer_of_benchmark(mask: np.ndarray, rng: np.random.Generator) -> Seen:
    """What the benchmark's network says of an image that it sees at another scale."""

    class Echo(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image

    network = Segmenter.__new__(Segmenter)
    torch.nn.Module.__init__(network)
    network.scale, network.unet = float(rng.choice([0.5, 0.75, 0.6])), Echo()
    with torch.no_grad():
        answer = network(torch.from_numpy(photo(mask)).permute(2, 0, 1)[None].float())
    return shown(answer[0].permute(1, 2, 0).numpy()), mask


def memorised_patch(mask: np.ndarray, rng: np.random.Generator) -> Seen:
    """The patch that is compared with training windows."""
    gray, inside = patch(photo(mask), mask)
    return shown(gray[:, :, None]), inside


def pair_for_classifier(mask: np.ndarray, rng: np.random.Generator) -> Seen:
    """A pair of a real and a painted defect, as a classifier sees it."""
    image = np.full((SIDE, SIDE, 1), BRIGHT, np.uint8)
    layers = _tensors([Pair(photo(mask), image, mask, 0, 0, "g")])
    real, clean = layers[0, 0, 0].numpy(), layers[1, 0, 0].numpy()
    return (clean - real) * 48 / (BRIGHT - DARK), layers[0, 0, 1].numpy()


def contact_sheet(mask: np.ndarray, rng: np.random.Generator) -> Seen:
    """A picture with the outline of its mask."""
    size = int(rng.integers(50, 200))
    before = outlined(photo(mask), np.zeros_like(mask, np.uint8), (size, size))
    after = outlined(photo(mask), mask.astype(np.uint8), (size, size))
    line = (before != after).any(axis=2).astype(np.uint8)
    around = line.copy()
    cv2.floodFill(around, None, (0, 0), 2)
    return shown(before), around == 0  # within the line


def reduced_for_check(mask: np.ndarray, rng: np.random.Generator) -> Seen:
    """A large image and its mask, as the check for shifted labels reduces them."""
    whole = np.zeros((int(rng.integers(700, 1200)), int(rng.integers(1300, 2600))), np.uint8)
    y, x = (int(rng.integers(side - 4 * SIDE)) for side in whole.shape)
    whole[y : y + 4 * SIDE, x : x + 4 * SIDE] = cv2.resize(
        mask.astype(np.uint8), (4 * SIDE, 4 * SIDE), interpolation=cv2.INTER_NEAREST_EXACT
    )
    image, reduced, _ = reduce_both(photo(whole > 0), whole)
    return shown(image), reduced


# Masks that are larger on purpose, though not elsewhere: what the network is shown has every pixel of which a fifth is
# to be painted; a shape or a picture that is made smaller keeps thin lines; what is pasted ends softly.
LARGER = (
    seen_window,
    batch_window,
    training_window,
    enlarged_residual,
    batch_residual,
    exemplar_smaller,
    pasted,
    contact_sheet,
)
PLACES: tuple[Callable[[np.ndarray, np.random.Generator], Seen], ...] = (
    *LARGER,
    training_crop,
    training_shape,
    training_batch,
    exemplar,
    exemplar_warped,
    exemplar_worn,
    donor_of_benchmark,
    crop_of_benchmark,
    answer_of_benchmark,
    memorised_patch,
    pair_for_classifier,
    reduced_for_check,
)


@pytest.mark.filterwarnings("ignore:.*smaller than a window")
@pytest.mark.parametrize("form", [disc, bar], ids=["disc", "bar"])
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_an_image_and_its_mask_stay_together(
    place: Callable[[np.ndarray, np.random.Generator], Seen], form: Callable[[np.random.Generator], np.ndarray]
) -> None:
    found = []
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        found.append(offset(place(form(rng), rng)))
    down, right, larger = np.mean(found, axis=0)
    assert max(abs(down), abs(right)) < MOST, f"the mask lies {down:.2f} down and {right:.2f} right of its image"
    # Half a pixel to a side that a mirror image or a turn changes would be none in the mean.
    assert np.abs(found).mean(axis=0)[:2].max() < 2 * MOST, "it lies off, now to one side, now to another"
    if place in LARGER:
        assert abs(larger) < 1.3
    else:
        assert abs(larger) < MOST, f"the mask is {larger:.2f} pixels larger than its image shows"


@pytest.mark.parametrize("side", [96, 1500])
@pytest.mark.parametrize("shift", [(0, 0), (3, -2)])
def test_the_check_finds_where_a_label_belongs(side: int, shift: tuple[int, int]) -> None:
    image = np.random.default_rng(0).normal(BRIGHT, 3, (side, side, 1)).astype(np.uint8)
    factor = max(1, side / 1024)
    mask, moved = np.zeros((side, side), np.uint8), [round(factor * s) for s in shift]
    mask[40:60, 30:55] = 1
    image[40 + moved[0] : 60 + moved[0], 30 + moved[1] : 55 + moved[1]] = DARK
    fit = measure_fit(image, mask)
    assert fit is not None and fit.components == 1 and fit.invisible == 0
    assert np.abs(np.subtract(fit.shift_yx, moved)).max() <= factor
    assert (fit.best > fit.visibility) == (shift != (0, 0))
