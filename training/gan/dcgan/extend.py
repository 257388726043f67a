"""Add learned shapes to the mask bank of a weights folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from safetensors.numpy import load_file

from albu_gan.defects import DefectBank
from albu_gan.hub import BANK, CARD, MODEL, PICTURE_SUFFIXES, WeightsError, find_weights, write_folder
from training.card import model_card
from training.gan.dcgan.folder import load_dcgan
from training.gan.dcgan.sample import sample_shapes


def extend_bank(weights: str, dcgan_folder: Path, out: Path, per_class: int, seed: int, borders: bool = False) -> None:
    """Write a copy of a weights folder with learned shapes beside the real ones in its mask bank.

    Args:
        weights: name, repository or folder of the weights.
        dcgan_folder: `RUN/dcgan` of a decoder trained on masks only, which knows every class of the weights.
        out: the new folder; written whole or not at all. An existing weights folder is replaced.
        per_class: how many shapes each class gets more.
        seed: the same seed, the same shapes.
        borders: see `sample_shapes`.

    Raises:
        WeightsError: if a folder cannot be used, or the two do not belong together.
        FileExistsError: if `out` exists and is not a weights folder.
        SamplingError: if the decoder gives too few usable shapes.
    """
    source, dcgan = find_weights(weights), load_dcgan(dcgan_folder)
    config, names = source.config, source.config.class_names
    if out.expanduser().resolve() == source.path.resolve():
        raise WeightsError(f"{out}: holds the weights themselves; write the copy to another folder")
    missing = [name for name in names if name not in dcgan.class_names]
    if missing:
        raise WeightsError(
            f"{dcgan_folder}: learned {', '.join(dcgan.class_names)} and not {', '.join(missing)}, which {weights} "
            "paints; train the dcgan on the data of the weights"
        )
    seen = set(config.training.get("held_out_groups", [])) & set(dcgan.training.get("train_groups", []))
    if seen:
        raise WeightsError(
            f"{dcgan_folder}: was trained on {len(seen)} groups that {weights} holds out ({min(seen)}, say); train it "
            "with the --train-fraction and --split-seed of the weights"
        )
    bank = DefectBank.load(source.path / BANK, len(names))
    shapes = [bank[index] for index in range(len(bank)) if not bank.is_compound(index)]  # alone it is of no class
    for index, name in enumerate(names):
        learned = sample_shapes(dcgan, per_class, dcgan.class_names.index(name), seed, borders)
        shapes += [replace(shape, class_index=index) for shape in learned]
    extended = DefectBank(shapes, len(names))
    described = replace(
        config,
        training={
            **config.training,
            "shapes": dict(zip(names, extended.counts(), strict=True)),
            "learned_shapes": {
                "per_class": per_class,
                "seed": seed,
                "borders": borders,
                "from": config.training.get("name", source.path.name),
                "dcgan": dict(dcgan.training),
            },
        },
    )
    card = source.path / CARD
    text = card.read_text(encoding="utf-8") if card.is_file() else model_card(described)
    pictures = {
        path.name: path.read_bytes() for path in sorted(source.path.iterdir()) if path.suffix in PICTURE_SUFFIXES
    }
    write_folder(out, described, load_file(source.path / MODEL), extended.to_tensors(), text, pictures)
