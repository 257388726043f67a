from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import albu_gan.generators.packed as packed_module
from albu_gan import DefectInpainter
from albu_gan.generators import ARCHITECTURES, DefectGenerator, build_generator, default_config
from albu_gan.generators.packed import PackedConv, PackedUnshuffleGenerator, packed
from albu_gan.generators.planar import planar
from albu_gan.hub import bundled_names

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


def windows(network: DefectGenerator, batch: int, height: int, width: int, seed: int = 0) -> dict[str, Tensor]:
    config, rng = network.config, np.random.default_rng(seed)
    arrays = {
        "window": rng.uniform(-1, 1, (batch, config.in_channels, height, width)),
        "inside": rng.random((batch, height, width)) < 0.4,
        "present": np.eye(config.num_classes)[rng.integers(config.num_classes, size=batch)],
        "z": rng.standard_normal((batch, config.latent_dim)),
    }
    return {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}


@pytest.mark.parametrize("arrange", [packed, planar])
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
    torch.testing.assert_close(painted, expected, rtol=0, atol=2e-6)
    assert all(torch.equal(inputs[name], before[name]) for name in inputs)


@pytest.mark.parametrize("name", bundled_names())
@pytest.mark.parametrize("size", [64, 128])
def test_bundled_weights_paint_as_their_network_says(name: str, size: int) -> None:
    painter = DefectInpainter.from_pretrained(name)
    inputs = windows(painter.network, 4, size, size, seed=size)
    inputs["window"] = inputs["window"].contiguous(memory_format=torch.channels_last)
    classes = inputs["present"].argmax(dim=1).tolist()
    painted = painter.residuals(inputs["window"], inputs["inside"].byte(), classes, inputs["z"])
    with torch.inference_mode():
        residual, alpha = painter.network(
            inputs["window"], inputs["present"][:, :, None, None] * inputs["inside"][:, None], inputs["z"]
        )
    expected = residual * alpha * inputs["inside"][:, None] / 2
    torch.testing.assert_close(painted, expected, rtol=0, atol=2e-6)


def test_an_empty_mask_has_no_class_as_in_the_plain_network() -> None:
    network = built()
    inputs = windows(network, 2, 64, 64)
    inputs["inside"][0] = 0
    with torch.inference_mode():
        for arrange in (packed, planar):
            torch.testing.assert_close(arrange(network)(**inputs), network.paint(**inputs), rtol=0, atol=2e-6)


@pytest.mark.parametrize("architecture", sorted(set(ARCHITECTURES) - {"default"}))
def test_other_architectures_paint_as_they_are(architecture: str) -> None:
    network = built(architecture)
    assert packed(network) == network.paint and planar(network) == network.paint


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("size_hw", [(1, 1), (8, 8), (6, 10), (33, 17)])
def test_a_packed_convolution_convolves(kernel: int, stride: int, batch: int, size_hw: tuple[int, int]) -> None:
    layer = nn.Conv2d(13, 24, kernel, stride, kernel // 2).requires_grad_(False)
    x = torch.rand(batch, *size_hw, 13, generator=torch.Generator().manual_seed(0))
    out = PackedConv(layer.weight, layer.bias, 8, stride)(x)
    assert out.is_contiguous()
    torch.testing.assert_close(out.permute(0, 3, 1, 2), layer(x.permute(0, 3, 1, 2)), rtol=1e-5, atol=1e-5)


def wrong_convolution(x: Tensor, packed: Tensor, bias: Tensor, *args: Any) -> Tensor:
    return F.conv2d(x, torch.zeros(len(bias), x.shape[1], 3, 3), bias, padding=1)


#: oneDNN's functions in a torch in which they do something else.
WRONG_OPS = SimpleNamespace(
    mkldnn=SimpleNamespace(
        _reorder_convolution_weight=lambda *args: torch.zeros(1),
        _convolution_pointwise=SimpleNamespace(default=wrong_convolution),
    )
)


@pytest.mark.parametrize("ops", [WRONG_OPS, object()])
def test_without_the_functions_of_onednn_or_with_wrong_ones_convolutions_are_torchs(
    ops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = built()
    inputs = windows(network, 1, 64, 64)
    monkeypatch.setattr(packed_module.torch, "ops", ops)
    arranged = packed(network)
    assert isinstance(arranged, PackedUnshuffleGenerator) and arranged.stem.packed is None
    with torch.inference_mode():
        torch.testing.assert_close(arranged(**inputs), network.paint(**inputs), rtol=0, atol=2e-6)


def test_packing_leaves_the_network_as_it_is() -> None:
    network = built()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    arranged = packed(network)
    inputs = windows(network, 2, 64, 64)
    with torch.inference_mode():
        arranged(**inputs)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
