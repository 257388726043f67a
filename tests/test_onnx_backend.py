from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import pickle
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
import torch
import yaml
from fresh import forget_loaded
from safetensors.numpy import load_file, save_file

import albu_gan.painting.onnx_backend as backend
import albu_gan.painting.painter as painter_module
from albu_gan import DefectInpainter, GANDefectInpaint
from albu_gan.cli import main
from albu_gan.generators import build_generator, default_config
from albu_gan.hub.errors import WeightsError
from albu_gan.hub.find import bundled_names, find_weights
from albu_gan.hub.folder import MODEL
from albu_gan.painting import backends
from albu_gan.painting.onnx_backend import OnnxPainter, cache_folder, export, make_session, read_model, write_model
from albu_gan.pictures.sheet import write_png

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

EXPORTED = ["default", "pix2pix", "stylegan", "stylegan2"]
LEVEL = 1 / 255


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own, and no network that an earlier one loaded."""
    monkeypatch.setenv("ALBU_GAN_CACHE", str(tmp_path / "cache"))
    forget_loaded(monkeypatch)
    return tmp_path / "cache" / "onnx"


def models(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.model"))


def painter_of(weights: str) -> OnnxPainter:
    paint = DefectInpainter.from_pretrained(weights, backend="onnx").painter.loaded().paint
    assert isinstance(paint, OnnxPainter)
    return paint


def compose(weights: str, backend: str, **arguments: Any) -> A.Compose:
    return A.Compose([GANDefectInpaint(weights=weights, backend=backend, p=1.0, **arguments)], seed=3)


def blob(size: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    image = rng.integers(90, 160, (size, size)).astype(np.uint8)
    mask = np.zeros((size, size), np.uint8)
    mask[10:20, 8:25] = 1
    return image, mask


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("architecture", EXPORTED)
def test_every_architecture_paints_the_same_pixels_as_torch(architecture: str, in_channels: int) -> None:
    """Random weights with loud heads, many draws, one window and several, windows up to one larger than the noise."""
    torch.manual_seed(in_channels)
    config = default_config(architecture, in_channels=in_channels, num_classes=3, latent_dim=24)
    network = build_generator(config).eval().requires_grad_(False)
    head = network.head.weight
    head.mul_(20)
    for shape in ((32, 32), (32, 64), (160, 96)):
        session = make_session(export(network, shape))
        rng = np.random.default_rng(shape)
        for count in (1, 1, 4):
            arrays = {
                "window": rng.uniform(-1, 1, (count, in_channels, *shape)),
                "inside": rng.random((count, *shape)) < rng.random((count, 1, 1)),
                "present": np.eye(3)[rng.integers(3, size=count)],
                "z": rng.standard_normal((count, 24)),
            }
            inputs = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
            top, left = (int(rng.integers(side)) for side in shape)
            inputs["inside"][:, :top] = inputs["inside"][:, :, :left] = 0
            with torch.inference_mode():
                expected = network.paint(**inputs).numpy()
            painted = backend._run(session, **{name: tensor.numpy() for name, tensor in inputs.items()})
            assert painted.shape == expected.shape and np.abs(expected).max() > 10 * LEVEL
            np.testing.assert_allclose(painted, expected, rtol=0, atol=LEVEL / 20)


@pytest.mark.parametrize("name", [n for n in bundled_names() if find_weights(n).paints == "generator"])
def test_bundled_weights_paint_within_a_level_of_torch_over_many_draws(name: str) -> None:
    torch_painter, onnx_painter = (DefectInpainter.from_pretrained(name, backend=b) for b in ("torch", "onnx"))
    config = torch_painter.folder.config
    rng = np.random.default_rng(0)
    for shape in torch_painter.painter.window_shapes:
        for count in (1, 2, 9):
            windows = torch.from_numpy(
                rng.uniform(-1, 1, (count, *shape, config.generator.in_channels)).astype(np.float32)
            ).permute(0, 3, 1, 2)
            inside = torch.from_numpy((rng.random((count, *shape)) < 0.5).astype(np.uint8))
            classes = [int(v) for v in rng.integers(len(config.class_names), size=count)]
            z = torch.from_numpy(rng.standard_normal((count, config.generator.latent_dim), dtype=np.float32))
            expected, painted = (
                p.painter.residuals(windows, inside, classes, z) for p in (torch_painter, onnx_painter)
            )
            assert float(expected.abs().max()) > LEVEL
            torch.testing.assert_close(painted, expected, rtol=0, atol=LEVEL / 20)


@pytest.mark.parametrize("shape", [(90, 120), (90, 120, 3), (300, 80, 4)])
def test_draws_do_not_depend_on_the_backend_and_pixels_differ_by_a_level_at_most(
    weights: str, shape: tuple[int, ...], make_image: Callable[..., np.ndarray]
) -> None:
    image, mask = make_image(shape), np.zeros(shape[:2], np.uint8)
    by_torch, by_onnx = (compose(weights, b, defects_range=(3, 5)) for b in ("torch", "onnx"))
    for _ in range(6):
        expected, painted = (t(image=image, mask=mask) for t in (by_torch, by_onnx))
        np.testing.assert_array_equal(painted["mask"], expected["mask"])
        assert expected["mask"].any()
        assert np.abs(painted["image"].astype(int) - expected["image"]).max() <= 1


def test_an_architecture_that_cannot_be_exported_is_one_clear_error() -> None:
    network = build_generator(default_config("ffc", channels=(8, 8), blocks=1)).eval()
    with pytest.raises(WeightsError, match=r"'ffc' cannot be exported to ONNX \(fft_rfft2\); take backend='torch'"):
        export(network, (32, 32))


def test_a_model_that_paints_something_else_is_refused_and_not_kept(
    weights: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(network: Any) -> Any:
        return lambda window, inside, present, z: network.paint(window, inside, present, z) + inside[:, None] * 0.01

    monkeypatch.setattr(backend, "planar", other)
    image, mask = blob()
    with pytest.raises(WeightsError, match=r"windows of 32 x 64 pixels up to 2\.5\d* levels of 255 away from torch"):
        DefectInpainter.from_pretrained(weights, backend="onnx")(image, mask, "pit")
    assert not models(cache)


def test_a_model_is_exported_once_and_then_loaded_without_the_network(
    weights: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, mask = blob()
    first = DefectInpainter.from_pretrained(weights, backend="onnx")(image, mask, "pit")
    (kept,) = models(cache)
    assert kept.name.endswith("-32x64.model") and not list(cache.glob(".*"))
    forget_loaded(monkeypatch)
    monkeypatch.setattr(painter_module, "load_generator", lambda *_: pytest.fail("loaded the network"))
    monkeypatch.setattr(backend, "export", lambda *_: pytest.fail("exported again"))
    again = DefectInpainter.from_pretrained(weights, backend="onnx")(image, mask, "pit")
    np.testing.assert_array_equal(again, first)


def damage_truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def damage_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_foreign(path: Path) -> None:
    path.write_bytes(path.read_bytes()[len(backend.MAGIC) + 32 :])  # a model, as another program keeps it


def damage_writable_by_all(path: Path) -> None:
    path.chmod(0o666)


def damage_not_a_model(path: Path) -> None:
    write_model(path, b"no protobuf")


@pytest.mark.parametrize(
    "damage",
    [damage_truncated, damage_bit, damage_empty, damage_foreign, damage_writable_by_all, damage_not_a_model],
)
def test_a_file_in_the_cache_that_is_not_whole_or_not_ours_is_exported_anew(
    damage: Callable[[Path], None], weights: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, mask = blob()
    first = DefectInpainter.from_pretrained(weights, backend="onnx")(image, mask, "pit")
    (kept,) = models(cache)
    whole = kept.read_bytes()
    damage(kept)
    forget_loaded(monkeypatch)
    np.testing.assert_array_equal(DefectInpainter.from_pretrained(weights, backend="onnx")(image, mask, "pit"), first)
    assert kept.read_bytes() == whole and models(cache) == [kept]
    assert read_model(kept) is not None


def test_other_weights_are_another_model(weights: str, tmp_path: Path, cache: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(weights, other)
    path = other / MODEL
    data = bytearray(path.read_bytes())
    data[-1] ^= 0x40
    path.write_bytes(data)
    painters = [painter_of(name) for name in (weights, str(other))]
    assert len({painter._path((32, 32)) for painter in painters}) == 2
    assert painters[0]._path((32, 32)) != painters[0]._path((32, 64))


def test_nothing_in_a_weights_folder_is_taken_for_a_model(weights: str, tmp_path: Path, cache: Path) -> None:
    """A stranger's model, under the very name that the cache would give it."""
    image, mask = blob()
    painter = DefectInpainter.from_pretrained(weights, backend="onnx")
    first = painter(image, mask, "pit")
    (kept,) = models(cache)
    folder = tmp_path / "planted"
    shutil.copytree(weights, folder)
    for name in (kept.name, "model.onnx", "onnx/model.onnx"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"not a model at all")
    shutil.rmtree(cache)
    np.testing.assert_array_equal(
        DefectInpainter.from_pretrained(str(folder), backend="onnx")(image, mask, "pit"), first
    )
    painter.save_pretrained(tmp_path / "saved")
    assert not list((tmp_path / "saved").rglob("*.onnx")) and not list((tmp_path / "saved").rglob("*.model"))


def block_by_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.parent.parent.mkdir(exist_ok=True)
    cache.parent.write_text("a file where the folder should be")


def block_by_full_disk(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backend.tempfile, "mkstemp", full)


@pytest.mark.parametrize("block", [block_by_file, block_by_full_disk])
def test_without_a_cache_that_can_be_written_models_are_made_in_memory(
    block: Callable[..., None], weights: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, mask = blob()
    expected = DefectInpainter.from_pretrained(weights)(image, mask, "pit")
    block(cache, monkeypatch)
    painter = DefectInpainter.from_pretrained(weights, backend="onnx")
    with pytest.warns(RuntimeWarning, match="ALBU_GAN_CACHE=.* cannot be written .*in memory"):
        painted = painter(image, mask, "pit")
    assert np.abs(painted.astype(int) - expected).max() <= 1
    np.testing.assert_array_equal(painter(image, mask, "pit"), painted)  # no second warning, which would raise


def test_a_default_cache_that_cannot_be_written_is_no_news(
    weights: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALBU_GAN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    block_by_full_disk(cache, monkeypatch)
    DefectInpainter.from_pretrained(weights, backend="onnx")(*blob(), "pit")


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_model(tmp_path / "onnx" / "a.model", b"model")
    assert not list((tmp_path / "onnx").iterdir())


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == tmp_path / "cache" / "onnx"
    monkeypatch.setenv("ALBU_GAN_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "albu-gan" / "onnx"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if os.name == "posix":
        assert cache_folder() == tmp_path / "home" / ".cache" / "albu-gan" / "onnx"

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert cache_folder() is None


def test_without_any_place_for_a_cache_it_paints(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "cache_folder", lambda: None)
    DefectInpainter.from_pretrained(weights, backend="onnx")(*blob(), "pit")


def test_threads_that_begin_together_export_once_and_paint_alike(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    exported: list[tuple[int, int]] = []
    real = export

    def counted(network: Any, shape: tuple[int, int]) -> bytes:
        exported.append(shape)
        return real(network, shape)

    monkeypatch.setattr(backend, "export", counted)
    painter, barrier = DefectInpainter.from_pretrained(weights, backend="onnx"), threading.Barrier(4)
    image, mask = blob()

    def paint(_: int) -> bytes:
        barrier.wait()
        return painter(image, mask, "pit").tobytes()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(paint, range(4)))) == 1
    assert exported == [(32, 64)]


def _paint_in_worker(weights: str, sender: Any) -> None:
    torch.set_num_threads(1)
    painter = DefectInpainter.from_pretrained(weights, backend="onnx")
    painted = painter(*blob(), "pit")
    threads = {key[1] for key in painter.painter.loaded().paint._sessions if key[0] == os.getpid()}
    sender.send((painted, sorted(threads)))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_that_begin_together_paint_alike_one_thread_each(method: str, weights: str, cache: Path) -> None:
    """Forked children inherit a session of their parent, and must not use it."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    torch_painted = DefectInpainter.from_pretrained(weights)(*blob(), "pit")
    if method == "fork":
        DefectInpainter.from_pretrained(weights, backend="onnx")(*blob(), "pit")
        shutil.rmtree(cache)
    context = multiprocessing.get_context(method)
    receivers, processes = [], []
    for _ in range(2 if method == "fork" else 1):  # one that is spawned imports everything anew
        receiver, sender = context.Pipe(duplex=False)
        processes.append(context.Process(target=_paint_in_worker, args=(weights, sender)))
        receivers.append(receiver)
    for process in processes:
        process.start()
    for receiver in receivers:
        assert receiver.poll(180)
        painted, threads = receiver.recv()
        assert threads == [1]
        assert np.abs(painted.astype(int) - torch_painted).max() <= 1
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert len(models(cache)) == 1 and not list(cache.glob(".*"))


def test_pickles_stay_small_and_paint_on(weights: str) -> None:
    image, mask = blob(80)
    transform = compose(weights, "onnx")
    transform(image=image, mask=mask)
    data = pickle.dumps(transform)
    assert len(data) < 20_000
    copies = [pickle.loads(data), pickle.loads(data)]
    first, second = (copy(image=image, mask=mask * 0)["image"] for copy in copies)
    np.testing.assert_array_equal(first, second)


def test_the_backend_is_serialised(weights: str) -> None:
    image, mask = blob(80)
    transform = compose(weights, "onnx")
    assert transform.to_dict()["transform"]["transforms"][0]["backend"] == "onnx"
    plain = json.loads(json.dumps(A.to_dict(transform)))
    for rebuilt in (A.from_dict(plain), A.from_dict(yaml.safe_load(yaml.safe_dump(plain)))):
        assert rebuilt.transforms[0].backend == "onnx"
    del plain["transform"]["transforms"][0]["backend"]  # as it was written before there was a choice
    assert A.from_dict(plain).transforms[0].backend == "torch"
    replay = A.ReplayCompose([GANDefectInpaint(weights=weights, backend="onnx", p=1.0)])
    painted = replay(image=image, mask=mask * 0)
    again = A.ReplayCompose.replay(painted["replay"], image=image, mask=mask * 0)
    np.testing.assert_array_equal(again["image"], painted["image"])


def test_from_pretrained_takes_the_backend(weights: str) -> None:
    transform = GANDefectInpaint.from_pretrained(weights, backend="onnx", p=1.0)
    assert transform.backend == transform._painter().backend == "onnx"
    painter = DefectInpainter.from_pretrained(weights, backend="onnx")
    assert painter.backend == "onnx" and painter.network.config == painter.folder.config.generator


@pytest.mark.parametrize("build", [GANDefectInpaint, DefectInpainter.from_pretrained])
def test_backends_that_cannot_be_used_are_refused_at_construction(
    build: Callable[..., Any], weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="backend must be 'torch' or 'onnx', got 'tensorrt'"):
        build(weights, backend="tensorrt")
    with pytest.raises(ValueError, match="backend='onnx' paints on the CPU, got device='cuda:0'"):
        build(weights, backend="onnx", device="cuda:0")
    real = importlib.util.find_spec
    monkeypatch.setattr(
        backends.importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else real(name)
    )
    with pytest.raises(ImportError, match=r'backend=\'onnx\' needs onnxruntime: pip install "albu-gan\[onnx\]"'):
        build(weights, backend="onnx")
    build(weights)


def test_importing_and_painting_with_torch_imports_no_onnx(untouched: dict[str, Any]) -> None:
    assert "albu_gan.painting.painter" in untouched["after painting"]
    assert not {"onnx", "onnxruntime"} & set(untouched["after painting"])


def test_exporting_prints_and_warns_nothing(weights: str, capfd: pytest.CaptureFixture[str]) -> None:
    DefectInpainter.from_pretrained(weights, backend="onnx")(*blob(), "pit")
    assert capfd.readouterr() == ("", "")


def test_weights_that_are_no_numbers_are_refused_as_with_torch(weights: str, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(weights, folder)
    tensors = load_file(folder / MODEL)
    tensors["head.bias"][0] = np.nan
    save_file(tensors, folder / MODEL)
    with pytest.raises(WeightsError, match=r"head\.bias.*not finite"):
        DefectInpainter.from_pretrained(str(folder), backend="onnx")(*blob(), "pit")


def test_the_commands_take_the_backend(weights: str, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "clean").mkdir()
    write_png(tmp_path / "clean" / "a.png", np.repeat(blob(64)[0][:, :, None], 3, axis=2))
    image, out = str(tmp_path / "clean" / "a.png"), tmp_path / "out"
    command = ["inpaint", image, "--weights", weights, "--backend", "onnx", "--out"]
    assert main([*command, str(out / "inpaint")]) == 0
    assert models(cache)
    command = ["generate", "--images", str(tmp_path / "clean"), "-n", "2", "--weights", weights, "--backend", "onnx"]
    for workers in ("1", "2"):
        assert main([*command, "--workers", workers, "--out", str(out / workers)]) == 0
    files = [sorted(p.relative_to(out / w) for p in (out / w).rglob("*.png")) for w in ("1", "2")]
    assert files[0] == files[1] and len(files[0]) == 4
    assert all((out / "1" / f).read_bytes() == (out / "2" / f).read_bytes() for f in files[0])
    assert '"backend": "onnx"' in "".join(p.read_text() for p in (out / "1").glob("*.json"))


def test_a_command_without_onnx_runtime_says_what_to_install(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(backends.importlib.util, "find_spec", lambda name: None)
    assert main(["inpaint", "x.png", "--weights", weights, "--backend", "onnx", "--out", str(tmp_path)]) == 1
    assert 'pip install "albu-gan[onnx]"' in capsys.readouterr().err


@pytest.mark.parametrize("size", [64, 128])
def test_it_is_faster_than_torch_on_one_window(size: int) -> None:
    """As the transform paints. The best of many interleaved calls, in seconds of this thread: little disturbs them."""
    painters = [DefectInpainter(find_weights("magnetic-tile-v1"), backend=b) for b in ("torch", "onnx")]
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        window, inside = torch.zeros(1, 1, size, size), torch.ones(1, size, size, dtype=torch.uint8)
        z = torch.ones(1, painters[0].latent_dim)
        best = [float("inf")] * 2
        for _ in range(60):
            for number, painter in enumerate(painters):
                began = time.thread_time()
                painter.painter.residuals(window, inside, [0], z)
                best[number] = min(best[number], time.thread_time() - began)
    finally:
        torch.set_num_threads(before)
    assert best[1] < best[0], best
