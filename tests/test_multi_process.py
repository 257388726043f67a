from __future__ import annotations

import json
import os
import runpy
import socket
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from accelerate.commands.launch import launch_command_parser
from accelerate.state import AcceleratorState
from accelerate.utils import prepare_simple_launcher_cmd_env
from children import Child

from tests.test_gan_training import arguments, write_labelme
from training.gan.__main__ import main

ROOT = Path(__file__).parents[1]


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def launch(folder: Path, *command: str) -> list[tuple[int, str]]:
    """Two processes on this machine, joined by gloo; returns status and what each said.

    They are forked, with the environment that `accelerate launch` gives its own. On CPUs that starts one rank; which,
    is said in the environment, as on several hosts.
    """
    options = ["--cpu", "--num_processes", "2", "--main_process_port", str(free_port()), "--mixed_precision", "no"]
    options += ["--num_machines", "1", "--dynamo_backend", "no", "--num_cpu_threads_per_process", "1"]
    script = str(ROOT / "tests" / "multi_process_script.py")
    launched = launch_command_parser().parse_args([*options, script, str(folder), *command])

    def run(rank: int) -> None:
        os.environ.update({"WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)})
        _, environment = prepare_simple_launcher_cmd_env(launched)
        os.environ.update(environment)
        AcceleratorState._reset_state(reset_partial_state=True)
        sys.argv = [launched.training_script, *launched.training_script_args]
        runpy.run_path(launched.training_script, run_name="__main__")

    children = [Child(partial(run, rank), folder / f"log-{rank}") for rank in range(2)]
    try:
        return [(child.wait(), child.said()) for child in children]
    finally:
        for child in children:
            child.kill()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_two_processes_see_different_samples_and_end_with_equal_weights(tmp_path: Path) -> None:
    data, out = write_labelme(tmp_path / "data"), tmp_path / "run"
    for status, errors in launch(tmp_path, *arguments(data, out)):
        assert status == 0, errors[-4000:]
    first, second = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1))
    assert first["networks"] == second["networks"]
    assert first["step"] == second["step"] and first["images"] == second["images"] >= 32
    assert len(first["seen"]) == len(second["seen"]) == first["step"]
    assert not set(first["seen"]) & set(second["seen"])
    # One process writes: one run, one folder of weights, and the checkpoint holds what all ended with.
    training = json.loads((out / "weights" / "config.json").read_text())["training"]
    assert training["processes"] == 2 and training["steps"] == first["step"]
    assert len(list(out.glob("events.out.tfevents.*"))) == 1
    assert torch.load(out / "checkpoints" / "last.pt", weights_only=True)["images_seen"] == first["images"]


def test_processes_that_accelerate_did_not_start_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """`accelerate launch --cpu --num_processes 2` alone starts one process, and says nothing."""
    for name, value in (("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "29500"), ("ACCELERATE_USE_CPU", "True")):
        monkeypatch.setenv(name, value)
    for name in ("WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    data = write_labelme(tmp_path / "data")
    assert main(arguments(data, tmp_path / "run", "--total-kimg", "0.002", "--validation-kimg", "0")) == 0
    assert "one process only" in capfd.readouterr().err
