"""The bank of real defects: kept small, given back as it was, refused where it is damaged."""

from __future__ import annotations

import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from albu_gan import DefectBank, DefectInpainter, GANDefectInpaint, WeightsError
from albu_gan.defects import collect
from albu_gan.defects.collect import Annotated, annotated_images
from albu_gan.defects.donors import decode, encode, frame_of
from albu_gan.hub import BANK


def scene(seed: int, channels: int = 1, size_hw: tuple[int, int] = (96, 128)) -> tuple[np.ndarray, np.ndarray]:
    """A grained surface with two dark pits (1) and a bright scratch (2)."""
    rng = np.random.default_rng(seed)
    image = 120 + 20 * seed % 60 + 3 * rng.standard_normal((*size_hw, channels))
    mask = np.zeros(size_hw, np.uint8)
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    for cy, cx in ((30, 30), (60, 90)):
        mask[(y - cy) ** 2 + (x - cx) ** 2 < (6 + seed % 3) ** 2] = 1
    mask[75:78, 20:60] = 2
    image[mask == 1] -= 60
    image[mask == 2] += 50
    image = np.clip(image, 0, 255).astype(np.uint8)
    return (image[:, :, 0] if channels == 1 else image), mask


@pytest.fixture(scope="module", params=[1, 3], ids=["gray", "colour"])
def bank(request: pytest.FixtureRequest) -> DefectBank:
    images, masks = zip(*(scene(seed, request.param) for seed in range(4)), strict=True)
    return collect(annotated_images(images, masks, ["pit", "scratch"])).bank(["pit", "scratch"])


def written(bank: DefectBank, folder: Path) -> Path:
    DefectInpainter.from_bank(bank, ["pit", "scratch"]).save_pretrained(folder)
    return folder


def test_every_defect_of_every_image_is_in_the_bank(bank: DefectBank) -> None:
    assert bank.counts() == [8, 4]
    assert bank.has_appearances and bank.has_centres
    assert {bank[index].mask.shape for index in range(len(bank)) if bank.class_of(index) == 1} == {(3, 40)}


def test_what_is_encoded_comes_back_without_loss_around_the_defect(bank: DefectBank) -> None:
    for index in range(len(bank)):
        appearance = bank.appearance(index)
        again = decode(encode(appearance), frame_of(appearance), bank[index].mask)
        assert np.array_equal(again.pixels[again.mask], appearance.pixels[appearance.mask])
        assert np.array_equal(again.surface, appearance.surface)
        assert np.array_equal(again.mask, appearance.mask)
        assert (again.grain, again.beyond) == (appearance.grain, appearance.beyond)
        assert np.array_equal(again.mask[again.mask.any(1)][:, again.mask.any(0)], bank[index].mask)


def test_pixels_are_those_of_the_image() -> None:
    image, mask = scene(1, 3)
    found = collect([Annotated("a", image, mask, 0)])
    appearance, shape = found.donors[0].appearance, found.shapes[0]
    x, y = appearance.offset_xy
    h, w = shape.mask.shape
    top, left = (
        round(c * side - length / 2) for c, side, length in zip(shape.centre_yx or (), mask.shape, (h, w), strict=True)
    )
    np.testing.assert_array_equal(
        appearance.pixels[y : y + h, x : x + w][shape.mask], image[top : top + h, left : left + w][shape.mask]
    )


@pytest.mark.parametrize("damage", [lambda d: d[:-3], lambda d: d + b"x", lambda d: b"\x00" * len(d)])
def test_damaged_bytes_are_refused(bank: DefectBank, damage: Any) -> None:
    appearance = bank.appearance(0)
    with pytest.raises(ValueError, match="appearance"):
        decode(damage(encode(appearance)), frame_of(appearance), bank[0].mask)


def test_bytes_that_unpack_to_more_than_they_say_are_not_unpacked(bank: DefectBank) -> None:
    appearance = bank.appearance(0)
    with pytest.raises(ValueError, match="other than"):
        decode(zlib.compress(bytes(50_000_000)), frame_of(appearance), bank[0].mask)


def test_a_bank_survives_file_and_pickle(bank: DefectBank, tmp_path: Path) -> None:
    folder = written(bank, tmp_path / "weights")
    for again in (DefectBank.load(folder / BANK, 2), pickle.loads(pickle.dumps(bank))):
        assert again.counts() == bank.counts() and again.formulas == pytest.approx(bank.formulas, abs=1e-6)
        for index in range(len(bank)):
            assert np.array_equal(again[index].mask, bank[index].mask)
            assert np.array_equal(again.appearance(index).pixels[again.appearance(index).mask],
                                  bank.appearance(index).pixels[bank.appearance(index).mask])  # fmt: skip
            assert again.alike(index) == bank.alike(index)
            assert np.array_equal(again.surroundings(index)[0], bank.surroundings(index)[0])


def test_few_appearances_are_kept_decoded(bank: DefectBank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("albu_gan.defects.bank.DECODED_BYTES", 1)
    again = pickle.loads(pickle.dumps(bank))
    for index in range(len(again)):
        again.appearance(index)
    assert len(again._decoded) == 1


def test_a_bank_of_shapes_alone_holds_no_pixel(bank: DefectBank) -> None:
    alone = bank.shapes_alone()
    assert not alone.has_appearances and "encoded" not in alone.to_tensors()
    assert alone.counts() == bank.counts()


def test_classes_can_be_left_out(bank: DefectBank) -> None:
    scratches = bank.of_classes([1])
    assert scratches.counts() == [4] and scratches.formulas == bank.formulas[1:]
    assert np.array_equal(scratches.appearance(0).pixels, bank.appearance(_first(bank, 1)).pixels)


def _first(bank: DefectBank, class_index: int) -> int:
    return next(index for index in range(len(bank)) if bank.class_of(index) == class_index)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("encoded", lambda a: a[:-1], "bytes of appearances"),
        ("encoded_bytes", lambda a: a + 1, "bytes of appearances"),
        ("encoded_bytes", lambda a: -a, "bytes of appearances"),
        ("frame", lambda a: a - [0, 0, 100, 0], "does not hold its shape"),
        ("frame", lambda a: a * 0 + [1 << 30, 1 << 30, 0, 0], "larger than allowed"),
        ("channels", lambda a: a + 1, "channels"),
        ("grain", lambda a: a * 0, "no grain"),
        ("grain", lambda a: a * np.nan, "not finite"),
        ("formula", lambda a: -a, "must not be negative"),
        ("formula", lambda a: a[:1], "formulas are not those"),
        ("surroundings", lambda a: a[:, :-1], "surroundings"),
        ("stature", lambda a: a[:, :-1], "disagree"),
        ("stature", lambda a: a.astype(np.float64), "must be F32"),
        ("stature", None, "all of"),
    ],
)
def test_a_file_that_lies_is_one_clear_error(
    bank: DefectBank, tmp_path: Path, name: str, change: Any, said: str
) -> None:
    folder = written(bank, tmp_path / "weights")
    tensors = load_file(folder / BANK)
    if change is None:
        del tensors[name]
    else:
        changed = change(tensors[name])
        tensors[name] = np.ascontiguousarray(changed if name == "stature" else changed.astype(tensors[name].dtype))
    save_file(tensors, folder / BANK)
    with pytest.raises(WeightsError, match=said) as error:
        GANDefectInpaint(str(folder), p=1.0)(image=scene(0)[0])
    assert BANK in str(error.value) and "\n" not in str(error.value)


def test_damaged_pixels_name_the_file_when_they_are_painted(bank: DefectBank, tmp_path: Path) -> None:
    folder = written(bank, tmp_path / "weights")
    tensors = load_file(folder / BANK)
    tensors["encoded"] = np.zeros_like(tensors["encoded"])
    save_file(tensors, folder / BANK)
    with pytest.raises(WeightsError, match=f"{BANK}: defect .* damaged.*make it again"):
        GANDefectInpaint(str(folder), p=1.0)(image=scene(0)[0])


def test_a_cut_file_is_one_clear_error(bank: DefectBank, tmp_path: Path) -> None:
    folder = written(bank, tmp_path / "weights")
    content = (folder / BANK).read_bytes()
    (folder / BANK).write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match="truncated"):
        GANDefectInpaint(str(folder))


def test_a_folder_of_format_1_says_what_to_do(bank: DefectBank, tmp_path: Path) -> None:
    folder = written(bank, tmp_path / "weights")
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"format_version": 2', '"format_version": 1'))
    with pytest.raises(WeightsError, match="albu-gan bank"):
        GANDefectInpaint(str(folder))


def test_faint_defects_are_left_out_with_the_reason() -> None:
    image, mask = scene(0)
    mask[4:20, 60:110] = 2  # there is nothing
    found = collect([Annotated("part.png", image, mask, 0)])
    assert [(entry.class_index, entry.kind.startswith("fainter")) for entry in found.left_out] == [(1, True)]
    assert found.left_out[0].name == "part.png" and (found.left_out[0].top, found.left_out[0].left) == (4, 60)


def test_defects_that_fill_the_image_are_left_out() -> None:
    image = np.full((60, 60), 120, np.uint8)
    image[2:58, 2:58] = 40
    mask = (image == 40).astype(np.uint8)
    with pytest.raises(ValueError, match="1 larger than half of the image"):
        collect([Annotated("a", image, mask, 0)]).bank(["hole"])


@pytest.mark.parametrize(
    ("images", "masks", "error", "said"),
    [
        ([np.zeros((9, 9), np.uint16)], [np.zeros((9, 9), int)], TypeError, r"images\[0\] must be a uint8"),
        ([np.zeros((9, 9, 2), np.uint8)], [np.zeros((9, 9), int)], ValueError, r"shape \(9, 9, 2\)"),
        ([np.zeros((9, 9), np.uint8)], [np.zeros((9, 8), int)], ValueError, "resize both together"),
        ([np.zeros((9, 9), np.uint8)], [np.full((9, 9), 255)], ValueError, "at most 1 for 1 class_names"),
        ([np.zeros((9, 9), np.uint8)], [], ValueError, "every image needs a mask"),
        ([np.zeros((9, 9), np.uint8)], [np.zeros((9, 9), int)], ValueError, "none of them has a labelled pixel"),
        ([], [], ValueError, "no defect"),
    ],
)
def test_bad_images_and_masks_are_one_clear_error(
    images: list[np.ndarray], masks: list[np.ndarray], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        GANDefectInpaint.from_defects(images, masks, ["pit"])
