from __future__ import annotations

import dataclasses
import json
import math
import os
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
from children import Child
from safetensors.numpy import load_file

from albu_gan import GANDefectInpaint
from albu_gan.defects.bank import DefectBank
from albu_gan.defects.shapes import Shape
from albu_gan.generators import GeneratorConfig, build_generator
from albu_gan.hub.find import find_weights
from albu_gan.hub.folder import BANK, WeightsConfig, write_folder
from tests.test_gan_training import checkpoint, tensors
from training.gan.dcgan import load_dcgan, sample_pairs
from training.gan.dcgan.__main__ import main
from training.gan.dcgan.data import PairBatches, ShapeBatches
from training.gan.dcgan.networks import DCGANGenerator
from training.gan.losses import LOSSES

NAMES = ("pit", "scratch")


def write_labelme(root: Path, groups_of_pits: int = 4) -> Path:
    """Eight images of four parts; six have a scratch, and a pit if their part has pits."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    for index in range(8):
        image = rng.normal(128, 8, (90, 100)).clip(0, 255).astype(np.uint8)
        shapes = []
        for label, gray, (w, h) in (("pit", 50, (9, 7)), ("scratch", 220, (40, 3))):
            if index < 6 and (label == "scratch" or index % 4 < groups_of_pits):
                x, y = (int(v) for v in rng.integers(5, 45, 2))
                points = [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]
                cv2.fillPoly(image, [np.array(points)], gray)
                shapes.append({"label": label, "points": points, "shape_type": "polygon"})
        stem = f"part{index % 4}_{index}"
        cv2.imwrite(str(root / "images" / f"{stem}.png"), image)
        (root / "labels" / f"{stem}.json").write_text(json.dumps({"shapes": shapes}))
    return root


def arguments(data: Path, out: Path, *more: str) -> list[str]:
    """A smoke run that saves after every step."""
    run = ["--data", str(data), "--format", "labelme", "--group-pattern", r"part\d", "--out", str(out)]
    return [
        *run,
        "--preset",
        "smoke",
        "--total-kimg",
        "0.04",
        "--sheet-kimg",
        "0.02",
        "--checkpoint-seconds",
        "0",
        *more,
    ]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order, so that runs can be compared bit by bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelme(tmp_path_factory.mktemp("dcgan") / "data")


@pytest.fixture(scope="module")
def finished(data: Path) -> dict[str, Path]:
    """The folders of uninterrupted runs."""
    torch.set_num_threads(1)
    runs = {"pairs": data.parent / "pairs", "shapes": data.parent / "shapes"}
    assert main(arguments(data, runs["pairs"])) == 0
    assert main(arguments(data, runs["shapes"], "--masks-only")) == 0
    return runs


def assert_same_training(out: Path, finished: Path) -> None:
    state, expected = checkpoint(out), checkpoint(finished)
    assert (state["step"], state["images_seen"]) == (expected["step"], expected["images_seen"])
    found, wanted = dict(tensors(state)), dict(tensors(expected))
    assert found.keys() == wanted.keys() and len(wanted) > 100
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []
    model = Path("dcgan") / "model.safetensors"
    assert (out / model).read_bytes() == (finished / model).read_bytes()


def refused(capfd: pytest.CaptureFixture[str], command: list[str]) -> str:
    """Run a command that must fail cleanly; return its last line."""
    assert main(command) == 1
    captured = capfd.readouterr()
    assert "Traceback" not in captured.err
    last = captured.err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    return last


@pytest.mark.parametrize("mode", ["pairs", "shapes"])
def test_a_run_writes_its_settings_figures_and_sheets(mode: str, finished: dict[str, Path]) -> None:
    out = finished[mode]
    recorded = json.loads((out / "config.json").read_text())
    assert (recorded["masks_only"], recorded["format"]) == (mode == "shapes", "labelme")
    lines = [json.loads(line) for line in (out / "stats.jsonl").read_text().splitlines()]
    assert lines and all(math.isfinite(value) for line in lines for value in line.values())
    assert {"step", "images", "loss_d", "loss_g", "batch_spread"} <= lines[0].keys()
    assert len(list(out.glob("events.out.tfevents.*"))) == 1
    sheets = sorted((out / "sheets").glob("*.png"))
    assert [path.stem for path in sheets] == ["00000000", "00000020", "00000040"]
    assert (cv2.imread(str(sheets[0])) != cv2.imread(str(sheets[-1]))).any()


@pytest.mark.parametrize("mode", ["pairs", "shapes"])
def test_the_exported_decoder_is_the_averaged_one_and_says_where_it_comes_from(
    mode: str, finished: dict[str, Path]
) -> None:
    average = checkpoint(finished[mode])["average"]
    stored = load_file(finished[mode] / "dcgan" / "model.safetensors")
    assert stored.keys() == average.keys()
    for name, tensor in average.items():
        np.testing.assert_array_equal(stored[name], tensor.half().numpy())
    dcgan = load_dcgan(finished[mode] / "dcgan")
    split = json.loads((finished[mode] / "config.json").read_text())["split"]
    assert dcgan.class_names == NAMES
    assert (dcgan.training["train_groups"], dcgan.training["images_seen"]) == (split["train"], 40)
    if mode == "shapes":
        assert {row[0] for row in dcgan.sizes["scratch"]} == {41}
        assert all(not any(row[1:]) for row in dcgan.sizes["pit"])
    else:
        images, masks = sample_pairs(dcgan, 3, None, 0)
        assert images.shape == (3, 32, 32, dcgan.generator.config.in_channels) and masks.shape == (3, 32, 32)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("mode", ["pairs", "shapes"])
def test_a_killed_run_resumes_to_the_very_same_weights(mode: str, finished: dict[str, Path], data: Path) -> None:
    out = data.parent / f"killed-{mode}"
    more = ["--masks-only"] if mode == "shapes" else []
    process = Child(lambda: main(arguments(data, out, *more)), data.parent / f"killed-{mode}.log")
    try:
        deadline = time.monotonic() + 600
        while not (out / "checkpoints" / "last.pt").is_file() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        process.kill()
    assert process.returncode == -signal.SIGKILL, process.said()
    assert 0 < checkpoint(out)["images_seen"] < 40
    assert main(arguments(data, out, "--resume", *more)) == 0
    assert_same_training(out, finished[mode])


def test_an_interrupted_run_finishes_its_step_and_says_how_to_go_on(
    finished: dict[str, Path], data: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out = data.parent / "interrupted"
    make = PairBatches.__getitem__

    def interrupted(batches: PairBatches, step: int) -> dict[str, Any]:
        if step == 3 and batches.batch_size == 4:  # not while the samples of the sheet are drawn
            signal.raise_signal(signal.SIGINT)
        return make(batches, step)

    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(PairBatches, "__getitem__", interrupted)
        assert main(arguments(data, out, "--checkpoint-seconds", "1000")) == 130
    assert signal.getsignal(signal.SIGINT) is handler
    assert f"--resume --out {out}" in capfd.readouterr().err
    assert checkpoint(out)["step"] == 4 and not (out / "dcgan").exists()
    assert main(arguments(data, out, "--resume", "--workers", "1")) == 0
    assert_same_training(out, finished["pairs"])


def test_an_interrupt_before_the_first_checkpoint_does_not_advise_to_resume(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ShapeBatches, "__init__", interrupt)
    assert main(arguments(data, tmp_path / "run", "--masks-only")) == 130
    assert "start again" in capfd.readouterr().err


@pytest.mark.parametrize("loss", ["hinge", "lsgan", "minimax", "non-saturating"])
def test_other_losses_train_too(loss: str, data: Path, tmp_path: Path) -> None:
    assert main(arguments(data, tmp_path / "run", "--loss", loss, "--total-kimg", "0.008")) == 0


def test_a_run_is_not_started_over_another(
    finished: dict[str, Path], data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished["pairs"].rglob("*") if path.is_file()}
    said = refused(capfd, arguments(data, finished["pairs"]))
    assert "holds a run already" in said and "--resume" in said
    assert {path: path.stat().st_mtime_ns for path in finished["pairs"].rglob("*") if path.is_file()} == before


def test_nothing_to_resume_is_a_clear_error(data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = refused(capfd, arguments(data, tmp_path / "run", "--resume"))
    assert "last.pt" in said and "without --resume" in said


@pytest.mark.parametrize("change", [["--latent-dim", "7"], ["--masks-only"]])
def test_a_checkpoint_of_other_networks_is_a_clear_error(
    change: list[str], finished: dict[str, Path], data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = (finished["pairs"] / "config.json").read_bytes()
    said = refused(capfd, arguments(data, finished["pairs"], "--resume", *change))
    assert "last.pt" in said and "other settings" in said
    assert (finished["pairs"] / "config.json").read_bytes() == settings


def test_data_of_one_group_is_a_clear_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = write_labelme(tmp_path / "data", 1)
    said = refused(capfd, arguments(data, tmp_path / "run", "--masks-only", "--group-pattern", "."))
    assert "all images are in one group" in said
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_the_last_good_checkpoint(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    calls, hinge = [], LOSSES["hinge"].discriminator

    def breaking(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return hinge(real, fake) * (math.nan if len(calls) == 4 else 1)

    monkeypatch.setitem(LOSSES, "rpgan", dataclasses.replace(LOSSES["rpgan"], discriminator=breaking))
    said = refused(capfd, arguments(data, tmp_path / "run"))
    assert "not finite at step 3" in said and "--resume" in said
    state = checkpoint(tmp_path / "run")
    assert state["step"] == 3
    assert [name for name, tensor in tensors(state) if not torch.isfinite(tensor).all()] == []


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A weights folder of the classes in another order, with a card and a picture."""
    torch.manual_seed(0)
    config = GeneratorConfig(in_channels=1, num_classes=2, latent_dim=8, channels=(8, 8), fine_channels=4, style_dim=16)
    network = build_generator(config)
    bank = DefectBank(
        [Shape(np.ones((5, 9), bool), 0, (True, False, False, False)), Shape(np.ones((4, 4), bool), 1)], 2
    )
    state = {name: tensor.half().numpy() for name, tensor in network.state_dict().items()}
    described = WeightsConfig(
        config, NAMES[::-1], (32, 64), training={"name": "parts-v1", "held_out_groups": ["part9"]}
    )
    write_folder(tmp_path / "weights", described, state, bank.to_tensors(), "# a card\n", {"preview.jpg": b"jpg"})
    return tmp_path / "weights"


@pytest.fixture
def learned(finished: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A decoder of shapes, made to draw discs, as a smoke run has learned nothing yet."""

    def discs(self: DCGANGenerator, z: torch.Tensor, condition: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
        radius = (9 + 2 * z[:, 0].tanh())[:, None, None]
        coverage = (radius - ((y - 15.5) ** 2 + (x - 15.5) ** 2).sqrt() + 0.5).clamp(0, 1)[:, None]
        return coverage[:, :0], coverage

    monkeypatch.setattr(DCGANGenerator, "forward", discs)
    return finished["shapes"] / "dcgan"


def extend(weights: Path, dcgan: Path, out: Path, *more: str) -> list[str]:
    return ["extend-bank", "--weights", str(weights), "--dcgan", str(dcgan), "--out", str(out), "-n", "7", *more]


def test_extended_weights_hold_learned_shapes_beside_the_real_ones_and_paint_in_a_pipeline(
    weights: Path, learned: Path, tmp_path: Path
) -> None:
    out = tmp_path / "extended"
    assert main(extend(weights, learned, out, "--seed", "3")) == 0
    before, after = (DefectBank.load(folder / BANK, 2) for folder in (weights, out))
    assert (before.counts(), after.counts()) == ([1, 1], [8, 8])
    for index in range(len(before)):
        assert before[index].edges == after[index].edges
        np.testing.assert_array_equal(before[index].mask, after[index].mask)
    new = [after[index] for index in range(len(before), len(after))]
    assert not any(any(shape.edges) for shape in new) and all(shape.mask.sum() >= 6 for shape in new)
    sides = [np.mean([max(shape.mask.shape) for shape in new if shape.class_index == i]) for i in range(2)]
    assert sides[0] > 2 * sides[1]  # class 0 of the weights is the scratch, which is longer
    for file in ("model.safetensors", "README.md", "preview.jpg"):
        assert (out / file).read_bytes() == (weights / file).read_bytes()
    training = find_weights(str(out)).config.training
    assert (training["name"], training["shapes"]) == ("parts-v1", {"scratch": 8, "pit": 8})
    note = training["learned_shapes"]
    assert (note["per_class"], note["seed"], note["from"]) == (7, 3, "parts-v1") and note["dcgan"]["images_seen"] == 40
    paint = GANDefectInpaint(weights=str(out), min_contrast=0, p=1)
    image = np.random.default_rng(0).integers(90, 160, (120, 110, 3)).astype(np.uint8)
    assert A.Compose([paint], seed=1)(image=image, mask=np.zeros((120, 110), np.uint8))["mask"].any()


def test_extending_again_gives_the_same_bank_and_another_seed_another(
    weights: Path, learned: Path, tmp_path: Path
) -> None:
    banks = []
    for seed in ("3", "3", "4"):
        assert main(extend(weights, learned, tmp_path / "extended", "--seed", seed)) == 0
        banks.append((tmp_path / "extended" / BANK).read_bytes())
    assert banks[0] == banks[1] != banks[2]


def test_weights_without_a_card_get_one(weights: Path, learned: Path, tmp_path: Path) -> None:
    (weights / "README.md").unlink()
    assert main(extend(weights, learned, tmp_path / "extended")) == 0
    assert "parts-v1" in (tmp_path / "extended" / "README.md").read_text()


def test_what_does_not_belong_together_is_not_put_together(
    weights: Path, learned: Path, finished: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "extended"
    assert "another folder" in refused(capfd, extend(weights, learned, weights))
    assert "trained on pairs" in refused(capfd, extend(weights, finished["pairs"] / "dcgan", out))
    assert "no such file" in refused(capfd, extend(weights, finished["shapes"], out))
    config = weights / "config.json"
    values = json.loads(config.read_text())
    seen = load_dcgan(learned).training["train_groups"]
    config.write_text(json.dumps({**values, "training": {"held_out_groups": seen[:1]}}))
    assert f"1 groups that {weights} holds out ({seen[0]}, say)" in refused(capfd, extend(weights, learned, out))
    config.write_text(json.dumps({**values, "class_names": ["scratch", "dent"]}))
    assert "learned pit, scratch and not dent" in refused(capfd, extend(weights, learned, out))
    assert not out.exists()


def test_no_folder_is_left_where_the_decoder_draws_nothing(
    weights: Path, learned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(DCGANGenerator, "forward", lambda self, z, condition: (z, torch.zeros(len(z), 1, 32, 32)))
    assert "0 usable shapes" in refused(capfd, extend(weights, learned, tmp_path / "extended"))
    assert not (tmp_path / "extended").exists()
