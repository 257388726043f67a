"""Run `python -m training.gan` in each of several processes and write what each saw and ended with.

Usage: accelerate launch ... tests/multi_process_script.py FOLDER ARGUMENTS-OF-TRAINING-GAN...
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch

from training.gan.__main__ import main
from training.gan.loop import GANTrainer
from training.gan.step import GANStep


def digest(*tensors: torch.Tensor) -> str:
    return hashlib.sha256(b"".join(t.detach().contiguous().numpy().tobytes() for t in tensors)).hexdigest()


seen: list[str] = []
take_step, run = GANStep.__call__, GANTrainer.run


def recording_step(self: GANStep, batch: dict[str, torch.Tensor], *rest: int) -> dict[str, float]:
    seen.append(digest(batch["real"], batch["clean"]))
    return take_step(self, batch, *rest)


def recording_run(self: GANTrainer, *rest: Any, **named: Any) -> Any:
    result = run(self, *rest, **named)
    networks = {
        name: digest(*getattr(self.train_step, name).state_dict().values()) for name in ("generator", "discriminator")
    }
    rank = self.accelerator.process_index
    ended = {"seen": seen, "networks": networks, "images": self.images_seen, "step": self.step}
    (Path(sys.argv[1]) / f"rank-{rank}.json").write_text(json.dumps(ended))
    return result


GANStep.__call__ = recording_step  # type: ignore[method-assign]
GANTrainer.run = recording_run  # type: ignore[method-assign]

if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main(sys.argv[2:]))
