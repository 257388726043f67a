"""The site builds strictly and asks no other host for anything; its pictures come from the scripts beside them."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
EXAMPLES = sorted(path for path in (DOCS / "gallery").glob("*.py") if path.name != "page.py")
NOTEBOOK = DOCS / "notebooks" / "quickstart.ipynb"


def run_script(path: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """Run a script as `python PATH ARGUMENTS` does, without another start of torch."""
    monkeypatch.setattr(sys, "argv", [str(path), *arguments])
    runpy.run_path(str(path), run_name="__main__")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out


class Requests(HTMLParser):
    """Collects what a browser fetches by itself when it shows a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in ("script", "img", "iframe", "source"):
            self.addresses.append(values.get("src") or "")
        if tag == "link" and values.get("rel") != "canonical":
            self.addresses.append(values.get("href") or "")


def test_the_site_builds_strictly_and_fetches_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len([*DOCS.glob("*.md"), *DOCS.glob("research/*.md")])
    for page in pages:
        requests = Requests()
        requests.feed(page.read_text(encoding="utf-8"))
        assert not [address for address in requests.addresses if re.match(r"(https?:)?//", address)], page


def test_the_api_page_documents_every_public_name_with_its_arguments(site: Path) -> None:
    import albu_gan

    page = (site / "api" / "index.html").read_text(encoding="utf-8")
    for name in albu_gan.__all__:
        assert f'id="albu_gan.{name}"' in page, name
    for argument in ("defects_range", "region_key", "min_contrast", "bbox_labels"):
        assert f"<code>{argument}</code>" in page, argument


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_of_the_gallery_runs_and_its_picture_is_committed(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_script(path, monkeypatch, str(tmp_path / "out.jpg"))
    picture, committed = cv2.imread(str(tmp_path / "out.jpg")), cv2.imread(str(path.with_suffix(".jpg")))
    assert picture.shape == committed.shape
    assert np.ptp(picture) > 100  # something is on it


def test_the_gallery_has_an_example_for_every_picture_and_the_page_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [p.stem for p in sorted((DOCS / "gallery").glob("*.jpg"))] == [p.stem for p in EXAMPLES]
    with pytest.raises(SystemExit) as ended:
        run_script(DOCS / "gallery" / "page.py", monkeypatch, "--check")
    assert ended.value.code == 0


def test_the_diagrams_are_those_that_their_script_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_script(DOCS / "figures" / "diagrams.py", monkeypatch, str(tmp_path))
    drawn = sorted(tmp_path.glob("*.svg"))
    assert len(drawn) >= 4
    for path in drawn:
        assert path.read_text(encoding="utf-8") == (DOCS / "images" / path.name).read_text(encoding="utf-8"), path.name


def test_the_picture_of_the_steps_can_be_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_script(DOCS / "figures" / "steps.py", monkeypatch, str(tmp_path / "steps.jpg"))
    drawn, committed = cv2.imread(str(tmp_path / "steps.jpg")), cv2.imread(str(DOCS / "images" / "steps.jpg"))
    assert drawn.shape == committed.shape
    assert np.abs(drawn.astype(int) - committed).mean() < 3  # other processors round otherwise


def test_the_notebook_is_committed_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom() -> None:
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    # The kernel finds this checkout's package and modules whatever is installed.
    setup = nbformat.v4.new_code_cell(f"import sys; sys.path.insert(0, {str(ROOT)!r})")
    notebook.cells.insert(0, setup)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    pictures = [o for c in notebook.cells for o in c.get("outputs", []) if "image/png" in o.get("data", {})]
    assert len(pictures) >= 5
