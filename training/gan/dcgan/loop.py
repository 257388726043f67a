"""The training loop of the decoder-only GAN: fetch, discriminator, generator, average, upkeep."""

from __future__ import annotations

import copy
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from training.gan.augment import diff_augment, draw_augmentation
from training.gan.dcgan.config import DCGANConfig
from training.gan.dcgan.networks import DCGANDiscriminator, DCGANGenerator, NetworkConfig
from training.gan.dcgan.sheet import FixedSamples, write_sheet
from training.gan.loop import StopRequest, ignore_interrupt
from training.gan.losses import LOSSES, zero_centred_penalty
from training.gan.step import TrainingError, gradient_norm
from training.tensors import image_tensor, mask_tensor

CHECKPOINT = "checkpoints/last.pt"
LOG_STEPS = 24
NETWORKS = ("generator", "discriminator", "average", "optimizer_g", "optimizer_d")


class DCGANTrainer:
    """Trains a decoder on batches of `training.gan.dcgan.data`; `run` returns the averaged generator.

    Args:
        config: of the run.
        num_classes: of the data.
        in_channels: of the images; not used if `config.masks_only`.
        out: folder of the run; checkpoints, sheets, TensorBoard events and `stats.jsonl` go there.
    """

    def __init__(self, config: DCGANConfig, num_classes: int, in_channels: int, out: Path) -> None:
        self.config, self.out = config, out
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = NetworkConfig(
            config.image_size,
            0 if config.masks_only else in_channels,
            num_classes,
            config.latent_dim,
            config.width,
            config.max_channels,
        )
        torch.manual_seed(config.seed)
        layout: Any = {"memory_format": torch.channels_last}
        self.generator = DCGANGenerator(network).to(self.device, **layout)
        self.discriminator = DCGANDiscriminator(network).to(self.device, **layout)
        self.average = copy.deepcopy(self.generator).requires_grad_(False).eval()
        betas = (0.0, config.beta2)
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), config.learning_rate, betas)
        self.optimizer_d = torch.optim.Adam(self.discriminator.parameters(), config.discriminator_learning_rate, betas)
        self.step = 0
        self.images_seen = 0
        self.seconds = 0.0  # of training, over all resumed parts
        self.noise = torch.Generator(device=self.device)

    def resume(self) -> None:
        """Load the last checkpoint of the run.

        Raises:
            TrainingError: if there is none, or it is of other networks.
        """
        path = self.out / CHECKPOINT
        if not path.is_file():
            raise TrainingError(f"{path}: no checkpoint to resume from; start without --resume")
        state = torch.load(path, map_location=self.device, weights_only=True)
        try:
            for name in NETWORKS:
                getattr(self, name).load_state_dict(state[name])
            self.step, self.images_seen, self.seconds = state["step"], state["images_seen"], state["seconds"]
        except (RuntimeError, KeyError, ValueError) as err:
            raise TrainingError(
                f"{path}: made by networks of other settings; resume with the flags of config.json in {self.out}"
            ) from err

    def save(self) -> None:
        """Write a checkpoint that holds everything a resumed run needs: temporary name, then rename."""
        path = self.out / CHECKPOINT
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        state: dict[str, Any] = {name: getattr(self, name).state_dict() for name in NETWORKS}
        state |= {"step": self.step, "images_seen": self.images_seen, "seconds": self.seconds}
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def run(self, batches: Dataset[dict[str, Any]], fixed: FixedSamples, workers: int = 0) -> DCGANGenerator:
        """Train until `total_kimg`.

        Args:
            batches: item `i` is the batch of step `i`.
            fixed: real samples, and the conditions and latents decoded beside them in every sheet.
            workers: processes that make batches.

        Raises:
            KeyboardInterrupt: when interrupted; the step is finished and a checkpoint saved first.
            TrainingError: if a loss is not finite; the last checkpoint stays as it is.
        """
        config = self.config
        total = int(config.total_kimg * 1000)
        loader = DataLoader(
            Subset(batches, range(self.step, self.step + -(-total // config.batch_size))),
            batch_size=None,
            num_workers=workers,
            worker_init_fn=ignore_interrupt,
            prefetch_factor=4 if workers else None,
        )
        writer = SummaryWriter(str(self.out))
        bar = tqdm(total=total, initial=self.images_seen, unit="img", desc="train")
        sheet_every = max(1, int(config.sheet_kimg * 1000))
        iterator = iter(loader)
        last_save = time.monotonic()
        stop = StopRequest()
        try:
            if self.step == 0:
                self.write_sheet(fixed)
            while self.images_seen < total and not stop.requested:
                asked = time.monotonic()
                batch = next(iterator)
                stats = self.train_step({key: value.to(self.device) for key, value in batch.items()})
                before = self.images_seen
                self.images_seen += len(batch["condition"])
                self.step += 1
                self.seconds += time.monotonic() - asked
                bar.update(self.images_seen - before)
                if stats:
                    self.log(stats, writer, bar)
                if self.images_seen // sheet_every > before // sheet_every or self.images_seen >= total:
                    self.write_sheet(fixed)
                if time.monotonic() - last_save > config.checkpoint_seconds:
                    self.save()
                    last_save = time.monotonic()
        finally:
            stop.close()
            bar.close()
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
        config, loss, condition = self.config, LOSSES[self.config.loss], batch["condition"]
        self.set_learning_rates()
        entropy = np.random.SeedSequence((config.seed, self.step))
        self.noise.manual_seed(int(entropy.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        fake_image, fake_masks = self.generator(self.latents(len(condition)), condition)

        # Discriminator step.
        real_seen = self.seen(*self.real(batch))
        fake_seen = self.seen(fake_image.detach(), fake_masks.detach())
        real_logits = self.discriminator(real_seen, condition)
        fake_logits = self.discriminator(fake_seen, condition)
        d_loss = loss.discriminator(real_logits, fake_logits)
        total_d, penalty = d_loss, torch.tensor(float("nan"))
        if self.step % config.penalty_interval == 0:
            penalty = sum(
                zero_centred_penalty(self.discriminator(seen.requires_grad_(), condition), seen)
                for seen in (real_seen.detach(), fake_seen.detach())
            )
            total_d = total_d + 0.5 * config.gamma * config.penalty_interval * penalty
        self.require_finite("discriminator", total_d)
        self.optimizer_d.zero_grad(set_to_none=True)
        total_d.backward()
        self.optimizer_d.step()

        # Generator step.
        self.discriminator.requires_grad_(False)
        fake_logits = self.discriminator(self.seen(fake_image, fake_masks), condition)
        g_loss = loss.generator(real_logits.detach(), fake_logits)
        self.require_finite("generator", g_loss)
        self.optimizer_g.zero_grad(set_to_none=True)
        g_loss.backward()
        self.optimizer_g.step()
        self.discriminator.requires_grad_(True)

        self.update_average(len(condition))
        if self.step % LOG_STEPS:
            return {}
        return {
            "loss_d": d_loss.item(),
            "loss_g": g_loss.item(),
            "d_accuracy": (real_logits > fake_logits).float().mean().item(),
            "penalty": penalty.item(),
            "mask_share": fake_masks.clamp(0, 1).sum(dim=1).mean().item(),
            "batch_spread": torch.cat([fake_image, fake_masks], dim=1).std(dim=0).mean().item(),
            "g_gradient_norm": gradient_norm(self.generator).item(),
        }

    def real(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Image and masks of real samples, as soft at the edges as a decoder's, so that hardness does not tell."""
        if self.config.masks_only:
            coverage = batch["coverage"]
            return coverage[:, :0], coverage
        masks = mask_tensor(batch["mask"], self.generator.config.num_classes)
        return image_tensor(batch["image"]), soften(masks)

    def seen(self, image: Tensor, masks: Tensor) -> Tensor:
        """What the discriminator sees: image and masks augmented together, noise on the masks, one tensor."""
        canvas = image if image.shape[1] else torch.zeros_like(masks[:, :1])
        canvas, masks = diff_augment(canvas, masks, draw_augmentation(len(masks), self.noise))
        noise = torch.randn(masks.shape, generator=self.noise, device=masks.device)
        return torch.cat([canvas[:, : image.shape[1]], masks + self.config.mask_noise * noise], dim=1)

    def require_finite(self, name: str, loss: Tensor) -> None:
        """Stop before a loss that is no number reaches the weights."""
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the {name}'s loss is not finite at step {self.step} ({loss.item()}); the last checkpoint is good: "
                "lower --learning-rate or raise --gamma, and --resume"
            )

    def set_learning_rates(self) -> None:
        """Rising over `warmup_kimg`, constant, then falling to a tenth over the last `decay_fraction`; all linearly."""
        left = 1 - self.images_seen / (self.config.total_kimg * 1000)
        factor = max(0.1, min(1.0, left / self.config.decay_fraction)) if self.config.decay_fraction else 1.0
        warmup = self.config.warmup_kimg * 1000
        if warmup:
            factor *= min(1.0, (self.images_seen + self.config.batch_size) / warmup)
        for optimizer, rate in (
            (self.optimizer_g, self.config.learning_rate),
            (self.optimizer_d, self.config.discriminator_learning_rate),
        ):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor

    def latents(self, count: int) -> Tensor:
        """Draw (count, latent_dim) standard normal latents from the step's own generator."""
        return torch.randn(count, self.config.latent_dim, generator=self.noise, device=self.device)

    def update_average(self, images: int) -> None:
        """Move the averaged generator towards the trained one; the half-life grows to `ema_kimg` with the run."""
        half_life = min(self.config.ema_kimg * 1000, max(self.images_seen * 0.1, 1.0))
        keep = 0.5 ** (images / half_life)
        with torch.no_grad():
            for slow, fast in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                slow.lerp_(fast, 1 - keep)

    def log(self, stats: dict[str, float], writer: SummaryWriter, bar: Any) -> None:
        """Append to `stats.jsonl` and TensorBoard, and show the key figures beside the bar."""
        shown = {key: value for key, value in stats.items() if value == value}
        for key, value in shown.items():
            writer.add_scalar(key, value, self.images_seen)
        with (self.out / "stats.jsonl").open("a") as file:
            file.write(json.dumps({"step": self.step, "images": self.images_seen, **shown}) + "\n")
        bar.set_postfix_str(f"D {stats['loss_d']:.2f} acc {stats['d_accuracy']:.2f} spread {stats['batch_spread']:.3f}")

    def write_sheet(self, fixed: FixedSamples) -> None:
        """Decode the fixed latents by the averaged generator, beside the real samples."""
        write_sheet(self.out / "sheets" / f"{self.images_seen:08d}.png", self.average, fixed)


def soften(masks: Tensor) -> Tensor:
    """Blur (B, K, H, W) masks by the binomial kernel 1 2 1."""
    return F.avg_pool2d(F.avg_pool2d(F.pad(masks, (1, 1, 1, 1), mode="replicate"), 2, 1), 2, 1)
