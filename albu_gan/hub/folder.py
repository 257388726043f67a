"""A weights folder: what it must hold, and how it is read, checked and written.

A weights folder is `config.json`, a generator (`model.safetensors`), a bank of real defects (`defects.safetensors`) or
both, and `README.md`, whether it is bundled with the package, lies on disk or is a repository on the Hugging Face Hub.
Nothing else is ever read: no pickle, no code.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from albu_gan.hub.bank_header import CENTRES, check_bank_header, has_appearances
from albu_gan.hub.errors import WeightsError as WeightsError
from albu_gan.hub.header import MAX_TENSOR_BYTES, TensorEntry, check_safetensors

if TYPE_CHECKING:
    from albu_gan.generators import GeneratorConfig

FORMAT_VERSION = 2
CONFIG, MODEL, BANK, CARD = "config.json", "model.safetensors", "defects.safetensors", "README.md"
FORMAT_1_MASKS = "masks.safetensors"
PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
MAX_CONFIG_BYTES = 1 << 20
MAX_CLASS_NAME = 100
MAX_MESSAGE = 400  # of what a config's fault is; it may quote a megabyte
FLOATS = frozenset({"F16", "BF16", "F32", "F64"})
MAX_CARD_BYTES = 16 << 20
PICTURE_SUFFIXES = frozenset({".jpg", ".png"})  # of the card's pictures
MAX_BYTES = {CONFIG: MAX_CONFIG_BYTES, MODEL: MAX_TENSOR_BYTES, BANK: MAX_TENSOR_BYTES, CARD: MAX_CARD_BYTES}


@dataclass(frozen=True)
class WeightsConfig:
    """The contents of `config.json`.

    Attributes:
        generator: what the network is built from; None for a bank alone.
        class_names: in index order.
        window_sizes: sides of the square windows the network was trained at, ascending, in pixels; () without one.
        training: provenance, free-form JSON: data, split, commit, steps, licence.
        metrics: measured figures, free-form JSON.
        long_windows: whether it was trained at windows longer than wide, too; see
            `albu_gan.painting.windows.window_shapes`.
        bank: whether the folder holds a bank of defects.
    """

    generator: GeneratorConfig | None
    class_names: tuple[str, ...]
    window_sizes: tuple[int, ...] = ()
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    long_windows: bool = False
    bank: bool = True

    def require_generator(self) -> GeneratorConfig:
        """Return what the network is built from.

        Raises:
            WeightsError: if there is none.
        """
        if self.generator is None:
            raise WeightsError("these weights hold real defects and no generator; give weights with a generator")
        return self.generator

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, `format_version` first."""
        return {
            "format_version": FORMAT_VERSION,
            "generator": None if self.generator is None else self.generator.to_dict(),
            "bank": self.bank,
            "class_names": list(self.class_names),
            "window_sizes": list(self.window_sizes),
            "long_windows": self.long_windows,
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
            raise ValueError(f"has format_version {version}, this albu-gan reads {FORMAT_VERSION}; upgrade albu-gan")
        if version < FORMAT_VERSION:
            raise ValueError(
                f"has format_version {version}, this albu-gan reads {FORMAT_VERSION}; make the folder again with "
                "albu-gan bank, or its generator with python -m training.gan ... --resume"
            )
        names = _class_names(values.get("class_names"))
        bank = values.get("bank")
        if not isinstance(bank, bool):
            raise ValueError(f"'bank' must be true or false, got {bank!r}")
        for key in ("training", "metrics"):
            if not isinstance(values.get(key, {}), dict):
                raise ValueError(f"{key!r} must be an object")
        training, metrics = values.get("training", {}), values.get("metrics", {})
        if "generator" not in values:
            raise ValueError("has no entry 'generator'; it is null for a bank alone")
        if values["generator"] is None:
            if not bank:
                raise ValueError("names neither a generator nor a bank; there is nothing to paint with")
            return cls(None, names, (), training, metrics)
        generator, sizes, long_windows = _generator(values, len(names))
        return cls(generator, names, sizes, training, metrics, long_windows, bank)


def _class_names(names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or not names or not all(isinstance(n, str) and n for n in names):
        raise ValueError(f"'class_names' must be a list of names, got {names!r}")
    if any(len(name) > MAX_CLASS_NAME or not name.isprintable() for name in names):  # a terminal obeys the others
        raise ValueError(f"'class_names' must be printable, at most {MAX_CLASS_NAME} characters each, got {names!r}")
    if len(set(names)) != len(names):
        raise ValueError(f"'class_names' repeats a name: {names!r}")
    return tuple(names)


def _generator(values: dict[str, Any], num_classes: int) -> tuple[GeneratorConfig, tuple[int, ...], bool]:
    """What `config.json` says of the network: its config, window sizes, and whether windows may be long."""
    from albu_gan.generators import ARCHITECTURES, GeneratorConfig

    sizes, long_windows = values.get("window_sizes"), values.get("long_windows", False)
    if (
        not isinstance(sizes, list)
        or not sizes
        or not all(isinstance(s, int) and not isinstance(s, bool) and 16 <= s <= 2048 for s in sizes)
        or sizes != sorted(set(sizes))
    ):
        raise ValueError(f"'window_sizes' must be ascending integers from 16 to 2048, got {sizes!r}")
    if not isinstance(long_windows, bool):
        raise ValueError(f"'long_windows' must be true or false, got {long_windows!r}")
    if values.get("normalization") != {"mean": 0.5, "std": 0.5}:
        raise ValueError(f"'normalization' must be mean 0.5, std 0.5, got {values.get('normalization')!r}")
    try:
        generator = GeneratorConfig.from_dict(values["generator"])
    except TypeError as err:
        raise ValueError(f"'generator' is not understood: {err}") from err
    if generator.architecture not in list(ARCHITECTURES):  # a list, as the value may not be hashable
        known = ", ".join(sorted(ARCHITECTURES))
        raise ValueError(f"has the unknown architecture {generator.architecture!r} (known: {known})")
    if generator.num_classes != num_classes:
        raise ValueError(f"names {num_classes} classes but its generator has num_classes {generator.num_classes}")
    return generator, tuple(sizes), long_windows


@dataclass(frozen=True)
class WeightsFolder:
    """A checked weights folder on disk.

    Attributes:
        path: the folder.
        config: its `config.json`.
        name: what names it again: a bundled name, a path, or `org/name@commit`.
        commit: of the Hub repository, None for a folder.
        has_centres: whether its bank says where in its image each shape was seen.
        has_appearances: whether its bank knows how its defects look.
    """

    path: Path
    config: WeightsConfig
    name: str
    commit: str | None = None
    has_centres: bool = False
    has_appearances: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that hold what is painted with."""
        return required_files(self.config)

    @property
    def paints(self) -> str:
        """What paints: "generator", "exemplars" (real defects, relit), or "nothing" (a bank of shapes alone)."""
        if self.config.generator is not None:
            return "generator"
        return "exemplars" if self.has_appearances else "nothing"


def required_files(config: WeightsConfig) -> tuple[str, ...]:
    """Return the files that a folder with this config must hold."""
    return (CONFIG, *([MODEL] if config.generator is not None else []), *([BANK] if config.bank else []))


def read_folder(path: Path, name: str, commit: str | None = None) -> WeightsFolder:
    """Check that a folder holds sound weights whose files belong together.

    Headers alone are read, so it is cheap whatever the files claim. What only their values can tell (a weight that is
    not finite, a shape that is empty) is found when they are loaded.

    Raises:
        WeightsError: naming the first file that is missing, truncated, oversized, not understood or another folder's.
    """
    try:
        names = {entry.name for entry in path.iterdir()}
    except FileNotFoundError as err:
        raise WeightsError(
            f"{path}: there is no such folder any more; it held {CONFIG}, {MODEL} or {BANK}. Download or make it again"
        ) from err
    except OSError as err:
        raise WeightsError(f"{path}: cannot be read ({err.strerror}); check its permissions") from err
    if not (path / CONFIG).is_file():
        raise WeightsError(missing_file(str(path / CONFIG), names))
    config = read_config(path / CONFIG)
    for file in required_files(config):
        if not (path / file).is_file():
            raise WeightsError(missing_file(str(path / file), names))
    for file in {MODEL, BANK} - set(required_files(config)):
        if (path / file).is_file():
            raise WeightsError(
                f"{path / CONFIG}: names no {file}, which is there; they are of different folders, download or make "
                "this one again"
            )
    model = check_safetensors(path / MODEL) if config.generator is not None else {}
    bank = check_safetensors(path / BANK) if config.bank else {}
    if config.bank:
        try:
            check_bank_header(path / BANK, bank)
        except ValueError as err:
            raise WeightsError(str(err)) from err
    if config.generator is not None:
        _check_model(path, config, config.generator, model)
    return WeightsFolder(path, config, name, commit, CENTRES in bank, has_appearances(bank))


def read_again(folder: WeightsFolder) -> WeightsFolder:
    """Check a folder once more, before what it holds is loaded.

    Raises:
        WeightsError: as `read_folder`, and if what arguments were checked against is no longer what it holds.
    """
    now = read_folder(folder.path, folder.name, folder.commit)
    if _what_arguments_rest_on(now) != _what_arguments_rest_on(folder):
        raise WeightsError(f"{folder.path}: holds other weights than when it was opened; build the transform anew")
    return now


def _what_arguments_rest_on(folder: WeightsFolder) -> tuple[Any, ...]:
    config = folder.config
    return (
        config.generator,
        config.class_names,
        config.window_sizes,
        config.long_windows,
        folder.has_centres,
        folder.has_appearances,
    )


def read_config(path: Path) -> WeightsConfig:
    """Read and check `config.json`.

    Raises:
        WeightsError: naming the file, and what of it is wrong.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
        if len(data) > MAX_CONFIG_BYTES:
            size = path.stat().st_size
            raise WeightsError(f"{path}: {size} bytes is too large for a config; download or export it again")
        values = json.loads(data.decode("utf-8"))
    except OSError as err:
        raise WeightsError(f"{path}: cannot be read ({err.strerror}); check its permissions") from err
    except WeightsError:
        raise
    except (ValueError, RecursionError) as err:
        raise WeightsError(f"{path}: is not valid JSON ({err}); download or export it again") from err
    try:
        return WeightsConfig.from_dict(values)
    except ValueError as err:
        fault = str(err) if len(str(err)) <= MAX_MESSAGE else f"{str(err)[:MAX_MESSAGE]}..."
        remedy = "upgrade albu-gan, or download or export the folder again"
        raise WeightsError(f"{path}: {fault}; {remedy}") from err


def _check_model(path: Path, config: WeightsConfig, generator: GeneratorConfig, found: dict[str, TensorEntry]) -> None:
    """Raise unless the model file holds the very weights of the generator that `config.json` describes."""
    from albu_gan.generators import expected_state

    again = "export the folder again"
    try:
        expected, multiple = expected_state(generator)
    except ValueError as err:
        raise WeightsError(f"{path / CONFIG}: {err}; {again}") from err
    if any(size % multiple for size in config.window_sizes):
        raise WeightsError(
            f"{path / CONFIG}: window sizes {list(config.window_sizes)} must be multiples of {multiple} for this "
            f"generator; {again}"
        )
    shapes = {name: entry.shape for name, entry in found.items()}
    if expected != shapes:
        wrong = sorted(n for n in expected.keys() | shapes.keys() if expected.get(n) != shapes.get(n))
        raise WeightsError(
            f"{path / MODEL}: does not match the generator in config.json: {len(wrong)} tensors missing, foreign or of "
            f"another shape, the first {wrong[0]!r}; the two files come from different trainings"
        )
    for name, entry in found.items():
        if entry.dtype not in FLOATS:
            raise WeightsError(f"{path / MODEL}: tensor {name!r} is {entry.dtype}, no floating point; {again}")


def window_text(config: WeightsConfig) -> str:
    """Say which windows weights paint in."""
    if not config.window_sizes:
        return "the size of each defect"
    squares = ", ".join(f"{size} x {size}" for size in config.window_sizes)
    return f"{squares}, and long ones of no more pixels" if config.long_windows else squares


def missing_file(place: str, names: Collection[str]) -> str:
    """Say that the file at `place` is missing beside `names`, and what to do."""
    pickles = sorted(name for name in names if Path(name).suffix in PICKLES and name.isprintable())
    hint = f" ({pickles[0]} is a pickle, which albu-gan never opens)" if pickles else ""
    if FORMAT_1_MASKS in names and not place.endswith(CONFIG):
        hint += f" ({FORMAT_1_MASKS} is of the format of albu-gan 0.1, which this one does not read)"
    return (
        f"{place}: missing{hint}. A weights folder holds {CONFIG}, and what that names of {BANK} and {MODEL}; "
        "make it again with albu-gan bank or python -m training.gan, or download it again"
    )


def write_folder(
    path: Path,
    config: WeightsConfig,
    model: dict[str, np.ndarray] | None,
    bank: dict[str, np.ndarray] | None,
    card: str,
    pictures: dict[str, bytes] | None = None,
) -> None:
    """Write a weights folder whole: into a temporary folder beside it, then renamed. An existing folder is replaced.

    Args:
        path: the folder.
        config: for `config.json`.
        model: the network's state; None without a network.
        bank: the bank's tensors; None without a bank.
        card: Markdown of `README.md`.
        pictures: name to bytes, for the card.

    Raises:
        FileExistsError: if `path` exists and is not a weights folder.
    """
    from safetensors.numpy import save_file

    held = {MODEL: model, BANK: bank}
    files = {file: tensors for file, tensors in held.items() if tensors is not None}
    assert {CONFIG, *files} == set(required_files(config)), "the config names what is written"
    with _replacing(path) as partial:
        for file, tensors in files.items():
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
        WeightsError: if the card or a picture is a link that leads out of `source`.
    """
    if path.expanduser().resolve() == source.resolve():
        return
    with _replacing(path) as partial:
        for file in weights_files(source):
            shutil.copyfile(file, partial / file.name)


def weights_files(path: Path) -> list[Path]:
    """What of a folder belongs to the weights.

    Raises:
        WeightsError: if the card or a picture is a link that leads elsewhere: the others are known to be weights, but
            these are copied and published as they are, and would take along whatever a stranger's folder points at.
    """
    files = sorted(
        file
        for file in path.iterdir()
        if file.is_file() and (file.name in MAX_BYTES or file.suffix in PICTURE_SUFFIXES)
    )
    homes = [path.resolve()]
    if homes[0].parent.name == "snapshots":  # of the Hub's cache, which holds links to its blobs
        homes.append(homes[0].parent.parent / "blobs")
    for file in files:
        if file.name not in (CONFIG, MODEL, BANK) and file.resolve().parent not in homes:
            raise WeightsError(
                f"{file}: is a link out of its folder, to {file.resolve()}; put the file itself there, or remove it"
            )
    return files


def _is_weights(path: Path) -> bool:
    """Whether a folder holds weights, of whatever format, so that it may be replaced."""
    return (path / CONFIG).is_file() and any((path / file).is_file() for file in (BANK, MODEL, FORMAT_1_MASKS))


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Give a temporary folder that takes `path`'s place when the block ends well, and vanishes when it does not."""
    path = path.expanduser().resolve()
    if path.exists() and not path.is_dir():
        raise FileExistsError(f"{path}: exists and is a file; choose another folder")
    if path.exists() and not _is_weights(path) and any(path.iterdir()):
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
