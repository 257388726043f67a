"""What is interrupted or killed ends: no process is left over, no file is half written."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from children import Child
from conftest import CLASSES

from albu_gan import DefectInpainter, GANDefectInpaint
from albu_gan.cli import main
from albu_gan.hub.find import find_weights
from training.benchmark.painters import run_to_its_end

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")

PATIENCE = 120.0  # seconds on a busy machine; a clean end takes less than ten

LOADING = """
import os, sys
import albumentations as A
import numpy as np
from torch.utils.data import DataLoader, Dataset
from albu_gan import GANDefectInpaint

weights, context = sys.argv[1:]


class Painted(Dataset):
    def __init__(self):
        self.pipeline = A.Compose([GANDefectInpaint(weights, p=1.0)])

    def __len__(self):
        return 10**6

    def __getitem__(self, index):
        image = self.pipeline(image=np.full((40, 40), 120, np.uint8))["image"]
        return np.append(image.ravel(), 0), os.getpid()


if __name__ == "__main__":
    batches = DataLoader(Painted(), batch_size=2, num_workers=2, multiprocessing_context=context)
    pids = set()
    for _, workers in batches:
        if len(pids) < 2:
            pids |= set(workers.tolist())
            if len(pids) == 2:
                print(*pids, flush=True)
"""


def start(tmp_path: Path, code: str, *arguments: str) -> subprocess.Popen[str]:
    script = tmp_path / "script.py"
    # A shell starts what it runs in the background with SIGINT ignored, and children inherit that.
    script.write_text(f"import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n{code}")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, str(script), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )


def ended(pid: int) -> bool:
    """Whether a process is gone, or a zombie that its new parent has not yet buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
@pytest.mark.parametrize("whom", ["the program", pytest.param("the terminal", marks=pytest.mark.slow)])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_loader_that_is_interrupted_ends_with_its_workers(
    weights: str, tmp_path: Path, number: signal.Signals, whom: str, context: str
) -> None:
    process = start(tmp_path, LOADING, weights, context)
    try:
        assert process.stdout is not None
        workers = [int(pid) for pid in process.stdout.readline().split()]
        assert len(workers) == 2 and not any(ended(pid) for pid in workers)
        if whom == "the terminal":  # Ctrl-C reaches every process of the group
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        assert wait_until(lambda: process.poll() is not None), "the program hangs"
        assert wait_until(lambda: all(ended(pid) for pid in workers)), "workers are left over"
        assert process.returncode not in (0, None)
        _, errors = process.communicate()
        assert "Segmentation fault" not in errors
        if number == signal.SIGINT:
            assert "KeyboardInterrupt" in errors
    finally:
        if process.poll() is None:
            process.kill()
        for pid in workers:
            if not ended(pid):
                os.kill(pid, signal.SIGKILL)
        process.communicate()


def kill_after(work: Callable[[Callable[[], None]], object], log: Path, seconds: float) -> None:
    """Kill a process as nothing can prepare for, some time after it says that it has started."""
    ready = log.with_suffix(".ready")
    child = Child(lambda: work(ready.touch), log)
    try:
        assert wait_until(lambda: ready.exists() or child.poll() is not None)
        time.sleep(seconds)
        assert child.poll() is None, child.said()
    finally:
        child.kill()
        ready.unlink(missing_ok=True)


def test_saving_that_is_killed_leaves_whole_weights_or_none(weights: str, colour_weights: str, tmp_path: Path) -> None:
    expected = {
        tuple(
            (Path(folder) / file).read_bytes() for file in ("config.json", "model.safetensors", "defects.safetensors")
        )
        for folder in (weights, colour_weights)
    }
    out = tmp_path / "out" / "weights"

    def save(ready: Callable[[], None]) -> None:
        transforms = [GANDefectInpaint(weights), GANDefectInpaint(colour_weights)]
        ready()
        while True:
            for transform in transforms:
                transform.save_pretrained(str(out))

    for _ in range(4):
        kill_after(save, tmp_path / "log", random.uniform(0.05, 0.4))
        if out.exists():  # or it was killed between the two renames, and the one before is in a hidden folder
            files = ("config.json", "model.safetensors", "defects.safetensors")
            assert tuple((out / file).read_bytes() for file in files) in expected
            DefectInpainter(find_weights(str(out))).network.parameters()
        else:
            kept = [find_weights(str(entry)) for entry in out.parent.glob(".weights.*.old")]
            assert kept


def test_painting_that_is_killed_leaves_no_half_written_picture(weights: str, tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    rng = np.random.default_rng(0)
    for index in range(8):
        cv2.imwrite(str(images / f"{index}.png"), rng.integers(90, 160, (200, 200, 3)).astype(np.uint8))

    def paint(ready: Callable[[], None]) -> None:
        ready()
        names = [str(images / f"{index}.png") for index in range(8)]
        while True:
            assert main(["inpaint", *names, "--out", str(out), "--weights", weights, "--overwrite"]) == 0

    for _ in range(3):
        kill_after(paint, tmp_path / "log", random.uniform(0.2, 0.8))
        for kind in ("images", "masks"):
            for path in (out / kind).glob("[!.]*"):
                picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
                assert picture is not None and picture.shape[:2] == (200, 200), path
                if kind == "masks":
                    assert picture.max() <= len(CLASSES)


TRAINING = """
import os, signal, sys, time
wanted = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: wanted.append(1))
print(os.getpid(), flush=True)
while not wanted:
    time.sleep(0.01)
time.sleep(0.3)
open(sys.argv[1], "w").write("checkpoint")
"""


@pytest.mark.parametrize(("number", "whom"), [(signal.SIGTERM, os.kill), (signal.SIGINT, os.killpg)])
def test_a_benchmark_that_is_interrupted_ends_with_the_training_it_started(
    tmp_path: Path, number: signal.Signals, whom: Callable[[int, int], None]
) -> None:
    checkpoint = tmp_path / "checkpoint"

    def benchmark() -> None:
        run_to_its_end([sys.executable, "-c", TRAINING, str(checkpoint)])
        (tmp_path / "went on").touch()

    process = Child(benchmark, tmp_path / "log")
    assert wait_until(lambda: "\n" in process.said()), process.said()
    training = int(process.said())
    try:
        whom(process.pid, number)
        status = process.wait(PATIENCE)
        assert ended(training) and checkpoint.read_text() == "checkpoint"
        assert status != 0 and not (tmp_path / "went on").exists()
    finally:
        process.kill()
        if not ended(training):
            os.kill(training, signal.SIGKILL)
