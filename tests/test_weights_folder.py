"""Weights folders on disk: what is accepted, what each damage says, and that writing is all or nothing."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import CLASSES, make_weights
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from albu_gan import DefectBank, DefectInpainter, GANDefectInpaint, Shape, WeightsError
from albu_gan.hub import find as hub
from albu_gan.hub.find import find_weights, is_hub_name
from albu_gan.hub.folder import (
    BANK,
    CARD,
    CONFIG,
    MODEL,
    WeightsConfig,
    copy_folder,
    read_folder,
    write_folder,
)
from albu_gan.hub.header import check_safetensors

FILES_OF_WEIGHTS = (CONFIG, MODEL, BANK)
Damage = Callable[[Path], None]


@pytest.fixture
def folder(weights: str, tmp_path: Path) -> Path:
    """A sound weights folder to be damaged."""
    return Path(shutil.copytree(weights, tmp_path / "weights"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if a network is built or a tensor file is opened."""

    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("a network was built")

    # First: this imports the painter, which takes the true `expected_state` along.
    monkeypatch.setattr("albu_gan.painting.painter.build_skeleton", forbidden)
    monkeypatch.setattr("albu_gan.generators.expected_state", forbidden)
    monkeypatch.setattr("safetensors.torch.load_file", forbidden)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by relative path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def error_of(call: Callable[[], Any], *words: object) -> str:
    """The one line that a call raises, soon, as a WeightsError that holds all of `words`."""
    start = time.thread_time()
    with pytest.raises(WeightsError) as caught:
        call()
    assert time.thread_time() - start < 1
    message = str(caught.value)
    assert isinstance(caught.value, ValueError) and "\n" not in message
    for word in words:
        assert str(word) in message
    return message


def says_what_to_do(message: str) -> bool:
    """Whether a message tells its reader what to do next."""
    return any(word in message for word in ("download", "export", "upgrade", "train again", "is this its file", "give"))


def edit_config(folder: Path, **changes: Any) -> None:
    """Change entries of config.json; `generator__field` reaches into the generator."""
    values = json.loads((folder / CONFIG).read_text())
    for key, value in changes.items():
        outer, _, inner = key.partition("__")
        if inner:
            values[outer][inner] = value
        else:
            values[key] = value
    (folder / CONFIG).write_text(json.dumps(values))


def edit_tensors(file: str, change: Callable[[dict[str, np.ndarray]], Any]) -> Damage:
    """Rewrite a safetensors file after `change` was applied to its tensors."""

    def damage(folder: Path) -> None:
        tensors = load_file(folder / file)
        change(tensors)
        save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, folder / file)

    return damage


def write(file: str, data: bytes) -> Damage:
    """Replace a file's content."""
    return lambda folder: (folder / file).write_bytes(data) and None


def with_header(header: bytes, rest: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file of any header, which may claim another length."""
    return struct.pack("<Q", len(header) if length is None else length) + header + rest


def claims(end: object) -> bytes:
    """A header of one tensor that ends at `end`."""
    text = '{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, %s]}}' % end  # noqa: UP031
    return with_header(text.encode(), b"\0" * 8)


def sparse(file: str, size: int) -> Damage:
    """Replace a file by one that claims `size` bytes and takes none."""

    def damage(folder: Path) -> None:
        with (folder / file).open("wb") as opened:
            opened.truncate(size)

    return damage


TEN_GB = 10 * 2**30
HEADERS: dict[str, bytes] = {
    "is empty": b"",
    "is shorter than a header's length": b"\x01\x02",
    "is garbage": b"\x93NUMPY" + bytes(range(256)),
    "is a pickle": pickle.dumps({"weights": [1.0]}),
    "is text": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "has a header of 10 GB": with_header(b"{}", length=TEN_GB),
    "has a header of 2**64 - 1 bytes": with_header(b"{}", length=2**64 - 1),
    "has a tensor of 10 GB": claims(TEN_GB),
    "has a tensor that ends before it begins": claims(-8),
    "has a tensor that ends at a fraction": claims(8.5),
    "has a tensor that ends at infinity": claims("1e999"),
    "has a tensor that ends at NaN": claims("NaN"),
    "has a tensor that ends at a word": claims('"8"'),
    "has a tensor that ends at a number of 5000 digits": claims("9" * 5000),
    "has a header that is no JSON": with_header(b"{nonsense}"),
    "has a header that is a list": with_header(b"[1, 2]"),
    "has a header that is null": with_header(b"null"),
    "has a header of other entries": with_header(b'{"a": 3, "b": {}}'),
    "has a header that is no text": with_header(b"\xff\xfe\xfd\xfc"),
    "has a header nested 100,000 deep": with_header(b"[" * 100_000),
}


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("file", [MODEL, BANK])
@pytest.mark.parametrize("data", HEADERS.values(), ids=HEADERS)
def test_a_file_that_is_no_safetensors_file_is_refused_by_its_header(folder: Path, file: str, data: bytes) -> None:
    (folder / file).write_bytes(data)
    assert says_what_to_do(error_of(lambda: GANDefectInpaint(weights=str(folder)), folder / file))


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("file", [MODEL, BANK])
@pytest.mark.parametrize(
    ("change", "word"), [(-1, "truncated"), (-200, "truncated"), (1, "oversized"), (9999, "oversized")]
)
def test_a_byte_too_few_or_too_many_is_refused(folder: Path, file: str, change: int, word: str) -> None:
    data = (folder / file).read_bytes()
    (folder / file).write_bytes(data[:change] if change < 0 else data + b"\0" * change)
    message = error_of(lambda: find_weights(str(folder)), folder / file, word, len(data), len(data) + change)
    assert says_what_to_do(message)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("file", FILES_OF_WEIGHTS)
def test_a_file_larger_than_any_weights_is_refused_unread(folder: Path, file: str) -> None:
    sparse(file, TEN_GB)(folder)
    assert says_what_to_do(error_of(lambda: find_weights(str(folder)), folder / file, TEN_GB))


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("file", FILES_OF_WEIGHTS)
@pytest.mark.parametrize("instead", ["nothing", "a folder", "a dangling link"])
def test_a_missing_file_is_named(folder: Path, file: str, instead: str) -> None:
    (folder / file).unlink()
    if instead == "a folder":
        (folder / file).mkdir()
    elif instead == "a dangling link":
        (folder / file).symlink_to(folder / "nowhere")
    assert says_what_to_do(error_of(lambda: GANDefectInpaint(weights=str(folder)), folder / file, "missing"))


def test_a_missing_card_is_no_error(folder: Path) -> None:
    (folder / CARD).unlink()
    assert find_weights(str(folder)).path == folder


class Bomb:
    """A pickle of it creates a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".ckpt", ".pkl"])
def test_a_pickle_in_place_of_the_model_is_refused_unopened(folder: Path, tmp_path: Path, suffix: str) -> None:
    (folder / MODEL).unlink()
    (folder / f"model{suffix}").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    error_of(lambda: find_weights(str(folder)), folder / MODEL, f"model{suffix} is a pickle", "never opens")
    (folder / MODEL).write_bytes((folder / f"model{suffix}").read_bytes())
    error_of(lambda: find_weights(str(folder)), folder / MODEL, "not a safetensors file")
    assert not (tmp_path / "exploded").exists()


CONFIGS: dict[str, tuple[bytes, str]] = {
    "is empty": (b"", "not valid JSON"),
    "is cut off": (b'{"format_version": 1', "not valid JSON"),
    "is no text": (b"\x80\x04\x95", "not valid JSON"),
    "is nested too deeply": (b"[" * 100_000, "not valid JSON"),
    "is a list": (b"[]", "object"),
    "is null": (b"null", "object"),
    "is a number": (b"1", "object"),
    "is another library's": (b'{"model_type": "bert", "architectures": []}', "format_version"),
}


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(("data", "word"), CONFIGS.values(), ids=CONFIGS)
def test_a_config_that_is_no_json_object_of_ours_is_refused(folder: Path, data: bytes, word: str) -> None:
    (folder / CONFIG).write_bytes(data)
    assert says_what_to_do(error_of(lambda: find_weights(str(folder)), folder / CONFIG, word))


ENTRIES: dict[str, tuple[dict[str, Any], str]] = {
    "a newer format": ({"format_version": 3}, "reads 2; upgrade"),
    "a format that never was": ({"format_version": 0}, "format_version 0"),
    "a format that is a word": ({"format_version": "1"}, "format_version"),
    "a format that is true": ({"format_version": True}, "format_version"),
    "an unknown generator field": ({"generator__depth": 3}, "'depth'"),
    "an unknown architecture": ({"generator__architecture": "diffusion"}, "'diffusion'"),
    "an architecture that is a list": ({"generator__architecture": ["default"]}, "architecture"),
    "an architecture that is null": ({"generator__architecture": None}, "architecture"),
    "a generator that is null": ({"generator": None}, "names no model.safetensors"),
    "a generator that is a list": ({"generator": []}, "generator"),
    "two channels": ({"generator__in_channels": 2}, "in_channels"),
    "a latent of a million": ({"generator__latent_dim": 10**6}, "latent_dim"),
    "channels that are a word": ({"generator__channels": "wide"}, "channels"),
    "channels of a million": ({"generator__channels": [10**6]}, "channels"),
    "fewer classes than the generator": ({"class_names": ["pit", "scratch"]}, "num_classes"),
    "more classes than the generator": ({"class_names": [*CLASSES, "dent"]}, "num_classes"),
    "a class twice": ({"class_names": ["pit", "pit", "stain"]}, "repeats"),
    "a class without a name": ({"class_names": ["pit", "", "stain"]}, "class_names"),
    "no classes": ({"class_names": []}, "class_names"),
    "classes that are a word": ({"class_names": "pit"}, "class_names"),
    "no window size": ({"window_sizes": []}, "window_sizes"),
    "window sizes that descend": ({"window_sizes": [64, 32]}, "window_sizes"),
    "a window size of a million": ({"window_sizes": [10**6]}, "window_sizes"),
    "a window size of a fraction": ({"window_sizes": [64.5]}, "window_sizes"),
    "long windows that are a number": ({"long_windows": 1}, "long_windows"),
    "another normalisation": ({"normalization": {"mean": 0.0, "std": 1.0}}, "normalization"),
    "training that is a list": ({"training": []}, "training"),
    "metrics that are a number": ({"metrics": 1}, "metrics"),
}


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(("changes", "word"), ENTRIES.values(), ids=ENTRIES)
def test_a_config_entry_that_is_wrong_is_named(folder: Path, changes: dict[str, Any], word: str) -> None:
    edit_config(folder, **changes)
    message = error_of(lambda: GANDefectInpaint(weights=str(folder)), folder / CONFIG, word)
    assert says_what_to_do(message)


def first_weight(tensors: dict[str, np.ndarray]) -> str:
    """The name of a weight, the same every time."""
    return min(name for name, tensor in tensors.items() if tensor.ndim == 4)


def fill(value: float) -> Callable[[dict[str, np.ndarray]], Any]:
    """Put a value into one place of one weight."""

    def change(tensors: dict[str, np.ndarray]) -> None:
        tensors[first_weight(tensors)].flat[-1] = value

    return change


MODELS: dict[str, tuple[Damage, str]] = {
    "misses a tensor": (edit_tensors(MODEL, lambda t: t.pop(first_weight(t))), "does not match"),
    "has a tensor too many": (edit_tensors(MODEL, lambda t: t.update(extra=np.zeros(3, np.float16))), "'extra'"),
    "has a tensor of another shape": (
        edit_tensors(MODEL, lambda t: t.update({first_weight(t): t[first_weight(t)][:, :, :1]})),
        "another shape",
    ),
    "has a tensor of another name": (
        edit_tensors(MODEL, lambda t: t.update(renamed=t.pop(first_weight(t)))),
        "does not match",
    ),
    "has no tensor": (lambda folder: save_file({}, folder / MODEL), "does not match"),
    "is another generator's": (lambda folder: edit_config(folder, generator__latent_dim=9), "does not match"),
    "holds NaN": (edit_tensors(MODEL, fill(np.nan)), "not finite"),
    "holds infinity": (edit_tensors(MODEL, fill(-np.inf)), "not finite"),
    "holds integers": (
        edit_tensors(MODEL, lambda t: t.update({first_weight(t): t[first_weight(t)].astype(np.int32)})),
        "I32, no floating point",
    ),
    "has tensors that overlap": (
        write(
            MODEL,
            with_header(
                b'{"a": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]},'
                b' "b": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]}}',
                b"\0" * 8,
            ),
        ),
        "safetensors",
    ),
}


@pytest.mark.parametrize(("damage", "word"), MODELS.values(), ids=MODELS)
def test_a_model_that_is_not_the_configs_is_refused(folder: Path, damage: Damage, word: str) -> None:
    damage(folder)

    def act() -> None:
        found = find_weights(str(folder))
        assert word == "not finite"  # values are read at the first use, everything else is told by the header
        DefectInpainter(found).network  # noqa: B018  # reading it loads it

    message = error_of(act, folder / MODEL, word)
    assert says_what_to_do(message) or "different trainings" in message


def put(name: str, index: Any, value: int) -> Damage:
    """Put a value into a tensor of the mask bank."""

    def change(tensors: dict[str, np.ndarray]) -> None:
        tensors[name][index] = value

    return edit_tensors(BANK, change)


BANKS: dict[str, tuple[Damage, str]] = {
    "has a side of 0": (put("size_hw", (0, 0), 0), "side"),
    "has a negative side": (put("size_hw", (0, 1), -5), "side"),
    "has a side of two thousand million": (put("size_hw", 0, 2**31 - 1), "side"),
    "has a shape larger than its bits": (put("size_hw", 0, 8000), "bytes of bits"),
    "has a class below 0": (put("class_index", 0, -1), "class"),
    "has a class too many": (put("class_index", 0, len(CLASSES)), "class"),
    "has a bit too many": (edit_tensors(BANK, lambda t: t.update(bits=np.append(t["bits"], np.uint8(1)))), "bits"),
    "has a bit too few": (edit_tensors(BANK, lambda t: t.update(bits=t["bits"][:-1])), "bits"),
    "has an empty shape": (put("bits", slice(None), 0), "empty"),
    "has no shapes": (edit_tensors(BANK, lambda t: t.update({n: v[:0] for n, v in t.items()})), "there are none"),
    "has a class for each shape but one": (
        edit_tensors(BANK, lambda t: t.update(class_index=t["class_index"][1:])),
        "disagree",
    ),
    "has three sides a shape": (
        edit_tensors(BANK, lambda t: t.update(size_hw=np.repeat(t["size_hw"], 2, axis=1)[:, :3])),
        "disagree",
    ),
    "misses a tensor": (edit_tensors(BANK, lambda t: t.pop("edges")), "edges"),
    "has a tensor too many": (edit_tensors(BANK, lambda t: t.update(more=np.zeros(1))), "more"),
    "has bits of another type": (edit_tensors(BANK, lambda t: t.update(bits=t["bits"].astype(np.int64))), "'bits'"),
    "has bits of another rank": (edit_tensors(BANK, lambda t: t.update(bits=t["bits"][None])), "'bits'"),
    "is a model": (lambda folder: shutil.copyfile(folder / MODEL, folder / BANK) and None, "bank of defects"),
}


@pytest.mark.parametrize(("damage", "word"), BANKS.values(), ids=BANKS)
def test_a_mask_bank_that_cannot_be_is_refused_by_its_first_use(folder: Path, damage: Damage, word: str) -> None:
    damage(folder)
    error_of(lambda: DefectInpainter.from_pretrained(str(folder)).bank, folder / BANK, word)


def test_a_mask_bank_comes_back_as_it_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    shapes = [
        Shape(rng.random((h, w)) < 0.5, int(rng.integers(4)), tuple(bool(b) for b in rng.integers(0, 2, 4)))  # type: ignore[arg-type]
        for h, w in [(1, 1), (1, 9), (3, 3), (8, 8), (17, 31), (2, 400), (5, 7)]
    ]
    for shape in shapes:
        shape.mask[0, 0] = True
    save_file(DefectBank(shapes, 4).to_tensors(), tmp_path / BANK)
    check_safetensors(tmp_path / BANK)
    bank = DefectBank.load(tmp_path / BANK, 4)
    assert len(bank) == len(shapes)
    assert bank.counts() == [sum(s.class_index == c for s in shapes) for c in range(4)]
    for index, shape in enumerate(shapes):
        found = bank[index]
        assert np.array_equal(found.mask, shape.mask) and found.mask.dtype == bool
        assert (found.class_index, found.edges) == (shape.class_index, shape.edges)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_on_disk_is_float32_in_memory(folder: Path, dtype: torch.dtype) -> None:
    from safetensors.torch import load_file as load_torch
    from safetensors.torch import save_file as save_torch

    stored = {name: tensor.to(dtype) for name, tensor in load_torch(folder / MODEL).items()}
    save_torch(stored, folder / MODEL)
    loaded = DefectInpainter.from_pretrained(str(folder)).network.state_dict()
    assert {tensor.dtype for tensor in loaded.values()} == {torch.float32}
    assert all(torch.equal(loaded[name], tensor.float()) for name, tensor in stored.items())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 255)), min_size=1, max_size=6),
    drop=st.integers(0, 40),
)
def test_no_change_of_a_header_raises_anything_else_than_our_error(
    weights: str, tmp_path: Path, edits: list[tuple[int, int]], drop: int
) -> None:
    data = bytearray((Path(weights) / BANK).read_bytes())
    for position, value in edits:
        data[position % len(data)] = value
    path = tmp_path / BANK
    path.write_bytes(bytes(data[: len(data) - drop]))
    try:
        check_safetensors(path)
    except WeightsError as err:
        assert str(path) in str(err)
        return
    try:
        DefectBank.load(path, len(CLASSES))
    except ValueError as err:
        assert str(path) in str(err)


PLACES: dict[str, tuple[str, str]] = {
    "a folder that is not there": ("./typo", "no such folder"),
    "a folder above": ("../typo/weights", "no such folder"),
    "an absolute path": ("/no/such/weights", "no such folder"),
    "a folder at home": ("~/no-such-weights", "no such folder"),
    "a home of nobody": ("~no-such-user/weights", "no such folder"),
    "a path of three": ("runs/3/weights", "no such folder"),
    "a backslash": ("runs\\weights", "no such folder"),
    "a name of 5000 letters": ("./" + "a" * 5000, "no such folder"),
    "a null character": ("./a\0b", "no such folder"),
    "a repository without its revision": ("org/name@", "org/name@revision"),
    "an empty revision of a path": ("./org/name@v1", "no such folder"),
    "a bare name": ("magnetic-tyle", "no bundled name"),
    "nothing": ("", "must be"),
}


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(("name", "words"), PLACES.values(), ids=PLACES)
def test_a_name_that_leads_nowhere_is_not_looked_for_on_the_hub(name: str, words: str) -> None:
    assert not is_hub_name(name)
    message = error_of(lambda: GANDefectInpaint(weights=name), words)
    assert repr(name) in message or name in message


@pytest.mark.parametrize("name", [None, 3, ["org/name"], b"org/name"])
def test_weights_that_are_no_name_are_refused(name: Any) -> None:
    assert not is_hub_name(name)
    error_of(lambda: find_weights(name), "must be")


def test_an_unknown_bare_name_lists_the_bundled_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "BUNDLED", tmp_path)
    for name in ("tiles-v1", "steel-v2"):
        make_weights(tmp_path / name)
    error_of(lambda: find_weights("tile-v1"), "'tile-v1'", "steel-v2, tiles-v1")
    assert find_weights("steel-v2").name == "steel-v2"


def test_a_file_in_place_of_a_folder_says_what_to_give(folder: Path) -> None:
    message = error_of(lambda: find_weights(str(folder / MODEL)), folder / MODEL, "is a file")
    assert "the weights folder that it lies in" in message


def test_a_folder_may_be_named_in_every_usual_way(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (str(folder), folder, "weights", "./weights", "~/weights"):
        assert find_weights(name).path.resolve() == folder  # type: ignore[arg-type]


@pytest.fixture
def parts(folder: Path) -> tuple[Any, ...]:
    """What `write_folder` takes after a path."""
    return (read_folder(folder, "w").config, load_file(folder / MODEL), load_file(folder / BANK), "# a test\n")


def test_a_written_folder_is_the_folder_that_was_read(folder: Path, parts: tuple[Any, ...], tmp_path: Path) -> None:
    write_folder(tmp_path / "deep" / "copy", *parts, pictures={"samples.png": b"PNG"})
    assert snapshot(tmp_path / "deep" / "copy") == {**snapshot(folder), "samples.png": b"PNG"}
    copy_folder(tmp_path / "deep" / "copy", tmp_path / "again")
    assert snapshot(tmp_path / "again") == snapshot(tmp_path / "deep" / "copy")


def test_config_round_trip() -> None:
    values = json.loads(json.dumps(_described().to_dict()))
    assert next(iter(values)) == "format_version"
    assert WeightsConfig.from_dict(values) == _described()


def _described() -> WeightsConfig:
    from albu_gan.generators import GeneratorConfig

    return WeightsConfig(
        GeneratorConfig(num_classes=2, channels=(8, 16)), ("a", "b"), (32, 64), {"steps": 7}, {"kid": 0.1}
    )


@pytest.mark.parametrize("before", ["nothing", "an empty folder", "weights"])
@pytest.mark.parametrize("failing", ["tensors", "card", "rename", "copy"])
def test_an_exception_while_writing_leaves_everything_as_it_was(
    folder: Path, parts: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, failing: str
) -> None:
    place = tmp_path / "place"
    target = place / "target"
    place.mkdir()
    if before == "an empty folder":
        target.mkdir()
    elif before == "weights":
        make_weights(target, seed=9)
    earlier, entries = snapshot(place), sorted(place.iterdir())

    def act() -> None:
        if failing == "copy":
            copy_folder(folder, target)
        elif failing == "card":
            write_folder(target, *parts[:3], card=None)  # type: ignore[arg-type]
        else:
            write_folder(target, *parts)

    if failing == "tensors":
        monkeypatch.setattr("safetensors.numpy.save_file", _full_disk)
    elif failing == "copy":
        monkeypatch.setattr("albu_gan.hub.folder.shutil.copyfile", _full_disk)
    elif failing == "rename":
        original = Path.rename
        monkeypatch.setattr(Path, "rename", lambda s, t: _full_disk() if s.suffix == ".partial" else original(s, t))
    with pytest.raises(TypeError if failing == "card" else OSError):
        act()
    assert (snapshot(place), sorted(place.iterdir())) == (earlier, entries)
    monkeypatch.undo()
    copy_folder(folder, target)
    assert snapshot(target) == snapshot(folder)
    assert sorted(place.iterdir()) == [target]


def _full_disk(*_: Any, **__: Any) -> Any:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("kind", ["folder", "another library's model", "file"])
@pytest.mark.parametrize("how", ["write", "copy", "save_pretrained"])
def test_a_folder_that_holds_something_else_is_never_replaced(
    folder: Path, parts: tuple[Any, ...], tmp_path: Path, kind: str, how: str
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    target = place / "home"
    if kind == "file":
        target.write_text("letter")
    else:
        target.mkdir()
        (target / ("config.json" if kind == "another library's model" else "thesis.tex")).write_text("{}")
    earlier, entries = snapshot(place), sorted(place.iterdir())
    with pytest.raises(FileExistsError, match=f"{target}.*choose another"):
        if how == "write":
            write_folder(target, *parts)
        elif how == "copy":
            copy_folder(folder, target)
        else:
            GANDefectInpaint(weights=str(folder)).save_pretrained(str(target))
    assert (snapshot(place), sorted(place.iterdir())) == (earlier, entries)


def test_a_copy_is_the_weights_and_the_cards_pictures_only(folder: Path, tmp_path: Path) -> None:
    expected = {**snapshot(folder), "samples.png": b"PNG"}
    (folder / "samples.png").write_bytes(b"PNG")
    (folder / "optimizer.pt").write_bytes(b"pickle")
    (folder / "data").mkdir()
    (folder / "data" / "image.png").write_bytes(b"PNG")
    copy_folder(folder, tmp_path / "copy")
    assert snapshot(tmp_path / "copy") == expected


def test_a_copy_onto_itself_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = snapshot(folder)
    copy_folder(folder, folder)
    monkeypatch.chdir(folder)
    copy_folder(folder, Path())
    assert snapshot(folder) == earlier


def test_a_copy_through_a_link_replaces_what_the_link_leads_to(folder: Path, tmp_path: Path) -> None:
    real = make_weights(tmp_path / "real", seed=5)
    (tmp_path / "link").symlink_to(real)
    copy_folder(folder, tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and snapshot(real) == snapshot(folder)


def test_a_transform_saves_what_it_paints_with(weights: str, tmp_path: Path) -> None:
    transform = GANDefectInpaint(weights=weights, p=1.0)
    transform.save_pretrained(tmp_path / "saved")
    again = GANDefectInpaint.from_pretrained(str(tmp_path / "saved"), p=1.0)
    image = np.random.default_rng(0).integers(100, 150, (80, 80)).astype(np.uint8)
    painted = []
    for each in (transform, again):
        each.set_random_seed(2)
        painted.append(each(image=image)["image"])
    assert np.array_equal(*painted) and (painted[0] != image).any()
