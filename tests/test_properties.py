"""What `GANDefectInpaint` and `BatchDefectInpaint` promise, for whatever image, mask and arguments come.

Never a crash, never a changed input, never a pixel changed outside the label, never a label without a defect. The quick
tests draw a few dozen calls, always the same; the slow ones thousands, and others every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from conftest import CLASSES
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from albu_gan import BatchDefectInpaint, GANDefectInpaint
from albu_gan.painting import patches_from_text

SLOW_CALLS = 10_000
CHECKS_OFF = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
quick = settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=CHECKS_OFF)
thorough = settings(
    max_examples=SLOW_CALLS,
    deadline=None,
    suppress_health_check=CHECKS_OFF,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    print_blob=True,
)

INDEX_DTYPES = ("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")
LAYOUTS = ("plain", "read-only", "cropped", "strided", "mirrored", "transposed", "broadcast")
MAX_PIXELS = 400_000  # of most images; a few are larger

small_sides = st.integers(32, 160)
any_sides = st.one_of(small_sides, small_sides, st.integers(32, 700), st.integers(701, 4096))


def laid_out(values: np.ndarray, layout: str) -> tuple[np.ndarray, np.ndarray]:
    """A view that holds `values` (or some of them again and again), and the memory behind it."""
    height, width, rest = *values.shape[:2], values.shape[2:]
    if layout == "cropped":
        base = np.ones((height + 3, width + 5, *rest), values.dtype)
        view = base[1 : 1 + height, 4 : 4 + width]
    elif layout == "strided":
        base = np.ones((2 * height, 3 * width, *rest), values.dtype)
        view = base[1::2, 2::3]
    elif layout == "mirrored":
        base = np.empty_like(values)
        view = base[::-1, ::-1, ::-1] if rest else base[::-1, ::-1]
    elif layout == "transposed":
        base = np.empty((*rest, width, height), values.dtype)
        view = base.T if not rest else base.transpose(2, 1, 0)
    elif layout == "broadcast":
        base = values[:, :1].copy()
        return np.broadcast_to(base, values.shape), base
    else:
        base = view = np.empty_like(values)
    view[...] = values
    if layout != "plain":
        base.flags.writeable = view.flags.writeable = layout in ("cropped", "strided", "transposed")
    return view, base


@dataclass(frozen=True)
class Call:
    """One call of the transform: what `paint` needs to make it again."""

    colour: bool
    size: tuple[int, int]
    channels: tuple[int, ...]
    image_dtype: str
    image_layout: str
    texture: str
    mask_channels: tuple[int, ...] | None  # None: no mask is passed
    mask_dtype: str
    mask_layout: str
    labelled: str
    arguments: dict[str, Any]
    seed: int

    def image(self) -> np.ndarray:
        rng = np.random.default_rng(self.seed)
        shape = (*self.size, *self.channels)
        if self.texture == "grain":
            levels = rng.integers(0, 256, shape)
        elif self.texture == "flat":
            levels = np.full(shape, rng.integers(256))
        else:
            levels = np.zeros(shape, np.int64)
            levels[: self.size[0] // 2] = 255
        return levels.astype(np.uint8) if self.image_dtype == "uint8" else (levels / 255).astype(np.float32)

    def mask(self) -> np.ndarray:
        assert self.mask_channels is not None
        rng = np.random.default_rng(self.seed + 1)
        mask = np.zeros((*self.size, *self.mask_channels), self.mask_dtype)
        labels = [1, 2, 9] if self.labelled != "255" else [255 if self.mask_dtype == "uint8" else 1]
        if self.labelled in ("boxes", "255"):
            for _ in range(4):
                top, left = (int(rng.integers(side)) for side in self.size)
                height, width = (int(rng.integers(1, 1 + side // 2)) for side in self.size)
                part = mask[top : top + height, left : left + width]
                part[..., rng.integers(mask.shape[2]) if mask.ndim == 3 else slice(None)] = rng.choice(labels)
        elif self.labelled == "grain":
            mask[rng.random(self.size) < 0.02] = 1
        elif self.labelled == "full":
            mask[...] = 1
        return mask

    def region(self) -> np.ndarray:
        region = np.zeros(self.size, np.uint8)
        region[self.size[0] // 4 :, : 1 + 3 * self.size[1] // 4] = 200
        return region


def ranges(low: float, high: float, values: Any) -> Any:
    return st.tuples(values, values).map(lambda pair: tuple(sorted(min(max(v, low), high) for v in pair)))


@st.composite
def painting_arguments(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments that the transform and the batch module share, each within its range."""
    factors = st.one_of(st.just(1.0), st.floats(0.5, 2.0), st.floats(-2, 2).map(lambda power: 10.0**power))
    names = draw(st.one_of(st.none(), st.lists(st.sampled_from(CLASSES), min_size=1, max_size=4)))
    weights = st.sampled_from([1e-300, 0.5, 1, 3, 1e300])
    odds = st.fixed_dictionaries(dict.fromkeys(CLASSES, weights))
    return {
        "defects_range": draw(st.one_of(st.sampled_from([(1, 1), (1, 2)]), ranges(0, 6, st.integers(0, 6)))),
        "classes": names,
        "class_sampling": draw(st.one_of(st.sampled_from(["balanced", "dataset"]), odds)),
        "mask_source": draw(st.sampled_from(["bank", "procedural", "both"])),
        "scale_range": draw(ranges(0.01, 100, factors)),
        "rotate_range": draw(ranges(-360, 360, st.floats(-360, 360))),
        "avoid_existing": draw(st.booleans()),
        "ignore_value": draw(st.sampled_from([None, None, 9, 255, -1, 0, 10**30])),
        "max_shift": draw(st.one_of(st.just(1.0), st.just(0.0), st.floats(0, 1))),
        "min_contrast": draw(st.one_of(st.sampled_from([0, 8]), st.floats(0, 255))),
    }


@st.composite
def calls(draw: st.DrawFn, sides: Any) -> Call:
    height, width = draw(sides), draw(sides)
    if height * width > MAX_PIXELS and draw(st.integers(0, 9)):
        width = max(32, MAX_PIXELS // height)
    size = draw(st.sampled_from([(height, width), (width, height)]))
    arguments = draw(painting_arguments())
    mask_channels = draw(st.sampled_from([None, (), (), (1,), (3,), (3,), (5,)]))
    given_values = draw(st.permutations([3, 77, 120]))
    if draw(st.booleans()) and arguments["ignore_value"] not in given_values:
        arguments["mask_values"] = dict(zip(CLASSES, given_values, strict=True))
    elif arguments["ignore_value"] in (1, 2, 3):
        arguments["ignore_value"] = None
    if mask_channels == (5,) or draw(st.booleans()):
        most = (mask_channels or (3,))[0] if mask_channels in ((3,), (5,)) else 3
        arguments["mask_channels"] = {name: draw(st.integers(0, most - 1)) for name in CLASSES}
    if draw(st.integers(0, 3)) == 0:
        arguments["region_key"] = "roi"
    return Call(
        colour=draw(st.booleans()),
        size=size,
        channels=draw(st.sampled_from([(), (), (1,), (3,), (3,), (2,), (4,), (7,)])),
        image_dtype=draw(st.sampled_from(["uint8", "float32"])),
        image_layout=draw(st.sampled_from(LAYOUTS)),
        texture=draw(st.sampled_from(["grain", "grain", "flat", "halves"])),
        mask_channels=mask_channels,
        mask_dtype=draw(st.sampled_from(INDEX_DTYPES)),
        mask_layout=draw(st.sampled_from(LAYOUTS)),
        labelled=draw(st.sampled_from(["none", "none", "boxes", "grain", "255", "full"])),
        arguments=arguments,
        seed=draw(st.integers(0, 2**32 - 2)),
    )


def upper_quartile(values: np.ndarray) -> float:
    """The 75th percentile, linear between ranks."""
    ordered = np.sort(values.astype(np.float64))
    rank = 0.75 * (len(ordered) - 1)
    low = int(rank)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (rank - low) * (ordered[high] - ordered[low]))


def largest_change(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(H, W) largest absolute change of a channel, in levels of 255."""
    change = np.abs(after.astype(np.float64) - before.astype(np.float64)).reshape(*before.shape[:2], -1).max(axis=2)
    return change if before.dtype == np.uint8 else 255 * change


def keeps_its_promises(call: Call, weights: str) -> None:
    image, image_base = laid_out(call.image(), call.image_layout)
    targets, bases = {"image": image}, [image_base]
    blocked = np.zeros(call.size, bool)
    if call.mask_channels is not None:
        targets["mask"], base = laid_out(call.mask(), call.mask_layout)
        bases.append(base)
        ignore = call.arguments["ignore_value"]
        flat = targets["mask"].reshape(*call.size, -1)
        if call.arguments["avoid_existing"]:
            blocked |= (flat != 0).any(axis=2)
        if ignore is not None and abs(ignore) < 2**31:
            blocked |= (flat.astype(np.float64) == ignore).any(axis=2)
    if "region_key" in call.arguments:
        targets["roi"], base = laid_out(call.region(), call.mask_layout)
        bases.append(base)
        blocked |= targets["roi"] == 0
    before = [base.copy() for base in bases]

    transform = GANDefectInpaint(weights, p=1.0, **call.arguments)
    transform.set_random_seed(call.seed)
    result = transform(**targets)

    for base, copy in zip(bases, before, strict=True):
        np.testing.assert_array_equal(base, copy)
    for key in set(targets) - {"roi"}:
        assert result[key].shape == targets[key].shape and result[key].dtype == targets[key].dtype
        assert result[key].flags["C_CONTIGUOUS"] and result[key].flags.writeable
        assert not any(np.may_share_memory(result[key], base) for base in bases)

    painted = result["image"]
    assert np.isfinite(painted).all()
    change = largest_change(image, painted)
    patches = patches_from_text(transform.get_applied_params()["patches"])
    low, high = call.arguments["defects_range"]
    assert len(patches) <= high
    expected = np.array(targets["mask"]) if "mask" in targets else None
    taken = blocked.copy()
    for patch in patches:
        inside = np.zeros(call.size, bool)
        height, width = patch.mask.shape
        inside[patch.top : patch.top + height, patch.left : patch.left + width] = patch.mask
        assert inside.sum() == patch.mask.sum() > 0
        assert not (inside & taken).any()  # neither what is labelled, ignored or out of the region, nor another defect
        assert upper_quartile(change[inside]) >= call.arguments["min_contrast"] - 1e-3
        assert CLASSES[patch.class_index] in (call.arguments["classes"] or CLASSES)
        taken |= inside
        if expected is not None:
            label(expected, inside, CLASSES[patch.class_index], patch.class_index, call)
    assert not change[~(taken & ~blocked)].any()
    if expected is not None:
        np.testing.assert_array_equal(result["mask"], expected)
    if low > 0 and not blocked.any() and call.arguments["min_contrast"] == 0:
        assert patches  # every image of 32 x 32 has room for one


def label(mask: np.ndarray, inside: np.ndarray, name: str, index: int, call: Call) -> None:
    """Write what the documentation says a defect is labelled with."""
    if mask.ndim == 2 or mask.shape[2] == 1:
        value = call.arguments.get("mask_values", {}).get(name, index + 1)
        mask[inside] = True if mask.dtype == bool else value
        return
    original = call.mask() if call.mask_layout != "broadcast" else np.broadcast_to(call.mask()[:, :1], mask.shape)
    holds_255 = mask.dtype == np.uint8 and call.arguments["ignore_value"] != 255 and (original == 255).any()
    mask[inside, call.arguments.get("mask_channels", {}).get(name, index)] = 255 if holds_255 else 1


@quick
@given(call=calls(small_sides))
@pytest.mark.filterwarnings("ignore:mask (has a label on every pixel|is float)")
def test_any_call_keeps_its_promises(weights: str, colour_weights: str, call: Call) -> None:
    keeps_its_promises(call, colour_weights if call.colour else weights)


@pytest.mark.slow
@thorough
@given(call=calls(any_sides))
def test_ten_thousand_calls_keep_their_promises(weights: str, colour_weights: str, call: Call) -> None:
    keeps_its_promises(call, colour_weights if call.colour else weights)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(4096, 4096), (32, 4096), (4095, 33), (1, 4096), (4096, 1)])
@pytest.mark.parametrize("scale_range", [(0.8, 1.25), (100, 100)])
@pytest.mark.parametrize("labelled", ["none", "grain"])
def test_the_largest_images_keep_the_promises(
    weights: str, size: tuple[int, int], scale_range: tuple[float, float], labelled: str
) -> None:
    arguments = {
        "defects_range": (1, 3),
        "classes": None,
        "scale_range": scale_range,
        "avoid_existing": True,
        "ignore_value": None,
        "min_contrast": 8,
    }
    call = Call(False, size, (), "uint8", "plain", "grain", (), "uint8", "plain", labelled, arguments, 1)
    keeps_its_promises(call, weights)


@pytest.mark.slow
def test_a_thousand_defects_keep_the_promises(weights: str) -> None:
    arguments = {
        "defects_range": (1000, 1000),
        "classes": None,
        "avoid_existing": True,
        "ignore_value": None,
        "min_contrast": 8,
    }
    call = Call(False, (1024, 1024), (3,), "uint8", "plain", "grain", (), "uint8", "plain", "none", arguments, 1)
    keeps_its_promises(call, weights)


TENSOR_DTYPES = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
ROUNDING = {torch.float32: 1e-3, torch.float16: 0.3, torch.bfloat16: 2.0}  # levels of 255, of an image's own dtype


@dataclass(frozen=True)
class BatchCall:
    """One call of the batch module."""

    colour: bool
    shape: tuple[int, int, int, int]
    dtype: torch.dtype
    layout: str
    mask_dtype: torch.dtype | None
    labelled: bool
    region: bool
    p: float
    arguments: dict[str, Any]
    seed: int


@st.composite
def batch_calls(draw: st.DrawFn) -> BatchCall:
    sides = st.integers(16, 120)
    arguments = draw(painting_arguments())
    if draw(st.booleans()):
        arguments["mask_values"] = dict(zip(CLASSES, draw(st.permutations([3, 77, 120])), strict=True))
    return BatchCall(
        colour=draw(st.booleans()),
        shape=(draw(st.integers(0, 4)), draw(st.sampled_from([1, 3, 4])), draw(sides), draw(sides)),
        dtype=draw(st.sampled_from(list(ROUNDING))),
        layout=draw(st.sampled_from(["plain", "channels last", "strided", "expanded"])),
        mask_dtype=draw(st.sampled_from([None, *TENSOR_DTYPES])),
        labelled=draw(st.booleans()),
        region=draw(st.integers(0, 3)) == 0,
        p=draw(st.sampled_from([0.0, 0.5, 1.0, 1.0])),
        arguments=arguments,
        seed=draw(st.integers(0, 2**32 - 1)),
    )


def batch_keeps_its_promises(call: BatchCall, weights: str) -> None:
    generator = torch.Generator().manual_seed(call.seed)
    B, _, H, W = call.shape
    images = torch.rand(call.shape, generator=generator).to(call.dtype)
    if call.layout == "channels last":
        images = images.to(memory_format=torch.channels_last)
    elif call.layout == "strided":
        images = images.repeat_interleave(2, dim=3)[..., ::2]
    elif call.layout == "expanded":
        images = images[:, :1, :, :1].expand(call.shape)
    masks = regions = None
    ignore, keeps_labels = call.arguments["ignore_value"], call.arguments["avoid_existing"]
    blocked = torch.zeros((B, H, W), dtype=torch.bool)
    if call.mask_dtype is not None:
        masks = torch.zeros((B, H, W), dtype=call.mask_dtype)
        if call.labelled:
            masks[:, : H // 3, 5:] = 9
            masks[:, -4:] = 255 if call.mask_dtype != torch.int8 else 100
        if keeps_labels:
            blocked |= masks != 0
        if ignore is not None and abs(ignore) < 2**31:
            blocked |= masks.long() == ignore
    if call.region:
        regions = torch.zeros((B, H, W), dtype=torch.uint8)
        regions[:, H // 4 :, : W // 2] = 1
        blocked |= regions == 0
    copies = [None if tensor is None else tensor.clone() for tensor in (images, masks, regions)]

    module = BatchDefectInpaint(weights, p=call.p, seed=call.seed, **call.arguments)
    painted, labels = module(images, masks, regions)

    for tensor, copy in zip((images, masks, regions), copies, strict=True):
        assert (tensor is None and copy is None) or torch.equal(tensor, copy)  # type: ignore[arg-type]
    assert (painted.shape, painted.dtype) == (images.shape, images.dtype)
    assert not B or painted.data_ptr() != images.data_ptr()
    changed = (painted != images).any(dim=1)
    assert not (changed & blocked).any() and torch.isfinite(painted).all()
    if masks is None:
        assert labels is None
        return
    assert labels is not None and (labels.shape, labels.dtype) == (masks.shape, masks.dtype)
    values = call.arguments.get("mask_values") or {name: index + 1 for index, name in enumerate(CLASSES)}
    painted_values = torch.tensor([values[name] for name in call.arguments["classes"] or CLASSES])
    new = labels != masks
    assert not (new & blocked).any()
    assert torch.isin(labels[new].long(), painted_values).all()
    assert torch.isin(labels[changed].long(), painted_values).all()  # what changed is labelled
    if not keeps_labels and call.labelled:
        return  # a label may have been painted over with its own value: what is new cannot be told
    change = (painted.float() - images.float()).abs().amax(dim=1) * 255
    for sample in range(B):
        if new[sample].any():
            assert call.p > 0 and call.arguments["defects_range"][1] > 0
            seen = upper_quartile(change[sample][new[sample]].numpy())
            if call.arguments["defects_range"] == (1, 1):
                assert seen >= call.arguments["min_contrast"] - ROUNDING[call.dtype]
            elif call.arguments["min_contrast"] > 2 * ROUNDING[call.dtype]:
                assert change[sample][new[sample]].max() >= call.arguments["min_contrast"] - ROUNDING[call.dtype]


def without_clash(call: BatchCall) -> BatchCall:
    """Leave out an ignored value that is also a label, which the constructor refuses."""
    values = call.arguments.get("mask_values", {name: index + 1 for index, name in enumerate(CLASSES)}).values()
    if call.arguments["ignore_value"] in values:
        call.arguments["ignore_value"] = None
    return call


@quick
@given(call=batch_calls())
def test_any_batch_keeps_the_promises(weights: str, colour_weights: str, call: BatchCall) -> None:
    batch_keeps_its_promises(without_clash(call), colour_weights if call.colour else weights)


@pytest.mark.slow
@settings(thorough, max_examples=2000)
@given(call=batch_calls())
def test_two_thousand_batches_keep_the_promises(weights: str, colour_weights: str, call: BatchCall) -> None:
    batch_keeps_its_promises(without_clash(call), colour_weights if call.colour else weights)
