"""An interpreter that has imported nothing yet, asked one thing after another: each start takes seconds.

Usage: python untouched.py WEIGHTS OUT. Writes what it found as JSON to OUT, and says nothing.
"""

import json
import sys
from pathlib import Path

import torch

weights, out = sys.argv[1:]
sys.modules["gradio"] = None  # type: ignore[assignment]
found = {}

from albu_gan.generators import ARCHITECTURES, default_config  # noqa: E402
from albu_gan.generators.skeleton import build_skeleton  # noqa: E402

networks = {name: build_skeleton(default_config(name)) for name in ARCHITECTURES}
found["all meta"] = {name: all(t.is_meta for t in n.state_dict().values()) for name, n in networks.items()}
found["after building skeletons"] = sorted(sys.modules)

import albu_gan.cli  # noqa: E402

found["after importing the command line"] = sorted(name for name, module in sys.modules.items() if module is not None)

import numpy as np  # noqa: E402

albu_gan.DefectInpainter.from_pretrained(weights)(np.full((40, 40), 99, np.uint8), np.eye(40), "pit")
found["after painting"] = sorted(sys.modules)

threads = torch.get_num_threads()
import benchmarks.flops  # noqa: E402, F401

found["threads"] = [threads, torch.get_num_threads()]
Path(out).write_text(json.dumps(found), encoding="utf-8")
