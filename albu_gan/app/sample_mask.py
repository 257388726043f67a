"""Masks from the bank instead of by hand: a real shape, varied, at a place like the one that it was seen in."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from albu_gan.app.sampled import SampledPart, sampled_shape
from albu_gan.app.scene import MAX_CALLS, VISIBLE, Scene, draw
from albu_gan.defects import SHAPE_REDRAWS, SHRINK_FACTORS, USUAL, DefectInpainter, Occupancy, find_alike_place, place
from albu_gan.painting import contrast

GAP = 3  # pixels kept free around a sampled shape, so that it does not grow together with another
DONOR_TRIES = 3  # until a place is like the one that a defect was seen in
PLACE_LIKE = 0.7  # as `GANDefectInpaint` has it
REMEMBERED = 300  # parts, also of masks that may come back by "undo"


def sample_mask(scene: Scene, painter: DefectInpainter, class_index: int, rng: np.random.Generator) -> Scene:
    """Add a real shape of a class at a free place: of the chosen exemplar, if there is one.

    One that would hardly be visible is drawn again.

    Raises:
        ValueError: if the weights hold no shape of the class, nothing fits, or there is too much already.
    """
    setting = scene.setting(class_index)
    source = painter if setting.own is None else setting.own.painter
    members = source.bank.members(class_index if setting.own is None else 0)
    if not members:
        raise ValueError(f"these weights hold no shapes of {painter.class_names[class_index]}; draw one")
    if len(scene.steps()) >= MAX_CALLS:
        raise ValueError(f"no more than {MAX_CALLS} masks can be sampled; download, and load the painted image again")
    kernel = np.ones((2 * GAP + 1, 2 * GAP + 1), np.uint8)
    blocked = cv2.dilate(((scene.drawn > 0) | scene.locked()).astype(np.uint8), kernel).astype(bool)
    taken = Occupancy(scene.size_hw, blocked)
    part = None
    for _ in range(1 + SHAPE_REDRAWS):
        drawn = _draw_part(scene, source, class_index, members, taken, rng)
        part = drawn or part
        if drawn is None or not source.paints_exemplars or _contrast(scene, source, drawn) >= VISIBLE:
            break
    if part is None:
        raise ValueError("there is no room left for another mask; erase some, or load another image")
    labels = scene.drawn.copy()
    part.lay(labels, class_index + 1)
    scene = draw(scene, labels)
    return _remember(scene, [part]) if source.paints_exemplars else scene


def _draw_part(
    scene: Scene,
    source: DefectInpainter,
    class_index: int,
    members: list[int],
    taken: Occupancy,
    rng: np.random.Generator,
) -> SampledPart | None:
    """Draw a shape and a place for it; None if none fits at any size."""
    s = scene.setting(class_index)
    for shrink in SHRINK_FACTORS:
        found: list[tuple[float, SampledPart]] = []
        for _ in range(DONOR_TRIES):
            donor = int(rng.choice(members)) if s.exemplar is None else s.exemplar
            number = int(rng.integers(1_000_000))
            shape = sampled_shape(source, scene.size_hw, donor, number, s.seed, s.variation, shrink)
            if source.bank.has_appearances:
                placed = find_alike_place(source.bank, shape, taken, rng, scene.base, PLACE_LIKE)
            else:
                corner = place(shape, taken, scene.size_hw, rng)
                placed = None if corner is None else (corner, 0.0)
            if placed is None:
                continue
            (top, left), unlike = placed
            part = SampledPart(
                class_index, shape.mask, top, left, shape.edges, donor, s.own, number, s.seed, s.variation, shrink
            )
            found.append((unlike, part))
            if unlike <= USUAL:
                break
        if found:
            return min(found, key=lambda entry: entry[0])[1]
    return None


def _contrast(scene: Scene, source: DefectInpainter, part: SampledPart) -> float:
    """How visible a part will be."""
    mask = np.zeros(scene.size_hw, bool)
    part.lay(mask, True)
    return contrast(scene.base, part.painted(source, scene.base), mask)


def vary_again(scene: Scene, painter: DefectInpainter, class_index: int) -> Scene:
    """Vary the sampled parts of a class anew, with the seed and variation that the class has now, where they are.

    One whose new shape would touch another mask stays as it is.
    """
    setting = scene.setting(class_index)
    source = painter if setting.own is None else setting.own.painter
    labels, locked, varied = scene.drawn.copy(), scene.locked(), []
    for part in scene.parts(class_index):
        if (part.seed, part.variation) == (setting.seed, setting.variation):
            continue
        shape = sampled_shape(
            source, scene.size_hw, part.donor, part.draw, setting.seed, setting.variation, part.shrink
        )
        if any(new > whole for new, whole in zip(shape.mask.shape, scene.size_hw, strict=True)):
            continue
        top, left = _around_the_same_middle(part, shape.mask.shape, scene.size_hw)
        new = replace(part, mask=shape.mask, top=top, left=left, seed=setting.seed, variation=setting.variation)
        without = labels.copy()
        part.lay(without, 0)
        if new.is_free((without > 0) | locked):
            labels = without
            new.lay(labels, class_index + 1)
            varied.append(new)
    return _remember(draw(scene, labels), varied) if varied else scene


def _remember(scene: Scene, parts: list[SampledPart]) -> Scene:
    return replace(scene, sampled=(*scene.sampled, *parts)[-REMEMBERED:])


def _around_the_same_middle(part: SampledPart, mask_hw: tuple[int, ...], size_hw: tuple[int, int]) -> tuple[int, int]:
    """Return the corner of another mask for a part; what belongs at a border stays there."""
    corner = []
    for axis, start in enumerate((part.top, part.left)):
        room = size_hw[axis] - mask_hw[axis]
        middle = start + part.mask.shape[axis] // 2 - mask_hw[axis] // 2
        at_end = part.edges[axis + 2] and start + part.mask.shape[axis] == size_hw[axis]
        first = 0 if part.edges[axis] and start == 0 else room if at_end else middle
        corner.append(min(max(first, 0), room))
    return corner[0], corner[1]
