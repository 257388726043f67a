"""What may run the network; known without loading it."""

from __future__ import annotations

import importlib.util
from typing import Any

BACKENDS = ("torch", "onnx")


def check_backend(backend: Any, device: str) -> str:
    """Return the name of a backend that can be used.

    Raises:
        ValueError: if there is no such backend, or it does not go with the device.
        ImportError: if it is "onnx" and ONNX Runtime is not installed.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend must be 'torch' or 'onnx', got {backend!r}")
    if backend == "onnx":
        if device != "cpu":
            raise ValueError(f"backend='onnx' paints on the CPU, got device={device!r}; take backend='torch' there")
        require_onnx()
    return str(backend)


def require_onnx() -> None:
    """Raise unless the packages of the extra are installed.

    Raises:
        ImportError: with the command that installs them.
    """
    missing = [name for name in ("onnxruntime", "onnx") if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f"backend='onnx' needs {' and '.join(missing)}: pip install \"albu-gan[onnx]\"")
