"""Processes and threads: different samples everywhere, reproducible where it was asked for, and nothing that hangs."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest
import torch
from fresh import forget_loaded
from torch.utils.data import DataLoader, Dataset, get_worker_info

from albu_gan import GANDefectInpaint
from albu_gan.painting import painter

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


@pytest.mark.parametrize("context", ["spawn", pytest.param("forkserver", marks=forks)])
def test_workers_that_start_anew_and_epochs_paint_different_defects(weights: str, context: str) -> None:
    if context == "forkserver":
        multiprocessing.set_forkserver_preload(["torch", "albumentations", "albu_gan.painting.painter"])
    dataset = Painted(seeded=compose(weights, 3), unseeded=compose(weights), bare=GANDefectInpaint(weights, p=1.0))
    persistent = loader(dataset, context, persistent_workers=True)
    epochs = [list(batches) for batches in (persistent, persistent)]
    if context != "spawn":  # each of its processes imports everything anew
        epochs.append(list(loader(dataset, context, num_workers=1)))
    for name in dataset.pipelines:
        samples = [batch[name].numpy().tobytes() for batches in epochs for batch in batches]
        assert len(set(samples)) == len(epochs) * SAMPLES, name


NESTS: dict[str, Callable[[Any], Any]] = {
    "OneOf": lambda transform: A.OneOf([transform, A.Sequential([transform], p=1.0)], p=1.0),
    "SomeOf": lambda transform: A.SomeOf([A.NoOp(), transform, A.HorizontalFlip(p=1.0)], n=3),
    "RandomOrder": lambda transform: A.RandomOrder([transform, A.VerticalFlip(p=1.0)], n=2),
    "Sequential": lambda transform: A.Sequential([A.Sequential([transform], p=1.0)], p=1.0),
    "Compose": lambda transform: A.Compose([A.OneOf([transform], p=1.0)]),
}


@forks
@pytest.mark.parametrize("used_before", [False, True])
def test_nested_transforms_follow_their_worker_too(weights: str, used_before: bool) -> None:
    pipelines = {name: A.Compose([nest(GANDefectInpaint(weights, p=1.0))], seed=7) for name, nest in NESTS.items()}
    if used_before:
        for pipeline in pipelines.values():
            pipeline(image=IMAGE)
    batches = loader(Painted(**pipelines), persistent_workers=True)
    epochs = [list(batches) for _ in range(2)]
    for name in pipelines:
        samples = [batch[name].numpy().tobytes() for batches in epochs for batch in batches]
        assert len(set(samples)) == 2 * SAMPLES, name


class Replayed(Dataset[dict[str, Any]]):
    """What a `ReplayCompose` with several targets gives, its replay included."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> dict[str, Any]:
        blank = np.zeros(SIZE, np.uint8)
        region = blank.copy()
        region[:, 8:] = 1
        return dict(self.pipeline(image=IMAGE, second=IMAGE[::-1], mask=blank, other=blank, roi=region))


def as_they_are(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return samples


@forks
def test_a_replay_recorded_in_a_worker_paints_the_same_in_the_parent(weights: str) -> None:
    pipeline = A.ReplayCompose(
        [A.OneOf([GANDefectInpaint(weights, region_key="roi", p=1.0)], p=1.0), A.HorizontalFlip(p=0.5)],
        additional_targets={"second": "image", "other": "mask", "roi": "mask"},
    )
    samples = [batch[0] for batch in loader(Replayed(pipeline), collate_fn=as_they_are)]
    assert len({sample["image"].tobytes() for sample in samples}) == SAMPLES
    blank = np.zeros(SIZE, np.uint8)
    for sample in samples:
        assert (sample["mask"] > 0).any() and np.array_equal(sample["mask"], sample["other"])
        assert not (sample["mask"][sample["roi"] == 0]).any()
        again = A.ReplayCompose.replay(sample["replay"], image=IMAGE, second=IMAGE[::-1], mask=blank)
        assert all(np.array_equal(again[key], sample[key]) for key in ("image", "second", "mask"))


class TrainingModule(torch.nn.Module):
    """A module whose trainer asks it for a loader by a hook, and copies and pickles it with the pipeline inside."""

    def __init__(self, pipeline: Any) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(1, 1, 3)
        self.pipeline = pipeline

    def train_dataloader(self) -> DataLoader[Any]:
        return loader(Painted(pipeline=self.pipeline), persistent_workers=True)


@forks
def test_a_pipeline_inside_a_module_is_copied_pickled_and_loaded_from_with_it(weights: str) -> None:
    module = TrainingModule(compose(weights, 3))
    module.pipeline(image=IMAGE)
    copies = [module, copy.deepcopy(module), pickle.loads(pickle.dumps(module))]
    samples = [sample for each in copies for sample in epoch(each.train_dataloader())]
    assert len(set(samples)) == 3 * SAMPLES


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
    forget_loaded(monkeypatch)
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


@pytest.mark.parametrize("bare", [True, False])
def test_threads_that_share_a_transform_get_independent_valid_samples(weights: str, bare: bool) -> None:
    transform = GANDefectInpaint(weights, defects_range=(1, 3), p=1.0)
    transform.set_random_seed(1)
    pipeline: Any = transform if bare else A.Compose([A.OneOf([transform], p=1.0)], seed=1)
    levels = np.random.default_rng(1).integers(90, 160, (96, 96)).astype(np.uint8)
    samples: list[dict[str, Any]] = []
    start = threading.Barrier(6)

    def work() -> None:
        start.wait()
        for _ in range(20):  # one image and one size for all: mixed samples would not stand out by their shape
            samples.append(pipeline(image=levels, mask=np.zeros(levels.shape, np.uint8)))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(samples) == 120
    assert len({sample["image"].tobytes() for sample in samples}) == len({s["mask"].tobytes() for s in samples}) == 120
    for sample in samples:
        changed = sample["image"] != levels
        assert not (changed & (sample["mask"] == 0)).any()
        count, parts = cv2.connectedComponents((sample["mask"] > 0).astype(np.uint8), connectivity=8)
        assert all(changed[parts == part].any() for part in range(1, count))  # no label of another call's defect


class SlowToSay(GANDefectInpaint):
    """A transform that yields to other threads where it reads the worker's seed."""

    @property
    def random_generator(self) -> np.random.Generator:
        return self.__dict__["generator"]

    @random_generator.setter
    def random_generator(self, generator: np.random.Generator) -> None:
        time.sleep(0.05)
        self.__dict__["generator"] = generator


def test_threads_that_come_first_after_a_fork_all_follow_the_worker(weights: str) -> None:
    transform = SlowToSay(weights, p=1.0)
    inherited = transform.random_generator
    transform._seeded_in = -1  # as it is in a process that was forked
    used = []

    def work() -> None:
        transform._follow_worker()
        used.append(transform.random_generator)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(used) == 4 and inherited not in used


def test_threads_load_one_network(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    load: Callable[..., Any] = painter.load_network

    def slow_load(*arguments: Any) -> Any:
        loads.append(arguments)
        time.sleep(0.05)
        return load(*arguments)

    forget_loaded(monkeypatch)
    monkeypatch.setattr(painter, "load_network", slow_load)
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
