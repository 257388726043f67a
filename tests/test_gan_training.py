from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from children import Child
from safetensors.numpy import load_file
from torch.utils.tensorboard import SummaryWriter

from albu_gan import GANDefectInpaint
from albu_gan.data import LabelmeDataset
from albu_gan.defects.inpainter import DefectInpainter
from albu_gan.generators import ARCHITECTURES, build_generator, default_config
from albu_gan.hub.find import read_folder
from training.datasets.__main__ import main as split_main
from training.gan.__main__ import main
from training.gan.config import PRESETS, TrainConfig, with_overrides
from training.gan.loop import GANTrainer
from training.gan.losses import LOSSES, AdversarialLoss
from training.windows import WindowBatches, components

PATTERN = r"part\d"


def write_labelme(root: Path, groups_of_pits: int = 4, clean: int = 2) -> Path:
    """Eight images of four parts; all but the clean ones have a scratch, and a pit if their part has pits."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    for index in range(8):
        image = rng.normal(128, 8, (90, 100)).clip(0, 255).astype(np.uint8)
        shapes = []
        for label, gray, (w, h) in (("pit", 50, (9, 7)), ("scratch", 220, (40, 3))):
            if index < 8 - clean and (label == "scratch" or index % 4 < groups_of_pits):
                x, y = (int(v) for v in rng.integers(5, 45, 2))
                points = [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]
                cv2.fillPoly(image, [np.array(points)], gray)
                shapes.append({"label": label, "points": points, "shape_type": "polygon"})
        stem = f"part{index % 4}_{index}"
        cv2.imwrite(str(root / "images" / f"{stem}.png"), image)
        (root / "labels" / f"{stem}.json").write_text(json.dumps({"shapes": shapes}))
    return root


def arguments(data: Path, out: Path, *more: str) -> list[str]:
    """A smoke run on the CPU that saves after every step."""
    run = ["--data", str(data), "--format", "labelme", "--group-pattern", PATTERN, "--out", str(out)]
    short = ["--preset", "smoke", "--total-kimg", "0.032", "--sheet-kimg", "0.016", "--checkpoint-seconds", "0"]
    return [*run, *short, "--precision", "no", "--workers", "0", *more]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order, so that runs can be compared bit by bit; and no Accelerator left over from other tests."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    torch.set_num_threads(threads)
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelme(tmp_path_factory.mktemp("gan") / "data")


@pytest.fixture(scope="module")
def finished(data: Path) -> Path:
    """The folder of an uninterrupted run."""
    torch.set_num_threads(1)
    out = data.parent / "finished"
    assert main(arguments(data, out, "--name", "parts-v1", "--source", "made up")) == 0
    return out


def checkpoint(out: Path) -> dict[str, Any]:
    return dict(torch.load(out / "checkpoints" / "last.pt", weights_only=True))


def tensors(values: Any, path: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor in nested dicts and lists, with its place."""
    if isinstance(values, torch.Tensor):
        yield path, values
    elif isinstance(values, (dict, list)):
        for key, value in values.items() if isinstance(values, dict) else enumerate(values):
            yield from tensors(value, f"{path}.{key}")


def assert_same_training(out: Path, finished: Path) -> None:
    state, expected = checkpoint(out), checkpoint(finished)
    assert (state["step"], state["images_seen"]) == (expected["step"], expected["images_seen"])
    found, wanted = dict(tensors(state)), dict(tensors(expected))
    assert found.keys() == wanted.keys() and len(wanted) > 100
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []
    for file in ("model.safetensors", "defects.safetensors"):
        assert (out / "weights" / file).read_bytes() == (finished / "weights" / file).read_bytes()


def test_a_run_records_its_settings_and_its_split(finished: Path, data: Path) -> None:
    recorded = json.loads((finished / "config.json").read_text())
    settings = {field.name: recorded[field.name] for field in dataclasses.fields(TrainConfig)}
    expected = dataclasses.replace(
        PRESETS["smoke"], precision="no", checkpoint_seconds=0.0, total_kimg=0.032, sheet_kimg=0.016
    )
    assert TrainConfig(**settings) == expected
    split = recorded["split"]
    sides = [split[side] for side in ("train", "validation", "held_out")]
    assert sorted(group for side in sides for group in side) == ["part0", "part1", "part2", "part3"]
    assert all(sides)
    assert (recorded["data"], recorded["format"]) == (str(data), "labelme")


def test_a_run_logs_figures_that_are_numbers(finished: Path) -> None:
    lines = [json.loads(line) for line in (finished / "stats.jsonl").read_text().splitlines()]
    assert lines and all(math.isfinite(value) for line in lines for value in line.values())
    assert [line["step"] for line in lines] == sorted({line["step"] for line in lines})
    figures = {
        "step",
        "images",
        "loss_d",
        "loss_g",
        "effect",
        "latent_spread",
        "adversarial_gradient_norm",
        "data_wait",
    }
    assert figures <= lines[0].keys()
    validated = [line for line in lines if "validation_kid" in line]
    assert len(validated) == 2 and {"validation_diversity", "validation_coverage"} <= validated[0].keys()
    assert len(list(finished.glob("events.out.tfevents.*"))) == 1


def test_a_run_paints_sheets_of_the_same_windows_from_first_to_last(finished: Path) -> None:
    paths = sorted((finished / "sheets").glob("*.png"))
    total = checkpoint(finished)["images_seen"]
    assert paths[0].stem == "00000000" and int(paths[-1].stem) == total and len(paths) == 3
    first, last = (cv2.imread(str(path)) for path in (paths[0], paths[-1]))
    assert first is not None and last is not None and first.shape == last.shape
    changed = (first != last).any(axis=2).mean()
    assert 0 < changed < 0.4  # what is painted, and neither the real windows nor the masks beside them


def test_the_exported_weights_are_the_averaged_generator(finished: Path) -> None:
    average = checkpoint(finished)["networks"]["average"]
    best = torch.load(finished / "checkpoints" / "best.pt", weights_only=True)
    if checkpoint(finished)["best"]["images"] != checkpoint(finished)["images_seen"]:
        average = best
    assert all(torch.equal(best[name], average[name]) for name in best)
    stored = load_file(finished / "weights" / "model.safetensors")
    assert stored.keys() == average.keys()
    for name, tensor in average.items():
        np.testing.assert_array_equal(stored[name], tensor.half().numpy())
    trained = checkpoint(finished)["networks"]["generator"]
    assert any(not torch.equal(trained[name], average[name]) for name in average)


def test_the_exported_folder_says_where_it_comes_from_and_holds_training_shapes_only(
    finished: Path, data: Path
) -> None:
    config = read_folder(finished / "weights", "parts").config
    assert (config.class_names, config.window_sizes) == (("pit", "scratch"), (32, 64))
    training, split = config.training, json.loads((finished / "config.json").read_text())["split"]
    assert (training["name"], training["source"]) == ("parts-v1", "made up")
    for side in ("train", "validation", "held_out"):
        assert training[f"{side}_groups"] == split[side]
    assert training["best"]["kid"] == checkpoint(finished)["best"]["kid"] and 0 < training["busy"] <= 1
    assert training["steps"] == checkpoint(finished)["step"]
    dataset = LabelmeDataset(data, PATTERN)
    shapes = []
    for record in dataset.records:
        if record.group not in split["held_out"]:
            shapes += [class_index for class_index, *_ in components(dataset.read(record)[1])]
    bank = DefectInpainter.from_pretrained(str(finished / "weights")).bank
    assert bank.counts() == [shapes.count(0), shapes.count(1)]
    card = (finished / "weights" / "README.md").read_text()
    assert "parts-v1" in card and "(preview.jpg)" in card
    sheet = cv2.imread(str(finished / "weights" / "preview.jpg"))
    assert sheet.shape[0] > 2 * 216 and sheet.shape[1] > 6 * 288
    assert not list(finished.glob(".*"))


def test_the_exported_folder_paints_defects_in_a_pipeline(finished: Path) -> None:
    paint = GANDefectInpaint(weights=str(finished / "weights"), classes=["scratch"], min_contrast=0, p=1)
    image = np.random.default_rng(0).integers(90, 160, (120, 110, 3)).astype(np.uint8)
    out = A.Compose([paint], seed=1)(image=image, mask=np.zeros((120, 110), np.uint8))
    assert set(np.unique(out["mask"])) == {0, 2}
    changed = (out["image"] != image).any(axis=2)
    assert changed.any() and not changed[out["mask"] == 0].any()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_run_killed_at_a_random_moment_resumes_to_the_very_same_weights(finished: Path, data: Path) -> None:
    out = data.parent / "killed"
    process = Child(lambda: main(arguments(data, out)), data.parent / "killed.log")
    try:
        deadline = time.monotonic() + 600
        while not (out / "checkpoints" / "last.pt").is_file() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.2))
    finally:
        process.kill()
    assert process.returncode == -signal.SIGKILL, process.said()
    before = checkpoint(out)
    assert 0 < before["images_seen"] < checkpoint(finished)["images_seen"]
    assert main(arguments(data, out, "--resume")) == 0
    assert_same_training(out, finished)


def test_an_interrupted_run_finishes_its_step_and_says_how_to_go_on_and_does_so_with_nothing_lost(
    finished: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out = data.parent / "interrupted"
    make = WindowBatches.__getitem__

    def interrupted(batches: WindowBatches, step: int) -> dict[str, Any]:
        if step == 3 and batches.length == 32:  # those of the training, not of sheets or features
            signal.raise_signal(signal.SIGINT)
        return make(batches, step)

    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(WindowBatches, "__getitem__", interrupted)
        assert main(arguments(data, out, "--checkpoint-seconds", "1000")) == 130
    assert signal.getsignal(signal.SIGINT) is handler
    said = capfd.readouterr().err
    assert f"--resume --out {out}" in said, said
    assert checkpoint(out)["step"] == 4 and not (out / "weights").exists()
    assert main(arguments(data, out, "--resume")) == 0
    assert_same_training(out, finished)


def test_a_crash_while_a_checkpoint_is_written_leaves_the_one_before(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, synced = os.fsync, []

    def crashing(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) > 2:
            raise KeyboardInterrupt
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", crashing)
    assert main(arguments(data, tmp_path / "run", "--validation-kimg", "0")) == 130
    assert checkpoint(tmp_path / "run")["step"] == 2


def test_a_run_is_not_started_over_another(finished: Path, data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    said = refused(capfd, arguments(data, finished))
    assert "holds a run already" in said and "--resume" in said
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()} == before


def test_resuming_a_finished_run_trains_no_further(finished: Path, data: Path) -> None:
    before = checkpoint(finished)
    weights = (finished / "weights" / "model.safetensors").read_bytes()
    assert main(arguments(data, finished, "--resume", "--name", "parts-v1", "--source", "made up")) == 0
    after = checkpoint(finished)
    assert (after["step"], after["images_seen"]) == (before["step"], before["images_seen"])
    assert (finished / "weights" / "model.safetensors").read_bytes() == weights


def test_a_finished_run_can_export_its_last_generator_instead_of_the_best(finished: Path, data: Path) -> None:
    out = data.parent / "last"
    shutil.copytree(finished, out)
    average = checkpoint(out)["networks"]["average"]
    other = {name: value + 1 for name, value in average.items()}
    torch.save(other, out / "checkpoints" / "best.pt")  # another generator than the last, whichever was kept
    exported = {}
    for which in ("best", "last"):
        assert main(arguments(data, out, "--resume", "--export", which)) == 0
        exported[which] = load_file(out / "weights" / "model.safetensors")
        assert ("best" in read_folder(out / "weights", "last").config.training) == (which == "best")
    for name, value in exported["last"].items():
        np.testing.assert_allclose(value.astype(np.float32), average[name].numpy(), atol=1e-2)
        np.testing.assert_allclose(exported["best"][name].astype(np.float32), other[name].numpy(), atol=1e-2)


def test_the_smoke_preset_runs_as_it_is_with_a_worker_and_whatever_precision_the_machine_has(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = ["--data", str(data), "--format", "labelme", "--group-pattern", PATTERN, "--out", str(tmp_path / "run")]
    assert main([*run, "--preset", "smoke"]) == 0
    weights = capfd.readouterr().out.strip().splitlines()[-1]
    assert read_folder(Path(weights), "smoke").config.training["images_seen"] >= 48


def test_data_without_a_clean_image_a_single_size_of_window_and_another_loss_work(tmp_path: Path) -> None:
    data = write_labelme(tmp_path / "data", clean=0)
    assert main(arguments(data, tmp_path / "run", "--loss", "hinge", "--window-sizes", "64")) == 0
    assert read_folder(tmp_path / "run" / "weights", "run").config.window_sizes == (64,)


def refused(capfd: pytest.CaptureFixture[str], command: list[str]) -> str:
    """Run a command that must fail cleanly; return its last line."""
    assert main(command) == 1
    captured = capfd.readouterr()
    assert "Traceback" not in captured.err
    last = captured.err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    return last


def test_data_of_one_group_is_a_clear_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = write_labelme(tmp_path / "data", groups_of_pits=1)
    said = refused(capfd, arguments(data, tmp_path / "run", "--group-pattern", "."))
    assert "all images are in one group" in said and "needs at least two" in said
    assert not (tmp_path / "run").exists()


def test_a_folder_that_does_not_exist_is_a_clear_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "nowhere: no such folder" in refused(capfd, arguments(tmp_path / "nowhere", tmp_path / "run"))


def test_nothing_to_resume_is_a_clear_error(data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = refused(capfd, arguments(data, tmp_path / "run", "--resume"))
    assert "last.pt" in said and "without --resume" in said


def test_a_checkpoint_of_other_networks_is_a_clear_error(
    finished: Path, data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = (finished / "config.json").read_bytes()
    said = refused(capfd, arguments(data, finished, "--resume", "--latent-dim", "7", "--train-fraction", "0.5"))
    assert "other settings (latent_dim, split, train_fraction: latent_dim was 32, train_fraction was 0.67)" in said
    assert (finished / "config.json").read_bytes() == settings


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_the_last_good_checkpoint(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    calls = []

    def breaking(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return LOSSES["hinge"].discriminator(real, fake) * (math.nan if len(calls) == 4 else 1)

    monkeypatch.setitem(LOSSES, "rpgan", AdversarialLoss(breaking, LOSSES["hinge"].generator, "none", 0.0))
    said = refused(capfd, arguments(data, tmp_path / "run"))
    assert "not finite at step 3" in said and "--resume" in said
    state = checkpoint(tmp_path / "run")
    assert state["step"] == 3
    assert [name for name, tensor in tensors(state) if not torch.isfinite(tensor).all()] == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"total_kimg": 0.0}, "total_kimg must be positive"),
        ({"total_kimg": -1.0}, "total_kimg must be positive"),
        ({"batch_size": 1}, "batch_size must be at least 2"),
        ({"paired_fraction": 1.5}, r"paired_fraction must lie in \[0, 1\]"),
        ({"window_sizes": (64, 32)}, "window_sizes must be ascending multiples of 16"),
        ({"window_sizes": (64, 64)}, "window_sizes must be ascending"),
        ({"window_sizes": (60,)}, "window_sizes must be ascending multiples of 16"),
        ({"precision": "fp64"}, "unknown precision 'fp64'; known: auto, bf16, no"),
        ({"generator": "dcgan"}, "no window to paint into; .* python -m training.gan.dcgan"),
        ({"generator": "unet"}, "unknown generator 'unet'; known: .*default.*pix2pix"),
        ({"discriminator_channels": (8,)}, "discriminator_channels must be two widths"),
        ({"diversity_cap": 0.0}, "diversity_cap must be positive"),
        ({"window_sizes": ()}, "window_sizes"),
        ({"loss": "mystery"}, "loss"),
        ({"penalty_interval": 0}, "penalty_interval"),
        ({"discriminator_steps": -1}, "discriminator_steps must be 0 or more"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        with_overrides(TrainConfig(), changes)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_preset_survives_json_and_takes_overrides(preset: str) -> None:
    config = PRESETS[preset]
    assert TrainConfig(**json.loads(json.dumps(config.to_dict()))) == config
    changed = with_overrides(config, {"gamma": 7.0, "loss": None})
    assert (changed.gamma, changed.loss) == (7.0, config.loss)


def test_a_disk_that_is_full_is_a_clear_error_and_the_checkpoint_before_stays_whole(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    sync, synced = os.fsync, []

    def full(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        said = refused(capfd, arguments(data, tmp_path / "run", "--validation-kimg", "0"))
    assert "No space left on device" in said and "the one before is whole" in said and "--resume" in said
    assert checkpoint(tmp_path / "run")["step"] == 2
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["last.pt"]


def test_too_little_memory_is_a_clear_error(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def hungry(*_: Any) -> dict[str, float]:
        torch.empty(1 << 46)
        return {}

    monkeypatch.setattr("training.gan.step.GANStep.__call__", hungry)
    said = refused(capfd, arguments(data, tmp_path / "run"))
    assert "out of memory with --batch-size 2 and windows of 64" in said and "smaller --batch-size" in said


def test_a_read_only_place_is_a_clear_error(data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert "Not a directory" in refused(capfd, arguments(data, tmp_path / "file" / "run"))


def test_a_split_made_before_is_used(data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ["split", "--data", str(data), "--format", "labelme", "--group-pattern", PATTERN, "--seed", "3"]
    assert split_main([*command, "--validation-fraction", "0.25", "--out", str(tmp_path)]) == 0
    path = tmp_path / "split.json"
    written = json.loads(path.read_text())["sides"]
    assert main(arguments(data, tmp_path / "run", "--split", str(path), "--total-kimg", "0.002")) == 0
    used = json.loads((tmp_path / "run" / "config.json").read_text())["split"]
    assert used == {side: written[side]["groups"] for side in used}
    path.write_text(json.dumps({"sides": {"train": {"groups": ["part0"]}}}))
    said = refused(capfd, arguments(data, tmp_path / "other", "--split", str(path)))
    assert "3 groups of the data are on no side, the first 'part1'" in said


def test_without_validation_groups_the_last_generator_is_exported_and_the_run_says_so(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(arguments(data, out, "--validation-fraction", "0", "--total-kimg", "0.004")) == 0
    assert "warning: no validation groups" in capfd.readouterr().err
    assert not (out / "checkpoints" / "best.pt").exists()
    stored = load_file(out / "weights" / "model.safetensors")
    for name, tensor in checkpoint(out)["networks"]["average"].items():
        np.testing.assert_array_equal(stored[name], tensor.half().numpy())


@pytest.mark.parametrize("generator", sorted(set(ARCHITECTURES) - {"default"}))
def test_every_generator_trains_by_name_and_its_folder_paints(data: Path, tmp_path: Path, generator: str) -> None:
    out = tmp_path / "run"
    run = ["--data", str(data), "--format", "labelme", "--group-pattern", PATTERN, "--out", str(out)]
    small = ["--preset", "cpu", "--window-sizes", "32", "--batch-size", "2", "--discriminator-channels", "8", "8", "8"]
    short = ["--total-kimg", "0.008", "--validation-kimg", "0", "--generator", generator, "--precision", "no"]
    assert main([*run, *small, *short, "--workers", "0", "--generator-channels", "8", "8", "12"]) == 0
    config = read_folder(out / "weights", "run").config
    assert config.generator.architecture == generator and config.generator.channels == (8, 8, 12)
    paint = GANDefectInpaint(weights=str(out / "weights"), min_contrast=0, p=1)
    image = np.random.default_rng(0).integers(90, 160, (80, 90, 3)).astype(np.uint8)
    result = A.Compose([paint], seed=1)(image=image, mask=np.zeros((80, 90), np.uint8))
    assert result["mask"].any() and not (result["image"] != image)[result["mask"] == 0].any()


@pytest.mark.parametrize(
    "settings",
    [
        ["--loss", "minimax", "--no-augment"],
        ["--loss", "lsgan", "--discriminator", "patchgan"],
        ["--loss", "wgan", "--pooling", "both"],
        ["--loss", "wgan-gp", "--penalty-interval", "1"],
        ["--loss", "non-saturating", "--penalty", "r1r2", "--feature-matching-weight", "1"],
        ["--diversity-weight", "0", "--ema-kimg", "0"],
        ["--diversity-cap", "0.3", "--low-frequency-weight", "0"],
    ],
)
def test_losses_and_terms_train_by_name(data: Path, tmp_path: Path, settings: list[str]) -> None:
    out = tmp_path / "run"
    assert main(arguments(data, out, "--total-kimg", "0.008", "--validation-kimg", "0", *settings)) == 0
    state = checkpoint(out)["networks"]
    assert all(torch.isfinite(tensor).all() for _, tensor in tensors(state))
    if "wgan" in settings:
        assert max(tensor.abs().max() for tensor in state["discriminator"].values()) <= 0.01 + 1e-9


def test_weights_are_tuned_onto_other_classes(finished: Path, tmp_path: Path) -> None:
    data = write_labelme(tmp_path / "data")
    for path in (data / "labels").iterdir():
        path.write_text(path.read_text().replace('"pit"', '"dent"'))
    out = tmp_path / "run"
    weights = str(finished / "weights")
    assert main(arguments(data, out, "--init", weights, "--total-kimg", "0.004", "--validation-kimg", "0")) == 0
    config = read_folder(out / "weights", "run").config
    assert config.class_names == ("dent", "scratch") and config.training["init"] == weights
    old, new = (load_file(folder / "weights" / "model.safetensors") for folder in (finished, out))
    assert {name: array.shape for name, array in old.items()} == {name: array.shape for name, array in new.items()}
    # Two steps of 2e-4 move no weight far: it did start from the old ones.
    assert max(np.abs(old[name].astype(float) - new[name].astype(float)).max() for name in ("head.weight",)) < 2e-3


def test_weights_for_gray_images_do_not_start_a_training_in_colour(
    finished: Path, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    weights = DefectInpainter.from_pretrained(str(finished / "weights")).folder.config.generator.in_channels
    other = {1: "3", 3: "1"}[weights]
    said = refused(capfd, arguments(data, tmp_path / "run", "--channels", other, "--init", str(finished / "weights")))
    assert "--channels" in said and "without --init" in said


def test_the_last_of_the_generators_that_are_level_by_kid_is_kept(tmp_path: Path) -> None:
    kids = iter([3.0, 2.0, 2.2, 2.09, 2.11, 1.95, 2.04, 2.05])
    measured = {"diversity": 0.5, "contrast_reached": 1.0, "coverage": 0.4, "coverage_real": 0.4}
    network = build_generator(default_config("default", channels=(8, 8), fine_channels=4, num_classes=1))
    config = TrainConfig(window_sizes=(32,), discriminator_channels=(4, 4), precision="no")
    trainer = GANTrainer(config, network, tmp_path, validate=lambda _: {"kid": next(kids), **measured})
    with SummaryWriter(str(tmp_path)) as writer:
        kept = []
        for step in range(8):
            trainer.images_seen = step
            first, weight = next(trainer.average.named_parameters())
            weight.data.fill_(step)
            trainer._validate(writer)
            assert trainer.best is not None
            kept.append(trainer.best["images"])
            weights = torch.load(tmp_path / "checkpoints" / "best.pt", weights_only=True)
            assert float(weights[first].max()) == kept[-1]
    assert kept == [0, 1, 1, 3, 3, 5, 6, 6]  # 2.05 is more than 5 % above 1.95
    assert trainer.best is not None and (trainer.best["lowest_kid"], trainer.best["kid"]) == (1.95, 2.04)
