"""The package's layout: few modules at the root, rooms with a door, and nothing taken through a wall."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "albu_gan"
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
#: Imported by their own names: what needs torch, ONNX Runtime or Gradio is not behind a room's door.
APART = {"albu_gan.painting.painter", "albu_gan.painting.onnx_backend", "albu_gan.app.interface"}


def imports(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each module that a file imports, with the names taken from it; none for `import MODULE`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative"
            yield node.module or "", [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)


def test_the_root_holds_few_modules_and_the_rooms() -> None:
    modules = {path.name for path in PACKAGE.glob("*.py")}
    assert len(modules) <= 8, sorted(modules)
    assert {"batch", "data", "defects", "generators", "hub", "painting"} <= set(ROOMS)


def test_the_transform_is_read_at_one_sitting() -> None:
    assert len((PACKAGE / "transform.py").read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_by_name_what_it_lends(room: str) -> None:
    """Nothing but imports from the room's own modules and a sorted list of their names."""
    docstring, *body = ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8")).body
    assert isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant)
    *imported, names = body
    taken = []
    for node in imported:
        assert isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"albu_gan.{room}."), node.lineno
        taken += [alias.asname or alias.name for alias in node.names]
    assert isinstance(names, ast.Assign) and ast.unparse(names.targets[0]) == "__all__"
    lent = ast.literal_eval(names.value)
    assert lent == sorted(lent) and sorted(taken) == lent
    assert not [name for name in lent if name.startswith("_")]


@pytest.mark.parametrize("folder", ["albu_gan", "training", "benchmarks", "docs"])
def test_a_room_is_asked_only_for_what_it_lends(folder: str) -> None:
    lent = {room: set(importlib.import_module(f"albu_gan.{room}").__all__) for room in ROOMS}
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    for path in files:
        for module, names in imports(path):
            top, _, rest = module.partition(".")
            room = rest.partition(".")[0]
            if top != "albu_gan" or room not in ROOMS or path.is_relative_to(PACKAGE / room) or module in APART:
                continue
            assert names, f"{path}: import {module}"
            assert set(names) <= lent[room], f"{path}: {sorted(set(names) - lent[room])} of {module}"
