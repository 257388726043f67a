"""What painting takes from a DataLoader's throughput: files that are decoded, cropped, flipped and brightened."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from albu_gan import GANDefectInpaint
from benchmarks.cases import BACKENDS, surface
from benchmarks.settings import Settings
from benchmarks.timing import steady_memory, summary

WITHOUT = "without"
BATCH = 8
SHARE = 0.3  # p of the transform
DIFFERENT = 32  # images that are made up; files beyond them repeat their content


@dataclass(frozen=True)
class Pipeline:
    """What is read and how much of it is kept."""

    name: str
    size_hw: tuple[int, int]
    channels: int
    suffix: str  # of the files; masks are PNG
    crop_hw: tuple[int, int] | None = None  # of a random crop after painting; None for whole images


#: Steel strips are read whole, and cut to squares of twice their height as one does for a segmentation network; large
#: images are always cut.
PIPELINES = (
    Pipeline("256 x 1600, colour JPEG, whole", (256, 1600), 3, ".jpg"),
    Pipeline("256 x 1600, colour JPEG, crop 256 x 512", (256, 1600), 3, ".jpg", (256, 512)),
    Pipeline("256 x 256, gray PNG, whole", (256, 256), 1, ".png"),
    Pipeline("1024 x 1024, gray JPEG, crop 512 x 512", (1024, 1024), 1, ".jpg", (512, 512)),
)
CONTEXTS = tuple(name for name in ("fork", "spawn") if name in multiprocessing.get_all_start_methods())
WORKERS: tuple[tuple[int, str | None], ...] = ((0, None), *((n, context) for n in (1, 2) for context in CONTEXTS))


class Files(Dataset[tuple[Tensor, Tensor]]):
    """Images and masks in a folder, decoded by cv2, through a pipeline of Albumentations."""

    def __init__(self, folder: Path, pipeline: Pipeline, count: int, transform: A.Compose) -> None:
        self.folder, self.pipeline, self.count, self.transform = folder, pipeline, count, transform

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        number = index % DIFFERENT
        path = str(self.folder / f"{number}{self.pipeline.suffix}")
        image: Any = cv2.imread(path, cv2.IMREAD_COLOR if self.pipeline.channels == 3 else cv2.IMREAD_GRAYSCALE)
        if self.pipeline.channels == 3:
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        mask = cv2.imread(str(self.folder / f"{number}-mask.png"), cv2.IMREAD_GRAYSCALE)
        out = self.transform(image=image, mask=mask)
        pixels = out["image"].reshape(*out["image"].shape[:2], -1).transpose(2, 0, 1)
        return torch.from_numpy(np.ascontiguousarray(pixels)), torch.from_numpy(out["mask"])


def write_files(folder: Path, pipeline: Pipeline) -> None:
    """Write made-up images, and masks of which every second shows a defect."""
    folder.mkdir(parents=True)
    height, width = pipeline.size_hw
    for number in range(DIFFERENT):
        cv2.imwrite(str(folder / f"{number}{pipeline.suffix}"), surface(pipeline.size_hw, pipeline.channels, number))
        mask = np.zeros(pipeline.size_hw, np.uint8)
        if number % 2:
            cv2.circle(mask, (width * (number + 1) // (DIFFERENT + 2), height // 2), height // 10, 1, -1)
        cv2.imwrite(str(folder / f"{number}-mask.png"), mask)


def augmentation(pipeline: Pipeline, weights: str | None, p: float = SHARE, **arguments: Any) -> A.Compose:
    """Return crop, flips and brightness, with painting before them unless weights are None."""
    steps: list[Any] = [] if weights is None else [GANDefectInpaint(weights=weights, p=p, **arguments)]
    steps += [] if pipeline.crop_hw is None else [A.RandomCrop(*pipeline.crop_hw)]
    return A.Compose([*steps, A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5), A.RandomBrightnessContrast(p=0.5)])


def single_thread(_: int) -> None:
    """Keep a worker to one thread, as torch does of itself and cv2 does not."""
    cv2.setNumThreads(1)


def make_loader(dataset: Files, workers: int, context: str | None, persistent: bool = True) -> DataLoader[Any]:
    """Return a DataLoader whose workers stay, so that their start is not in the figures."""
    return DataLoader(
        dataset,
        batch_size=BATCH,
        shuffle=True,
        num_workers=workers,
        multiprocessing_context=context,
        persistent_workers=persistent and workers > 0,
        worker_init_fn=single_thread,
        generator=torch.Generator().manual_seed(0),
    )


class Training:
    """A small segmentation network and its optimiser: a step takes a batch, as a user's loop does."""

    def __init__(self, channels: int) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(
            nn.Conv2d(channels, 16, 4, stride=4),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 1, 1),
        )
        self.optimiser = torch.optim.SGD(self.network.parameters(), lr=0.01)

    def __call__(self, images: Tensor, masks: Tensor) -> None:
        """Take one step."""
        wanted = nn.functional.max_pool2d((masks > 0).float()[:, None], 8)
        loss = nn.functional.binary_cross_entropy_with_logits(self.network(images.float() / 255), wanted)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()


def nothing(images: Tensor, masks: Tensor) -> None:
    """Take a batch and do nothing with it."""


def throughput(loader: DataLoader[Any], consume: Callable[[Tensor, Tensor], None]) -> float:
    """Images a second of one epoch."""
    count, began = 0, time.perf_counter()
    for images, masks in loader:
        consume(images, masks)
        count += len(images)
    return count / (time.perf_counter() - began)


@contextmanager
def loaders_of(
    folder: Path, pipeline: Pipeline, weights: str, count: int, workers: int, context: str | None
) -> Iterator[dict[str, DataLoader[Any]]]:
    """Loaders without painting and with it, by each backend; their workers end with the block."""
    transforms = {WITHOUT: augmentation(pipeline, None)}
    transforms |= {backend: augmentation(pipeline, weights, backend=backend) for backend in BACKENDS}
    loaders = {
        name: make_loader(Files(folder, pipeline, count, transform), workers, context)
        for name, transform in transforms.items()
    }
    try:
        yield loaders
    finally:
        for loader in loaders.values():
            loader._iterator = None


def measure_loader(weights: str, settings: Settings, folder: Path) -> list[dict[str, Any]]:
    """Time epochs with and without painting in turns, for every pipeline, number of workers and way to start them.

    Returns:
        One entry a setting and loop: images a second without and, by backend, with painting, and the ratio of the two
        within each turn.
    """
    found = []
    for number, pipeline in enumerate(PIPELINES):
        files = folder / f"{number}"
        write_files(files, pipeline)
        height, width = pipeline.size_hw
        count = max(BATCH, min(settings.max_files, settings.epoch_pixels // (height * width)))
        for workers, context in WORKERS if settings.all_loaders else WORKERS[number::5]:
            with loaders_of(files, pipeline, weights, count, workers, context) as loaders:
                for loop, consume in (("batches only", nothing), ("training", Training(pipeline.channels))):
                    rates = alternating(loaders, consume, settings.epochs)
                    found.append(
                        {
                            **asdict(pipeline),
                            "workers": workers,
                            "context": context,
                            "loop": loop,
                            "images_an_epoch": count,
                            "without_a_second": summary(rates[WITHOUT]),
                            "with_a_second": {name: summary(rates[name]) for name in BACKENDS},
                            "with_to_without": {
                                name: summary([a / b for a, b in zip(rates[name], rates[WITHOUT], strict=True)])
                                for name in BACKENDS
                            },
                        }
                    )
    return found


def alternating(
    loaders: dict[str, DataLoader[Any]], consume: Callable[[Tensor, Tensor], None], epochs: int
) -> dict[str, list[float]]:
    """Run epochs of all loaders in turns, each turn in the other order; the first turn is not counted."""
    rates: dict[str, list[float]] = {name: [] for name in loaders}
    with steady_memory():
        for number in range(epochs + 1):
            for name in list(loaders) if number % 2 else list(reversed(loaders)):
                rate = throughput(loaders[name], consume)
                if number:
                    rates[name].append(rate)
    return rates
