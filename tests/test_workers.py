"""Processes and threads: different samples everywhere, reproducible where it was asked for, and nothing that hangs."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import albumentations as A
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from albu_gan import GANDefectInpaint, inpainter

SIZE = (32, 40)
IMAGE = np.random.default_rng(0).integers(90, 160, SIZE).astype(np.uint8)
SAMPLES = 8

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


class Painted(Dataset[dict[str, np.ndarray]]):
    """The same clean image again and again, painted by each of several pipelines."""

    def __init__(self, **pipelines: Any) -> None:
        self.pipelines = pipelines

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return {name: pipeline(image=IMAGE)["image"] for name, pipeline in self.pipelines.items()}


class RandomState(Dataset[np.ndarray]):
    """What `torch.get_num_threads` says in a worker after a call."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        self.pipeline(image=IMAGE)
        return torch.get_num_threads()


def compose(weights: str, seed: int | None = None, **options: Any) -> A.Compose:
    return A.Compose([GANDefectInpaint(weights, **{"p": 1.0, **options})], seed=seed)


def loader(dataset: Dataset[Any], context: str = "fork", **options: Any) -> DataLoader[Any]:
    options = {"num_workers": 2, "timeout": 300, **options}
    return DataLoader(dataset, batch_size=1, multiprocessing_context=context, **options)


def epoch(batches: DataLoader[Any], name: str = "pipeline") -> list[bytes]:
    return [batch[name].numpy().tobytes() for batch in batches]


@forks
@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("persistent_workers", [False, True])
@pytest.mark.parametrize("used_before", [False, True])
def test_forked_workers_and_epochs_paint_different_defects(
    weights: str, seed: int | None, persistent_workers: bool, used_before: bool
) -> None:
    pipeline = compose(weights, seed)
    if used_before:
        pipeline(image=IMAGE)
    batches = loader(Painted(pipeline=pipeline), persistent_workers=persistent_workers)
    samples = [sample for _ in range(3) for sample in epoch(batches)]
    assert len(set(samples)) == 3 * SAMPLES


def test_spawned_workers_and_epochs_paint_different_defects(weights: str) -> None:
    dataset = Painted(seeded=compose(weights, 3), unseeded=compose(weights), bare=GANDefectInpaint(weights, p=1.0))
    epochs = [list(loader(dataset, "spawn", num_workers=workers)) for workers in (2, 1)]
    for name in dataset.pipelines:
        samples = [batch[name].numpy().tobytes() for batches in epochs for batch in batches]
        assert len(set(samples)) == 2 * SAMPLES, name


@forks
def test_a_transform_without_compose_follows_its_worker_too(weights: str) -> None:
    assert len(set(epoch(loader(Painted(pipeline=GANDefectInpaint(weights, p=1.0)))))) == SAMPLES


@forks
def test_workers_draw_whether_to_paint_differently(weights: str) -> None:
    pipeline = compose(weights, 1, p=0.5)
    clean = IMAGE.tobytes()
    decisions = [
        tuple(sample == clean for sample in epoch(loader(Painted(pipeline=pipeline)))[worker::2])
        for _ in range(4)
        for worker in range(2)
    ]
    assert len(set(decisions)) > 2


@forks
def test_a_torch_seed_makes_a_seeded_run_repeatable(weights: str) -> None:
    def run(torch_seed: int) -> list[bytes]:
        torch.manual_seed(torch_seed)
        batches = loader(Painted(pipeline=compose(weights, 3)))
        return epoch(batches) + epoch(batches)

    first = run(1)
    assert first == run(1)
    assert not set(first) & set(run(2))


def seed_as_the_user_wants(worker_id: int) -> None:
    info = get_worker_info()
    assert info is not None
    info.dataset.pipelines["pipeline"].set_random_seed(100 + worker_id)


@forks
@pytest.mark.parametrize("seed", [None, 3])
def test_a_seed_set_in_the_worker_wins(weights: str, seed: int | None) -> None:
    dataset = Painted(pipeline=compose(weights, seed))
    samples = epoch(loader(dataset, worker_init_fn=seed_as_the_user_wants))
    for worker in range(2):
        reference = compose(weights, 100 + worker)
        expected = [reference(image=IMAGE)["image"].tobytes() for _ in range(SAMPLES // 2)]
        assert samples[worker::2] == expected


@forks
def test_the_parent_goes_on_as_if_there_were_no_workers(weights: str) -> None:
    pipeline, reference = compose(weights, 3), compose(weights, 3)
    first = pipeline(image=IMAGE)["image"]
    epoch(loader(Painted(pipeline=pipeline)))
    second = pipeline(image=IMAGE)["image"]
    assert np.array_equal(first, reference(image=IMAGE)["image"])
    assert np.array_equal(second, reference(image=IMAGE)["image"])


@forks
def test_a_worker_has_one_thread(weights: str) -> None:
    assert {int(count) for count in loader(RandomState(compose(weights)))} == {1}


@pytest.fixture
def busy_parent() -> Iterator[None]:
    """A parent whose torch has started a pool of threads, which no fork takes along."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.nn.functional.conv2d(torch.rand(4, 16, 64, 64), torch.rand(16, 16, 3, 3)).sum()
    torch.rand(400, 400) @ torch.rand(400, 400)
    yield
    torch.set_num_threads(threads)


def paint_and_send(pipeline: Any, results: Any) -> None:
    results.put([pipeline(image=IMAGE)["image"].tobytes() for _ in range(3)])


@forks
@pytest.mark.usefixtures("busy_parent")
@pytest.mark.parametrize("seed", [None, 3])
def test_a_bare_forked_process_paints_and_does_not_hang(weights: str, seed: int | None) -> None:
    pipeline = compose(weights, seed)
    own = pipeline(image=IMAGE)["image"].tobytes()
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    children = [context.Process(target=paint_and_send, args=(pipeline, results)) for _ in range(2)]
    try:
        for child in children:
            child.start()
        for child in children:
            child.join(timeout=120)
        assert [child.exitcode for child in children] == [0, 0]
    finally:
        for child in children:
            child.kill()
    painted = [results.get() for _ in children]
    assert all(len(set(samples)) == 3 for samples in painted)
    assert own not in painted[0] + painted[1]
    if seed is None:
        assert not set(painted[0]) & set(painted[1])
    else:  # a seed is a promise: no worker, no reseeding
        assert painted[0] == painted[1] == [pipeline(image=IMAGE)["image"].tobytes() for _ in range(3)]


@forks
@pytest.mark.usefixtures("busy_parent")
@pytest.mark.parametrize("painted_before", [True, False])
def test_a_child_of_os_fork_paints_and_does_not_hang(
    weights: str, monkeypatch: pytest.MonkeyPatch, painted_before: bool
) -> None:
    monkeypatch.setattr(inpainter, "_CACHE", {})
    pipeline = compose(weights)
    if painted_before:
        pipeline(image=IMAGE)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if (pipeline(image=IMAGE)["image"] != IMAGE).any() else 2
        finally:
            os._exit(code)
    deadline = time.monotonic() + 60
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    if ended[0] == 0:
        os.kill(child, 9)
        os.waitpid(child, 0)
        pytest.fail("the child hangs")
    assert os.waitstatus_to_exitcode(ended[1]) == 0


def test_threads_may_share_one_transform(weights: str) -> None:
    pipeline = A.Compose([GANDefectInpaint(weights, defects_range=(1, 3), p=1.0), A.HorizontalFlip(p=0.5)], seed=1)
    images = [np.random.default_rng(i).integers(90, 160, (40 + i, 50, 3)).astype(np.uint8) for i in range(24)]

    def call(image: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        place = np.arange(image[:, :, 0].size).reshape(image.shape[:2])
        return image, pipeline(image=image, mask=np.zeros(image.shape[:2], np.uint8), place=place)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(call, images))
    for image, result in results:
        inside = result["mask"] > 0
        same, mirrored = result["image"] == image, result["image"] == image[:, ::-1]
        unchanged = max((same, mirrored), key=np.count_nonzero).all(axis=2)
        assert inside.any() and result["image"].shape == image.shape
        assert not (~unchanged & ~inside).any()


def test_threads_load_one_network(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    load: Callable[..., Any] = inpainter._load

    def slow_load(*arguments: Any) -> Any:
        loads.append(arguments)
        time.sleep(0.05)
        return load(*arguments)

    monkeypatch.setattr(inpainter, "_CACHE", {})
    monkeypatch.setattr(inpainter, "_load", slow_load)
    pipelines = [compose(weights) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda pipeline: pipeline(image=IMAGE), pipelines))
    assert len(loads) == 1


FRESH_PROCESS = """
import multiprocessing, sys
from pathlib import Path

import numpy as np
import torch

from albu_gan import GANDefectInpaint

transform = GANDefectInpaint(sys.argv[1], p=1.0)
image = np.full((64, 64), 120, np.uint8)


def private_bytes():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def work():
    torch.set_num_threads(1)
    torch.nn.functional.conv2d(torch.rand(1, 8, 16, 16), torch.rand(8, 8, 3, 3))  # what torch itself takes
    before = private_bytes()
    for _ in range(5):
        transform(image=image)
    print(private_bytes() - before, "torch._dynamo" in sys.modules, flush=True)


for parent in ("new", "has painted"):
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(timeout=120)
    child.kill()
    if child.exitcode:
        sys.exit(f"child {child.exitcode}")
    transform(image=image)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_forked_worker_adds_little_memory(weights: str) -> None:
    command = [sys.executable, "-c", FRESH_PROCESS, weights]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert len(lines) == 2
    for added, compiler_imported in lines:
        assert compiler_imported == "False"  # torch's compiler takes a worker two seconds and 150 MB to import
        assert int(added) < 40e6
