from __future__ import annotations

import time
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import save_file

from albu_gan.defects.bank import DefectBank
from albu_gan.defects.procedural import procedural_shape
from albu_gan.defects.shapes import Shape, jitter_shape, scale_shape, warp_mask
from albu_gan.hub.bank_header import CENTRES
from albu_gan.painting.windows import thin_parts

quick = settings(max_examples=25, deadline=None)
sides = st.integers(1, 17)
edge_flags = st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans())


def tight(mask: np.ndarray) -> bool:
    return all(bool(side.any()) for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))


def parts(mask: np.ndarray) -> int:
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] - 1


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    mask = draw(arrays(bool, (draw(sides), draw(sides))))
    mask[draw(st.integers(0, mask.shape[0] - 1)), draw(st.integers(0, mask.shape[1] - 1))] = True
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def test_two_specks_made_a_quarter_as_large_are_one_pixel_or_two() -> None:
    specks = np.array([[False, True], [False, False], [True, False]])
    for angle in range(0, 360, 13):
        assert warp_mask(specks, 0.25, angle).sum() <= 2


def star(side: int, seed: int) -> np.ndarray:
    """A smooth, stout, asymmetric shape."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    angle = np.arctan2(y, x)
    radius = side * (0.35 + 0.06 * np.cos(2 * angle + rng.uniform(0, 6)) + 0.04 * np.cos(3 * angle + rng.uniform(0, 6)))
    mask = np.hypot(y, x) <= radius
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def one_pixel_wide(name: str) -> np.ndarray:
    mask = np.zeros((60, 60), bool)
    if name == "row":
        return np.ones((1, 60), bool)
    if name == "column":
        return np.ones((60, 1), bool)
    if name in ("diagonal", "cross"):
        np.fill_diagonal(mask, True)
    if name == "cross":
        np.fill_diagonal(mask[::-1], True)
    if name == "corner":
        mask[:, 0] = mask[-1] = True
    if name == "blob with a tail":
        mask[:20, :20] = mask[10, 20:] = mask[:, 5] = True
    return mask


@quick
@given(st.lists(st.tuples(masks(), st.integers(0, 2), edge_flags), min_size=1, max_size=6))
def test_a_bank_gives_back_the_shapes_it_was_made_of(entries: list[tuple[np.ndarray, int, tuple[bool, ...]]]) -> None:
    bank = DefectBank([Shape(mask, index, edges) for mask, index, edges in entries], 3)
    assert len(bank) == len(entries)
    assert bank.counts() == [sum(index == c for _, index, _ in entries) for c in range(3)]
    for stored, (mask, index, edges) in zip((bank[i] for i in range(len(bank))), entries, strict=True):
        np.testing.assert_array_equal(stored.mask, mask)
        assert stored.mask.dtype == bool
        assert (stored.class_index, stored.edges) == (index, edges)


@quick
@given(entries=st.lists(st.tuples(masks(), st.integers(0, 2), edge_flags), min_size=1, max_size=6))
def test_a_bank_survives_its_file(tmp_path_factory: pytest.TempPathFactory, entries: list) -> None:
    bank = DefectBank([Shape(mask, index, edges) for mask, index, edges in entries], 3)
    path = tmp_path_factory.mktemp("bank") / "defects.safetensors"
    save_file(bank.to_tensors(), path)
    again = DefectBank.load(path, 3)
    assert (len(again), again.counts()) == (len(bank), bank.counts())
    for i in range(len(bank)):
        np.testing.assert_array_equal(again[i].mask, bank[i].mask)
        assert (again[i].class_index, again[i].edges) == (bank[i].class_index, bank[i].edges)


def seen_at(*centres: tuple[float, float] | None) -> list[Shape]:
    return [Shape(np.ones((3 + i, 4), bool), i, (False,) * 4, None, centre) for i, centre in enumerate(centres)]


def test_where_a_shape_was_seen_survives_its_file_and_whatever_is_done_to_it(tmp_path: Path) -> None:
    bank = DefectBank(seen_at((0.25, 0.75), (0.0, 1.0)), 3)
    save_file(bank.to_tensors(), tmp_path / "defects.safetensors")
    again = DefectBank.load(tmp_path / "defects.safetensors", 3)
    assert [again[i].centre_yx for i in range(2)] == [(0.25, 0.75), (0.0, 1.0)]
    rng = np.random.default_rng(0)
    made = [
        jitter_shape(again[0], (0.5, 2), (-30, 30), rng),
        scale_shape(again[0], 2.0),
        procedural_shape(again[0], rng),
    ]
    assert [shape.centre_yx for shape in made] == [(0.25, 0.75)] * 3


def test_a_bank_that_does_not_know_it_of_every_shape_says_so_and_writes_none() -> None:
    bank = DefectBank(seen_at((0.25, 0.75), None), 3)
    assert CENTRES not in bank.to_tensors()
    assert bank[0].centre_yx is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"centre_yx": np.full((2, 2), 1.01, np.float32)}, "centre lies outside of its image"),
        ({"centre_yx": np.full((2, 2), np.nan, np.float32)}, "centre lies outside of its image"),
        ({"centre_yx": np.zeros((1, 2), np.float32)}, "disagree about the number"),
        ({"centre_yx": np.zeros((2, 2))}, "'centre_yx' must be F32"),
        ({"bits": np.zeros(3, np.uint8)}, "a shape is empty"),
        ({"bits": np.ones(2, np.uint8)}, "2 bytes of bits, its sizes need 3"),
        ({"class_index": np.array([0, 3], np.int32)}, "not among the 3 classes"),
        ({"class_index": np.array([0, -1], np.int32)}, "not among the 3 classes"),
        ({"class_index": np.array([0], np.int32)}, "disagree about the number"),
        ({"edges": np.zeros((2, 3), np.uint8)}, "disagree about the number"),
        ({"size_hw": np.array([[3, 4], [0, 3]], np.int32)}, "side is outside 1 to"),
        ({"size_hw": np.array([[3, 4], [1, 9000]], np.int32)}, "side is outside 1 to"),
        ({"size_hw": np.array([[3, 4], [1, 3]], np.int64)}, "'size_hw' must be I32"),
        ({"bits": np.ones((1, 3), np.uint8)}, "'bits' must be U8 of rank 1"),
        ({"more": np.ones(1, np.uint8)}, "holds tensors"),
    ],
)
def test_a_bank_whose_tensors_disagree_is_refused_and_named(
    tmp_path: Path, change: dict[str, np.ndarray], said: str
) -> None:
    bank = DefectBank([Shape(np.ones((3, 4), bool), 0), Shape(np.ones((1, 3), bool), 2)], 3)
    path = tmp_path / "defects.safetensors"
    save_file({**bank.to_tensors(), **change}, path)
    with pytest.raises(ValueError, match=said) as error:
        DefectBank.load(path, 3)
    assert str(path) in str(error.value)


def test_a_bank_that_is_no_safetensors_file_is_refused_and_named(tmp_path: Path) -> None:
    path = tmp_path / "defects.safetensors"
    path.write_bytes(b"not a bank")
    with pytest.raises(ValueError, match=r"defects\.safetensors: not a safetensors file"):
        DefectBank.load(path, 3)


def test_shapes_of_a_class_are_drawn_evenly_and_of_no_other_class() -> None:
    bank = DefectBank([Shape(np.ones((1, i + 1), bool), i % 2) for i in range(10)], 2)
    rng = np.random.default_rng(0)
    widths = [bank.sample(1, rng).mask.shape[1] for _ in range(2000)]
    values, counts = np.unique(widths, return_counts=True)
    assert values.tolist() == [2, 4, 6, 8, 10]
    assert counts.min() > 330  # 400 expected, standard deviation 18


@quick
@given(masks(), st.floats(0.1, 3), st.floats(-180, 180))
def test_a_warped_mask_is_never_empty_and_always_tight(mask: np.ndarray, scale: float, angle: float) -> None:
    before = mask.copy()
    warped = warp_mask(mask, scale, angle)
    assert warped.dtype == bool and warped.flags.c_contiguous
    assert warped.any() and tight(warped)
    np.testing.assert_array_equal(mask, before)
    # Nothing leaves the rotated box, but for the rounding of its ends.
    diagonal = np.hypot(*mask.shape) * scale
    assert max(warped.shape) <= diagonal + 3


@quick
@given(st.integers(30, 90), st.integers(0, 99), st.floats(0.3, 2.5), st.floats(-180, 180))
def test_the_area_of_a_stout_mask_grows_with_the_square_of_the_scale(
    side: int, seed: int, scale: float, angle: float
) -> None:
    mask = star(side, seed)
    expected = mask.sum() * scale**2
    # The outline may lie half a pixel off.
    assert abs(warp_mask(mask, scale, angle).sum() - expected) <= 0.5 * 4 * np.sqrt(expected)


@pytest.mark.parametrize("scale", [2.0, 0.5])
def test_a_rectangle_scales_to_the_rectangle_it_should_be(scale: float) -> None:
    warped = warp_mask(np.ones((20, 36), bool), scale, 0.0)
    assert warped.shape == (20 * scale, 36 * scale)
    assert warped.mean() > 0.98  # but for the corners, which a blur rounds


@pytest.mark.parametrize("scale", [1e-6, 0.01, 0.03, 0.1, 0.24])
def test_a_mask_made_very_small_is_whole_and_soon_made(scale: float) -> None:
    side = 1500
    ring = np.zeros((side, side), bool)
    cv2.circle(ring.view(np.uint8), (side // 2, side // 2), side // 2 - 8, 1, 7)
    left, top, width, height = cv2.boundingRect(ring.view(np.uint8))
    start = time.thread_time()
    warped = warp_mask(ring[top : top + height, left : left + width], scale, 30.0)
    assert time.thread_time() - start < 1.5
    assert tight(warped) and parts(warped) == 1
    assert abs(max(warped.shape) - max(1, width * scale)) <= 2


@pytest.mark.parametrize("angle", [0.0, 35.0, 90.0])
def test_a_mask_reduced_by_blocks_lies_where_its_map_says(angle: float) -> None:
    shape = Shape(star(211, 5), 0)
    bank = DefectBank([shape], 1)
    small = jitter_shape(bank[0], (0.1, 0.1), (angle, angle), np.random.default_rng(0))
    assert small.origin is not None
    moved = np.zeros(small.mask.shape, np.float32)
    x, y = (small.origin.matrix @ np.vstack([np.argwhere(shape.mask).T[::-1], np.ones(shape.mask.sum())])).T.T
    inside = (np.rint(y) >= 0) & (np.rint(y) < moved.shape[0]) & (np.rint(x) >= 0) & (np.rint(x) < moved.shape[1])
    np.add.at(moved, (np.rint(y[inside]).astype(int), np.rint(x[inside]).astype(int)), 0.01)
    different = (moved >= 0.5) != small.mask
    assert different.sum() <= 0.06 * small.mask.sum()
    assert not different[2:-2, 2:-2][cv2.erode(small.mask.astype(np.uint8), np.ones((3, 3)))[2:-2, 2:-2] > 0].any()


@pytest.mark.parametrize("turn", [90, 180, 270])
@pytest.mark.parametrize("mask", [star(31, 3), np.tril(np.ones((9, 6), bool)), one_pixel_wide("corner")])
def test_a_right_angle_is_numpys_rotation(mask: np.ndarray, turn: int) -> None:
    np.testing.assert_array_equal(warp_mask(mask, 1.0, turn), np.rot90(mask, turn // 90))


@pytest.mark.parametrize("name", ["row", "column", "diagonal", "cross", "corner", "blob with a tail"])
@pytest.mark.parametrize("scale", [0.2, 0.35, 0.5, 0.7, 0.9, 1.0, 1.3])
@pytest.mark.parametrize("angle", [0, 10, 45, -70])
def test_a_line_of_one_pixel_stays_whole_and_keeps_its_length(name: str, scale: float, angle: float) -> None:
    mask = one_pixel_wide(name)
    warped = warp_mask(mask, scale, angle)
    assert parts(warped) == 1
    # Extent along the two axes of the source, carried over to those of the result.
    points = np.argwhere(mask) * scale
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    turned = points @ np.array([[c, s], [-s, c]])
    assert np.allclose(np.array(warped.shape), np.ptp(turned, axis=0) + 1, atol=1.5 + scale)


@quick
@given(masks(), st.integers(2, 5))
def test_thin_parts_are_what_no_square_inside_the_mask_covers(mask: np.ndarray, width: int) -> None:
    height, length = mask.shape
    covered = np.zeros_like(mask)
    for top in range(height - width + 1):
        for left in range(length - width + 1):
            square = (slice(top, top + width), slice(left, left + width))
            if mask[square].all():
                covered[square] = True
    np.testing.assert_array_equal(thin_parts(mask, width), mask & ~covered)


@pytest.mark.parametrize("edges", list(product([False, True], repeat=4)))
def test_flags_of_the_edges_move_with_the_sides_they_belong_to(edges: tuple[bool, bool, bool, bool]) -> None:
    mask = np.array([[1, 1, 1], [1, 0, 0]], bool)
    top, left, bottom, right = edges
    possible = [
        (mask, (top, left, bottom, right)),
        (mask[::-1], (bottom, left, top, right)),
        (mask[:, ::-1], (top, right, bottom, left)),
        (mask[::-1, ::-1], (bottom, right, top, left)),
    ]
    seen = set()
    for seed in range(30):
        jittered = jitter_shape(Shape(mask, 1, edges), (1.0, 1.0), (0.0, 0.0), np.random.default_rng(seed))
        (index,) = (i for i, (m, _) in enumerate(possible) if np.array_equal(jittered.mask, m))
        assert jittered.edges == possible[index][1] and jittered.class_index == 1
        seen.add(index)
    assert seen == {0, 1, 2, 3}


def test_jitter_mirrors_both_ways_half_of_the_time() -> None:
    mask = np.array([[True, True], [True, False]])
    rng = np.random.default_rng(0)
    seen = [jitter_shape(Shape(mask, 0), (1.0, 1.0), (0.0, 0.0), rng).mask for _ in range(800)]
    missing = [tuple(np.argwhere(~m)[0]) for m in seen]
    counts = [missing.count(corner) for corner in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert sum(counts) == 800 and min(counts) > 140  # 200 expected, standard deviation 12


def test_a_shape_of_the_border_is_never_rotated() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        jittered = jitter_shape(
            Shape(np.ones((6, 30), bool), 0, (True, False, False, False)), (1.0, 1.0), (20.0, 40.0), rng
        )
        np.testing.assert_array_equal(jittered.mask, np.ones((6, 30), bool))
        assert jittered.edges in ((True, False, False, False), (False, False, True, False))


@quick
@given(masks(), st.integers(0, 2**32 - 1))
def test_jitter_depends_on_the_generator_alone_and_leaves_its_shape_alone(mask: np.ndarray, seed: int) -> None:
    before = mask.copy()
    shape = Shape(mask, 0)
    a, b = (jitter_shape(shape, (0.5, 1.5), (-30, 30), np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(a.mask, b.mask)
    np.testing.assert_array_equal(mask, before)
    assert tight(a.mask)


def test_scaling_a_shape_keeps_class_and_edges() -> None:
    edges = (False, True, False, False)
    scaled = scale_shape(Shape(np.ones((20, 10), bool), 2, edges), 0.5)
    assert (scaled.mask.shape, scaled.class_index, scaled.edges) == ((10, 5), 2, edges)


@quick
@given(masks(), edge_flags, st.integers(0, 2**32 - 1))
def test_a_procedural_shape_is_tight_deterministic_and_keeps_class_and_edges(
    mask: np.ndarray, edges: tuple[bool, bool, bool, bool], seed: int
) -> None:
    like = Shape(mask, 2, edges)
    a, b = (procedural_shape(like, np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(a.mask, b.mask)
    assert a.mask.dtype == bool and tight(a.mask)
    assert (a.class_index, a.edges) == (2, edges)


@pytest.mark.parametrize(
    "mask",
    [np.ones((20, 40), bool), star(41, 0), np.ones((4, 120), bool), np.ones((90, 3), bool), one_pixel_wide("diagonal")],
    ids=["rectangle", "star", "bar", "upright bar", "diagonal"],
)
def test_procedural_shapes_are_about_as_large_as_their_model_and_differ(mask: np.ndarray) -> None:
    shapes = [procedural_shape(Shape(mask, 0), np.random.default_rng(seed)).mask for seed in range(40)]
    areas = np.array([shape.sum() / mask.sum() for shape in shapes])
    extents = np.array([max(shape.shape) / max(mask.shape) for shape in shapes])
    assert 0.5 < np.median(areas) < 2 and areas.min() > 0.2 and areas.max() < 4
    assert 0.75 < np.median(extents) < 1.25 and 1.2 < extents.max() < 1.8 and extents.min() < 0.8
    assert len({shape.tobytes() for shape in shapes}) > 30


@pytest.mark.parametrize("size_hw", [(30, 40), (6, 90), (90, 6)])
@pytest.mark.parametrize(
    "edges",
    [
        (True, False, False, False),
        (False, False, False, True),
        (False, True, False, True),
        (True, False, True, False),
        (True, True, False, False),
    ],
)
def test_a_procedural_shape_that_was_cut_off_lies_flush_with_the_border(
    size_hw: tuple[int, int], edges: tuple[bool, bool, bool, bool]
) -> None:
    flush, whole = [], []
    for seed in range(20):
        mask = procedural_shape(Shape(np.ones(size_hw, bool), 0, edges), np.random.default_rng(seed)).mask
        sides = (mask[0], mask[:, 0], mask[-1], mask[:, -1])
        flush += [side.mean() for side, cut in zip(sides, edges, strict=True) if cut]
        whole.append(cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] == 2)
    assert np.mean(flush) > (0.5 if size_hw == (30, 40) else 0.25) and all(whole)


def test_slender_models_give_slender_shapes_and_stout_ones_stout_shapes() -> None:
    """Stoutness: area over the square of the extent; 0.785 for a disc."""

    def stoutness(model: np.ndarray) -> np.ndarray:
        shapes = [procedural_shape(Shape(model, 0), np.random.default_rng(seed)).mask for seed in range(40)]
        return np.array([shape.sum() / max(shape.shape) ** 2 for shape in shapes])

    assert stoutness(np.ones((4, 120), bool)).max() < 0.15
    assert stoutness(star(41, 0)).min() > 0.2


@pytest.mark.parametrize("size_hw", [(12, 2), (40, 3), (200, 4), (4, 200)])
def test_a_line_that_turns_back_before_the_border_is_a_shape_all_the_same(size_hw: tuple[int, int]) -> None:
    edges = (size_hw[0] > size_hw[1], size_hw[0] < size_hw[1]) * 2
    for seed in range(600):
        mask = procedural_shape(Shape(np.ones(size_hw, bool), 0, edges), np.random.default_rng(seed)).mask
        assert mask.any() and tight(mask)


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8])
def test_an_invented_line_is_about_as_wide_as_its_model(width: int) -> None:
    model = Shape(np.ones((120, width), bool), 0)
    shapes = [procedural_shape(model, np.random.default_rng(seed)).mask for seed in range(60)]
    widths = np.array([np.median(mask.sum(axis=1)) for mask in shapes])
    assert 0.8 * width <= np.median(widths) <= max(2, 1.35 * width)
    assert widths.max() > 1.2 * width and all(mask.any(axis=1).all() for mask in shapes)


def test_a_slender_shape_lies_as_its_model_does() -> None:
    across = [procedural_shape(Shape(np.ones((4, 60), bool), 0), np.random.default_rng(s)).mask for s in range(20)]
    upright = [procedural_shape(Shape(np.ones((60, 4), bool), 0), np.random.default_rng(s)).mask for s in range(20)]
    assert np.mean([m.shape[1] > m.shape[0] for m in across]) > 0.9
    assert np.mean([m.shape[0] > m.shape[1] for m in upright]) > 0.9


@pytest.mark.parametrize("edges", [(False,) * 4, (True, False, False, False)])
@pytest.mark.parametrize("seed", range(6))
def test_the_origin_moves_what_the_shape_was_cut_from_as_the_shape(edges: tuple[bool, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    blob = cv2.GaussianBlur(rng.random((40, 56)), (0, 0), 5)
    inside = blob > np.median(blob)
    inside[0, 0] = inside[-1, -1] = True
    bank = DefectBank([Shape(np.ones((3, 3), bool), 0), Shape(inside, 0, edges)], 1)
    shape = scale_shape(jitter_shape(bank[1], (0.7, 1.4), (-40, 40), rng), 0.9)
    assert shape.origin is not None and shape.origin.index == 1
    height, width = shape.mask.shape
    moved = cv2.warpAffine(inside.astype(np.float32), shape.origin.matrix, (width, height)) > 0.5
    assert (moved & shape.mask).sum() / (moved | shape.mask).sum() > 0.93


@pytest.mark.parametrize("empty", [0, 3, 6])
@pytest.mark.parametrize("last", [True, False])
def test_a_bank_with_an_empty_shape_is_refused_whatever_fills_its_last_byte_up(
    tmp_path: Path, empty: int, last: bool
) -> None:
    sizes = [(3, 3), (1, 1), (5, 8), (2, 2), (4, 4), (9, 1), (3, 5)]
    shapes = [Shape(np.zeros((h, w), bool), 0) for h, w in sizes]
    for index, shape in enumerate(shapes):
        shape.mask[(-1, -1) if last else (0, 0)] = index != empty
    tensors = DefectBank(shapes, 1).to_tensors()
    ends = np.cumsum([-(-h * w // 8) for h, w in sizes])
    tensors["bits"][ends[empty] - 1] |= (1 << -(sizes[empty][0] * sizes[empty][1]) % 8) - 1  # no pixels of the shape
    save_file(tensors, tmp_path / "defects.safetensors")
    with pytest.raises(ValueError, match="a shape is empty"):
        DefectBank.load(tmp_path / "defects.safetensors", 1)
    shapes[empty].mask[0, 0] = True
    save_file(DefectBank(shapes, 1).to_tensors(), tmp_path / "defects.safetensors")
    assert len(DefectBank.load(tmp_path / "defects.safetensors", 1)) == len(sizes)


def test_shapes_of_no_bank_have_no_origin() -> None:
    shape = jitter_shape(Shape(np.ones((4, 5), bool), 0), (0.5, 2), (-9, 9), np.random.default_rng(0))
    assert shape.origin is None and scale_shape(shape, 0.5).origin is None
