"""AlbumentationsX, which has the same import name, paints and labels as Albumentations 2.0.8 does.

It is AGPL and no dependency, so it is tested where a folder with it is named:

    pip install --target FOLDER --no-deps albumentationsx==2.5.1 albucore==0.2.21 numkong==7.8.6
    ALBUMENTATIONSX_PATH=FOLDER python -m pytest tests/test_albumentationsx.py
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("albumentationsx_script.py")
FOLDER = os.environ.get("ALBUMENTATIONSX_PATH")

pytestmark = pytest.mark.skipif(
    not FOLDER,
    reason="ALBUMENTATIONSX_PATH names no folder made by "
    "pip install --target FOLDER --no-deps albumentationsx==2.5.1 albucore==0.2.21 numkong==7.8.6",
)


@pytest.fixture(scope="module")
def failures(weights: str) -> dict[str, str]:
    """What failed in a process that imports AlbumentationsX, by the name of the check."""
    package = str(SCRIPT.parents[1])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([FOLDER or "", package]),
        "NO_ALBUMENTATIONS_UPDATE": "1",
        "ALBUMENTATIONS_NO_TELEMETRY": "1",
    }
    command = [sys.executable, str(SCRIPT), weights]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout.splitlines()[-1]))


@pytest.mark.parametrize("check", re.findall(r"^def check_(\w+)", SCRIPT.read_text(), re.MULTILINE))
def test_under_albumentationsx(failures: dict[str, str], check: str) -> None:
    assert check not in failures, failures[check]
