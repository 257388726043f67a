"""Start from trained weights, also onto other classes."""

from __future__ import annotations

from dataclasses import replace

import torch
from safetensors.torch import load_file
from torch import Tensor

from albu_gan.generators import DefectGenerator, build_generator
from albu_gan.hub import MODEL, WeightsFolder
from training.gan.step import TrainingError


def generator_from_weights(folder: WeightsFolder, class_names: tuple[str, ...], in_channels: int) -> DefectGenerator:
    """Build the generator of a weights folder for other classes and give it the folder's weights.

    A class of the same name keeps what it learned; a new one starts as the mean of the folder's classes.

    Args:
        folder: a checked weights folder.
        class_names: of the data to be trained on.
        in_channels: of the data's images.

    Raises:
        TrainingError: if the weights paint images of another number of channels.
    """
    config = folder.config.require_generator()
    if config.in_channels != in_channels:
        kinds = {1: "gray", 3: "colour"}
        raise TrainingError(
            f"{folder.name} paints {kinds[config.in_channels]} images, the data is {kinds[in_channels]}; give "
            f"--channels {config.in_channels} to read it so, or start without --init"
        )
    generator = build_generator(replace(config, num_classes=len(class_names)))
    state = load_file(folder.path / MODEL)
    old_names = folder.config.class_names
    for name, first in generator.class_inputs().items():
        state[name] = _remapped(state[name].float(), first, old_names, class_names)
    try:
        generator.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    except RuntimeError as err:
        raise TrainingError(f"{folder.path / MODEL}: does not match its config.json; export it again ({err})") from err
    return generator


def _remapped(weight: Tensor, first: int, old_names: tuple[str, ...], new_names: tuple[str, ...]) -> Tensor:
    """Replace the columns of the old classes by those of the new ones."""
    columns = weight[:, first : first + len(old_names)]
    mean = columns.mean(dim=1, keepdim=True)
    chosen = [
        columns[:, old_names.index(name)].unsqueeze(1) if name in old_names else mean.clone() for name in new_names
    ]
    return torch.cat([weight[:, :first], *chosen, weight[:, first + len(old_names) :]], dim=1)
