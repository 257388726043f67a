"""Weights folders: where they come from, what they must hold, and how they are written and published.

A weights folder is `config.json`, `model.safetensors`, `masks.safetensors` and `README.md`, whether it is bundled with the
package, lies on disk or is a repository on the Hugging Face Hub. Nothing else is ever read: no pickle, no code.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from albu_gan.generators.config import GeneratorConfig

FORMAT_VERSION = 1
CONFIG, MODEL, MASKS, CARD = "config.json", "model.safetensors", "masks.safetensors", "README.md"
REQUIRED = (CONFIG, MODEL, MASKS)
BUNDLED = Path(__file__).parent / "weights"
MAX_CONFIG_BYTES = 1 << 20
MAX_TENSOR_BYTES = 2 << 30  # of one safetensors file
MAX_HEADER_BYTES = 16 << 20
CONNECT_SECONDS = 5.0
REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


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
            raise ValueError(f"has format_version {version}, this albu-gan reads up to {FORMAT_VERSION}; upgrade albu-gan")
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


def bundled_names() -> list[str]:
    """Return the names of the weights that come with the package."""
    return sorted(folder.name for folder in BUNDLED.iterdir() if (folder / CONFIG).is_file()) if BUNDLED.is_dir() else []


def is_hub_name(name: object) -> bool:
    """Return whether `name` can only mean a Hub repository: no bundled name and no folder, but `org/name[@revision]`."""
    if not isinstance(name, str) or name in bundled_names() or Path(name).expanduser().exists():
        return False
    return REPO_ID.fullmatch(name.partition("@")[0]) is not None and not name.endswith("@")


def find_weights(
    name: str,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
) -> WeightsFolder:
    """Find a weights folder by bundled name, path or Hub repository, and check every file's header.

    Args:
        name: a bundled name, a folder, `org/name` or `org/name@revision`.
        revision: branch, tag or commit of a Hub repository; None takes the one in `name`, or `main`.
        token: for private repositories; None takes the one that `hf auth login` stored.
        cache_dir: of the Hub; None takes huggingface_hub's.
        local_files_only: never ask the Hub, use its cache.

    Raises:
        WeightsError: if nothing is found, or what is found is not a sound weights folder.
    """
    if not isinstance(name, (str, os.PathLike)) or not os.fspath(name):
        raise WeightsError(f"weights must be a bundled name, a folder or a Hub repository, got {name!r}")
    name = os.fspath(name)
    if name in bundled_names():
        return read_folder(BUNDLED / name, name)
    path = Path(name).expanduser()
    if path.is_dir():
        return read_folder(path, name)
    repo_id, _, inline = name.partition("@")
    if is_hub_name(name):
        if inline and revision and inline != revision:
            raise WeightsError(f"{name!r} names revision {inline!r} but revision={revision!r} was given; give one")
        return _from_hub(repo_id, inline or revision, token, cache_dir, local_files_only)
    if path.exists():
        raise WeightsError(f"{name}: is a file; give the weights folder that holds {', '.join(REQUIRED)}")
    if os.sep in name or "/" in name or "\\" in name or name.startswith((".", "~")):
        raise WeightsError(f"{name}: no such folder. A Hub repository is written org/name or org/name@revision")
    raise WeightsError(
        f"{name!r} is no bundled name ({', '.join(bundled_names())}), no folder, and no Hub repository (org/name)"
    )


def read_folder(path: Path, name: str, commit: str | None = None) -> WeightsFolder:
    """Check that a folder holds sound weights; opens headers only, so it is cheap whatever the files claim.

    Raises:
        WeightsError: naming the first file that is missing, truncated, oversized or not understood.
    """
    for file in REQUIRED:
        if not (path / file).is_file():
            pickles = sorted(p.name for p in path.iterdir() if p.suffix in {".bin", ".pt", ".pth", ".ckpt", ".pkl"})
            hint = f" ({pickles[0]} is a pickle, which albu-gan never opens)" if pickles and file != CONFIG else ""
            raise WeightsError(
                f"{path / file}: missing{hint}. A weights folder holds {', '.join(REQUIRED)}; "
                "export it again with python -m training.gan, or download it again"
            )
    config_path = path / CONFIG
    if config_path.stat().st_size > MAX_CONFIG_BYTES:
        raise WeightsError(f"{config_path}: {config_path.stat().st_size} bytes is too large for a config")
    try:
        config = WeightsConfig.from_dict(json.loads(config_path.read_text(encoding="utf-8")))
    except RecursionError as err:
        raise WeightsError(f"{config_path}: nested too deeply") from err
    except ValueError as err:
        raise WeightsError(f"{config_path}: {err}") from err
    for file in (MODEL, MASKS):
        check_safetensors(path / file)
    return WeightsFolder(path, config, name, commit)


def check_safetensors(path: Path) -> None:
    """Check a safetensors file's header against its size without reading a tensor.

    Raises:
        WeightsError: if it is no safetensors file, is truncated or has bytes too many, or is larger than allowed.
    """
    size = path.stat().st_size
    if size > MAX_TENSOR_BYTES:
        raise WeightsError(f"{path}: {size} bytes is more than albu-gan loads ({MAX_TENSOR_BYTES})")
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise WeightsError(f"{path}: not a safetensors file, or truncated; download or export it again")
        header = file.read(length)
    try:
        entries = json.loads(header)
        tensors = {key: value for key, value in entries.items() if key != "__metadata__"}
        end = max((int(value["data_offsets"][1]) for value in tensors.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as err:
        raise WeightsError(f"{path}: its safetensors header is damaged; download or export it again") from err
    if 8 + length + end != size:
        state = "truncated" if 8 + length + end > size else "oversized"
        raise WeightsError(f"{path}: {state}, {size} bytes instead of {8 + length + end}; download or export it again")


def _from_hub(
    repo_id: str,
    revision: str | None,
    token: str | bool | None,
    cache_dir: str | os.PathLike[str] | None,
    local_files_only: bool,
) -> WeightsFolder:
    """Resolve a repository to a commit once and fetch that commit's files in one snapshot."""
    import huggingface_hub as hub
    from huggingface_hub import errors

    shown = f"{repo_id}@{revision}" if revision else repo_id

    def snapshot(commit: str | None, local: bool) -> Path:
        return Path(
            hub.snapshot_download(
                repo_id,
                revision=commit,
                token=token,
                cache_dir=cache_dir,
                local_files_only=local,
                allow_patterns=[*REQUIRED, CARD],
                etag_timeout=CONNECT_SECONDS,
            )
        )

    def cached(reason: str) -> WeightsFolder:
        try:
            path = snapshot(revision, local=True)
        except (errors.LocalEntryNotFoundError, FileNotFoundError) as err:
            raise WeightsError(
                f"{shown}: {reason} and it is not in the local cache. Connect once to download it, "
                "or give a folder or a bundled name"
            ) from err
        return read_folder(path, f"{repo_id}@{path.name}", path.name)

    if local_files_only or hub.constants.HF_HUB_OFFLINE:
        return cached("the Hub must not be asked (local_files_only or offline mode)")
    if revision and re.fullmatch(r"[0-9a-f]{40}", revision):
        try:
            return cached("")
        except WeightsError:
            pass  # not in the cache, or only in part: ask the Hub
    try:
        commit = hub.HfApi(token=token).model_info(repo_id, revision=revision, timeout=CONNECT_SECONDS).sha
        path = snapshot(commit, local=False)
    except errors.GatedRepoError as err:
        raise WeightsError(f"{shown}: access is gated; ask for it on the Hub and log in (hf auth login)") from err
    except errors.RepositoryNotFoundError as err:
        raise WeightsError(
            f"{shown}: no such repository on the Hub, or it is private; check the name, or pass token= / hf auth login"
        ) from err
    except errors.RevisionNotFoundError as err:
        raise WeightsError(f"{shown}: the repository has no revision {revision!r}") from err
    except errors.LocalEntryNotFoundError as err:
        return _offline(cached, err)
    except errors.HfHubHTTPError as err:
        if err.response.status_code == 401:
            raise WeightsError(f"{shown}: the Hub refused the token; log in again (hf auth login)") from err
        return _offline(cached, err)
    except (OSError, hub_transport_error()) as err:
        return _offline(cached, err)
    return read_folder(path, f"{repo_id}@{commit}", commit)


def _offline(cached: Any, error: Exception) -> WeightsFolder:
    """Fall back on the cache when the Hub cannot be reached, keeping the first error as the cause."""
    try:
        return cached(f"the Hub did not answer ({type(error).__name__})")  # type: ignore[no-any-return]
    except WeightsError as err:
        raise err from error


def hub_transport_error() -> type[Exception]:
    """Return the base of the errors that huggingface_hub's HTTP client raises for a failed connection."""
    import httpx

    return httpx.HTTPError


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
    """
    from safetensors.numpy import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    partial.mkdir()
    try:
        save_file(model, partial / MODEL)
        save_file(masks, partial / MASKS)
        (partial / CONFIG).write_text(json.dumps(config.to_dict(), indent=1), encoding="utf-8")
        (partial / CARD).write_text(card, encoding="utf-8")
        for name, data in (pictures or {}).items():
            (partial / name).write_bytes(data)
        _replace_folder(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def copy_folder(source: Path, path: Path) -> None:
    """Copy a weights folder whole, as `write_folder` writes one.

    Raises:
        FileExistsError: if `path` exists and is not a weights folder.
    """
    if path.resolve() == source.resolve():
        return
    if path.exists() and not (path / CONFIG).is_file() and any(path.iterdir()):
        raise FileExistsError(f"{path}: exists and is not a weights folder; choose another")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        shutil.copytree(source, partial)
        _replace_folder(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _replace_folder(partial: Path, path: Path) -> None:
    """Move `partial` to `path`, the old folder out of the way first."""
    if not path.exists():
        partial.rename(path)
        return
    old = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.old")
    path.rename(old)
    partial.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def push_folder(
    path: Path, repo_id: str, *, private: bool | None, token: str | bool | None, commit_message: str
) -> str:
    """Upload a weights folder as a model repository in one commit; returns the commit."""
    import huggingface_hub as hub

    api = hub.HfApi(token=token)
    api.create_repo(repo_id, private=private, exist_ok=True, repo_type="model")
    info = api.upload_folder(repo_id=repo_id, folder_path=path, commit_message=commit_message, repo_type="model")
    return str(info.oid)
