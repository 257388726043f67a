"""Files around the code: workflows, templates, citation, changelog. They are read, not run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import albu_gan

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
GITHUB = ROOT / ".github"
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
WORKFLOWS = {path.stem: path for path in sorted((GITHUB / "workflows").glob("*.yml"))}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read_yaml(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)


def commands(workflow: Any) -> list[str]:
    return [step["run"] for job in workflow["jobs"].values() for step in job.get("steps", []) if "run" in step]


def test_the_workflows_cover_what_we_promise() -> None:
    jobs = read_yaml(WORKFLOWS["tests"])["jobs"]
    matrix = jobs["tests"]["strategy"]["matrix"]
    assert [name.split("-")[0] for name in matrix["os"]] == ["ubuntu", "macos", "windows"]
    assert matrix["python"] == ["3.10", "3.11", "3.12", "3.13"]
    assert Version(matrix["python"][0]) == Version(PROJECT["requires-python"].removeprefix(">="))
    assert {"lint", "minimum-versions", "albumentationsx"} <= set(jobs)
    assert "docs" in WORKFLOWS and "release" in WORKFLOWS


@pytest.mark.parametrize("name", WORKFLOWS)
def test_what_a_workflow_calls_exists(name: str) -> None:
    workflow = read_yaml(WORKFLOWS[name])
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, flags=re.MULTILINE))
    for command in commands(workflow):
        if command.startswith("make "):
            assert set(command.split()[1:]) <= targets, command
        for extras in re.findall(r"\.\[([\w,]+)\]", command):
            assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"]), command
        for file in re.findall(r"-c (\S+)", command):
            assert (ROOT / file).is_file(), command
    for job in workflow["jobs"].values():
        if "uses" in job:
            assert (ROOT / job["uses"]).is_file()
        needs = job.get("needs", [])
        assert {needs} if isinstance(needs, str) else set(needs) <= set(workflow["jobs"])


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_write_only_where_it_publishes_and_holds_no_token(name: str) -> None:
    text = WORKFLOWS[name].read_text(encoding="utf-8")
    workflow = read_yaml(WORKFLOWS[name])
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in text and "password" not in text
    writing = {job for job, values in workflow["jobs"].items() if "write" in str(values.get("permissions"))}
    assert writing <= {"publish"}


def test_pictures_of_the_docs_are_small_jpeg_or_webp_and_no_weights_lie_there() -> None:
    files = [path for path in (ROOT / "docs").rglob("*") if path.is_file()]
    previews = [path for path in (ROOT / "albu_gan" / "weights").rglob("*") if path.suffix in PICTURES]
    pictures = [path for path in files if path.suffix in PICTURES] + previews
    assert len(pictures) > 20 and previews
    for path in pictures:
        assert path.suffix in (".jpg", ".webp"), path
        assert path.stat().st_size <= 400_000, path
    assert not [path for path in files if path.suffix in (".safetensors", ".pt", ".pth", ".npz")]


def test_a_clone_is_small() -> None:
    """Of the files at hand: those of a clone, and what was added and is not ignored."""
    if not (ROOT / ".git").exists():
        pytest.skip("no clone")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    paths = [ROOT / name for name in set(listed) if name and (ROOT / name).is_file()]
    assert 5_000_000 < sum(path.stat().st_size for path in paths) <= 25_000_000


def test_a_release_is_tested_and_published_by_the_workflow_alone() -> None:
    jobs = read_yaml(WORKFLOWS["release"])["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["needs"] == "build" and jobs["build"]["needs"] == "tests"


def test_the_minimum_versions_are_those_that_pyproject_allows() -> None:
    lines = (GITHUB / "minimum-requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["train"]:
        requirement = Requirement(text)
        (bound,) = requirement.specifier
        wanted, found = Version(bound.version).release, Version(pinned[requirement.name]).release
        assert bound.operator in (">=", "=="), text
        assert found[: len(wanted)] == wanted and not any(found[len(wanted) :][:1]), f"{text}, pinned {found}"


@pytest.mark.parametrize("path", sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem)
def test_an_issue_form_has_what_github_asks_of_it(path: Path) -> None:
    form = read_yaml(path)
    if path.stem == "config":
        assert form == {"blank_issues_enabled": True}
        return
    assert form["name"] and form["description"]
    identifiers = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    assert len(identifiers) == len(set(identifiers)) > 0
    for field in form["body"]:
        assert field["type"] in ("markdown", "textarea", "input", "dropdown", "checkboxes")
        assert field["type"] == "markdown" or field["attributes"]["label"]


def test_the_citation_is_complete_and_of_this_version() -> None:
    citation = read_yaml(ROOT / "CITATION.cff")
    assert {"cff-version", "message", "title", "authors", "version", "license", "type"} <= set(citation)
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    assert str(citation["version"]) == albu_gan.__version__
    assert citation["license"] == PROJECT["license"] == "MIT"
    assert all("name" in author or "family-names" in author for author in citation["authors"])
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= set(reference)


def test_the_changelog_has_a_section_for_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## \[(.+?)\] - (unreleased|\d{4}-\d\d-\d\d)$", changelog, flags=re.MULTILINE)
    assert sections[0][0] == albu_gan.__version__
    kinds = set(re.findall(r"^### (.+)$", changelog, flags=re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_hooks_before_a_commit_are_the_checks_of_the_makefile() -> None:
    (repository,) = read_yaml(ROOT / ".pre-commit-config.yaml")["repos"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        assert {"id", "name", "entry", "language"} <= set(hook)
        tool = hook["entry"].removeprefix(".venv/bin/").split(" --")[0]
        assert f"$(BIN)/{tool}" in makefile, tool
