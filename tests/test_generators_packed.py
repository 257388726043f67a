from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from albu_gan import DefectInpainter
from albu_gan.generators import ARCHITECTURES, DefectGenerator, build_generator, default_config
from albu_gan.generators.packed import SIZES, PackedConv, PackedUnshuffleGenerator, packed
from albu_gan.generators.parts import Part, Parts, cut, mask_box
from albu_gan.generators.planar import PlanarUnshuffleGenerator, planar

Paint = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
SHAPES = [
    {},
    {"in_channels": 3, "num_classes": 1},
    {"channels": (8,), "fine_channels": 2, "latent_dim": 3, "style_dim": 5},
    {"channels": (8, 12), "fine_channels": 6, "num_classes": 7, "in_channels": 3},
    {"channels": (4, 6, 8, 10), "fine_channels": 5, "latent_dim": 64},
]


def built(architecture: str = "default", **fields: Any) -> DefectGenerator:
    torch.manual_seed(0)
    network = build_generator(default_config(architecture, **{"num_classes": 3, **fields}))
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.normal_(0, 0.3)
    return network.eval().requires_grad_(False)


ONE_LEVEL, THREE_LEVELS = built(channels=(8,), fine_channels=4), built(channels=(4, 6, 8), fine_channels=4)


def windows(network: DefectGenerator, batch: int, height: int, width: int, seed: int = 0) -> dict[str, Tensor]:
    config, rng = network.config, np.random.default_rng(seed)
    arrays = {
        "window": rng.uniform(-1, 1, (batch, config.in_channels, height, width)),
        "inside": rng.random((batch, height, width)) < 0.4,
        "present": np.eye(config.num_classes)[rng.integers(config.num_classes, size=batch)],
        "z": rng.standard_normal((batch, config.latent_dim)),
    }
    return {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}


def whole(network: DefectGenerator) -> Paint:
    """The form for ONNX Runtime, with what it does not paint filled up as its backend does."""
    paint = planar(network)
    assert isinstance(paint, PlanarUnshuffleGenerator)

    def painted(window: Tensor, inside: Tensor, present: Tensor, z: Tensor) -> Tensor:
        added = torch.zeros(window.shape)
        box = mask_box(inside)
        if box is not None:
            parts = Parts.around(box, *inside.shape[1:])
            cut(added, parts.painted).copy_(paint(window, inside, present, z, *parts))
        return added

    return painted


@pytest.mark.parametrize("arrange", [packed, whole])
@pytest.mark.parametrize("fields", SHAPES)
@pytest.mark.parametrize(("batch", "size_hw"), [(1, (64, 64)), (3, (32, 64)), (2, (128, 128)), (1, (160, 96))])
def test_an_arranged_generator_paints_what_the_plain_one_paints(
    arrange: Callable[[DefectGenerator], Paint], fields: dict[str, Any], batch: int, size_hw: tuple[int, int]
) -> None:
    network = built(**fields)
    inputs = windows(network, batch, *size_hw)
    before = {name: tensor.clone() for name, tensor in inputs.items()}
    with torch.inference_mode():
        painted, expected = arrange(network)(**inputs), network.paint(**inputs)
    assert painted.shape == expected.shape and float(expected.abs().max()) > 0.02
    torch.testing.assert_close(painted, expected, rtol=0, atol=4e-6)
    assert all(torch.equal(inputs[name], before[name]) for name in inputs)


@pytest.mark.parametrize("name", ["bsdata-pitting-v1", "magnetic-tile-v1"])
@pytest.mark.parametrize("size", [64, 128])
def test_bundled_weights_paint_as_their_network_says(name: str, size: int) -> None:
    painter = DefectInpainter.from_pretrained(name)
    inputs = windows(painter.network, 4, size, size, seed=size)
    inputs["window"] = inputs["window"].contiguous(memory_format=torch.channels_last)
    classes = inputs["present"].argmax(dim=1).tolist()
    painted = painter.painter.residuals(inputs["window"], inputs["inside"].byte(), classes, inputs["z"])
    with torch.inference_mode():
        residual, alpha = painter.network(
            inputs["window"], inputs["present"][:, :, None, None] * inputs["inside"][:, None], inputs["z"]
        )
    expected = residual * alpha * inputs["inside"][:, None] / 2
    torch.testing.assert_close(painted, expected, rtol=0, atol=4e-6)


def test_an_empty_mask_has_no_class_as_in_the_plain_network() -> None:
    network = built()
    inputs = windows(network, 2, 64, 64)
    inputs["inside"][0] = 0
    with torch.inference_mode():
        for arrange in (packed, whole):
            torch.testing.assert_close(arrange(network)(**inputs), network.paint(**inputs), rtol=0, atol=4e-6)
        inputs["inside"][:] = 0
        for arrange in (packed, whole):
            assert torch.equal(arrange(network)(**inputs), torch.zeros(2, 1, 64, 64))


@settings(deadline=None)
@given(data=st.data())
def test_what_a_mask_does_not_need_makes_no_difference_to_what_it_does(data: st.DataObject) -> None:
    network = ONE_LEVEL if data.draw(st.booleans()) else THREE_LEVELS
    height, width = (16 * data.draw(st.integers(2, 8)) for _ in range(2))
    inputs = windows(network, data.draw(st.integers(1, 2)), height, width, seed=data.draw(st.integers(0, 99)))
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    bottom, right = data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width))
    box = torch.zeros(height, width)
    box[top:bottom, left:right] = 1
    inputs["inside"] *= box
    inputs["inside"][:, top, left] = inputs["inside"][-1, bottom - 1, right - 1] = 1
    assert mask_box(inputs["inside"]) == Part(top, left, bottom, right)
    with torch.inference_mode():
        expected = network.paint(**inputs)
        for arrange in (packed, whole):
            torch.testing.assert_close(arrange(network)(**inputs), expected, rtol=0, atol=4e-6)


def test_a_small_mask_needs_a_part_of_every_map() -> None:
    parts = Parts.around(Part(61, 64, 66, 72), 128, 128)
    assert parts.painted == Part(60, 64, 68, 72)
    assert parts.block == Part(11, 12, 21, 22)
    assert parts.made == Part(3, 3, 7, 7)
    assert parts.seen == Part(56, 60, 72, 76)
    assert parts.fine == Part(2, 2, 6, 6)
    assert Parts.around(Part(0, 0, 128, 128), 128, 128).block == Part(0, 0, 32, 32)


@pytest.mark.parametrize("architecture", sorted(set(ARCHITECTURES) - {"default"}))
def test_other_architectures_paint_as_they_are(architecture: str) -> None:
    network = built(architecture)
    assert packed(network) == network.paint and planar(network) == network.paint


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("size_hw", [(1, 1), (8, 8), (6, 10), (33, 17)])
@pytest.mark.parametrize("activation", ["none", "tanh"])
def test_a_packed_convolution_convolves(
    kernel: int, stride: int, batch: int, size_hw: tuple[int, int], activation: str
) -> None:
    layer = nn.Conv2d(13, 24, kernel, stride, kernel // 2).requires_grad_(False)
    x = torch.rand(batch, 13, *size_hw, generator=torch.Generator().manual_seed(0))
    x = x.contiguous(memory_format=torch.channels_last)
    convolution = PackedConv(layer.weight, layer.bias, 8, stride, activation=activation)
    out, expected = convolution(x), layer(x)
    if activation == "none":
        torch.testing.assert_close(convolution.onto(out.clone(), x), 2 * expected, rtol=1e-5, atol=1e-5)
    else:
        expected = torch.tanh(expected)
    assert out.permute(0, 2, 3, 1).is_contiguous()
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)


def wrong_convolution(x: Tensor, packed: Tensor, bias: Tensor, *args: Any) -> Tensor:
    return F.conv2d(x, torch.zeros(len(bias), x.shape[1], 3, 3), bias, padding=1)


ONEDNN = torch.ops.mkldnn


def operations(convolve: Any, convolve_onto: Any, reorder: Any) -> SimpleNamespace:
    """`torch.ops` of a torch in which some of oneDNN's functions do something else."""
    return SimpleNamespace(
        mkldnn=SimpleNamespace(
            _reorder_convolution_weight=reorder,
            _convolution_pointwise=SimpleNamespace(default=convolve),
            _convolution_pointwise_=SimpleNamespace(binary=convolve_onto),
        )
    )


@pytest.mark.parametrize(
    "ops",
    [
        operations(wrong_convolution, wrong_convolution, lambda *args: torch.zeros(1)),
        operations(ONEDNN._convolution_pointwise.default, lambda sum, *args: sum, ONEDNN._reorder_convolution_weight),
        object(),
    ],
)
def test_without_the_functions_of_onednn_or_with_wrong_ones_convolutions_are_torchs(
    ops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = built()
    inputs = windows(network, 1, 64, 64)
    monkeypatch.setattr(torch, "ops", ops)
    arranged = packed(network)
    assert isinstance(arranged, PackedUnshuffleGenerator) and arranged.stem.packed is None
    with torch.inference_mode():
        torch.testing.assert_close(arranged(**inputs), network.paint(**inputs), rtol=0, atol=4e-6)


def test_packing_leaves_the_network_as_it_is() -> None:
    network = built()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    arranged = packed(network)
    inputs = windows(network, 2, 64, 64)
    with torch.inference_mode():
        arranged(**inputs)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@given(data=st.data())
def test_a_widened_part_holds_the_part_inside_of_the_map_with_sides_that_are_multiples(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    part = Part(top, left, data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width)))
    multiple = data.draw(st.integers(1, 9))
    wide = part.widened(multiple, height, width)
    assert 0 <= wide.top <= part.top < part.bottom <= wide.bottom <= height
    assert 0 <= wide.left <= part.left < part.right <= wide.right <= width
    for side, before, limit in (
        (wide.bottom - wide.top, part.bottom - part.top, height),
        (wide.right - wide.left, part.right - part.left, width),
    ):
        assert side == min(limit, -(-before // multiple) * multiple)


def test_masks_of_many_sizes_need_convolutions_of_few() -> None:
    rng = np.random.default_rng(0)
    sizes = set()
    for _ in range(400):
        top, left = (int(value) for value in rng.integers(0, 64, size=2))
        box = Part(top, left, int(rng.integers(top + 1, 129)), int(rng.integers(left + 1, 129)))
        parts = Parts.around(box, 128, 128, SIZES)
        sizes |= {(p.bottom - p.top, p.right - p.left) for p in (parts.block, parts.seen)}
    assert len(sizes) <= 2 * (32 // SIZES) ** 2
