"""The pages about the command line, the Hub and AlbumentationsX: commands have their flags, blocks compile."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from albu_gan.cli import build_parser
from albu_gan.generate.folder import ANNOTATIONS, CLASSES, MANIFEST, SETTINGS

ROOT = Path(__file__).parents[1]
PAGES = ("docs/generate.md", "docs/hub.md", "docs/albumentationsx.md")


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", read(page), flags=re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_compile(page: str) -> None:
    for block in blocks(page, "python"):
        compile(block, page, "exec")


def test_the_page_about_albumentationsx_tells_which_one_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks("docs/albumentationsx.md", "python")
    exec(block, {})
    version, has_sampling_context = capsys.readouterr().out.split()
    assert (has_sampling_context == "True") == (not version.startswith("2.0."))


def test_the_page_about_albumentationsx_pins_what_is_tested() -> None:
    pins = set(re.findall(r"\b(?:albumentationsx|numkong)==[\d.]+", read("docs/albumentationsx.md")))
    assert len(pins) == 2 and all(pin in read("Makefile") for pin in pins)
    assert "albumentations==2.0.8" in read("pyproject.toml")
    listed = re.search(r"^pip install (torch .*)$", read("docs/albumentationsx.md"), flags=re.MULTILINE)
    needed = re.search(r"^dependencies = \[(.*?)^\]", read("pyproject.toml"), flags=re.MULTILINE | re.DOTALL)
    assert listed and needed
    names = set(re.findall(r'"([\w-]+)[>=]', needed[1]))
    assert names - {"albumentations", "numpy"} == set(listed[1].split())  # numpy comes with AlbumentationsX


def test_commands_have_the_flags_that_they_show() -> None:
    parsed = 0
    for page in (*PAGES, "README.md"):
        for line in "\n".join(blocks(page, "")).splitlines():
            if found := re.match(r"(?:albu-gan|accelerate launch -m albu_gan) (generate .*)", line):
                build_parser().parse_args(shlex.split(found[1]))
                parsed += 1
    assert parsed == 2


def test_flags_in_the_text_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["generate", "--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    flags = set(re.findall(r"`(--[a-z-]+)", read("docs/generate.md"))) - {"--format"}  # of the trainer
    assert {"--regions", "--overwrite", "--seed", "--workers"} <= flags <= known


def test_the_page_about_data_sets_names_every_file() -> None:
    for name in (SETTINGS, CLASSES, ANNOTATIONS, MANIFEST):
        assert f"`{name}`" in read("docs/generate.md")
