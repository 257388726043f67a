"""Painting with ONNX Runtime: models are exported on first use, checked against torch, and kept in a cache folder.

Only what was exported here is ever loaded: a weights folder brings numbers, never a model that somebody else wrote.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import tempfile
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from albu_gan.generators import (
    DefectGenerator,
    GeneratorConfig,
    Part,
    Parts,
    PlanarUnshuffleGenerator,
    mask_box,
    planar,
)
from albu_gan.hub import WeightsError
from albu_gan.painting.onnx_graph import OPSET, UnsupportedOperation, record
from albu_gan.painting.windows import WindowShape

BACKENDS = ("torch", "onnx")
FORMAT = 2  # of the exported graphs and their files; raise it when either changes
MAGIC = b"albu-gan onnx\n"  # then the SHA-256 of the model, then the model
TOLERANCE = 1 / 255  # of the full range of the image: a level of a uint8 image
CHECKED_WINDOWS = 6
_LOCK = threading.Lock()


def _reset_lock() -> None:
    global _LOCK
    _LOCK = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_lock)


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


def cache_folder() -> Path | None:
    """Return where exported models are kept: ALBU_GAN_CACHE, or XDG_CACHE_HOME/albu-gan, or ~/.cache/albu-gan.

    None if there is no such place: an account without a home.
    """
    try:
        if os.environ.get("ALBU_GAN_CACHE"):
            return Path(os.environ["ALBU_GAN_CACHE"]).expanduser() / "onnx"
        given = Path(os.environ.get("XDG_CACHE_HOME", ""))
        return (given if given.is_absolute() else Path.home() / ".cache") / "albu-gan" / "onnx"
    except RuntimeError:
        return None


class OnnxPainter:
    """Paints as a generator does, see `DefectGenerator.paint`, by one session of ONNX Runtime a shape of window.

    Sessions are made on first use, in the process that uses them; this object cannot be pickled, and need not be.

    Args:
        weights: `model.safetensors`, whose bytes name the models in the cache.
        config: of the generator.
        load_network: builds the generator on the CPU; called only to export.
    """

    def __init__(self, weights: Path, config: GeneratorConfig, load_network: Callable[[], DefectGenerator]) -> None:
        self.weights, self.config, self.load_network = weights, config, load_network
        self._sessions: dict[tuple[int, int, WindowShape], Any] = {}
        self._digest = ""

    def __call__(self, window: Tensor, inside: Tensor, present: Tensor, z: Tensor) -> Tensor:
        """Paint; see `DefectGenerator.paint`.

        Raises:
            WeightsError: if the generator cannot be exported, or ONNX Runtime paints something else than torch.
        """
        tensors = (window, inside, present, z)
        return torch.from_numpy(self.paint_arrays(*(np.asarray(tensor.numpy(), np.float32) for tensor in tensors)))

    def paint_arrays(self, window: np.ndarray, inside: np.ndarray, present: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Paint arrays, since a tensor around each of them would cost as much as a layer of the network."""
        return _run(self._session((window.shape[2], window.shape[3])), window, inside, present, z)

    def _session(self, shape: WindowShape) -> Any:
        """Return this process's session for windows of a shape."""
        # A session of the parent does not work in a forked child, and is left alone there: to end it could hang.
        key = (os.getpid(), torch.get_num_threads(), shape)
        if key not in self._sessions:
            with _LOCK:
                if key not in self._sessions:
                    self._sessions[key] = self._open(shape)
        return self._sessions[key]

    def _open(self, shape: WindowShape) -> Any:
        """Load the model from the cache, or export it and put it there."""
        path = self._path(shape)
        model = None if path is None else read_model(path)
        if model is not None:
            with suppress(Exception):  # whatever a runtime says of a file that it does not like: export anew
                return make_session(model)
        network = self.load_network()
        model = export(network, shape)
        session = make_session(model)
        check_against_torch(session, network, shape, self.weights)
        if path is not None:
            try:
                write_model(path, model)
            except OSError as err:
                if os.environ.get("ALBU_GAN_CACHE"):
                    warnings.warn(
                        f"ALBU_GAN_CACHE={os.environ['ALBU_GAN_CACHE']} cannot be written ({err.strerror or err}); "
                        "every process exports its models anew, in memory",
                        RuntimeWarning,
                        stacklevel=2,
                    )
        return session

    def _path(self, shape: WindowShape) -> Path | None:
        """Return the file in the cache for windows of a shape."""
        import onnxruntime

        folder = cache_folder()
        if folder is None:
            return None
        self._digest = self._digest or hashlib.sha256(self.weights.read_bytes()).hexdigest()
        depends = [FORMAT, OPSET, onnxruntime.__version__, self._digest, self.config.to_dict(), shape]
        key = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()
        return folder / f"{key[:40]}-{shape[0]}x{shape[1]}.model"


def read_model(path: Path) -> bytes | None:
    """Return a model from the cache; None if it is not there, not whole, not ours, or others may write it."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if os.name == "posix" and (status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o002):
                return None
            data = file.read()
    except OSError:
        return None
    digest, model = data[len(MAGIC) : len(MAGIC) + 32], data[len(MAGIC) + 32 :]
    return model if data.startswith(MAGIC) and hashlib.sha256(model).digest() == digest else None


def write_model(path: Path, model: bytes) -> None:
    """Put a model into the cache at once or not at all; several processes may do so together.

    Raises:
        OSError: if the folder cannot be written, or is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".partial", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(MAGIC + hashlib.sha256(model).digest() + model)
        Path(name).chmod(0o644)  # others may read a cache that they share
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def export(network: DefectGenerator, shape: WindowShape) -> bytes:
    """Return a generator as an ONNX model for any number of windows of a shape.

    Raises:
        WeightsError: if its architecture calls something that cannot be exported.
    """
    try:
        paint, examples = planar(network), _windows(network.config, shape, 1)
        if isinstance(paint, PlanarUnshuffleGenerator):
            whole = Parts.around(Part(0, 0, *shape), *shape)
            examples |= {name: torch.tensor(part) for name, part in whole._asdict().items()}
        return record(paint, examples)
    except UnsupportedOperation as err:
        raise WeightsError(
            f"the generator {network.config.architecture!r} cannot be exported to ONNX ({err}); take backend='torch'"
        ) from err


def make_session(model: bytes) -> Any:
    """Return a session of as many threads as torch has here: one in a worker."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.log_severity_level = 3  # errors
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the cores have other work
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def check_against_torch(session: Any, network: DefectGenerator, shape: WindowShape, weights: Path) -> None:
    """Paint the same windows with both.

    Raises:
        WeightsError: if a pixel differs by more than `TOLERANCE`.
    """
    inputs = _windows(network.config, shape, CHECKED_WINDOWS)
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        expected = network.paint(**inputs).numpy()
    painted = _run(session, **{name: tensor.numpy() for name, tensor in inputs.items()})
    both_broken = ~np.isfinite(expected) & ~np.isfinite(painted)  # weights that overflow: found when painting
    difference = np.abs(np.where(both_broken, 0, painted - expected)).max()
    if not difference <= TOLERANCE:
        raise WeightsError(
            f"{weights}: ONNX Runtime paints windows of {shape[0]} x {shape[1]} pixels up to {255 * difference:.3g} "
            f"levels of 255 away from torch, more than {255 * TOLERANCE:.3g}; take backend='torch'"
        )


def _run(session: Any, window: np.ndarray, inside: np.ndarray, present: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Paint with a session; see `DefectGenerator.paint`. Where the graph paints parts, the rest is filled up with 0."""
    arrays = {"window": window, "inside": inside, "present": present, "z": z}
    feeds = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
    if len(session.get_inputs()) == len(feeds):
        return np.asarray(session.run(None, feeds)[0])
    added = np.zeros(window.shape, np.float32)
    box = mask_box(torch.from_numpy(feeds["inside"]))
    if box is not None:
        parts = Parts.around(box, *inside.shape[1:])
        feeds.update((name, np.array(part)) for name, part in zip(parts._fields, parts, strict=True))
        top, left, bottom, right = parts.painted
        added[:, :, top:bottom, left:right] = session.run(None, feeds)[0]
    return added


def _windows(config: GeneratorConfig, shape: WindowShape, count: int) -> dict[str, Tensor]:
    """Return inputs of `DefectGenerator.paint`: noise, rectangles, every class in turn."""
    rng = np.random.default_rng(0)
    inside = np.zeros((count, *shape), np.float32)
    for mask in inside:
        top, left = (int(rng.integers(0, side // 2)) for side in shape)
        height, width = (int(rng.integers(1, side // 2)) for side in shape)
        mask[top : top + height, left : left + width] = 1
    arrays: Sequence[np.ndarray] = (
        rng.uniform(-1, 1, (count, config.in_channels, *shape)),
        inside,
        np.eye(config.num_classes)[np.arange(count) % config.num_classes],
        rng.standard_normal((count, config.latent_dim)),
    )
    names = ("window", "inside", "present", "z")
    return {name: torch.from_numpy(array.astype(np.float32)) for name, array in zip(names, arrays, strict=True)}
