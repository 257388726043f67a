"""The training loop: fetch, discriminator, generator, average, upkeep."""

from __future__ import annotations

import copy
import json
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from albu_gan.generators import DefectGenerator, GeneratorConfig, build_generator, composite
from albu_gan.sheet import grid, outline, write_png
from training.gan.augment import diff_augment
from training.gan.config import TrainConfig
from training.gan.discriminator import MultiScaleDiscriminator
from training.gan.losses import (
    LOSSES,
    gray_spread,
    low_frequency_l1,
    masked_mean,
    mode_seeking,
    zero_centred_penalty,
)
from training.tensors import image_tensor, mask_tensor, uint8_images
from training.windows import WindowBatches

CHECKPOINT = "checkpoints/last.pt"
LOG_STEPS = 24
SHEET_LATENTS = 3


class TrainingError(RuntimeError):
    """The run cannot go on; the message says where it stopped and what to do."""


class StopRequest:
    """Turns the first interrupt into a request to stop after the step; a second one interrupts at once."""

    def __init__(self) -> None:
        self.requested = False
        self.previous: Any = None
        if threading.current_thread() is threading.main_thread():
            self.previous = signal.signal(signal.SIGINT, self._request)

    def _request(self, number: int, frame: Any) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def close(self) -> None:
        """Give the signal back."""
        if self.previous is not None:
            signal.signal(signal.SIGINT, self.previous)


def ignore_interrupt(worker: int) -> None:
    """Let the process that trains decide what an interrupt means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class GANTrainer:
    """Trains a generator on batches of windows; `run` returns the averaged generator.

    Args:
        config: of the run.
        class_names: names in index order.
        in_channels: of the images.
        out: folder of the run; checkpoints, sheets, TensorBoard events and `stats.jsonl` go there.
        fixed: held-out batches, painted again and again with the same latents, so that progress can be seen.
    """

    def __init__(
        self,
        config: TrainConfig,
        class_names: tuple[str, ...],
        in_channels: int,
        out: Path,
        fixed: Sequence[dict[str, np.ndarray]],
    ) -> None:
        self.config, self.class_names, self.out, self.fixed = config, class_names, out, fixed
        self.accelerator = Accelerator(mixed_precision=resolve_precision(config.precision))
        torch.manual_seed(config.seed)
        generator_config = GeneratorConfig(
            in_channels=in_channels,
            num_classes=len(class_names),
            latent_dim=config.latent_dim,
            channels=config.channels,
            fine_channels=config.fine_channels,
        )
        layout: Any = {"memory_format": torch.channels_last}
        generator = build_generator(generator_config).to(**layout)
        discriminator = MultiScaleDiscriminator(in_channels, len(class_names), config.discriminator_channels)
        self.average: DefectGenerator = copy.deepcopy(generator).requires_grad_(False).eval()
        self.average.to(self.accelerator.device)
        betas = (0.0, config.beta2)
        optimizer_g = torch.optim.Adam(generator.parameters(), lr=config.learning_rate, betas=betas)
        optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=config.discriminator_learning_rate, betas=betas)
        self.generator, self.optimizer_g = self.accelerator.prepare(generator, optimizer_g)
        self.discriminator, self.optimizer_d = self.accelerator.prepare(discriminator.to(**layout), optimizer_d)
        self.step = 0
        self.images_seen = 0
        self.seconds = 0.0  # of training, over all resumed parts
        self.noise = torch.Generator(device=self.accelerator.device)

    def resume(self) -> None:
        """Load the last checkpoint of the run.

        Raises:
            TrainingError: if there is none.
        """
        path = self.out / CHECKPOINT
        if not path.is_file():
            raise TrainingError(f"{path}: no checkpoint to resume from; start without --resume")
        state = torch.load(path, map_location=self.accelerator.device, weights_only=True)
        try:
            self.accelerator.unwrap_model(self.generator).load_state_dict(state["generator"])
            self.accelerator.unwrap_model(self.discriminator).load_state_dict(state["discriminator"])
            self.average.load_state_dict(state["average"])
        except RuntimeError as err:
            raise TrainingError(
                f"{path}: made by networks of other settings; resume with the flags of config.json in {self.out}"
            ) from err
        self.optimizer_g.load_state_dict(state["optimizer_g"])
        self.optimizer_d.load_state_dict(state["optimizer_d"])
        self.step, self.images_seen, self.seconds = state["step"], state["images_seen"], state["seconds"]

    def save(self) -> None:
        """Write a checkpoint that holds everything a resumed run needs: temporary name, then rename."""
        if not self.accelerator.is_main_process:
            return
        path = self.out / CHECKPOINT
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        state = {
            "generator": self.accelerator.unwrap_model(self.generator).state_dict(),
            "discriminator": self.accelerator.unwrap_model(self.discriminator).state_dict(),
            "average": self.average.state_dict(),
            "optimizer_g": self.optimizer_g.state_dict(),
            "optimizer_d": self.optimizer_d.state_dict(),
            "step": self.step,
            "images_seen": self.images_seen,
            "seconds": self.seconds,
        }
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def run(self, batches: WindowBatches, workers: int = 1) -> DefectGenerator:
        """Train until `total_kimg`.

        Raises:
            KeyboardInterrupt: when interrupted; the step is finished and a checkpoint saved first.
            TrainingError: if a loss is not finite; the last checkpoint stays as it is.
        """
        config, accelerator = self.config, self.accelerator
        total = int(config.total_kimg * 1000)
        loader = DataLoader(
            Subset(batches, range(self.step, len(batches))),
            batch_size=None,
            num_workers=workers,
            worker_init_fn=ignore_interrupt,
            prefetch_factor=4 if workers else None,
        )
        writer = SummaryWriter(str(self.out)) if accelerator.is_main_process else None
        bar = tqdm(total=total, initial=self.images_seen, unit="img", desc="train", disable=writer is None)
        sheet_every = max(1, int(config.sheet_kimg * 1000))
        iterator = iter(loader)
        began = last_save = time.monotonic()
        waited = 0.0
        stop = StopRequest()
        try:
            if self.step == 0:
                self.write_sheet()
            while self.images_seen < total and not stop.requested:
                asked = time.monotonic()
                batch = next(iterator)
                waited += time.monotonic() - asked
                stats = self.train_step({key: value.to(accelerator.device) for key, value in batch.items()})
                before = self.images_seen
                self.images_seen += len(batch["real"]) * accelerator.num_processes
                self.step += 1
                self.seconds += time.monotonic() - asked
                bar.update(self.images_seen - before)
                if writer is not None and stats:
                    stats["data_wait"] = waited / (time.monotonic() - began)
                    self.log(stats, writer, bar)
                if self.images_seen // sheet_every > before // sheet_every or self.images_seen >= total:
                    self.write_sheet()
                if time.monotonic() - last_save > config.checkpoint_seconds:
                    self.save()
                    last_save = time.monotonic()
        finally:
            stop.close()
            bar.close()
            if writer is not None:
                writer.close()
        self.save()
        if stop.requested:
            raise KeyboardInterrupt
        return self.average

    def train_step(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """One step of both networks; returns what is logged.

        Raises:
            TrainingError: if a loss is not finite.
        """
        config, loss = self.config, LOSSES[self.config.loss]
        self.set_learning_rates()
        entropy = np.random.SeedSequence((config.seed, self.step, self.accelerator.process_index))
        self.noise.manual_seed(int(entropy.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        num_classes = len(self.class_names)
        real, clean = image_tensor(batch["real"]), image_tensor(batch["clean"])
        real_masks, fake_masks = (
            mask_tensor(batch["real_mask"], num_classes),
            mask_tensor(batch["fake_mask"], num_classes),
        )
        inside = fake_masks.amax(dim=1, keepdim=True)
        paired = batch["paired"].float()
        z = self.latents(len(real))

        with self.accelerator.autocast():
            fake = composite(clean, fake_masks, *self.generator(clean, fake_masks, z))

        # Discriminator step.
        real_seen, real_masks_seen = diff_augment(real, real_masks, self.noise)
        fake_seen, fake_masks_seen = diff_augment(fake.detach(), fake_masks, self.noise)
        with self.accelerator.autocast():
            real_logits = self.discriminator(real_seen, real_masks_seen)
            fake_logits = self.discriminator(fake_seen, fake_masks_seen)
        d_loss = loss.discriminator(real_logits, fake_logits)
        total_d, penalty = d_loss, float("nan")
        if self.step % config.penalty_interval == 0:
            with self.accelerator.autocast():
                penalty = sum(
                    zero_centred_penalty(self.discriminator(images.requires_grad_(), masks), images)
                    for images, masks in ((real_seen, real_masks_seen), (fake_seen, fake_masks_seen))
                )
            total_d = total_d + 0.5 * config.gamma * config.penalty_interval * penalty
        self.require_finite("discriminator", total_d)
        self.optimizer_d.zero_grad(set_to_none=True)
        self.accelerator.backward(total_d)
        self.optimizer_d.step()

        # Generator step.
        self.discriminator.requires_grad_(False)
        fake_seen, fake_masks_seen = diff_augment(fake, fake_masks, self.noise)
        with self.accelerator.autocast():
            g_loss = loss.generator(real_logits.detach(), self.discriminator(fake_seen, fake_masks_seen))
            half = max(1, len(z) // 2)
            other = composite(
                clean[:half], fake_masks[:half], *self.generator(clean[:half], fake_masks[:half], self.latents(half))
            )
        low_frequency = (low_frequency_l1(fake, real, inside) * paired).sum() / paired.sum().clamp_min(1)
        diversity = mode_seeking(fake[:half], other, inside[:half], config.diversity_cap)
        total_g = g_loss + config.low_frequency_weight * low_frequency + config.diversity_weight * diversity
        self.require_finite("generator", total_g)
        self.optimizer_g.zero_grad(set_to_none=True)
        self.accelerator.backward(total_g)
        self.optimizer_g.step()
        self.discriminator.requires_grad_(True)

        self.update_average(len(real) * self.accelerator.num_processes)
        if self.step % LOG_STEPS:
            return {}
        with torch.no_grad():
            effect = masked_mean((fake - clean).abs(), inside).mean()
            spread = gray_spread(fake[:half], other, inside[:half]).mean()
        return {
            "loss_d": d_loss.item(),
            "loss_g": g_loss.item(),
            "d_accuracy": (real_logits > fake_logits).float().mean().item(),
            "penalty": float(torch.as_tensor(penalty).detach()),
            "low_frequency": low_frequency.item(),
            "effect": effect.item(),
            "latent_spread": spread.item(),
            "g_gradient_norm": gradient_norm(self.generator),
        }

    def require_finite(self, name: str, loss: Tensor) -> None:
        """Stop before a loss that is no number reaches the weights."""
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the {name}'s loss is not finite at step {self.step} ({loss.item()}); the last checkpoint is good: "
                "lower --learning-rate or raise --gamma, and --resume"
            )

    def set_learning_rates(self) -> None:
        """Constant, then falling linearly to a tenth over the last `decay_fraction` of the training."""
        left = 1 - self.images_seen / (self.config.total_kimg * 1000)
        factor = max(0.1, min(1.0, left / self.config.decay_fraction)) if self.config.decay_fraction else 1.0
        for optimizer, rate in (
            (self.optimizer_g, self.config.learning_rate),
            (self.optimizer_d, self.config.discriminator_learning_rate),
        ):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor

    def latents(self, count: int) -> Tensor:
        """Draw (count, latent_dim) standard normal latents from the step's own generator."""
        return torch.randn(count, self.config.latent_dim, generator=self.noise, device=self.noise.device)

    def update_average(self, images: int) -> None:
        """Move the averaged generator towards the trained one; the half-life grows to `ema_kimg` with the run."""
        half_life = min(self.config.ema_kimg * 1000, max(self.images_seen * 0.1, 1.0))
        keep = 0.5 ** (images / half_life)
        with torch.no_grad():
            trained = self.accelerator.unwrap_model(self.generator)
            for slow, fast in zip(self.average.parameters(), trained.parameters(), strict=True):
                slow.lerp_(fast, 1 - keep)

    def log(self, stats: dict[str, float], writer: SummaryWriter, bar: Any) -> None:
        """Append to `stats.jsonl` and TensorBoard, and show the key figures beside the bar."""
        for key, value in stats.items():
            writer.add_scalar(key, value, self.images_seen)
        shown = {key: value for key, value in stats.items() if value == value}
        with (self.out / "stats.jsonl").open("a") as file:
            file.write(json.dumps({"step": self.step, "images": self.images_seen, **shown}) + "\n")
        bar.set_postfix_str(
            f"D {stats['loss_d']:.2f} acc {stats['d_accuracy']:.2f} spread {stats['latent_spread']:.3f}"
        )

    def write_sheet(self) -> None:
        """Paint the fixed windows with fixed latents by the averaged generator."""
        if not self.accelerator.is_main_process:
            return
        generator = torch.Generator().manual_seed(0)
        rows = []
        for batch in self.fixed:
            clean = image_tensor(torch.from_numpy(batch["clean"])).to(self.accelerator.device)
            masks = mask_tensor(torch.from_numpy(batch["fake_mask"]), len(self.class_names)).to(clean.device)
            painted = []
            for _ in range(SHEET_LATENTS):
                z = torch.randn(len(clean), self.config.latent_dim, generator=generator).to(clean.device)
                with torch.no_grad():
                    painted.append(uint8_images(composite(clean, masks, *self.average(clean, masks, z))).numpy())
            for i in range(len(clean)):
                cells = [outline(batch["real"][i], batch["real_mask"][i]), batch["real"][i], batch["clean"][i]]
                rows.append([*cells, outline(batch["clean"][i], batch["fake_mask"][i]), *(p[i] for p in painted)])
        titles = ["real, mask", "real", "clean", "mask", *(f"painted, z{i + 1}" for i in range(SHEET_LATENTS))]
        half = -(-len(rows) // 2)
        doubled = [a + b for a, b in zip(rows[:half], rows[half:] + [[]] * (2 * half - len(rows)), strict=True)]
        write_png(self.out / "sheets" / f"{self.images_seen:08d}.png", grid(doubled, (128, 128), titles * 2))


def gradient_norm(module: torch.nn.Module) -> float:
    """Norm of all gradients of a module's parameters; falls towards 0 when the discriminator has won."""
    return float(torch.stack([p.grad.norm() for p in module.parameters() if p.grad is not None]).norm())


def resolve_precision(precision: str) -> str:
    """Return "bf16" or "no"; "auto" takes bf16 where the device computes in it."""
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "no"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() else "no"
