"""The scripts of findings/: what they must have; they install packages, so they are not run here."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

FINDINGS = sorted((Path(__file__).parent.parent / "findings").glob("*.sh"))


def test_there_are_some() -> None:
    assert len(FINDINGS) >= 4


@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: path.stem)
def test_a_finding_stands_alone_and_pins_what_it_installs(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n# ") and "\nset -euo pipefail\n" in text
    assert "mktemp -d" in text and "-m venv" in text and "albu_gan" not in text and "albu-gan" not in text
    for line in re.findall(r"pip install -q (.+)", text):
        assert all("==" in word for word in line.split()), line
    assert re.search(r"^assert ", text, flags=re.MULTILINE), "it fails if the behaviour changes"
    subprocess.run(["bash", "-n", str(path)], check=True)
