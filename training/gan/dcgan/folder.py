"""A trained decoder on disk: `config.json` and `model.safetensors`."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from albu_gan.defects import Shape
from albu_gan.hub import CONFIG, MODEL, WeightsError, check_safetensors
from training.gan.dcgan.networks import DCGANGenerator, NetworkConfig

FORMAT_VERSION = 1
ARCHITECTURE = "dcgan"
MAX_SIZES = 400  # of real shapes that are recorded, a class


@dataclass(frozen=True)
class DCGAN:
    """A trained decoder and what it needs to be asked.

    Attributes:
        generator: in evaluation mode.
        class_names: in index order.
        sizes: of the real shapes it learned from, a class: longest side in source pixels, then whether top, left,
            bottom and right border of the image were touched. Empty for pairs.
        training: provenance.
    """

    generator: DCGANGenerator
    class_names: tuple[str, ...]
    sizes: Mapping[str, Sequence[Sequence[int]]]
    training: Mapping[str, Any]


def recorded_sizes(shapes: Sequence[Shape], class_names: Sequence[str]) -> dict[str, list[list[int]]]:
    """Return what `DCGAN.sizes` holds, evenly thinned to `MAX_SIZES` a class."""
    sizes: dict[str, list[list[int]]] = {name: [] for name in class_names}
    for shape in shapes:
        sizes[class_names[shape.class_index]].append([max(shape.mask.shape), *map(int, shape.edges)])
    return {name: rows[:: -(-len(rows) // MAX_SIZES) or 1] for name, rows in sizes.items()}


def write_dcgan(
    folder: Path,
    generator: DCGANGenerator,
    class_names: Sequence[str],
    sizes: Mapping[str, Sequence[Sequence[int]]],
    training: Mapping[str, Any],
) -> None:
    """Write the folder whole, weights in half precision: beside it first, then renamed. An existing one is replaced."""
    described = {
        "format_version": FORMAT_VERSION,
        "architecture": ARCHITECTURE,
        "network": generator.config.to_dict(),
        "class_names": list(class_names),
        "sizes": sizes,
        "training": training,
    }
    state = {name: tensor.detach().cpu().half().contiguous() for name, tensor in generator.state_dict().items()}
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial, old = (folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.{end}") for end in ("partial", "old"))
    partial.mkdir()
    try:
        save_file(state, partial / MODEL)
        (partial / CONFIG).write_text(json.dumps(described, indent=1), encoding="utf-8")
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        for left in (partial, old):
            shutil.rmtree(left, ignore_errors=True)


def load_dcgan(folder: Path | str, device: str | torch.device = "cpu") -> DCGAN:
    """Load what a training wrote to `RUN/dcgan`.

    Raises:
        WeightsError: naming the file that is missing, damaged, or of another kind.
    """
    folder = Path(folder)
    for path in (folder / CONFIG, folder / MODEL):
        if not path.is_file():
            raise WeightsError(f"{path}: no such file; give the folder RUN/dcgan of a python -m training.gan.dcgan run")
    config = folder / CONFIG
    try:
        values = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as err:
        raise WeightsError(f"{config}: is not valid JSON ({err}); train again, or copy it again") from err
    if not isinstance(values, dict) or values.get("architecture") != ARCHITECTURE:
        raise WeightsError(f"{config}: does not describe a {ARCHITECTURE}; give RUN/dcgan, not RUN or RUN/weights")
    if values.get("format_version") != FORMAT_VERSION:
        raise WeightsError(
            f"{config}: has format_version {values.get('format_version')!r}, this code reads {FORMAT_VERSION}"
        )
    try:
        names, sizes, training = tuple(values["class_names"]), values["sizes"], values["training"]
        network = NetworkConfig(**values["network"])
        with torch.device("meta"):
            generator = DCGANGenerator(network)
        if network.num_classes != len(names) or (network.masks_only and not all(sizes[name] for name in names)):
            raise ValueError("its classes, its network and its sizes disagree")
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        raise WeightsError(f"{config}: is not understood ({err}); train again, or copy it again") from err
    check_safetensors(folder / MODEL)
    try:
        state = {name: tensor.float() for name, tensor in load_file(folder / MODEL).items()}
        generator.load_state_dict(state, assign=True)
    except (SafetensorError, RuntimeError) as err:
        raise WeightsError(f"{folder / MODEL}: does not hold the network of {config}; copy both again") from err
    return DCGAN(generator.requires_grad_(False).eval().to(device), names, sizes, training)
