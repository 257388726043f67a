"""What was measured on: versions, processor, load."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import torch

import albu_gan
from training.provenance import current_commit


def environment() -> dict[str, Any]:
    """Return versions, processor, cores, threads, load and date, as they are now."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="minutes"),
        "commit": current_commit(),
        "albu_gan": albu_gan.__version__,
        "torch": torch.__version__,
        "albumentations": A.__version__,
        "opencv": cv2.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_before": load(),
    }


def load() -> list[float] | None:
    """Return the load averages of 1, 5 and 15 minutes; None where there are none."""
    return [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None


def processor() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
