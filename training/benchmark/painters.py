"""The painter of each fold and fraction: trained on those training groups and nothing else, and kept."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from albu_gan.data import DataError, DefectDataset
from albu_gan.hub import CARD, MODEL, WeightsFolder, find_weights, write_folder
from training.atomic import write_json
from training.benchmark.claims import claim
from training.benchmark.folds import Fold
from training.card import model_card
from training.gan.dcgan.folder import load_dcgan
from training.gan.export import build_shape_bank

WAIT_SECONDS = 5.0  # between looks at a painter that another process trains


class PainterError(ValueError):
    """A painter that is missing or must not be used; the message says why and what to do."""


@dataclass(frozen=True)
class PainterSource:
    """Where painters come from.

    Attributes:
        folder: holds one painter a fold and fraction.
        data: flags that open the data set.
        preset: of `training.gan`.
        kimg: length of the training; None for the preset's.
        flags: more flags of `training.gan`.
        weights: a given painter for all folds, instead.
    """

    folder: Path
    data: tuple[str, ...] = ()
    preset: str = "cpu"
    kimg: float | None = None
    flags: tuple[str, ...] = ()
    weights: str | None = None


def split_document(fold: Fold, groups: Sequence[str]) -> dict[str, Any]:
    """Return the split file of a fold: all that the painter must not see is held out, validation groups too."""
    train = set(fold.train)
    held_out = sorted(set(groups) - train)
    return {"sides": {"train": {"groups": sorted(train)}, "held_out": {"groups": held_out}}}


def painter_for(fold: Fold, dataset: DefectDataset, source: PainterSource) -> WeightsFolder:
    """Return the painter of a fold, training it first if there is none.

    Raises:
        PainterError: if it cannot be trained, or was trained on other groups than the fold's training groups.
    """
    path = source.folder / fold.name
    path.mkdir(parents=True, exist_ok=True)
    weights = path / "weights" if source.weights is not None else path / "run" / "weights"
    while not is_trained(weights):
        with claim(path) as ours:
            if not ours:
                time.sleep(WAIT_SECONDS)
            elif not is_trained(weights):
                if source.weights is not None:
                    adopt(source.weights, fold, dataset, weights)
                else:
                    _train(fold, dataset, source, path)
    folder = find_weights(str(weights))
    check_painter(folder, fold, dataset, source.weights is not None)
    _check_length(folder, source)
    return folder


def check_source(fold: Fold, dataset: DefectDataset, source: PainterSource) -> None:
    """Check what is there of a fold's painter, before anything is trained.

    Raises:
        PainterError, WeightsError: if given weights cannot be found, or a painter must not be used.
    """
    if source.weights is not None:
        check_painter(find_weights(source.weights), fold, dataset, given=True)
    path = source.folder / fold.name / ("weights" if source.weights is not None else "run/weights")
    if is_trained(path):
        folder = find_weights(str(path))
        check_painter(folder, fold, dataset, source.weights is not None)
        _check_length(folder, source)


def find_dcgan(folder: Path | None, fold: Fold, dataset: DefectDataset) -> Path:
    """Find the decoder of the decoder-only arm.

    Args:
        folder: a `RUN/dcgan`, or a folder that holds one for each fold, called as the fold is.
        fold: whose test and validation groups it must not have seen, nor training groups beyond its fraction.
        dataset: for its classes.

    Raises:
        PainterError: if there is none, or it must not be used.
    """
    if folder is None:
        raise PainterError("the arm decoder-only needs --dcgan: a RUN/dcgan of python -m training.gan.dcgan --split")
    places = [folder, folder / fold.name / "run" / "dcgan", folder / fold.name / "dcgan", folder / fold.name]
    path = next((place for place in places if (place / "config.json").is_file()), None)
    if path is None:
        raise PainterError(
            f"{folder}: no decoder for {fold.name}; train one with python -m training.gan.dcgan --split, into "
            f"{folder / fold.name / 'run'}"
        )
    dcgan = load_dcgan(path)
    if dcgan.generator.config.masks_only:
        raise PainterError(f"{path}: was trained on masks only and makes no images; train without --masks-only")
    if sorted(dcgan.class_names) != sorted(dataset.class_names):
        raise PainterError(f"{path}: knows {list(dcgan.class_names)}, the data has {list(dataset.class_names)}")
    foreign = sorted(set(dcgan.training.get("train_groups", ())) - set(fold.train))
    if foreign or not dcgan.training.get("train_groups"):
        raise PainterError(
            f"{path}: was trained on {len(foreign)} groups that are not training groups of {fold.name}"
            f"{f' ({foreign[0]}, say)' if foreign else ''}; train it with the fold's --split"
        )
    return path


def is_trained(weights: Path) -> bool:
    """Whether a weights folder is there; folders are written whole or not at all."""
    return (weights / "config.json").is_file()


def check_painter(folder: WeightsFolder, fold: Fold, dataset: DefectDataset, given: bool) -> None:
    """Refuse a painter that has seen test groups, paints other classes, or (unless given) has other training groups.

    Raises:
        PainterError: saying which.
    """
    config = folder.config
    channels = config.require_generator().in_channels
    if config.class_names != dataset.class_names or channels != dataset.channels:
        raise PainterError(
            f"{folder.path}: paints {list(config.class_names)} on {channels} channels, the data "
            f"has {list(dataset.class_names)} on {dataset.channels}; give weights trained on data of the same kind"
        )
    seen = {str(group) for side in ("train", "validation") for group in config.training.get(f"{side}_groups", ())}
    if not seen:
        raise PainterError(f"{folder.path}: its config.json names no training groups; a leak cannot be ruled out")
    leaked = sorted(seen & set(fold.test))
    if leaked:
        raise PainterError(
            f"{folder.path}: was trained on {len(leaked)} test groups of fold {fold.number} ({leaked[0]}, say): a "
            "leak. Leave --weights out, so that a painter is trained for each fold, or give other weights"
        )
    if not given and seen != set(fold.train):
        raise PainterError(
            f"{folder.path}: was trained on other groups than those of {fold.name}; other data, --folds, --fold-seed "
            "or --validation-fraction need another --painters"
        )


def _check_length(folder: WeightsFolder, source: PainterSource) -> None:
    trained = folder.config.training.get("config", {}).get("total_kimg")
    if source.weights is None and source.kimg is not None and trained != source.kimg:
        raise PainterError(
            f"{folder.path}: was trained for {trained} kimg, --painter-kimg asks for {source.kimg:g}; give another "
            "--painters, or the same length"
        )


def adopt(name: str, fold: Fold, dataset: DefectDataset, path: Path) -> None:
    """Copy given weights, with the shapes of the fold's training groups in place of their own."""
    given = find_weights(name)
    check_painter(given, fold, dataset, given=True)
    bank = build_shape_bank(dataset, fold.select(dataset.records, "train"))
    training = {**given.config.training, "shapes": dict(zip(dataset.class_names, bank.counts(), strict=True))}
    described = replace(given.config, training={**training, "shapes_of_groups": list(fold.train)})
    card = given.path / CARD
    text = card.read_text(encoding="utf-8") if card.is_file() else model_card(described)
    write_folder(path, described, load_file(given.path / MODEL), bank.to_tensors(), text)


def _train(fold: Fold, dataset: DefectDataset, source: PainterSource, path: Path) -> None:
    """Run `python -m training.gan` on the fold's split, going on where it was interrupted."""
    if not fold.train:
        raise DataError(f"{fold.name}: no training groups")
    split = path / "split.json"
    write_json(split, split_document(fold, sorted({record.group for record in dataset.records})))
    command = [sys.executable, "-m", "training.gan", *source.data, "--split", str(split), "--out", str(path / "run")]
    command += ["--preset", source.preset, "--validation-kimg", "0", "--name", fold.name, *source.flags]
    if source.kimg is not None:
        command += ["--total-kimg", f"{source.kimg:g}"]
    if (path / "run" / "checkpoints" / "last.pt").is_file():
        command.append("--resume")
    status = run_to_its_end(command)
    if status:
        raise PainterError(f"{path}: the painter's training failed with status {status}; see above")


def run_to_its_end(command: Sequence[str]) -> int:
    """Run a command and return its status. Whoever ends this process ends the command first, in its own time.

    SIGTERM is passed on; Ctrl+C reaches both from the terminal.
    """
    with subprocess.Popen(command) as child:
        caught = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)) if caught else None
        try:
            return child.wait()
        except SystemExit:
            child.terminate()
            raise
        finally:
            child.wait()  # so that checkpoints are whole and nothing trains unseen
            if caught:
                signal.signal(signal.SIGTERM, before)


def describe_painter(folder: WeightsFolder) -> dict[str, Any]:
    """Return what a run's JSON says of its painter."""
    training = folder.config.training
    kept = (
        "name",
        "commit",
        "config",
        "images_seen",
        "steps",
        "minutes",
        "hardware",
        "torch",
        "train_groups",
        "shapes",
    )
    described = {key: training[key] for key in kept if key in training}
    return json.loads(json.dumps({**described, "generator": folder.config.require_generator().to_dict()}))
