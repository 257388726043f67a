"""What README, docs and model cards say is true: code runs, commands exist, tables come from committed JSON."""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from albu_gan import GANDefectInpaint, bundled_names
from albu_gan.hub.find import BUNDLED, find_weights
from tests.hub_server import TOKEN, HubServer
from tests.markdown_blocks import Block, code_blocks, shell_commands
from tests.test_hub import server as server  # a fixture

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
DOCS = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "research").glob("*.md"))]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *DOCS,
    *sorted((ROOT / "albu_gan" / "weights").glob("*/README.md")),
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: Programs of others; what they are called with is theirs.
FOREIGN = {"pip", "hf", "git", "cd", "pre-commit", "pytest", "ruff", "mypy", "lint-imports", "docker", "mkdocs"}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def python_blocks(page: Path) -> list[Block]:
    return [block for block in code_blocks(page) if block.language == "python"]


@pytest.fixture
def published(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    """A stand-in Hub with `org/name`, private, branches main and v1, and a token that may read and write it."""
    hub: HubServer = request.getfixturevalue("server")
    files = {path.name: path.read_bytes() for path in (BUNDLED / "magnetic-tile-v1").iterdir()}
    hub.add("org/name", files, private=True)
    hub.add("org/name", files, branch="v1")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return hub


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub's upload of large files
@pytest.mark.parametrize("page", [p for p in PAGES if p.name != "gallery.md" and python_blocks(p)], ids=name_of)
def test_every_python_block_of_a_page_runs_in_order(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """In an empty folder with weights `runs/mine/weights` and `my-defects`; `org/name` is on a stand-in Hub."""
    shutil.copytree(BUNDLED / "magnetic-tile-v1", tmp_path / "runs" / "mine" / "weights")
    shutil.copytree(BUNDLED / "surfaces-v1", tmp_path / "my-defects")
    if any("org/name" in block.code for block in python_blocks(page)):
        request.getfixturevalue("published")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "documentation"}
    for block in python_blocks(page):
        # Lines before the block are empty, so that a traceback names the line of the page.
        code = compile("\n" * (block.line - 1) + block.code, str(page), "exec")
        if not block.note.startswith("compile only"):
            exec(code, names)


def test_only_blocks_for_libraries_that_are_no_dependency_of_ours_are_not_run() -> None:
    requirements = PROJECT["dependencies"] + [r for extra in PROJECT["optional-dependencies"].values() for r in extra]
    ours = {re.split(r"[^\w-]", requirement)[0].lower().replace("_", "-") for requirement in requirements}
    notes = [(page, block) for page in PAGES for block in python_blocks(page) if block.note.startswith("compile only")]
    assert {name_of(page) for page, _ in notes} >= {"docs/recipes.md"}
    for page, block in notes:
        library = block.note.removeprefix("compile only: ")
        imported = {
            name.split(".")[0]
            for node in ast.walk(ast.parse(block.code))
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for name in ([a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""])
        }
        assert library in imported, f"{page}:{block.line} does not import {library}"
        assert library not in ours, f"{page}:{block.line} could run: {library} is a dependency"


@pytest.mark.parametrize("script", ["tables.py", "cost.py"])
def test_the_tables_of_readme_and_pages_are_those_of_the_committed_json(
    script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [script, "--check"])
    try:
        runpy.run_path(str(ROOT / "docs" / script), run_name="__main__")
    except SystemExit as err:
        assert not err.code, err.code


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_a_page_links_to_exist(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\((?!http)([^)#\s]+)[^)]*\)", prose):
        assert (page.parent / target).exists(), target


class Parsed(BaseException):
    """Raised once a command's flags have been read, before it does anything."""


def parse_only(module: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the flags of `python -m MODULE WORDS` and stop there."""
    parse_args = argparse.ArgumentParser.parse_args

    def stop(parser: argparse.ArgumentParser, args: Any = None, namespace: Any = None) -> Any:
        parse_args(parser, args, namespace)
        raise Parsed

    package = ROOT.joinpath(*module.split("."))
    main = importlib.import_module(f"{module}.__main__" if package.is_dir() else module).main
    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        with pytest.raises(Parsed):
            main(words)


@pytest.mark.parametrize("page", [p for p in PAGES if any(map(shell_commands, code_blocks(p)))], ids=name_of)
def test_the_commands_of_a_page_exist_with_the_flags_that_it_shows(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for command in (command for block in code_blocks(page) for command in shell_commands(block)):
        words = [word for word in shlex.split(command) if not re.fullmatch(r"[A-Z_]+=\S*", word)]
        if words[:1] == ["make"]:
            assert words[1] in targets, command
        elif words[0] == "albu-gan":
            parse_only("albu_gan.cli", words[1:], monkeypatch)
        elif words[0] in ("python", "accelerate", "torchrun") and "-m" in words:
            start = words.index("-m")
            if words[start + 1].startswith(("training", "albu_gan", "benchmarks")):
                parse_only(words[start + 1], words[start + 2 :], monkeypatch)
        elif words[0] == "python":
            assert "/" not in words[1] or (ROOT / words[1]).is_file(), command  # without a folder: the reader's own
        elif words[:2] == ["pip", "install"]:
            for extras in re.findall(r"(?:\.|albu-gan)\[([\w,]+)\]", command):
                assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"]), command
        else:
            assert words[0] in FOREIGN or words[:2] in (["tensorboard", "--logdir"], ["accelerate", "config"]), command


def made_up_plates(root: Path) -> None:
    """A data set in the layout `folder`: twelve parts, two photographs each, some with a crack, some with a pit."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    (root / "classes.txt").write_text("crack\npit\n", encoding="utf-8")
    for part in range(12):
        for photo in range(2):
            image, mask = rng.normal(130, 6, (96, 112)).astype(np.float32), np.zeros((96, 112), np.uint8)
            if part % 3 != 2:
                x, y = (int(v) for v in rng.integers(20, 50, 2))
                cv2.line(mask, (x, y), (x + 30, y + 12), part % 3 + 1, 5)
                image[mask > 0] -= 60
            stem = f"part{part}_{photo}.png"
            cv2.imwrite(str(root / "images" / stem), image.clip(0, 255).astype(np.uint8))
            cv2.imwrite(str(root / "masks" / stem), mask)


def without_flags(words: list[str], *flags: str) -> list[str]:
    """Return `words` without the flags and the value after each."""
    left_out = {index + offset for index, word in enumerate(words) if word in flags for offset in (0, 1)}
    return [word for index, word in enumerate(words) if index not in left_out]


@pytest.mark.slow
def test_the_commands_for_your_own_data_run_one_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that README and pages show for `my_data`, with the smoke preset; several processes apart."""
    made_up_plates(tmp_path / "my_data")
    monkeypatch.chdir(tmp_path)
    ran: list[list[str]] = []
    for command in (
        command
        for page in ("README.md", "docs/own-data.md", "docs/training.md")
        for block in code_blocks(ROOT / page)
        for command in shell_commands(block)
        if command.startswith("python -m training")
    ):
        _, _, module, *words = shlex.split(command)
        if module == "training.gan":
            words = [*without_flags(words, "--preset", "--total-kimg"), "--preset", "smoke"]
            words += ["--window-sizes", "64", "128"] if "--init" in words else []  # those of the weights
        elif module == "training.gan.dcgan" and words[0] != "extend-bank":
            words += ["--preset", "smoke"]
        elif module == "training.gan.dcgan":
            words[words.index("-n") + 1] = "4"  # so short a training has few usable shapes
        elif module == "training.evaluation":
            words += ["--draws", "4", "--feature-steps", "4"]
        if [module, *words] in ran:
            continue
        if module == "training.gan":
            shutil.rmtree("runs/mine", ignore_errors=True)  # the pages start several runs in one place
        assert importlib.import_module(f"{module}.__main__").main(words) == 0, command
        ran.append([module, *words])
    assert {module for module, *_ in ran} >= {
        "training.gan",
        "training.datasets",
        "training.evaluation",
        "training.gan.dcgan",
    }
    assert GANDefectInpaint(weights="runs/mine/weights").weights == "runs/mine/weights"


def messages(*packages: str) -> list[str]:
    """Return every text of the source, "…" where a value is put in."""
    texts = []
    for path in (path for package in packages for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                texts.append("".join(str(p.value) if isinstance(p, ast.Constant) else "…" for p in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


def test_the_errors_that_troubleshooting_explains_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    headings = re.findall(r"^### `(.+)`$", page, flags=re.MULTILINE)
    assert len(headings) > 12
    known = messages("albu_gan", "training")
    for heading in headings:
        pieces = [re.escape(piece.strip()) for piece in heading.split("…") if piece.strip()]
        pattern = re.compile(r".*".join(pieces), flags=re.DOTALL)
        assert any(pattern.search(text) for text in known), heading


def listed(value: str | list[Any]) -> list[str]:
    """The pages of an entry of the navigation: one, or those of a section."""
    if isinstance(value, str):
        return [value]
    return [page for entry in value for page in ([entry] if isinstance(entry, str) else entry.values())]


def test_the_pages_of_the_site_are_all_in_its_navigation() -> None:
    config = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    entries = [entry for section in config["nav"] for value in section.values() for entry in listed(value)]
    assert sorted(entries) == sorted(page.relative_to(ROOT / "docs").as_posix() for page in DOCS)
    assert sum(entry.startswith("research/") for entry in entries) > 1


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
    for word in (training["source"], training["licence"], f"{training['steps']:,}", "preview.jpg"):
        assert word in card
    for metrics in folder.config.metrics["classes"].values():
        assert f"{metrics['contrast_reached']:.0%}" in card
    assert (folder.path / "preview.jpg").is_file()
    assert json.loads((folder.path / "config.json").read_text())["metrics"] == folder.config.metrics


@pytest.mark.parametrize("name", ["bsdata-pitting-v1", "magnetic-tile-v1"])
def test_bundled_weights_paint_visible_defects_on_the_samples(name: str) -> None:
    from albu_gan.pictures.demo import sample_images

    transform = GANDefectInpaint(weights=name, defects_range=(1, 1), p=1.0)
    transform.set_random_seed(0)
    for image in (*sample_images(), *sample_images(gray=True)):
        result = transform(image=image, mask=np.zeros(image.shape[:2], np.uint8))
        assert (result["mask"] > 0).any()
        assert (result["image"] != image).any()
