"""Weights folders made to do harm: refused in one clear sentence, soon, without memory; no pickle is opened."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CLASSES
from fresh import forget_loaded
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from test_compounds import NAMES, samples

from albu_gan import DefectInpainter, GANDefectInpaint, WeightsError
from albu_gan.defects import collect
from albu_gan.defects.inpainter import BANKS
from albu_gan.generators import ARCHITECTURES, GeneratorConfig
from albu_gan.generators.skeleton import build_skeleton, expected_state
from albu_gan.hub.find import find_weights
from albu_gan.hub.folder import BANK, CARD, CONFIG, MODEL, weights_files
from albu_gan.hub.header import MAX_HEADER_BYTES
from albu_gan.painting.painter import NETWORKS

FILES_OF_WEIGHTS = (CONFIG, MODEL, BANK)
IMAGE = np.random.default_rng(0).integers(90, 160, (32, 40)).astype(np.uint8)
SECONDS = 1.0  # of the processor: the promise is a second, and another program may have the machine


@pytest.fixture
def folder(weights: str, tmp_path: Path) -> Path:
    """A sound weights folder to be damaged."""
    return Path(shutil.copytree(weights, tmp_path / "weights"))


@pytest.fixture
def fresh_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has loaded nothing yet."""
    forget_loaded(monkeypatch)


def attempt(folder: Path) -> str | None:
    """Open a folder and paint with it; return the sentence it was refused with, None if it was not."""
    NETWORKS.loaded.clear()
    BANKS.loaded.clear()
    start = time.thread_time()
    try:
        transform = GANDefectInpaint(weights=str(folder), p=1.0)
        transform.set_random_seed(0)
        result = transform(image=IMAGE, mask=np.zeros(IMAGE.shape, np.uint8))
    except WeightsError as err:
        message = str(err)
        assert time.thread_time() - start < SECONDS, message
        assert message.isprintable() and len(message) < 1000
        assert any(str(folder / file) in message for file in FILES_OF_WEIGHTS), message
        return message
    assert not ((result["image"] != IMAGE) & (result["mask"] == 0)).any()
    return None


def head_bytes(data: bytes, file: str) -> int:
    """How many bytes of a file are config or header."""
    return len(data) if file == CONFIG else 8 + struct.unpack("<Q", data[:8])[0]


def mutations(data: bytes, file: str) -> Iterator[tuple[int, int]]:
    """Every position of config or header with every value that it is to take."""
    for position in range(head_bytes(data, file)):
        old = data[position]
        for new in sorted({old ^ 1, old ^ 2, old ^ 0x10, old ^ 0x80, 0, ord('"'), ord("9")} - {old}):
            yield position, new


def fuzz(folder: Path, file: str, chosen: Iterator[tuple[int, int]]) -> tuple[int, int]:
    """Attempt a folder with each change; returns how many were refused and how many did no harm."""
    data = (folder / file).read_bytes()
    refused = harmless = 0
    for position, value in chosen:
        (folder / file).write_bytes(data[:position] + bytes([value]) + data[position + 1 :])
        if attempt(folder) is None:
            harmless += 1
        else:
            refused += 1
    (folder / file).write_bytes(data)
    assert attempt(folder) is None
    return refused, harmless


@pytest.mark.usefixtures("fresh_cache")
@pytest.mark.parametrize("file", FILES_OF_WEIGHTS)
def test_a_changed_byte_is_refused_or_harmless(folder: Path, file: str) -> None:
    every = list(mutations((folder / file).read_bytes(), file))
    refused, harmless = fuzz(folder, file, iter(every[:: len(every) // 60]))
    assert refused > harmless


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_cache")
@pytest.mark.parametrize("file", FILES_OF_WEIGHTS)
def test_every_changed_byte_is_refused_or_harmless(folder: Path, file: str) -> None:
    refused, harmless = fuzz(folder, file, mutations((folder / file).read_bytes(), file))
    assert refused > harmless


@pytest.mark.usefixtures("fresh_cache")
@pytest.mark.parametrize("file", FILES_OF_WEIGHTS)
@pytest.mark.parametrize("seed", range(3))
def test_a_file_cut_shuffled_or_doubled_anywhere_is_refused(folder: Path, file: str, seed: int) -> None:
    rng, data = np.random.default_rng(seed), (folder / file).read_bytes()
    head = head_bytes(data, file)
    for _ in range(5):
        cut, length = int(rng.integers(head - 1)), int(rng.integers(1, 40))
        removed = data[:cut] + data[cut + length :]
        doubled = data[: cut + length] + data[cut:]
        for changed in (data[:cut], removed, doubled):
            (folder / file).write_bytes(changed)
            message = attempt(folder)
            # Whole entries that nobody reads may come and go in a config.
            assert message is not None or file == CONFIG


@pytest.fixture(scope="module")
def compounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of real defects, some of which hold two classes."""
    path = tmp_path_factory.mktemp("compounds") / "weights"
    DefectInpainter.from_bank(collect(samples()).bank(NAMES), NAMES).save_pretrained(path)
    return path


@pytest.mark.usefixtures("fresh_cache")
def test_a_changed_byte_of_a_bank_with_compounds_is_refused_or_harmless(compounds: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(compounds, tmp_path / "weights"))
    size = (folder / BANK).stat().st_size
    positions = np.random.default_rng(0).integers(8, size, 150).tolist()
    refused, harmless = fuzz(folder, BANK, iter([(position, 0x5A) for position in positions]))
    assert refused and harmless


@pytest.mark.usefixtures("fresh_cache")
@pytest.mark.parametrize("seed", range(3))
def test_parts_of_any_number_and_class_are_refused_or_harmless(compounds: Path, tmp_path: Path, seed: int) -> None:
    folder, rng = Path(shutil.copytree(compounds, tmp_path / "weights")), np.random.default_rng(seed)
    tensors, refused = load_file(folder / BANK), 0
    for _ in range(30):
        counts = tensors["part_counts"].copy()
        counts[rng.integers(len(counts), size=2)] = rng.choice([-1, 0, 1, 2, 3, 255, 256, 2**31 - 1], 2)
        least, most = (-1, 5) if rng.random() < 0.2 else (0, len(NAMES))
        total = int(counts.sum()) if 0 <= counts.sum() < 1000 and rng.random() < 0.8 else int(rng.integers(20))
        lies = {"part_counts": counts, "part_class": rng.integers(least, most, total).astype(np.int32)}
        save_file({**tensors, **lies}, folder / BANK)
        refused += attempt(folder) is not None
    assert refused


def headed(entries: Any, rest: int = 0, length: int | None = None) -> bytes:
    """A safetensors file of a header and `rest` bytes; the header may claim another length."""
    header = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + b"\0" * rest


def tensor(dtype: Any = "F16", shape: Any = (4,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


LIES: dict[str, bytes] = {
    "a shape larger than its bytes": headed({"a": tensor(shape=[5])}, 8),
    "a shape smaller than its bytes": headed({"a": tensor(shape=[3])}, 8),
    "a shape of 2**62 elements": headed({"a": tensor(shape=[2**31, 2**31])}, 8),
    "sides whose product wraps around to what it should be": headed({"a": tensor(shape=[2**32, 2**32 + 1])}, 8),
    "a thousand sides": headed({"a": tensor(shape=[1] * 1000 + [4])}, 8),
    "a negative side": headed({"a": tensor(shape=[-2, -2])}, 8),
    "a side that is true": headed({"a": tensor(shape=[4, True])}, 8),
    "a side that is a fraction": headed({"a": tensor(shape=[4.0])}, 8),
    "a shape that is a number": headed({"a": tensor(shape=4)}, 8),
    "no shape": headed({"a": {"dtype": "F16", "data_offsets": [0, 8]}}, 8),
    "another type's size": headed({"a": tensor("F32")}, 8),
    "a type nobody knows": headed({"a": tensor("C64")}, 8),
    "a type that is a list": headed({"a": tensor(["F16"])}, 8),
    "offsets in the wrong order": headed({"a": tensor(offsets=[8, 0])}, 8),
    "three offsets": headed({"a": tensor(offsets=[0, 8, 8])}, 8),
    "an offset that is a word": headed({"a": tensor(offsets=[0, "8"])}, 8),
    "a gap before the first tensor": headed({"a": tensor(offsets=[2, 10])}, 10),
    "a gap between two": headed({"a": tensor(), "b": tensor(offsets=[10, 18])}, 18),
    "two in one place": headed({"a": tensor(), "b": tensor(shape=[8], offsets=[0, 16])}, 16),
    "a name of a thousand letters": headed({"a" * 1000: tensor()}, 8),
    "metadata that is a list": headed({"__metadata__": [1], "a": tensor()}, 8),
    "metadata that holds numbers": headed({"__metadata__": {"a": 1}, "a": tensor()}, 8),
    "a number of half a million digits": headed(b'{"a": ' + b"9" * 500_000 + b"}"),
    "a header longer than any": headed(b" " * (MAX_HEADER_BYTES + 1)),
    "a header of lists in lists": headed(b"[" * (MAX_HEADER_BYTES - 1)),
    "a header of a hundred thousand entries": headed(
        {f"tensor {i}": tensor(shape=[0], offsets=[0, 0]) for i in range(11_000)}
    ),
    "a header of nothing but zeros": headed(b"\0" * 1000),
    "a header of a single word": headed(b'"a"'),
}


@pytest.mark.usefixtures("fresh_cache")
@pytest.mark.parametrize("file", [MODEL, BANK])
@pytest.mark.parametrize("data", LIES.values(), ids=LIES)
def test_a_header_that_lies_is_refused_before_anything_is_loaded(
    folder: Path, file: str, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("a tensor was read")

    monkeypatch.setattr("safetensors.torch.load_file", forbidden)
    monkeypatch.setattr("safetensors.numpy.load_file", forbidden)
    (folder / file).write_bytes(data)
    message = attempt(folder)
    assert message is not None and str(folder / file) in message


def retype(file: str, name: str, dtype: type) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        tensors = load_file(folder / file)
        tensors[name] = tensors[name].astype(dtype)
        save_file(tensors, folder / file)

    return change


def rename_class(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        values = json.loads((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(json.dumps({**values, "class_names": [name, *CLASSES[1:]]}))

    return change


FOREIGN: dict[str, tuple[str, Callable[[Path], None]]] = {
    "integers for weights": (MODEL, retype(MODEL, "head.bias", np.int16)),
    "bits of another type": (BANK, retype(BANK, "bits", np.int8)),
    "classes of another type": (BANK, retype(BANK, "class_index", np.int64)),
    "a mask bank for a model": (MODEL, lambda folder: shutil.copyfile(folder / BANK, folder / MODEL) and None),
    "a model for a mask bank": (BANK, lambda folder: shutil.copyfile(folder / MODEL, folder / BANK) and None),
    "a class whose name moves the cursor": (CONFIG, rename_class("pit\x1b[2J")),
    "a class whose name is two lines": (CONFIG, rename_class("pit\nscratch")),
    "a class whose name is half a character": (CONFIG, rename_class("pit\ud800")),
    "a class whose name is a book": (CONFIG, rename_class("pit" * 100)),
}


@pytest.mark.parametrize(("file", "change"), FOREIGN.values(), ids=FOREIGN)
def test_files_that_do_not_belong_together_are_refused_by_the_constructor(
    folder: Path, file: str, change: Callable[[Path], None]
) -> None:
    change(folder)
    with pytest.raises(WeightsError) as caught:
        GANDefectInpaint(weights=str(folder))
    assert str(folder / file) in str(caught.value) and str(caught.value).isprintable()


def test_weights_that_change_between_opening_and_painting_are_refused(
    folder: Path, fresh_cache: None, colour_weights: str
) -> None:
    transform = GANDefectInpaint(weights=str(folder), p=1.0)
    for file in FILES_OF_WEIGHTS:
        shutil.copyfile(Path(colour_weights) / file, folder / file)
    with pytest.raises(WeightsError, match=f"{folder}: holds other weights than when it was opened"):
        transform(image=IMAGE)


sizes = st.one_of(st.integers(1, 40), st.integers(1, 1024))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    architecture=st.sampled_from(sorted(ARCHITECTURES)),
    values=st.fixed_dictionaries(
        {
            "in_channels": st.sampled_from([1, 3]),
            "num_classes": st.integers(1, 64),
            "latent_dim": st.integers(1, 512),
            "channels": st.lists(sizes, min_size=1, max_size=6),
            "fine_channels": st.integers(2, 256),
            "style_dim": sizes,
            "blocks": st.integers(1, 6),
        }
    ),
)
def test_a_generator_of_any_size_is_compared_without_its_memory(architecture: str, values: dict[str, Any]) -> None:
    config = GeneratorConfig.from_dict({"architecture": architecture, **values})
    try:
        shapes, multiple = expected_state(config)
    except ValueError as err:
        assert architecture in str(err)
        return
    network = build_skeleton(config)
    assert shapes == {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    assert all(weight.is_meta for weight in network.state_dict().values())
    assert multiple == network.size_multiple


@pytest.mark.usefixtures("fresh_cache")
@pytest.mark.parametrize("value", [6e4, -6e4, 1e-8])
def test_weights_of_absurd_size_paint_visibly_or_not_at_all(folder: Path, value: float) -> None:
    tensors = load_file(folder / MODEL)
    save_file({name: np.full_like(tensor, value) for name, tensor in tensors.items()}, folder / MODEL)
    assert attempt(folder) is None
    transform = GANDefectInpaint(weights=str(folder), p=1.0, min_contrast=8)
    result = transform(image=IMAGE.astype(np.float32) / 255, mask=np.zeros(IMAGE.shape, np.uint8))
    assert np.isfinite(result["image"]).all()
    inside = result["mask"] > 0
    assert not inside.any() or np.abs(result["image"] * 255 - IMAGE)[inside].max() >= 8


LIMITED = """
import json, resource, sys, time
from pathlib import Path

import numpy as np

from albu_gan import GANDefectInpaint, WeightsError

sound, *folders = sys.argv[1:]
image = np.full((32, 32), 120, np.uint8)
GANDefectInpaint(weights=sound, p=1.0)(image=image)
size = int(next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmSize" in line).split()[1])
limit = size * 1024 + 2**29
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
before, found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, {}
for folder in folders:
    start = time.thread_time()
    try:
        GANDefectInpaint(weights=folder, p=1.0)(image=image)
        message = "accepted"
    except WeightsError as err:
        message = str(err)
    added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    found[folder] = [message, time.thread_time() - start, added]
print(json.dumps(found))
"""


def huge(file: str, data: bytes, size: int) -> Callable[[Path], None]:
    """Replace a file by some bytes and a hole that takes no room on the disk."""

    def change(folder: Path) -> None:
        with (folder / file).open("wb") as opened:
            opened.write(data)
            opened.truncate(size)

    return change


def largest_generator(architecture: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text())
        config["generator"] = GeneratorConfig(
            architecture=architecture,
            in_channels=3,
            num_classes=len(CLASSES),
            latent_dim=512,
            channels=(1024,) * 6,
            fine_channels=256,
            style_dim=1024,
            blocks=32,
        ).to_dict()
        (folder / CONFIG).write_text(json.dumps({**config, "window_sizes": [2048]}))

    return change


def bank_of(count: int, side: int, bits: int) -> Callable[[Path], None]:
    """A mask bank of that many shapes of that side, whatever bits there are."""

    def change(folder: Path) -> None:
        tensors = {
            "bits": np.full(bits, 255, np.uint8),
            "class_index": np.zeros(count, np.int32),
            "size_hw": np.full((count, 2), side, np.int32),
            "edges": np.zeros((count, 4), np.uint8),
        }
        save_file(tensors, folder / BANK)

    return change


GB = 2**30
FOREIGN_TENSOR = headed({"a": tensor("U8", [GB], [0, GB])})
GIANTS: dict[str, Callable[[Path], None]] = {
    "a header of 10 GB": huge(MODEL, headed(b"{}", length=10 * GB), 10 * GB + 100),
    "a header of 10 GB that is not there": huge(BANK, headed(b"{}", length=10 * GB), 100),
    "a header as long as the file": huge(MODEL, headed(b"{}", length=GB), GB + 8),
    "a tensor of 10 GB": huge(MODEL, headed({"a": tensor("F32", [5 * GB // 2], [0, 10 * GB])}), 10 * GB),
    "a tensor of 10 GB that is not there": huge(BANK, headed({"a": tensor("U8", [10 * GB], [0, 10 * GB])}), 200),
    "a foreign tensor of 1 GB": huge(MODEL, FOREIGN_TENSOR, len(FOREIGN_TENSOR) + GB),
    "a config of 10 GB": huge(CONFIG, b"{", 10 * GB),
    "a config of brackets": lambda folder: (folder / CONFIG).write_text("[" * 2**20) and None,
    "a bank of shapes of half a terabyte": bank_of(1000, 2**20, 1000),
    "a bank of ten thousand shapes of 64 megapixels": bank_of(10_000, 8192, 1000),
    **{f"the largest {name} there is": largest_generator(name) for name in ARCHITECTURES},
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc and limits memory")
def test_what_a_folder_claims_is_refused_before_memory_is_taken(weights: str, tmp_path: Path) -> None:
    for number, damage in enumerate(GIANTS.values()):
        damage(Path(shutil.copytree(weights, tmp_path / str(number))))
    command = [sys.executable, "-c", LIMITED, weights, *(str(tmp_path / str(n)) for n in range(len(GIANTS)))]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert len(found) == len(GIANTS)
    for what, (folder, (message, seconds, added)) in zip(GIANTS, found.items(), strict=True):
        assert folder in message and message.isprintable(), (what, message)
        assert seconds < SECONDS, what
        assert added < 60e6, what


class Bomb:
    """A pickle of it creates a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


PLANTED = ("pytorch_model.bin", "model.pt", "model.pth", "config.pkl", "masks.pickle", "last.ckpt", "optimizer.bin")

WATCHED = """
import json, os, sys
import numpy as np
from albu_gan import BatchDefectInpaint, DefectInpainter, GANDefectInpaint

folder, out = sys.argv[1:]
seen, watching = [], True


def hook(event, arguments):
    if watching and event == "pickle.find_class":
        seen.append(event)
    if watching and event in ("open", "import", "exec", "compile") and folder in str(arguments[0]):
        seen.append([event, str(arguments[0])])


sys.addaudithook(hook)
transform = GANDefectInpaint(weights=folder, p=1.0)
image = np.full((64, 64), 120, np.uint8)
transform(image=image, mask=np.zeros((64, 64), np.uint8))
DefectInpainter.from_pretrained(folder).bank
BatchDefectInpaint(folder)
transform.save_pretrained(out)
watching = False
print(json.dumps(seen))
"""


def test_nothing_but_the_four_files_is_opened_and_no_pickle_is(folder: Path, tmp_path: Path) -> None:
    exploded = tmp_path / "exploded"
    for name in PLANTED:
        (folder / name).write_bytes(pickle.dumps(Bomb(exploded)))
    for name in ("__init__.py", "modeling.py", "config.py", "conftest.py"):
        (folder / name).write_text(f"open({str(exploded)!r}, 'w')")
    (folder / "code.png").mkdir()
    result = subprocess.run(
        [sys.executable, "-c", WATCHED, str(folder), str(tmp_path / "out")], capture_output=True, text=True, timeout=600
    )
    assert result.returncode == 0, result.stderr
    seen = json.loads(result.stdout.splitlines()[-1])
    assert seen and all(event == "open" for event, _ in seen)
    assert {Path(path).name for _, path in seen} <= {CONFIG, MODEL, BANK, CARD}
    assert not exploded.exists()
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == sorted([*FILES_OF_WEIGHTS, CARD])


@pytest.mark.usefixtures("fresh_cache")
@pytest.mark.parametrize("file", FILES_OF_WEIGHTS)
def test_a_pickle_under_the_name_of_a_file_is_refused_unopened(folder: Path, tmp_path: Path, file: str) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (folder / file).write_bytes(pickle.dumps(Bomb(tmp_path / "exploded"), protocol))
        assert attempt(folder) is not None
    assert not (tmp_path / "exploded").exists()


@pytest.mark.usefixtures("fresh_cache")
@pytest.mark.parametrize("file", FILES_OF_WEIGHTS)
@pytest.mark.parametrize("target", ["/dev/zero", "/dev/urandom", "/", "..", "pipe", "itself", "/etc/passwd"])
def test_a_link_to_what_is_no_weights_file_is_refused_and_nothing_hangs(folder: Path, file: str, target: str) -> None:
    (folder / file).unlink()
    if target == "pipe":
        os.mkfifo(folder / file)
    else:
        (folder / file).symlink_to(folder / file if target == "itself" else target)
    message = attempt(folder)
    assert message is not None and str(folder / file) in message and "root:" not in message


@pytest.mark.parametrize("name", [CARD, "samples.png"])
@pytest.mark.parametrize("absolute", [True, False])
def test_a_card_or_picture_that_links_out_of_its_folder_is_not_copied_or_published(
    folder: Path, tmp_path: Path, name: str, absolute: bool
) -> None:
    secret = tmp_path / "secret" / "id_rsa"
    secret.parent.mkdir()
    secret.write_text("private")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(secret if absolute else Path("..") / "secret" / "id_rsa")
    transform = GANDefectInpaint(weights=str(folder))  # which reads neither
    for act in (lambda: transform.save_pretrained(tmp_path / "out"), lambda: transform.push_to_hub("org/name")):
        with pytest.raises(WeightsError, match="is a link out of its folder"):
            act()
    assert not (tmp_path / "out").exists()


def test_a_link_inside_the_folder_or_the_hubs_cache_is_followed(folder: Path, tmp_path: Path) -> None:
    (folder / "one.png").write_bytes(b"PNG")
    (folder / "two.png").symlink_to("one.png")
    assert {file.name for file in weights_files(folder)} == {*FILES_OF_WEIGHTS, CARD, "one.png", "two.png"}
    repository = tmp_path / "models--org--name"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for number, file in enumerate([*FILES_OF_WEIGHTS, CARD]):
        shutil.copyfile(folder / file, repository / "blobs" / str(number))
        (snapshot / file).symlink_to(Path("..") / ".." / "blobs" / str(number))
    assert {file.name for file in weights_files(snapshot)} == {*FILES_OF_WEIGHTS, CARD}


@pytest.mark.usefixtures("fresh_cache")
@pytest.mark.parametrize("name", ["..", "../../escaped", "/tmp/escaped", "~", "a\\b", "CON", "%2e%2e"])
def test_a_class_named_like_a_path_is_a_name_and_nothing_else(folder: Path, tmp_path: Path, name: str) -> None:
    rename_class(name)(folder)
    before = sorted(tmp_path.rglob("*"))
    assert attempt(folder) is None
    assert DefectInpainter(find_weights(str(folder))).class_names[0] == name
    assert sorted(tmp_path.rglob("*")) == before
