"""A mask from the bank instead of by hand: a real shape, varied, at a place like the one that it was seen in."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from albu_gan.app.scene import MAX_CALLS, SampledPart, Scene, draw
from albu_gan.defects import (
    SHRINK_FACTORS,
    DefectBank,
    DefectInpainter,
    Occupancy,
    Shape,
    dress,
    find_alike_place,
    jitter_shape,
    longest_side,
    place,
)

GAP = 3  # pixels kept free around a sampled shape, so that it does not grow together with another
SCALE_RANGE, ROTATE_RANGE = (0.8, 1.25), (-15.0, 15.0)  # as `GANDefectInpaint` has them
PLACE_LIKE = 0.7  # likewise


def sample_mask(scene: Scene, painter: DefectInpainter, class_index: int, rng: np.random.Generator) -> Scene:
    """Add a real shape of a class at a free place: of the chosen exemplar, if there is one.

    Raises:
        ValueError: if the weights hold no shape of the class, nothing fits, or there is too much already.
    """
    setting = scene.setting(class_index)
    if setting.own is not None:
        painter, members = setting.own.painter, list(range(len(setting.own.painter.bank)))
    elif setting.exemplar is not None:
        members = [setting.exemplar]
    else:
        members = painter.bank.members(class_index)
        if not members:
            raise ValueError(f"these weights hold no shapes of {painter.class_names[class_index]}; draw one")
    if len(scene.steps()) >= MAX_CALLS:
        raise ValueError(f"no more than {MAX_CALLS} masks can be sampled; download, and load the painted image again")
    kernel = np.ones((2 * GAP + 1, 2 * GAP + 1), np.uint8)
    blocked = cv2.dilate(((scene.drawn > 0) | scene.locked()).astype(np.uint8), kernel).astype(bool)
    taken = Occupancy(scene.size_hw, blocked)
    bank = painter.bank
    for shrink in SHRINK_FACTORS:
        donor = int(members[rng.integers(len(members))])
        shape = jitter_shape(bank[donor], SCALE_RANGE, ROTATE_RANGE, rng, shrink, longest_side(scene.size_hw))
        if painter.paints_exemplars:
            shape = dress(shape, bank, setting.variation, rng)
        offset_yx = _free_place(bank, shape, taken, rng, scene.base)
        if offset_yx is None:
            continue
        labels = scene.drawn.copy()
        rows, columns = (slice(o, o + s) for o, s in zip(offset_yx, shape.mask.shape, strict=True))
        labels[rows, columns][shape.mask] = class_index + 1
        scene = draw(scene, labels)
        if setting.own is None and painter.paints_exemplars:
            part = SampledPart(class_index, shape.mask, *offset_yx, donor)
            scene = replace(scene, sampled=(*scene.sampled, part))
        return scene
    raise ValueError("there is no room left for another mask; erase some, or load another image")


def _free_place(
    bank: DefectBank, shape: Shape, taken: Occupancy, rng: np.random.Generator, image: np.ndarray
) -> tuple[int, int] | None:
    if bank.has_appearances:
        return find_alike_place(bank, shape, taken, rng, image, PLACE_LIKE)
    return place(shape, taken, taken.image_hw, rng)
