"""What a run says of where it was made."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import torch


def current_commit() -> str:
    """Return the commit of the checkout, "+changes" behind it if the tree differs, or "unknown" outside of one."""
    here = Path(__file__).parent
    try:
        commit = _git(here, "rev-parse", "HEAD")
        dirty = _git(here, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+changes" if dirty else "")


def hardware() -> str:
    """Return processor, threads and GPU in words."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{platform.machine()}, {torch.get_num_threads()} threads, {device}"


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
