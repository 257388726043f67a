"""A weights folder: what it must hold, and how it is read, checked and written.

A weights folder is `config.json`, `model.safetensors`, `masks.safetensors` and `README.md`, whether it is bundled with
the package, lies on disk or is a repository on the Hugging Face Hub. Nothing else is ever read: no pickle, no code.
"""

from __future__ import annotations

import json
import shutil
import struct
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from albu_gan.generators import ARCHITECTURES
from albu_gan.generators.config import GeneratorConfig

FORMAT_VERSION = 1
CONFIG, MODEL, MASKS, CARD = "config.json", "model.safetensors", "masks.safetensors", "README.md"
REQUIRED = (CONFIG, MODEL, MASKS)
PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
MAX_CONFIG_BYTES = 1 << 20
MAX_TENSOR_BYTES = 2 << 30  # of one safetensors file
MAX_HEADER_BYTES = 16 << 20
MAX_CARD_BYTES = 16 << 20
MAX_BYTES = {CONFIG: MAX_CONFIG_BYTES, MODEL: MAX_TENSOR_BYTES, MASKS: MAX_TENSOR_BYTES, CARD: MAX_CARD_BYTES}


class WeightsError(ValueError):
    """Weights that cannot be found or used; the message names the place and says what to do."""


@dataclass(frozen=True)
class WeightsConfig:
    """The contents of `config.json`.

    Attributes:
        generator: what the network is built from.
        class_names: in the order of the network's class masks.
        window_sizes: pixels the network was trained at, ascending.
        training: provenance, free-form JSON: data, split, commit, steps, licence.
        metrics: measured figures, free-form JSON.
    """

    generator: GeneratorConfig
    class_names: tuple[str, ...]
    window_sizes: tuple[int, ...]
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, `format_version` first."""
        return {
            "format_version": FORMAT_VERSION,
            "generator": self.generator.to_dict(),
            "class_names": list(self.class_names),
            "window_sizes": list(self.window_sizes),
            "normalization": {"mean": 0.5, "std": 0.5},
            "training": self.training,
            "metrics": self.metrics,
        }

    @classmethod
    def from_dict(cls, values: Any) -> WeightsConfig:
        """Check and take over what `config.json` holds.

        Raises:
            ValueError: saying which entry is wrong.
        """
        if not isinstance(values, dict):
            raise ValueError("must hold a JSON object")
        version = values.get("format_version")
        if not isinstance(version, int) or isinstance(version, bool):
            raise ValueError("has no integer 'format_version'; this is not an albu-gan weights folder")
        if version > FORMAT_VERSION:
            raise ValueError(f"has format_version {version}, this albu-gan reads up to {FORMAT_VERSION}")
        if version < 1:
            raise ValueError(f"has format_version {version}; versions start at 1")
        names, sizes = values.get("class_names"), values.get("window_sizes")
        if not isinstance(names, list) or not names or not all(isinstance(n, str) and n for n in names):
            raise ValueError(f"'class_names' must be a list of names, got {names!r}")
        if len(set(names)) != len(names):
            raise ValueError(f"'class_names' repeats a name: {names!r}")
        if (
            not isinstance(sizes, list)
            or not sizes
            or not all(isinstance(s, int) and not isinstance(s, bool) and 16 <= s <= 2048 for s in sizes)
            or sizes != sorted(set(sizes))
        ):
            raise ValueError(f"'window_sizes' must be ascending integers from 16 to 2048, got {sizes!r}")
        if values.get("normalization") != {"mean": 0.5, "std": 0.5}:
            raise ValueError(f"'normalization' must be mean 0.5, std 0.5, got {values.get('normalization')!r}")
        try:
            generator = GeneratorConfig.from_dict(values.get("generator", {}))
        except TypeError as err:
            raise ValueError(f"'generator' is not understood: {err}") from err
        if generator.architecture not in list(ARCHITECTURES):  # a list, as the value may not be hashable
            known = ", ".join(sorted(ARCHITECTURES))
            raise ValueError(f"has the unknown architecture {generator.architecture!r} (known: {known})")
        if generator.num_classes != len(names):
            raise ValueError(f"names {len(names)} classes but its generator has num_classes {generator.num_classes}")
        for key in ("training", "metrics"):
            if not isinstance(values.get(key, {}), dict):
                raise ValueError(f"{key!r} must be an object")
        return cls(generator, tuple(names), tuple(sizes), values.get("training", {}), values.get("metrics", {}))


@dataclass(frozen=True)
class WeightsFolder:
    """A checked weights folder on disk.

    Attributes:
        path: the folder.
        config: its `config.json`.
        name: what names it again: a bundled name, a path, or `org/name@commit`.
        commit: of the Hub repository, None for a folder.
    """

    path: Path
    config: WeightsConfig
    name: str
    commit: str | None = None


def read_folder(path: Path, name: str, commit: str | None = None) -> WeightsFolder:
    """Check that a folder holds sound weights; opens headers only, so it is cheap whatever the files claim.

    Raises:
        WeightsError: naming the first file that is missing, truncated, oversized or not understood.
    """
    for file in REQUIRED:
        if not (path / file).is_file():
            raise WeightsError(missing_file(str(path / file), {entry.name for entry in path.iterdir()}))
    config_path = path / CONFIG
    if config_path.stat().st_size > MAX_CONFIG_BYTES:
        raise WeightsError(
            f"{config_path}: {config_path.stat().st_size} bytes is too large for a config; download or export it again"
        )
    try:
        values = json.loads(config_path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as err:
        raise WeightsError(f"{config_path}: is not valid JSON ({err}); download or export it again") from err
    except OSError as err:
        raise WeightsError(f"{config_path}: cannot be read ({err.strerror}); check its permissions") from err
    try:
        config = WeightsConfig.from_dict(values)
    except ValueError as err:
        remedy = "upgrade albu-gan, or download or export the folder again"
        raise WeightsError(f"{config_path}: {err}; {remedy}") from err
    for file in (MODEL, MASKS):
        check_safetensors(path / file)
    return WeightsFolder(path, config, name, commit)


def missing_file(place: str, names: Collection[str]) -> str:
    """Say that the file at `place` is missing beside `names`, and what to do."""
    pickles = sorted(name for name in names if Path(name).suffix in PICKLES)
    hint = f" ({pickles[0]} is a pickle, which albu-gan never opens)" if pickles else ""
    return (
        f"{place}: missing{hint}. A weights folder holds {', '.join(REQUIRED)}; "
        "export it again with python -m training.gan, or download it again"
    )


def check_safetensors(path: Path) -> None:
    """Check a safetensors file's header against its size without reading a tensor.

    Raises:
        WeightsError: if it is no safetensors file, is truncated or has bytes too many, or is larger than allowed.
    """
    size = path.stat().st_size
    if size > MAX_TENSOR_BYTES:
        raise WeightsError(f"{path}: {size} bytes is more than albu-gan loads ({MAX_TENSOR_BYTES}); is this its file?")
    try:
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
                raise WeightsError(f"{path}: not a safetensors file, or truncated; download or export it again")
            header = file.read(length)
    except OSError as err:
        raise WeightsError(f"{path}: cannot be read ({err.strerror}); check its permissions") from err
    try:
        entries = json.loads(header)
        ends = [value["data_offsets"][1] for key, value in entries.items() if key != "__metadata__"]
        if not all(isinstance(end, int) for end in ends):
            raise TypeError("data_offsets must be integers")
        end = max(ends, default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as err:
        raise WeightsError(f"{path}: its safetensors header is damaged; download or export it again") from err
    if 8 + length + end != size:
        state = "truncated" if 8 + length + end > size else "oversized"
        raise WeightsError(f"{path}: {state}, {size} bytes instead of {8 + length + end}; download or export it again")


def write_folder(
    path: Path,
    config: WeightsConfig,
    model: dict[str, np.ndarray],
    masks: dict[str, np.ndarray],
    card: str,
    pictures: dict[str, bytes] | None = None,
) -> None:
    """Write a weights folder whole: into a temporary folder beside it, then renamed. An existing folder is replaced.

    Args:
        path: the folder.
        config: for `config.json`.
        model: the network's state.
        masks: the mask bank's tensors.
        card: Markdown of `README.md`.
        pictures: name to PNG bytes, for the card.

    Raises:
        FileExistsError: if `path` exists and is not a weights folder.
    """
    from safetensors.numpy import save_file

    with _replacing(path) as partial:
        for file, tensors in ((MODEL, model), (MASKS, masks)):
            # safetensors writes an array's memory as it lies: one in channels_last order would come back scrambled.
            save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, partial / file)
            (partial / file).chmod(0o644)
        (partial / CONFIG).write_text(json.dumps(config.to_dict(), indent=1), encoding="utf-8")
        (partial / CARD).write_text(card, encoding="utf-8")
        for name, data in (pictures or {}).items():
            (partial / name).write_bytes(data)


def copy_folder(source: Path, path: Path) -> None:
    """Copy a weights folder whole, as `write_folder` writes one: its files and the card's pictures, nothing else.

    Raises:
        FileExistsError: if `path` exists and is not a weights folder.
    """
    if path.expanduser().resolve() == source.resolve():
        return
    with _replacing(path) as partial:
        for file in weights_files(source):
            shutil.copyfile(file, partial / file.name)


def weights_files(path: Path) -> list[Path]:
    """What of a folder belongs to the weights."""
    return sorted(
        file for file in path.iterdir() if file.is_file() and (file.name in MAX_BYTES or file.suffix == ".png")
    )


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Give a temporary folder that takes `path`'s place when the block ends well, and vanishes when it does not."""
    path = path.expanduser().resolve()
    if path.exists() and not path.is_dir():
        raise FileExistsError(f"{path}: exists and is a file; choose another folder")
    if path.exists() and not ((path / CONFIG).is_file() and (path / MASKS).is_file()) and any(path.iterdir()):
        raise FileExistsError(f"{path}: exists and is not a weights folder; choose another")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, old = (path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.{state}") for state in ("partial", "old"))
    partial.mkdir()
    try:
        yield partial
        if path.exists():
            path.rename(old)
        try:
            partial.rename(path)
        except BaseException:
            if old.exists():
                old.rename(path)
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
