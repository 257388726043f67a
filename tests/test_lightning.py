"""PyTorch Lightning's trainer around a pipeline that paints, as the recipe shows it."""

from __future__ import annotations

from pathlib import Path

import albumentations as A
import numpy as np
import pytest
import torch

from albu_gan import BatchDefectInpaint, GANDefectInpaint

L = pytest.importorskip("pytorch_lightning", exc_type=ImportError)

# Lightning's advice about workers and logging intervals.
pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning"), pytest.mark.filterwarnings("ignore::FutureWarning")]

SIZE_HW = (64, 80)


class Parts(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """The same clean image again and again: what differs was painted."""

    def __init__(self, pipeline: A.Compose) -> None:
        self.pipeline = pipeline

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = np.random.default_rng(0).integers(90, 160, SIZE_HW).astype(np.uint8)
        out = self.pipeline(image=image, mask=np.zeros(SIZE_HW, np.uint8))
        return torch.from_numpy(out["image"])[None].float() / 255, torch.from_numpy(out["mask"]).long()


class Segmenter(L.LightningModule):  # type: ignore[misc, name-defined]
    """Two layers and what they were shown."""

    def __init__(self, paint: torch.nn.Module | None = None) -> None:
        super().__init__()
        self.model = torch.nn.Conv2d(1, 4, 3, padding=1)
        self.paint = paint
        self.seen: list[torch.Tensor] = []

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> torch.Tensor:
        images, labels = batch if self.paint is None else self.paint(*batch)
        self.seen += list(labels)
        return torch.nn.functional.cross_entropy(self.model(images), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.model.parameters(), lr=0.1)


def fit(module: Segmenter, pipeline: A.Compose, folder: Path, workers: int) -> list[bytes]:
    """Train two epochs; returns every label that was seen."""
    loader = torch.utils.data.DataLoader(
        Parts(pipeline),
        batch_size=2,
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context="fork" if workers else None,
    )
    trainer = L.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(module, loader)
    return [label.numpy().tobytes() for label in module.seen]


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_and_epochs_of_a_trainer_paint_different_defects(weights: str, tmp_path: Path, workers: int) -> None:
    labels = fit(Segmenter(), A.Compose([GANDefectInpaint(weights, p=1.0)]), tmp_path, workers)
    assert len(labels) == len(set(labels)) == 16


def test_a_trainer_and_a_pipeline_that_are_both_seeded_repeat_themselves(weights: str, tmp_path: Path) -> None:
    runs = []
    for _ in range(2):
        L.seed_everything(0, workers=True)
        runs.append(fit(Segmenter(), A.Compose([GANDefectInpaint(weights, p=1.0)], seed=3), tmp_path, workers=2))
    assert runs[0] == runs[1] and len(set(runs[0])) == 16


def test_a_batch_is_painted_inside_the_training_step(weights: str, tmp_path: Path) -> None:
    module = Segmenter(BatchDefectInpaint(weights, p=1.0, seed=0))
    labels = fit(module, A.Compose([A.NoOp()]), tmp_path, workers=0)
    assert len(labels) == len(set(labels)) == 16
    assert not module.paint.state_dict()  # weights of a painter are no part of a model's checkpoint
