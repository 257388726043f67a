"""What painting costs: `python -m benchmarks` measures, `python -m benchmarks report` writes docs/research/speed.md."""

import os

for name in ("NO_ALBUMENTATIONS_UPDATE", "ALBUMENTATIONS_NO_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS"):
    os.environ.setdefault(name, "1")  # before anything imports those libraries; workers inherit it
