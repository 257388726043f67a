"""One training step of both networks, as the papers write it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from albu_gan.generators import DefectGenerator, composite
from training.gan.augment import diff_augment, draw_augmentation
from training.gan.config import TrainConfig
from training.gan.discriminator import Discriminator
from training.gan.losses import LOSSES, clip_weights, gradient_penalty, zero_centred_penalty
from training.gan.terms import (
    feature_matching,
    gray_spread,
    low_frequency_l1,
    masked_mean,
    nearest_of_pairs,
    pooled_statistics,
    shortfall,
)
from training.tensors import image_tensor, mask_tensor

LOG_STEPS = 24
STATE = ("generator", "discriminator", "average", "optimizer_g", "optimizer_d")


class TrainingError(RuntimeError):
    """The run cannot go on; the message says where it stopped and what to do."""


class GANStep:
    """Both networks, their optimisers and the averaged generator; `__call__` trains them on one batch.

    Gradients are averaged over the processes here, not by a wrapper around the networks: a step runs each network
    several times and differentiates twice through the discriminator, which wrappers do not expect. Networks start equal
    (same seed) and take equal steps, so they stay equal.

    Args:
        config: of the run.
        generator: to be trained.
        discriminator: its opponent.
        num_classes: channels of the class masks.
        accelerator: says which device and precision, and joins processes.
    """

    def __init__(
        self,
        config: TrainConfig,
        generator: DefectGenerator,
        discriminator: Discriminator,
        num_classes: int,
        accelerator: Accelerator,
    ) -> None:
        self.config, self.num_classes, self.accelerator = config, num_classes, accelerator
        layout: Any = {"memory_format": torch.channels_last}
        self.generator = generator.to(accelerator.device).to(**layout)
        self.discriminator = discriminator.to(accelerator.device).to(**layout)
        self.average: DefectGenerator = copy.deepcopy(self.generator).requires_grad_(False).eval()
        betas = (0.0, config.beta2)
        self.optimizer_g = torch.optim.Adam(generator.parameters(), lr=config.learning_rate, betas=betas)
        self.optimizer_d = torch.optim.Adam(
            discriminator.parameters(), lr=config.discriminator_learning_rate, betas=betas
        )
        self.noise = torch.Generator(device=accelerator.device)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a later step depends on."""
        return {name: getattr(self, name).state_dict() for name in STATE}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned; raises RuntimeError, KeyError or ValueError for other networks'."""
        for name in STATE:
            getattr(self, name).load_state_dict(state[name])

    def __call__(self, batch: dict[str, Tensor], step: int, images_seen: int) -> dict[str, float]:
        """Train on one batch of `training.windows.WindowBatches`; returns figures every `LOG_STEPS`, else nothing.

        Raises:
            TrainingError: if a loss is not finite; the weights are then those of the step before.
        """
        config, loss = self.config, LOSSES[self.config.loss]
        self._set_learning_rates(images_seen)
        entropy = np.random.SeedSequence((config.seed, step, self.accelerator.process_index))
        self.noise.manual_seed(int(entropy.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        # Two latents on one window and mask: what lets them be compared at no further cost.
        twice = config.diversity_weight > 0
        if twice:
            batch = {**batch, **{key: _repeat_half(batch[key]) for key in ("clean", "fake_mask", "paired")}}
        real, clean = image_tensor(batch["real"]), image_tensor(batch["clean"])
        real_masks = mask_tensor(batch["real_mask"], self.num_classes)
        fake_masks = mask_tensor(batch["fake_mask"], self.num_classes)
        target = image_tensor(_repeat_half(batch["real"])) if twice else real
        paired = batch["paired"].float()
        half = len(real) // 2
        z = torch.randn(len(real), config.latent_dim, generator=self.noise, device=self.noise.device)
        draw = draw_augmentation(len(real), self.noise)
        if twice:
            draw = _repeat_half(draw)

        with self.accelerator.autocast():
            fake = composite(clean, fake_masks, *self.generator(clean, fake_masks, z))

        # Discriminator.
        real_seen, real_masks_seen = self._augmented(real, real_masks, draw)
        fake_seen, fake_masks_seen = self._augmented(fake.detach(), fake_masks, draw)
        with self.accelerator.autocast():
            real_logits, real_stages = self.discriminator(real_seen, real_masks_seen)
            fake_logits, _ = self.discriminator(fake_seen, fake_masks_seen)
        d_loss = loss.discriminator(real_logits, fake_logits)
        penalty = self._penalty(step, (real_seen, real_masks_seen), (fake_seen, fake_masks_seen))
        total_d = d_loss if penalty is None else d_loss + config.resolved_penalty_interval * penalty
        self._require_finite("discriminator", total_d, step)
        self._descend(self.optimizer_d, self.discriminator, total_d)
        if config.resolved_penalty == "clip":
            clip_weights(self.discriminator, config.clip_limit)

        # Generator. In the discriminator's own steps it is looked at for the log, and no more.
        turn, logged = step % config.resolved_discriminator_steps == 0, step % LOG_STEPS == 0
        if not turn and not logged:
            return {}
        self.discriminator.requires_grad_(False)
        fake_seen, fake_masks_seen = self._augmented(fake, fake_masks, draw)
        with self.accelerator.autocast():
            fake_logits_g, fake_stages = self.discriminator(fake_seen, fake_masks_seen)
            g_loss = loss.generator(real_logits.detach(), fake_logits_g)
        inside = fake_masks.amax(dim=1, keepdim=True)
        low_frequency = nearest_of_pairs(low_frequency_l1(fake, target, inside), paired, twice)
        total_g = g_loss + config.low_frequency_weight * low_frequency
        if config.feature_matching_weight > 0:
            wanted = [_repeat_half(p) if twice else p for p in pooled_statistics(real_stages, real_masks_seen)]
            matched = feature_matching(pooled_statistics(fake_stages, fake_masks_seen), wanted)
            total_g = total_g + config.feature_matching_weight * nearest_of_pairs(matched, paired, twice)
        spread = None
        if twice:
            spread = gray_spread(fake[:half], fake[half : 2 * half], inside[:half])
            total_g = total_g + config.diversity_weight * shortfall(spread, config.diversity_cap)
        self._require_finite("generator", total_g, step)
        # What the discriminator alone says to the fakes: other terms would hide that it has stopped saying anything.
        adversarial = torch.autograd.grad(g_loss, fake, retain_graph=True)[0].norm() if logged else None
        self._descend(self.optimizer_g, self.generator, total_g, move=turn)
        self.discriminator.requires_grad_(True)
        if turn:
            shown = len(real) * config.resolved_discriminator_steps
            self._update_average(shown * self.accelerator.num_processes, images_seen)
        if not logged:
            return {}
        with torch.no_grad():
            figures = {
                "loss_d": d_loss,
                "loss_g": g_loss,
                "d_accuracy": ((real_logits > fake_logits).float().mean()),
                "low_frequency": low_frequency,
                "effect": masked_mean((fake - clean).abs(), inside).mean(),
                "adversarial_gradient_norm": adversarial,
                "g_gradient_norm": gradient_norm(self.generator),
                "d_gradient_norm": gradient_norm(self.discriminator),
            }
            if penalty is not None:
                figures["penalty"] = penalty
            if spread is not None:
                figures["latent_spread"] = spread.mean()
        return {key: float(value.detach()) for key, value in figures.items()}

    def _augmented(self, image: Tensor, masks: Tensor, draw: Tensor) -> tuple[Tensor, Tensor]:
        return diff_augment(image, masks, draw) if self.config.augment else (image, masks)

    def _penalty(self, step: int, real: tuple[Tensor, Tensor], fake: tuple[Tensor, Tensor]) -> Tensor | None:
        """The discriminator's penalty, weighted, at the steps that have one."""
        config, kind = self.config, self.config.resolved_penalty
        if kind not in ("r1r2", "gp") or step % config.resolved_penalty_interval:
            return None
        with self.accelerator.autocast():
            if kind == "r1r2":
                parts = []
                for images, masks in (real, fake):
                    images = images.detach().requires_grad_()
                    parts.append(zero_centred_penalty(self.discriminator(images, masks)[0], images))
                return 0.5 * config.gamma * (parts[0] + parts[1])
            share = torch.rand(len(real[0]), 1, 1, 1, generator=self.noise, device=self.noise.device)
            between = tuple(torch.lerp(a, b, share).detach().requires_grad_() for a, b in zip(real, fake, strict=True))
            return config.gradient_penalty_weight * gradient_penalty(self.discriminator(*between)[0], between)

    def _descend(self, optimizer: torch.optim.Optimizer, network: nn.Module, loss: Tensor, move: bool = True) -> None:
        optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        if self.accelerator.num_processes > 1:
            gradients = [p.grad for p in network.parameters() if p.grad is not None]
            flat = self.accelerator.reduce(torch.cat([g.flatten() for g in gradients]), "mean")
            for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
                gradient.copy_(part.view_as(gradient))
        if move:
            optimizer.step()

    def _require_finite(self, name: str, loss: Tensor, step: int) -> None:
        """Stop before a loss that is no number reaches the weights, in all processes if in one."""
        finite = torch.isfinite(loss.detach()).float()
        if self.accelerator.num_processes > 1:
            finite = self.accelerator.reduce(finite, "mean")
        if finite < 1:
            raise TrainingError(
                f"the {name}'s loss is not finite at step {step} ({loss.item()}); the last checkpoint is good: "
                "lower --learning-rate or raise --gamma, and --resume"
            )

    def _set_learning_rates(self, images_seen: int) -> None:
        """Constant, then falling linearly to a tenth over the last `decay_fraction` of the training."""
        left = 1 - images_seen / (self.config.total_kimg * 1000)
        factor = max(0.1, min(1.0, left / self.config.decay_fraction)) if self.config.decay_fraction else 1.0
        for optimizer, rate in (
            (self.optimizer_g, self.config.learning_rate),
            (self.optimizer_d, self.config.discriminator_learning_rate),
        ):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor

    def _update_average(self, images: int, images_seen: int) -> None:
        """Move the averaged generator towards the trained one; the half-life grows to `ema_kimg` with the run."""
        half_life = min(self.config.ema_kimg * 1000, max(images_seen * 0.1, 1.0))
        keep = 0.5 ** (images / half_life) if half_life else 0.0
        with torch.no_grad():
            for slow, fast in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                slow.lerp_(fast, 1 - keep)


def _repeat_half(values: Tensor) -> Tensor:
    """Put the first half of a batch in the place of the second; an odd last sample stays."""
    half = len(values) // 2
    return torch.cat([values[:half], values[:half], values[2 * half :]])


def gradient_norm(module: nn.Module) -> Tensor:
    """Norm of all gradients of a module's parameters; the generator's falls towards 0 when its opponent has won."""
    return torch.stack([p.grad.norm() for p in module.parameters() if p.grad is not None]).norm()
