"""Small weights made on the spot, so that no test waits for a trained network or needs data."""

from __future__ import annotations

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("ALBUMENTATIONS_NO_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
# As many processes as cores: pools of threads in each would wait for each other. Processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else str(os.cpu_count()))

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from defective import make_bank_weights
from filelock import FileLock

from albu_gan.defects.bank import DefectBank
from albu_gan.defects.shapes import Shape
from albu_gan.generators import GeneratorConfig, build_generator
from albu_gan.hub.folder import WeightsConfig, write_folder

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)

CLASSES = ("pit", "scratch", "stain")


def make_weights(
    folder: Path,
    channels: int = 1,
    seed: int = 0,
    centre_yx: tuple[float, float] | None = None,
    bare: bool = False,
    classes: tuple[str, ...] = CLASSES,
) -> Path:
    """Write a small weights folder whose random network paints visible, latent-dependent residuals.

    All shapes were seen at `centre_yx` of their images, each anywhere for None; `bare` weights do not say where.
    """
    torch.manual_seed(seed)
    config = GeneratorConfig(
        in_channels=channels, num_classes=len(classes), latent_dim=8, channels=(8, 8), fine_channels=4, style_dim=16
    )
    network = build_generator(config)
    with torch.no_grad():
        network.head.weight.mul_(20)
    rng = np.random.default_rng(seed)
    shapes = []
    for index in range(len(classes)):
        for _ in range(4):
            height, width = rng.integers(5, 20, size=2)
            mask = rng.random((height, width)) < 0.8
            mask[0, 0] = mask[-1, -1] = True
            shapes.append(Shape(mask, index))
    shapes.append(Shape(np.ones((6, 12), bool), 0, (True, False, False, False)))
    if not bare:
        places = np.random.default_rng(seed).random((len(shapes), 2))
        shapes = [
            replace(shape, centre_yx=centre_yx or (float(y), float(x)))
            for shape, (y, x) in zip(shapes, places, strict=True)
        ]
    write_folder(
        folder,
        WeightsConfig(config, classes, (32, 64), long_windows=True),
        {name: tensor.half().numpy() for name, tensor in network.state_dict().items()},
        DefectBank(shapes, len(classes)).to_tensors(),
        "# a test\n",
    )
    return folder


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A gray weights folder of three classes."""
    return str(make_weights(tmp_path_factory.mktemp("weights") / "gray"))


@pytest.fixture(scope="session")
def colour_weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An RGB weights folder of three classes."""
    return str(make_weights(tmp_path_factory.mktemp("weights") / "colour", channels=3))


@pytest.fixture(scope="session")
def bank_weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder that holds real defects of two classes, no network."""
    return str(make_bank_weights(tmp_path_factory.mktemp("weights") / "bank"))


@pytest.fixture(scope="session")
def bare_weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A gray weights folder that does not say where its shapes were seen."""
    return str(make_weights(tmp_path_factory.mktemp("weights") / "bare", bare=True))


@pytest.fixture(scope="session")
def placed_weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A gray weights folder whose shapes were all seen in the upper right corner of their images."""
    return str(make_weights(tmp_path_factory.mktemp("weights") / "placed", centre_yx=(0.2, 0.8)))


@pytest.fixture
def make_image() -> Callable[..., np.ndarray]:
    """Build a textured image of any shape and dtype."""

    def build(shape: tuple[int, ...], dtype: type = np.uint8, seed: int = 0) -> np.ndarray:
        levels = np.random.default_rng(seed).integers(90, 160, size=shape)
        return levels.astype(np.uint8) if dtype == np.uint8 else (levels / 255).astype(dtype)

    return build


@pytest.fixture(scope="session")
def untouched(weights: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an interpreter finds that has imported nothing yet; see `untouched.py`. Started once for all workers."""
    base = tmp_path_factory.getbasetemp()
    out = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "untouched.json"
    script = Path(__file__).with_name("untouched.py")
    environment = {**os.environ, "PYTHONPATH": str(script.parents[1])}
    with FileLock(out.with_suffix(".lock")):
        if not out.exists():
            command = [sys.executable, str(script), weights, str(out)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return dict(json.loads(out.read_text(encoding="utf-8")))
