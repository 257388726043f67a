from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from albu_gan.generators import GeneratorConfig, build_generator

REPO = Path(__file__).parents[1]
sys.path.insert(0, str(REPO))  # where `pytest` is called as a program
from benchmarks import flops  # noqa: E402


class TwoLayers(nn.Module):
    """A convolution whose operations can be counted by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.config = GeneratorConfig(in_channels=3, num_classes=2, latent_dim=4)
        self.conv = nn.Conv2d(5, 7, 3, padding=1)
        self.linear = nn.Linear(4, 6)

    def forward(self, window: Any, class_masks: Any, z: Any) -> Any:
        return self.conv(torch.cat([window, class_masks], dim=1)), self.linear(z)


def test_operations_are_counted_as_by_hand() -> None:
    assert flops.network_flops(TwoLayers(), 16, 3) == 3 * (2 * 5 * 7 * 9 * 16 * 16 + 2 * 4 * 6)


def test_operations_grow_with_windows_and_batch() -> None:
    network = build_generator(GeneratorConfig(channels=(8, 8)))
    one = flops.network_flops(network, 32, 1)
    assert flops.network_flops(network, 32, 4) == 4 * one
    assert 3.5 * one < flops.network_flops(network, 64, 1) < 4 * one


def test_the_peak_is_a_rate_and_threads_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flops, "SLICE", 0.0)
    before = torch.get_num_threads()
    assert 1e8 < flops.peak_flops(rounds=1) < 1e13
    assert torch.get_num_threads() == before


def test_every_case_has_its_share_of_the_peak(weights: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALBU_GAN_CACHE", str(tmp_path))
    monkeypatch.setattr(flops, "SLICE", 0.0)
    monkeypatch.setattr(flops, "BATCHES", (1, 2))
    result = flops.measure(weights, rounds=2)
    backends = {case["backend"] for case in result["cases"]}
    assert {"plain", "torch"} <= backends <= {"plain", "torch", "onnx"}
    assert len(result["cases"]) == 4 * len(backends) and result["peak_gflops"] > 0
    for case in result["cases"]:
        assert 0 < case["share"] < 1.5 and case["milliseconds"] > 0 and case["gflops"] > 0


def test_importing_it_does_nothing(untouched: dict[str, Any]) -> None:
    """Nor does it print: the interpreter says nothing."""
    before, after = untouched["threads"]
    assert before == after
