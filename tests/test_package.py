"""The wheel: what is in it, and that it works where only its dependencies are."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import albu_gan
from albu_gan.hub import find_weights

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


def make_environment(folder: Path) -> Path:
    """Make an empty virtual environment; returns its folder of commands."""
    venv.create(folder, with_pip=False)
    return folder / ("Scripts" if os.name == "nt" else "bin")


def clean_environment() -> dict[str, str]:
    """The environment without a path that would lend this checkout."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def check_demo(command: list[str], folder: Path) -> str:
    """Run the demo with a command and check that it writes a sheet and prints its path last; return what it warns."""
    out = folder / "demo.png"
    done = subprocess.run(
        [*command, "demo", "--out", str(out)],
        capture_output=True,
        text=True,
        cwd=folder,
        env=clean_environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == str(out)
    assert out.stat().st_size > 50_000
    return done.stderr


def test_the_public_names_are_sorted_and_exist() -> None:
    assert albu_gan.__all__ == sorted(albu_gan.__all__)
    assert all(hasattr(albu_gan, name) for name in albu_gan.__all__)


def test_the_wheel_holds_weights_and_samples_and_no_training_code(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for name in albu_gan.bundled_names():
        for file in ("README.md", *find_weights(name).files):
            assert f"albu_gan/weights/{name}/{file}" in names
    assert any(name.startswith("albu_gan/samples/") and name.endswith(".jpg") for name in names)
    assert "albu_gan/samples/ATTRIBUTION.md" in names
    assert "albu_gan/py.typed" in names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"albu_gan"}


def test_the_installed_wheel_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    """Only the wheel is installed; its dependencies are lent by this environment."""
    commands = make_environment(tmp_path / "environment")
    python = commands / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    zipfile.ZipFile(wheel).extractall(site)
    (Path(site) / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    script = (
        "import sys, albu_gan; from albu_gan.cli import main; "
        "print(albu_gan.__file__, file=sys.stderr); sys.exit(main())"
    )
    where = check_demo([str(python), "-c", script], tmp_path)
    assert str(tmp_path) in where


@pytest.mark.slow
def test_the_wheel_installs_into_an_empty_environment_and_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    """Everything is installed by pip: gigabytes."""
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=True)
    commands = folder / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run([commands / "python", "-m", "pip", "install", "-q", str(wheel)], check=True)
    check_demo([str(commands / "albu-gan")], tmp_path)
