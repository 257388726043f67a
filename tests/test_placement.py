from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from albu_gan.defects import placement
from albu_gan.defects.placement import Occupancy, place, starts
from albu_gan.defects.shapes import Shape

quick = settings(max_examples=60, deadline=None)
NO_EDGES = (False, False, False, False)
edge_flags = st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans())


def allowed(shape: Shape, blocked: np.ndarray) -> set[tuple[int, int]]:
    """Every position that the contract allows, found the slow way."""
    (H, W), (h, w) = blocked.shape, shape.mask.shape
    top, left, bottom, right = shape.edges
    return {
        (y, x)
        for y in range(H - h + 1)
        for x in range(W - w + 1)
        if not (blocked[y : y + h, x : x + w] & shape.mask).any()
        and (top == bottom or y == (0 if top else H - h))
        and (left == right or x == (0 if left else W - w))
    }


@st.composite
def situations(draw: st.DrawFn) -> tuple[Shape, np.ndarray]:
    blocked = draw(arrays(bool, (draw(st.integers(1, 14)), draw(st.integers(1, 14)))))
    mask = draw(arrays(bool, (draw(st.integers(1, 5)), draw(st.integers(1, 5)))))
    mask[draw(st.integers(0, mask.shape[0] - 1)), draw(st.integers(0, mask.shape[1] - 1))] = True
    return Shape(mask, 0, draw(st.one_of(st.just(NO_EDGES), edge_flags))), blocked


@quick
@given(situations(), st.integers(0, 2**32 - 1))
def test_a_place_is_found_exactly_where_brute_force_finds_one(situation: tuple[Shape, np.ndarray], seed: int) -> None:
    shape, blocked = situation
    before = blocked.copy()
    found = place(shape, blocked, blocked.shape, np.random.default_rng(seed))
    places = allowed(shape, blocked)
    assert found in places if places else found is None
    assert found == place(shape, blocked, blocked.shape, np.random.default_rng(seed))
    np.testing.assert_array_equal(blocked, before)


@quick
@given(situations(), st.integers(0, 2**32 - 1))
def test_without_blocked_pixels_a_shape_goes_wherever_its_edges_allow(
    situation: tuple[Shape, np.ndarray], seed: int
) -> None:
    shape, blocked = situation
    found = place(shape, None, blocked.shape, np.random.default_rng(seed))
    places = allowed(shape, np.zeros_like(blocked))
    assert found in places if places else found is None


@pytest.mark.parametrize("seed", range(5))
def test_the_only_free_place_of_a_large_image_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((37, 53)) < 0.6
    blocked = np.ones((600, 800), bool)
    top, left = int(rng.integers(600 - 37)), int(rng.integers(800 - 53))
    blocked[top : top + 37, left : left + 53] &= ~mask
    assert place(Shape(mask, 0), blocked, blocked.shape, rng) == (top, left)


def test_one_blocked_pixel_in_the_only_free_place_of_a_large_image_is_noticed() -> None:
    """The correlation that looks everywhere is a Fourier transform's; its rounding must not hide a pixel."""
    mask = np.ones((300, 300), bool)
    blocked = np.ones((700, 700), bool)
    blocked[200:500, 100:400] = False
    assert place(Shape(mask, 0), blocked, blocked.shape, np.random.default_rng(0)) == (200, 100)
    blocked[333, 222] = True
    blocked[0, :2] = False  # enough free pixels, so that counting them is not enough
    assert place(Shape(mask, 0), blocked, blocked.shape, np.random.default_rng(0)) is None


@pytest.mark.parametrize("size", [(4, 40), (40, 4)])
def test_a_shape_larger_than_the_image_fits_nowhere(size: tuple[int, int]) -> None:
    assert place(Shape(np.ones(size, bool), 0), None, (20, 20), np.random.default_rng(0)) is None


def test_a_shape_as_large_as_the_image_has_one_place() -> None:
    assert place(Shape(np.ones((20, 30), bool), 0), None, (20, 30), np.random.default_rng(0)) == (0, 0)


@pytest.mark.parametrize(
    ("edges", "rows", "columns"),
    [
        ((True, False, False, False), {0}, set(range(31))),
        ((False, False, True, False), {35}, set(range(31))),
        ((False, True, False, False), set(range(36)), {0}),
        ((False, False, False, True), set(range(36)), {30}),
        ((True, True, False, False), {0}, {0}),
        ((False, False, True, True), {35}, {30}),
        ((True, False, True, False), set(range(36)), set(range(31))),  # cut off on both sides: no side to go to
    ],
)
@pytest.mark.parametrize("with_mask", [False, True])
def test_a_shape_cut_off_by_a_border_goes_to_that_border_and_anywhere_along_it(
    edges: tuple[bool, bool, bool, bool], rows: set[int], columns: set[int], with_mask: bool
) -> None:
    rng = np.random.default_rng(0)
    blocked = np.zeros((40, 40), bool) if with_mask else None
    shape = Shape(np.ones((5, 10), bool), 0, edges)
    found = [place(shape, blocked, (40, 40), rng) for _ in range(400)]
    assert {y for y, _ in found} <= rows and {x for _, x in found} <= columns
    assert len({y for y, _ in found}) > 0.9 * len(rows) and len({x for _, x in found}) > 0.9 * len(columns)


@quick
@given(situations(), st.tuples(st.floats(0, 1), st.floats(0, 1)), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_a_shape_stays_near_where_it_was_seen_and_off_what_is_blocked(
    situation: tuple[Shape, np.ndarray], centre: tuple[float, float], shift: float, seed: int
) -> None:
    bare, blocked = situation
    shape = Shape(bare.mask, 0, bare.edges, None, centre)
    found = place(shape, blocked, blocked.shape, np.random.default_rng(seed), shift)
    places = allowed(shape, blocked)
    if any(length > side for length, side in zip(shape.mask.shape, blocked.shape, strict=True)):
        assert found is None
        return
    spans = starts(shape, blocked.shape, shift)
    near = {p for p in places if all(low <= v <= high for v, (low, high) in zip(p, spans, strict=True))}
    assert found in near if near else found is None
    if shift == 1:
        assert spans == starts(shape, blocked.shape)


@pytest.mark.parametrize(
    ("centre", "shift", "rows", "columns"),
    [
        ((0.5, 0.5), 0.0, (40, 40), (95, 95)),  # 100 x 200, a shape of 20 x 10
        ((0.5, 0.5), 0.1, (30, 50), (75, 115)),
        ((0.25, 0.9), 0.1, (5, 25), (155, 190)),  # the border ends it
        ((0.0, 1.0), 0.0, (0, 0), (190, 190)),  # as near as it fits
        ((0.5, 0.5), 1.0, (0, 80), (0, 190)),
    ],
)
def test_how_far_a_shape_may_move_is_measured_in_image_sides(
    centre: tuple[float, float], shift: float, rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    shape = Shape(np.ones((20, 10), bool), 0, NO_EDGES, None, centre)
    assert starts(shape, (100, 200), shift) == (rows, columns)
    rng = np.random.default_rng(0)
    found = np.array([place(shape, None, (100, 200), rng, shift) for _ in range(600)])
    assert (found.min(axis=0) - [rows[0], columns[0]] <= 2).all() and (found >= [rows[0], columns[0]]).all()
    assert ([rows[1], columns[1]] - found.max(axis=0) <= 2).all() and (found <= [rows[1], columns[1]]).all()
    unknown = Shape(shape.mask, 0)
    assert starts(unknown, (100, 200), shift) == ((0, 80), (0, 190))


def test_a_shape_of_a_border_stays_there_and_near_along_it() -> None:
    shape = Shape(np.ones((20, 10), bool), 0, (False, False, True, False), None, (0.1, 0.5))
    assert starts(shape, (100, 200), 0.1) == ((80, 80), (75, 115))


@pytest.mark.parametrize("with_mask", [False, True])
def test_every_place_of_a_free_image_is_drawn_equally_often(with_mask: bool) -> None:
    rng = np.random.default_rng(0)
    blocked = np.zeros((16, 12), bool) if with_mask else None
    counts = np.zeros((6, 4))
    for _ in range(4800):
        counts[place(Shape(np.ones((11, 9), bool), 0), blocked, (16, 12), rng)] += 1
    assert counts.min() > 140 and counts.max() < 260  # 200 expected, standard deviation 14


def test_every_free_place_of_a_half_blocked_image_is_drawn_about_equally_often() -> None:
    rng = np.random.default_rng(0)
    blocked = np.zeros((20, 20), bool)
    blocked[5:15, 3:13] = True
    shape = Shape(np.array([[1, 1, 0], [0, 1, 1]], bool), 0)
    places = allowed(shape, blocked)
    counts = dict.fromkeys(places, 0)
    for _ in range(20 * len(places)):
        counts[place(shape, blocked, blocked.shape, rng)] += 1
    statistic = sum((count - 20) ** 2 / 20 for count in counts.values())
    # Chi-squared: its mean is the degrees of freedom, its variance twice as much.
    assert statistic < len(places) + 5 * np.sqrt(2 * len(places))


def test_a_small_region_of_a_large_image_is_used_throughout() -> None:
    rng = np.random.default_rng(0)
    blocked = np.ones((400, 400), bool)
    blocked[300:312, 40:60] = False
    found = {place(Shape(np.ones((8, 8), bool), 0), blocked, blocked.shape, rng) for _ in range(600)}
    assert found <= {(y, x) for y in range(300, 305) for x in range(40, 53)}
    assert len(found) > 60  # of 65


@quick
@given(situations(), st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_what_is_occupied_is_as_in_a_map_of_the_whole_image(
    situation: tuple[Shape, np.ndarray], seed: int, strip: int
) -> None:
    """Covered and uncovered at random; every question is answered as a map that is kept beside it answers it."""
    shape, blocked = situation
    (H, W), (h, w) = blocked.shape, shape.mask.shape
    rng = np.random.default_rng(seed)
    taken, known, covered = Occupancy((H, W), blocked if seed % 2 else lambda r, c: blocked[r, c]), blocked.copy(), []
    before = blocked.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(placement, "STRIP_PIXELS", strip)
        for _ in range(6):
            found = place(Shape(shape.mask, 0), taken, (H, W), rng)
            if covered and (found is None or rng.random() < 0.3):
                top, left = covered.pop(int(rng.integers(len(covered))))
                taken.uncover(shape.mask, top, left)
                known[top : top + h, left : left + w][shape.mask] = False
            elif found is not None:
                covered.append(found)
                taken.cover(shape.mask, *found)
                assert not known[found[0] : found[0] + h, found[1] : found[1] + w][shape.mask].any()
                known[found[0] : found[0] + h, found[1] : found[1] + w][shape.mask] = True
            part = taken.part(slice(1, H), slice(0, W - 1))
            np.testing.assert_array_equal(np.zeros((H - 1, W - 1), bool) if part is None else part, known[1:, : W - 1])
            np.testing.assert_array_equal(taken.free_by_row(), (~known).sum(axis=1))
            row = int(rng.integers(H))
            np.testing.assert_array_equal(taken.free_columns(row), np.flatnonzero(~known[row]))
            free = int((~known).sum())
            assert (free == 0 or taken.has_free(free)) and not taken.has_free(free + 1)
    np.testing.assert_array_equal(blocked, before)
