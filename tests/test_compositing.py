from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albu_gan.painting.compositing import Patch, contrast, edge_weight, paste
from albu_gan.painting.windows import (
    Box,
    Window,
    choose_window,
    extract,
    extract_mask,
    mask_box,
    patch_residual,
    window_shapes,
)

quick = settings(max_examples=60, deadline=None)
SHAPES = [(), (1,), (3,), (5,)]


def noise(shape: tuple[int, ...], dtype: type = np.uint8, seed: int = 0) -> np.ndarray:
    levels = np.random.default_rng(seed).integers(0, 256, shape)
    return levels.astype(np.uint8) if dtype == np.uint8 else (levels / 255).astype(dtype)


def mirrored(index: int, length: int) -> int:
    """The pixel a position outside an image shows: fedcba|abcdef|fedcba."""
    index %= 2 * length
    return index if index < length else 2 * length - 1 - index


def reference_crop(image: np.ndarray, window: Window) -> np.ndarray:
    rows = [mirrored(y, image.shape[0]) for y in range(window.top, window.top + window.height)]
    columns = [mirrored(x, image.shape[1]) for x in range(window.left, window.left + window.width)]
    return image[np.ix_(rows, columns)]


@quick
@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_the_box_of_a_mask_is_its_first_and_last_row_and_column(height: int, width: int, data: st.DataObject) -> None:
    mask = np.zeros((height, width), data.draw(st.sampled_from([bool, np.uint8, np.int64, np.float32])))
    points = data.draw(st.lists(st.tuples(st.integers(0, height - 1), st.integers(0, width - 1)), max_size=4))
    for y, x in points:
        mask[y, x] = 1
    if not points:
        assert mask_box(mask) is None
        return
    ys, xs = np.array(points).T
    assert mask_box(mask) == (ys.min(), xs.min(), np.ptp(ys) + 1, np.ptp(xs) + 1)


@quick
@given(st.data(), st.integers(1, 700), st.integers(1, 700), st.sampled_from([(64,), (32, 64), (64, 128, 256)]))
def test_a_window_shows_the_whole_mask_with_context_and_stays_inside_where_it_fits(
    data: st.DataObject, H: int, W: int, sizes: tuple[int, ...]
) -> None:
    height, width = data.draw(st.integers(1, H)), data.draw(st.integers(1, W))
    top, left = data.draw(st.integers(0, H - height)), data.draw(st.integers(0, W - width))
    shapes = window_shapes(sizes)
    window = choose_window((top, left, height, width), (H, W), shapes)
    margin = max(8, int((height * width) ** 0.5) // 6)
    needed = (height + 2 * margin, width + 2 * margin)
    # The smallest shape that is enough; else the one that shows most, whose source grows.
    enough = [rows * columns for rows, columns in shapes if rows >= needed[0] and columns >= needed[1]]
    scales = {shape: min(shape[0] / needed[0], shape[1] / needed[1]) for shape in shapes}
    scale = min(1.0, scales[window.shape])
    if enough:
        assert scale == 1 and window.shape[0] * window.shape[1] == min(enough) and not window.reduced
    else:
        assert scale == max(scales.values()) < 1 and window.reduced
    for axis, (start, length, corner, limit) in enumerate(
        ((top, height, window.top, H), (left, width, window.left, W))
    ):
        side = (window.height, window.width)[axis]
        assert side >= needed[axis] and abs(side * scale - window.shape[axis]) <= 0.5  # one scale for both
        assert corner <= start and start + length <= corner + side
        if limit >= side:
            assert 0 <= corner <= limit - side
            # Context on either side, except at a border of the image.
            assert start - corner >= margin or corner == 0
            assert corner + side - start - length >= margin or corner == limit - side
        else:
            assert corner <= 0 and corner + side >= limit
            assert abs(-corner - (corner + side - limit)) <= 1  # mirrored evenly


@quick
@given(st.lists(st.integers(16, 2048), min_size=1, max_size=4, unique=True), st.sampled_from([1, 8, 16, 32, 64]))
def test_shapes_of_windows_cost_no_more_than_the_largest_square(sizes: list[int], multiple: int) -> None:
    sizes = sorted(sizes)
    shapes = window_shapes(tuple(sizes), size_multiple=multiple)
    areas = [rows * columns for rows, columns in shapes]
    assert areas == sorted(areas) and areas[0] == sizes[0] ** 2 and areas[-1] == sizes[-1] ** 2
    assert [rows for rows, columns in shapes if rows == columns] == sizes
    assert set(shapes) == {shape[::-1] for shape in shapes} and len(set(shapes)) == len(shapes)
    for rows, columns in shapes:
        assert rows == columns or (rows % 16 == columns % 16 == rows % multiple == columns % multiple == 0)
        assert max(rows, columns) <= 4 * min(rows, columns)


def test_the_shapes_of_the_bundled_sizes() -> None:
    assert window_shapes((64, 128)) == (
        (64, 64),
        (32, 128),
        (128, 32),
        (64, 128),
        (128, 64),
        (128, 128),
        (64, 256),
        (256, 64),
    )
    assert window_shapes((64, 128), size_multiple=128) == window_shapes((64, 128), long=False) == ((64, 64), (128, 128))


@pytest.mark.parametrize(("box", "shape"), [((40, 20, 12, 210), (64, 256)), ((3, 9, 100, 10), (128, 32))])
def test_a_long_defect_gets_a_long_window_at_its_own_scale(box: Box, shape: tuple[int, int]) -> None:
    window = choose_window(box, (400, 400), window_shapes((64, 128)))
    assert window.shape == shape == (window.height, window.width)


@quick
@given(st.integers(1, 30), st.integers(1, 30), st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 90))
def test_a_window_is_the_image_inside_and_its_mirror_image_outside(
    height: int, width: int, top: int, left: int, side: int
) -> None:
    rows, columns = side, 1 + side // 3
    top, left = min(top, height - 1), min(left, width - 1)
    top, left = max(top, 1 - rows), max(left, 1 - columns)  # some of the image is in the window
    image, window = noise((height, width)), Window(top, left, rows, columns, (rows, columns))
    np.testing.assert_array_equal(extract(image, window), reference_crop(image, window))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", SHAPES)
@pytest.mark.parametrize(
    "window", [Window(5, 7, 16, 32, (16, 32)), Window(-5, 30, 24, 24, (24, 24)), Window(-9, -3, 64, 32, (32, 16))]
)
def test_a_window_has_the_shape_and_dtype_of_its_image_and_is_a_copy(
    window: Window, channels: tuple[int, ...], dtype: type
) -> None:
    image = noise((40, 50, *channels), dtype)
    before = image.copy()
    cut = extract(image, window)
    assert cut.shape == (*window.shape, *channels)
    assert cut.dtype == dtype and cut.flags.c_contiguous
    cut[:] = 0
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("channels", SHAPES)
def test_a_window_at_half_the_scale_shows_averages_of_four_pixels(channels: tuple[int, ...]) -> None:
    image = noise((40, 50, *channels), np.float32)
    cut = extract(image, Window(4, 6, 32, 40, (16, 20)))
    expected = image[4:36, 6:46].reshape(16, 2, 20, 2, -1).mean(axis=(1, 3)).reshape(cut.shape)
    np.testing.assert_allclose(cut, expected, atol=1e-6)


def test_every_channel_of_a_window_is_cut_alike() -> None:
    image = noise((40, 50, 6))
    window = Window(-4, 6, 48, 96, (16, 32))
    cut = extract(image, window)
    for channel in range(6):
        np.testing.assert_array_equal(cut[:, :, channel], extract(image[:, :, channel].copy(), window))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", SHAPES)
@pytest.mark.parametrize("window", [Window(5, 7, 16, 32, (16, 32)), Window(-9, -3, 64, 32, (32, 16))])
def test_a_gray_window_is_the_mean_of_its_channels(window: Window, channels: tuple[int, ...], dtype: type) -> None:
    image = noise((40, 50, *channels), dtype)
    before = image.copy()
    cut = extract(image, window, gray=True)
    assert cut.shape == (*window.shape, 1) and cut.dtype == np.float32
    mean = image.reshape(40, 50, -1).astype(np.float32).mean(axis=2)
    np.testing.assert_allclose(cut[:, :, 0], extract(mean, window), rtol=1e-5, atol=1e-5)
    cut[:] = 0
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("view", [np.s_[::-1], np.s_[:, ::-1], np.s_[::2, ::2]])
def test_a_window_of_a_view_is_the_window_of_its_copy(view: tuple[slice, ...]) -> None:
    image = noise((60, 60, 3))[view]
    for window in (Window(2, 3, 16, 16, (16, 16)), Window(-4, 3, 40, 20, (16, 8))):
        np.testing.assert_array_equal(extract(image, window), extract(image.copy(), window))


@quick
@given(st.integers(1, 30), st.integers(1, 30), st.integers(-20, 29), st.integers(-20, 29), st.integers(21, 60))
def test_a_window_of_a_mask_is_the_mask_inside_and_empty_outside(
    height: int, width: int, top: int, left: int, side: int
) -> None:
    top, left = min(top, height - 1), min(left, width - 1)
    mask = noise((height, width)) > 127
    padded = np.pad(mask, 100)
    expected = padded[100 + top : 100 + top + side, 100 + left : 105 + left + side]
    window = Window(top, left, side, side + 5, (side, side + 5))
    np.testing.assert_array_equal(extract_mask(mask, window), expected)


@pytest.mark.parametrize("name", ["row", "column", "diagonal", "cross", "blob with a tail"])
@pytest.mark.parametrize("shape", [(32, 32), (64, 64), (100, 100), (64, 256), (500, 500), (512, 128)])
def test_a_line_of_one_pixel_stays_whole_at_a_reduced_scale(name: str, shape: tuple[int, int]) -> None:
    mask = np.zeros((700, 700), np.uint8)
    lines = {
        "row": [(100, 311, 600, 311)],
        "column": [(77, 90, 77, 610)],
        "diagonal": [(50, 61, 640, 633)],
        "cross": [(50, 61, 640, 333), (97, 600, 480, 50)],
        "blob with a tail": [(200, 200, 650, 301)],
    }
    for x0, y0, x1, y1 in lines[name]:
        cv2.line(mask, (x0, y0), (x1, y1), 1, 1)
    if name == "blob with a tail":
        cv2.circle(mask, (180, 200), 60, 1, -1)
    box = mask_box(mask)
    assert box is not None
    window = choose_window(box, mask.shape, (shape,))
    assert window.reduced and window.height > shape[0]
    small = extract_mask(mask, window)
    assert set(np.unique(small)) == {0, 1} and small.shape == shape
    assert cv2.connectedComponents(small, connectivity=8)[0] == 2
    # Every labelled pixel is in, or beside, a pixel of the small mask, and the other way round.
    grown = cv2.dilate(small, np.ones((3, 3)))
    ys, xs = np.nonzero(mask)
    rows, columns = shape
    assert grown[(ys - window.top) * rows // window.height, (xs - window.left) * columns // window.width].all()
    ratio = max(window.height / rows, window.width / columns)
    reach = int(np.ceil(ratio))
    near = cv2.dilate(mask, np.ones((2 * reach + 1, 2 * reach + 1)))
    ys, xs = np.nonzero(small)
    ys, xs = ((v + 0.5) * ratio for v in (ys, xs))
    assert near[ys.astype(int) + window.top, xs.astype(int) + window.left].all()


def test_a_stout_mask_keeps_its_area_at_a_reduced_scale() -> None:
    mask = np.zeros((600, 600), np.uint8)
    cv2.ellipse(mask, (300, 300), (220, 150), 30, 0, 360, 1, -1)
    for size in (64, 128, 256):
        window = choose_window((80, 80, 440, 440), mask.shape, ((size, size),))
        outline = 2 * np.pi * 190 * size / window.height
        expected = mask.sum() * (size / window.height) * (size / window.width)
        assert abs(extract_mask(mask, window).sum() - expected) < 0.5 * outline


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", SHAPES)
@pytest.mark.parametrize("residual_channels", [1, 3])
def test_pasting_adds_the_residual_inside_the_mask_and_changes_no_bit_outside(
    dtype: type, channels: tuple[int, ...], residual_channels: int
) -> None:
    image = noise((20, 30, *channels), dtype)
    rng = np.random.default_rng(1)
    mask = rng.random((9, 11)) < 0.5
    residual = rng.uniform(-1, 1, (9, 11, residual_channels)).astype(np.float32)
    painted = image.copy()
    paste(painted, Patch(4, 6, mask, residual, 0))
    count = channels[0] if channels else 1
    added = residual if residual_channels == count else residual.mean(axis=2, keepdims=True)
    expected = image.astype(np.float64).reshape(20, 30, count)
    top = 255 if dtype == np.uint8 else 1
    region = expected[4:13, 6:17]
    region[mask] = np.clip((region + top * added)[mask], 0, top)
    np.testing.assert_allclose(
        painted.reshape(20, 30, count), expected, atol=0.501 if dtype == np.uint8 else 1e-6, rtol=0
    )
    outside = np.ones((20, 30), bool)
    outside[4:13, 6:17] = ~mask
    assert painted[outside].tobytes() == image[outside].tobytes()
    assert painted.dtype == dtype


def test_pasting_clips_instead_of_wrapping() -> None:
    for dtype, top in ((np.uint8, 255), (np.float32, 1)):
        image = np.full((4, 4), top * 0.5, dtype)
        mask = np.ones((4, 2), bool)
        paste(image, Patch(0, 0, mask, np.full((4, 2, 1), 5, np.float32), 0))
        paste(image, Patch(0, 2, mask, np.full((4, 2, 1), -5, np.float32), 0))
        assert (image[:, :2] == top).all() and (image[:, 2:] == 0).all()


def test_a_residual_of_zero_changes_no_bit_at_all() -> None:
    for dtype in (np.uint8, np.float32):
        image = noise((16, 16, 3), dtype)
        painted = image.copy()
        paste(painted, Patch(0, 0, np.ones((16, 16), bool), np.zeros((16, 16, 3), np.float32), 0))
        assert painted.tobytes() == image.tobytes()


def test_what_is_painted_rises_from_the_edge_of_a_wide_mask_and_is_whole_in_a_line() -> None:
    weight = edge_weight(np.ones((24, 30), bool), 5, 5, (100, 100))
    np.testing.assert_allclose(weight[12, :4], [0.25, 0.75, 1, 1], atol=1e-6)
    np.testing.assert_allclose(weight[:4, 15], [0.25, 0.75, 1, 1], atol=1e-6)
    for width in (1, 2, 6):
        assert (edge_weight(np.ones((20, width), bool), 5, 5, (100, 100)) == 1).all()
    np.testing.assert_allclose(edge_weight(np.ones((30, 12), bool), 5, 5, (99, 99))[15, :3], [0.5, 1, 1], atol=1e-6)


@pytest.mark.parametrize(("top", "left", "side"), [(0, 5, 0), (5, 0, 1), (80, 5, 2), (5, 70, 3)])
def test_a_mask_that_the_border_of_the_image_cuts_has_no_edge_there(top: int, left: int, side: int) -> None:
    weight = edge_weight(np.ones((20, 30), bool), top, left, (100, 100))
    sides = weight[0, 15], weight[10, 0], weight[-1, 15], weight[10, -1]
    assert [bool(value > 0.9) for value in sides] == [number == side for number in range(4)]
    assert (edge_weight(np.ones((100, 100), bool), 0, 0, (100, 100)) == 1).all()


@quick
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.integers(0, 3), st.integers(0, 3))
def test_every_pixel_of_a_mask_is_painted_a_little_and_none_outside(h: int, w: int, seed: int, y: int, x: int) -> None:
    mask = np.random.default_rng(seed).random((h, w)) < 0.8
    weight = edge_weight(mask, y, x, (h + y + 1, w + x))
    assert weight.dtype == np.float32 and weight.max() <= 1
    assert ((weight > 0) == mask).all()


def test_a_residual_is_carried_pixel_by_pixel_at_full_scale() -> None:
    residual = np.random.default_rng(0).normal(size=(64, 128, 3)).astype(np.float32)
    window = Window(-10, 100, 64, 128, (64, 128))
    cut = patch_residual(residual, window, (3, 117, 20, 30))
    np.testing.assert_array_equal(cut, residual[13:33, 17:47])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [96, 150, 301])
def test_a_smooth_residual_comes_back_from_a_reduced_scale(channels: int, side: int) -> None:
    """What a window shows at the reduced scale, enlarged again, is what the image held."""
    y, x = np.mgrid[:400, :500].astype(np.float32)
    waves = [np.sin(y / 60 + c) * np.cos(x / 70 - c) for c in range(channels)]
    image = np.stack(waves, axis=2).astype(np.float32)
    window = Window(40, 60, side, 2 * side, (64, 128))
    cut = patch_residual(extract(image, window), window, (60, 80, side - 50, side - 60))
    assert cut.shape == (side - 50, side - 60, channels)
    np.testing.assert_allclose(cut, image[60 : 10 + side, 80 : 20 + side], atol=0.01)


@quick
@given(st.sampled_from(SHAPES), st.sampled_from([np.uint8, np.float32]), st.integers(0, 2**32 - 1))
def test_contrast_is_the_upper_quartile_of_the_largest_channel_change(
    channels: tuple[int, ...], dtype: type, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    before, after = (noise((7, 9, *channels), dtype, seed + i) for i in range(2))
    mask = rng.random((7, 9)) < 0.4
    changes = []
    for y, x in np.argwhere(mask):
        a, b = np.atleast_1d(before[y, x]), np.atleast_1d(after[y, x])
        changes.append(max(abs(float(p) - float(q)) for p, q in zip(a, b, strict=True)))
    changes.sort()
    if not changes:
        assert contrast(before, after, mask) == 0
        return
    rank = 0.75 * (len(changes) - 1)
    low, high = int(np.floor(rank)), int(np.ceil(rank))
    expected = changes[low] + (changes[high] - changes[low]) * (rank - low)
    assert contrast(before, after, mask) == pytest.approx(expected * (1 if dtype == np.uint8 else 255), abs=1e-3)


def test_contrast_does_not_wrap_around_zero() -> None:
    dark, bright = np.full((3, 3), 5, np.uint8), np.full((3, 3), 250, np.uint8)
    mask = np.ones((3, 3), bool)
    assert contrast(dark, bright, mask) == contrast(bright, dark, mask) == 245


@pytest.mark.parametrize("view", [np.s_[::-1], np.s_[:, ::-1], np.s_[::2, ::2], np.s_[4:44, 6:50]])
@pytest.mark.parametrize("channels", SHAPES)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_pasting_into_a_view_is_pasting_into_its_copy(
    dtype: type, channels: tuple[int, ...], view: tuple[slice, ...]
) -> None:
    image = noise((60, 70, *channels), dtype)
    rng = np.random.default_rng(2)
    mask = np.asfortranarray(rng.random((9, 11)) < 0.5)
    patch = Patch(3, 5, mask, rng.uniform(-1, 1, (9, 11, 1)).astype(np.float32), 0)
    expected, rest = image[view].copy(), image.copy()
    paste(expected, patch)
    paste(image[view], patch)
    np.testing.assert_array_equal(image[view], expected)
    image[view], rest[view] = 0, 0
    np.testing.assert_array_equal(image, rest)
