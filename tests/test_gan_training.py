from __future__ import annotations

import dataclasses
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import albumentations as A
import cv2
import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.numpy import load_file

from albu_gan import GANDefectInpaint
from albu_gan.hub import read_folder
from albu_gan.inpainter import DefectInpainter
from training.datasets import LabelmeDataset
from training.gan import loop
from training.gan.__main__ import main
from training.gan.config import PRESETS, TrainConfig, with_overrides
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
    for file in ("model.safetensors", "masks.safetensors"):
        assert (out / "weights" / file).read_bytes() == (finished / "weights" / file).read_bytes()


def test_a_run_records_its_settings_and_its_split(finished: Path, data: Path) -> None:
    recorded = json.loads((finished / "config.json").read_text())
    settings = {field.name: recorded[field.name] for field in dataclasses.fields(TrainConfig)}
    expected = dataclasses.replace(
        PRESETS["smoke"], precision="no", checkpoint_seconds=0.0, total_kimg=0.032, sheet_kimg=0.016
    )
    assert TrainConfig(**settings) == expected
    split = recorded["split"]
    assert sorted([*split["train"], *split["held_out"]]) == ["part0", "part1", "part2", "part3"]
    assert split["train"] and split["held_out"]
    assert (recorded["data"], recorded["format"]) == (str(data), "labelme")


def test_a_run_logs_figures_that_are_numbers(finished: Path) -> None:
    lines = [json.loads(line) for line in (finished / "stats.jsonl").read_text().splitlines()]
    assert lines and all(math.isfinite(value) for line in lines for value in line.values())
    assert [line["step"] for line in lines] == sorted({line["step"] for line in lines})
    assert {"step", "images", "loss_d", "loss_g", "effect", "latent_spread"} <= lines[0].keys()
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
    average = checkpoint(finished)["average"]
    stored = load_file(finished / "weights" / "model.safetensors")
    assert stored.keys() == average.keys()
    for name, tensor in average.items():
        np.testing.assert_array_equal(stored[name], tensor.half().numpy())
    trained = checkpoint(finished)["generator"]
    assert any(not torch.equal(trained[name], average[name]) for name in average)


def test_the_exported_folder_says_where_it_comes_from_and_holds_training_shapes_only(
    finished: Path, data: Path
) -> None:
    config = read_folder(finished / "weights", "parts").config
    assert (config.class_names, config.window_sizes) == (("pit", "scratch"), (32, 64))
    training, split = config.training, json.loads((finished / "config.json").read_text())["split"]
    assert (training["name"], training["source"]) == ("parts-v1", "made up")
    assert (training["train_groups"], training["held_out_groups"]) == (split["train"], split["held_out"])
    assert training["steps"] == checkpoint(finished)["step"]
    dataset = LabelmeDataset(data, PATTERN)
    shapes = []
    for record in dataset.records:
        if record.group in split["train"]:
            shapes += [class_index for class_index, *_ in components(dataset.read(record)[1])]
    bank = DefectInpainter.from_pretrained(str(finished / "weights")).mask_bank
    assert bank.counts() == [shapes.count(0), shapes.count(1)]
    assert "parts-v1" in (finished / "weights" / "README.md").read_text()


def test_the_exported_folder_paints_defects_in_a_pipeline(finished: Path) -> None:
    paint = GANDefectInpaint(weights=str(finished / "weights"), classes=["scratch"], min_contrast=0, p=1)
    image = np.random.default_rng(0).integers(90, 160, (120, 110, 3)).astype(np.uint8)
    out = A.Compose([paint], seed=1)(image=image, mask=np.zeros((120, 110), np.uint8))
    assert set(np.unique(out["mask"])) == {0, 2}
    changed = (out["image"] != image).any(axis=2)
    assert changed.any() and not changed[out["mask"] == 0].any()


def test_a_run_killed_at_a_random_moment_resumes_to_the_very_same_weights(finished: Path, data: Path) -> None:
    out = data.parent / "killed"
    command = [sys.executable, "-m", "training.gan", *arguments(data, out)]
    root = Path(__file__).parents[1]
    process = subprocess.Popen(
        command, cwd=root, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 600
        while not (out / "checkpoints" / "last.pt").is_file() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.2))
    finally:
        process.kill()
        _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()
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
        if step == 3 and batches.length < 1000:  # not while the windows of the sample sheet are drawn
            signal.raise_signal(signal.SIGINT)
        return make(batches, step)

    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(WindowBatches, "__getitem__", interrupted)
        assert main(arguments(data, out, "--checkpoint-seconds", "1000")) == 130
    assert signal.getsignal(signal.SIGINT) is handler
    assert f"--resume --out {out}" in capfd.readouterr().err
    assert checkpoint(out)["step"] == 4 and not (out / "weights").exists()
    assert main(arguments(data, out, "--resume")) == 0
    assert_same_training(out, finished)


def test_a_crash_while_a_checkpoint_is_written_leaves_the_one_before(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, saved = torch.save, []

    def crashing(state: dict[str, Any], file: BinaryIO) -> None:
        saved.append(state["step"])
        if len(saved) > 2:
            file.write(b"half of a checkpoint")
            raise KeyboardInterrupt
        save(state, file)

    monkeypatch.setattr(torch, "save", crashing)
    assert main(arguments(data, tmp_path / "run")) == 130
    assert saved[:3] == [1, 2, 3] and checkpoint(tmp_path / "run")["step"] == 2


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


def test_a_class_in_one_group_only_is_a_clear_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = write_labelme(tmp_path / "data", groups_of_pits=1)
    said = refused(capfd, arguments(data, tmp_path / "run"))
    assert "class 'pit' is in 1 group(s)" in said and "needs at least two" in said
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
    said = refused(capfd, arguments(data, finished, "--resume", "--latent-dim", "7"))
    assert "last.pt" in said
    assert (finished / "config.json").read_bytes() == settings


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_the_last_good_checkpoint(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    calls = []

    def breaking(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return LOSSES["hinge"].discriminator(real, fake) * (math.nan if len(calls) == 4 else 1)

    monkeypatch.setitem(LOSSES, "rpgan", AdversarialLoss(breaking, LOSSES["hinge"].generator))
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
        ({"precision": "fp64"}, "precision must be"),
        ({"window_sizes": ()}, "window_sizes"),
        ({"loss": "mystery"}, "loss"),
        ({"penalty_interval": 0}, "penalty_interval"),
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


def test_the_learning_rate_is_constant_and_then_falls_linearly_to_a_tenth() -> None:
    rates = []
    optimizers = [torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))]) for _ in range(2)]
    for images in (0, 50_000, 70_000, 85_000, 99_000, 100_000):
        trainer = SimpleNamespace(
            images_seen=images,
            config=TrainConfig(total_kimg=100, decay_fraction=0.3, learning_rate=1, discriminator_learning_rate=2),
            optimizer_g=optimizers[0],
            optimizer_d=optimizers[1],
        )
        loop.GANTrainer.set_learning_rates(trainer)  # type: ignore[arg-type]
        rates.append([optimizer.param_groups[0]["lr"] for optimizer in optimizers])
    np.testing.assert_allclose([g for g, _ in rates], [1, 1, 1, 0.5, 0.1, 0.1])
    np.testing.assert_allclose([d for _, d in rates], [2, 2, 2, 1, 0.2, 0.2])


@pytest.mark.parametrize(("images_seen", "half_life"), [(10**6, 5000), (20_000, 2000), (0, 1)])
def test_the_average_moves_half_way_in_its_half_life(images_seen: int, half_life: int) -> None:
    make: Callable[[float], torch.nn.Linear] = lambda value: torch.nn.Linear(2, 2, bias=False)  # noqa: E731
    slow, fast = make(0), make(1)
    torch.nn.init.zeros_(slow.weight)
    torch.nn.init.ones_(fast.weight)
    trainer = SimpleNamespace(
        images_seen=images_seen,
        config=TrainConfig(ema_kimg=5),
        average=slow,
        generator=fast,
        accelerator=SimpleNamespace(unwrap_model=lambda model: model),
    )
    loop.GANTrainer.update_average(trainer, half_life)  # type: ignore[arg-type]
    torch.testing.assert_close(slow.weight.detach(), torch.full((2, 2), 0.5))
    loop.GANTrainer.update_average(trainer, half_life)  # type: ignore[arg-type]
    torch.testing.assert_close(slow.weight.detach(), torch.full((2, 2), 0.75))
