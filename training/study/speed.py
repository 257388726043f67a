"""What a training step and a forward cost in each row of the generators, in turns in one process."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import torch

from albu_gan.generators import build_generator, composite, default_config
from training.atomic import write_json
from training.provenance import current_commit, hardware
from training.study.settings import BASE, SETTINGS

SIDE = 128
BATCH = 8
CLASSES = 5


def measure_speed(path: Path, rounds: int) -> None:
    """Time every generator `rounds` times in turns with one thread and write medians and ratios.

    Args:
        path: of the JSON.
        rounds: of which medians are taken.
    """
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    window = torch.rand(BATCH, 1, SIDE, SIDE, generator=generator) * 2 - 1
    masks = torch.zeros(BATCH, CLASSES, SIDE, SIDE)
    masks[:, 0, 40:60, 50:80] = 1
    layout = torch.channels_last
    window, masks = window.to(memory_format=layout), masks.to(memory_format=layout)
    networks = {}
    for name, setting in SETTINGS.items():
        if setting.table != "generators" or setting.decoder_only:
            continue
        widths = {
            field.removeprefix("generator_"): value
            for field, value in setting.changes.items()
            if field in ("generator_channels", "fine_channels")
        }
        config = default_config(setting.changes.get("generator", BASE), num_classes=CLASSES, **widths)
        networks[name] = build_generator(config).to(memory_format=layout)
    times: dict[str, dict[str, list[float]]] = {name: {"forward": [], "step": []} for name in networks}
    for _ in range(rounds + 1):
        for name, network in networks.items():
            z = torch.randn(BATCH, network.config.latent_dim, generator=generator)
            began = time.perf_counter()
            with torch.inference_mode():
                network(window[:1], masks[:1], z[:1])
            times[name]["forward"].append(time.perf_counter() - began)
            began = time.perf_counter()
            composite(window, masks, *network(window, masks, z)).square().mean().backward()
            times[name]["step"].append(time.perf_counter() - began)
    medians = {name: {kind: median(values[1:]) for kind, values in kinds.items()} for name, kinds in times.items()}
    result = {
        "side": SIDE,
        "batch": BATCH,
        "rounds": rounds,
        "generators": {
            name: {
                "parameters": sum(p.numel() for p in networks[name].parameters()),
                "forward_ms": 1000 * kinds["forward"],
                "forward_ratio": kinds["forward"] / medians[BASE]["forward"],
                "step_ratio": kinds["step"] / medians[BASE]["step"],
            }
            for name, kinds in medians.items()
        },
        "commit": current_commit(),
        "torch": torch.__version__,
        "hardware": hardware(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, result)
    print(path)
