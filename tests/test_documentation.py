"""What README and model cards say is true: code runs, tables come from committed JSON."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from albu_gan import GANDefectInpaint, bundled_names
from albu_gan.hub import find_weights
from training.datasets.__main__ import build_parser as datasets_parser
from training.evaluation.__main__ import build_parser as evaluation_parser
from training.evaluation.real import build_parser as real_parser
from training.gan.__main__ import build_parser as gan_parser
from training.study.__main__ import build_parser as study_parser

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_python_block_of_the_readme_runs_in_order() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) >= 2
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert names["painted"].shape == names["image"].shape  # type: ignore[attr-defined]


def test_the_tables_of_readme_and_pages_are_those_of_the_committed_json() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "tables.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{p.name}" for p in sorted((ROOT / "docs").glob("*.md")))])
def test_files_that_a_page_links_to_exist(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_the_commands_of_the_documentation_have_the_flags_that_they_show() -> None:
    parsers = {
        "training.gan": gan_parser(),
        "training.datasets": datasets_parser(),
        "training.study": study_parser(),
        "training.evaluation": evaluation_parser(),
    }
    checked = 0
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        blocks = re.findall(r"```\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        text = "\n".join(blocks).replace("\\\n", " ")
        for line in re.findall(r"(?:python|launch|--nproc-per-node 2) -m (training\.[^\n&#]+)", text):
            module, *words = shlex.split(line)
            if module in parsers:
                if (module, words[0]) == ("training.evaluation", "real"):
                    real_parser().parse_args(words[1:])
                else:
                    parsers[module].parse_args(words)
                checked += 1
    assert checked > 8


@pytest.mark.parametrize("name", ["bsdata-pitting-v1", "magnetic-tile-v1"])
def test_bundled_weights_are_small_sound_and_say_where_they_come_from(name: str) -> None:
    assert name in bundled_names()
    folder = find_weights(name)
    assert sum(path.stat().st_size for path in folder.path.iterdir()) <= 8_000_000
    training = folder.config.training
    assert not set(training["train_groups"]) & set(training["held_out_groups"])
    card = (folder.path / "README.md").read_text(encoding="utf-8")
    for group in training["held_out_groups"]:
        assert group in card
    for word in (training["source"], training["licence"], f"{training['steps']:,}", "preview.png"):
        assert word in card
    for metrics in folder.config.metrics["classes"].values():
        assert f"{metrics['contrast_reached']:.0%}" in card
    assert (folder.path / "preview.png").is_file()
    assert json.loads((folder.path / "config.json").read_text())["metrics"] == folder.config.metrics


@pytest.mark.parametrize("name", ["bsdata-pitting-v1", "magnetic-tile-v1"])
def test_bundled_weights_paint_visible_defects_on_the_samples(name: str) -> None:
    from albu_gan.demo import sample_images

    transform = GANDefectInpaint(weights=name, defects_range=(1, 1), p=1.0)
    transform.set_random_seed(0)
    for image in sample_images():
        result = transform(image=image, mask=np.zeros(image.shape[:2], np.uint8))
        assert (result["mask"] > 0).any()
        assert (result["image"] != image).any()
