"""What the app paints, writes and refuses, without a browser."""

from __future__ import annotations

import gc
import importlib.util
import inspect
import io
import json
import re
import runpy
import socket
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from defective import defective
from PIL import Image, ImageFile

from albu_gan import DefectInpainter
from albu_gan.app import mask_runs
from albu_gan.app.downloads import Files, write_files
from albu_gan.app.exemplars import ON_A_PAGE, choose, gallery, page_of
from albu_gan.app.images import Upload, clean_stem, read_upload, reduce_depth
from albu_gan.app.launch import is_loopback, usable_port
from albu_gan.app.own import cut_out
from albu_gan.app.sample_mask import sample_mask, vary_again
from albu_gan.app.sampled import SampledPart
from albu_gan.app.scene import Scene, Setting, draw, keep, new_scene, paint, with_setting
from albu_gan.cli import main
from albu_gan.defects import annotated_images, collect

ROOT = Path(__file__).parent.parent


def texture(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(90, 160, shape).astype(np.uint8)


@pytest.fixture
def bank_painter(bank_weights: str) -> DefectInpainter:
    return DefectInpainter.from_pretrained(bank_weights)


@pytest.fixture
def painter(weights: str) -> DefectInpainter:
    return DefectInpainter.from_pretrained(weights)


@pytest.fixture
def scene() -> Scene:
    return new_scene(Upload(texture((90, 120, 3)), "part-7"))


def boxes(size_hw: tuple[int, int], *drawn: tuple[int, int, int]) -> np.ndarray:
    """Labels with 8 x 12 boxes: top, left, value."""
    labels = np.zeros(size_hw, np.uint8)
    for top, left, value in drawn:
        labels[top : top + 8, left : left + 12] = value
    return labels


# Uploads


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def test_gray_stays_gray_and_colour_keeps_its_pixels(tmp_path: Path) -> None:
    for pixels in (texture((40, 50)), texture((40, 50, 3))):
        upload = read_upload(saved(tmp_path / "a.png", Image.fromarray(pixels)), 1)
        np.testing.assert_array_equal(upload.image, pixels)
        assert upload.notes == () and upload.stem == "a"


def test_transparency_is_dropped_and_said(tmp_path: Path) -> None:
    pixels = texture((40, 50, 4))
    upload = read_upload(saved(tmp_path / "a.png", Image.fromarray(pixels, "RGBA")), 1)
    np.testing.assert_array_equal(upload.image, pixels[:, :, :3])
    assert upload.notes == ("Transparency was dropped.",)
    pixels[:, :, 3] = 255
    assert read_upload(saved(tmp_path / "b.png", Image.fromarray(pixels, "RGBA")), 1).notes == ()


def test_a_palette_gives_its_colours(tmp_path: Path) -> None:
    image = Image.fromarray(np.arange(2000, dtype=np.uint8).reshape(40, 50) % 7, "P")
    image.putpalette([v for index in range(256) for v in (index * 3 % 256, 7, 255 - index)])
    upload = read_upload(saved(tmp_path / "a.png", image), 1)
    np.testing.assert_array_equal(upload.image, np.asarray(image.convert("RGB")))


def test_cmyk_becomes_rgb_and_says_so(tmp_path: Path) -> None:
    image = Image.new("CMYK", (50, 40), (0, 255, 255, 0))
    upload = read_upload(saved(tmp_path / "a.tif", image), 1)
    assert upload.image.shape == (40, 50, 3)
    assert upload.image[0, 0, 0] > 200 > 60 > upload.image[0, 0, 1]
    assert "CMYK" in upload.notes[0]


@pytest.mark.parametrize(("bits", "high"), [(10, 1023), (12, 4095), (16, 65535), (8, 200)])
def test_16_bit_files_are_reduced_from_the_depth_they_use(tmp_path: Path, bits: int, high: int) -> None:
    pixels = np.linspace(0, high, 2000).astype(np.uint16).reshape(40, 50)
    assert cv2.imwrite(str(tmp_path / "a.png"), pixels)
    upload = read_upload(tmp_path / "a.png", 1)
    np.testing.assert_array_equal(upload.image, (pixels >> (bits - 8)).astype(np.uint8))
    assert f"{bits} bits" in upload.notes[0]


def test_16_bit_colour_is_reduced_and_said(tmp_path: Path) -> None:
    pixels = texture((40, 50, 3)).astype(np.uint16) * 256 + 77
    assert cv2.imwrite(str(tmp_path / "a.png"), pixels)
    upload = read_upload(tmp_path / "a.png", 1)
    np.testing.assert_array_equal(upload.image, (pixels[:, :, ::-1] >> 8).astype(np.uint8))
    assert "reduced to 8" in upload.notes[0]


def test_values_beyond_16_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="not those of a 16-bit image"):
        reduce_depth(np.array([[0, 70000]]))


def test_a_photograph_is_turned_as_its_metadata_says(tmp_path: Path) -> None:
    pixels = texture((40, 50, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    upload = read_upload(saved(tmp_path / "a.png", Image.fromarray(pixels), exif=exif), 1)
    np.testing.assert_array_equal(upload.image, np.rot90(pixels, -1))
    assert "turned" in upload.notes[0]


@pytest.mark.parametrize("format_name", ["png", "jpg", "tif", "bmp", "webp"])
def test_a_truncated_file_is_named_and_refused(tmp_path: Path, format_name: str) -> None:
    path = saved(tmp_path / f"cut.{format_name}", Image.fromarray(texture((80, 90, 3))))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"cut\.\w+ is (damaged|not an image)"):
        read_upload(path, 1)


@pytest.mark.parametrize(
    "content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>"]
)
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.png is"):
        read_upload(tmp_path / "a.png", 1)


def test_other_formats_are_refused_whatever_their_name(tmp_path: Path) -> None:
    Image.fromarray(texture((40, 50, 3))).save(tmp_path / "a.png", format="GIF")
    with pytest.raises(ValueError, match="use one of PNG"):
        read_upload(tmp_path / "a.png", 1)


@pytest.mark.parametrize(("width", "height"), [(12_000, 12_000), (60_000, 60_000)])
def test_a_huge_image_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, height: int
) -> None:
    """A small file whose header claims a size that would fill the memory."""
    stream = io.BytesIO()
    Image.new("L", (20, 20)).save(stream, format="PNG")
    content = bytearray(stream.getvalue())
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "bomb.png").write_bytes(content)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=r"megapixels"):
        read_upload(tmp_path / "bomb.png", 16)


def test_limits_are_said_with_the_size_that_came(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(texture((1000, 1001))))
    assert read_upload(path, 1.001).image.shape == (1000, 1001)
    with pytest.raises(ValueError, match=r"1001 x 1000, 1\.0 megapixels; this app takes 1\. .*--max-megapixels"):
        read_upload(path, 1)
    with pytest.raises(ValueError, match="at least 16 pixels"):
        read_upload(saved(tmp_path / "b.png", Image.fromarray(texture((15, 50)))), 1)


@pytest.mark.parametrize(
    ("stem", "clean"),
    [("a b/c'\"\n;x", "a-b-c-x"), ("...", "image"), ("Überprüfung", "berpr-fung"), ("x" * 99, "x" * 48)],
)
def test_names_are_made_safe(stem: str, clean: str) -> None:
    assert clean_stem(stem) == clean


# Masks on the wire


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (31, 17)])
def test_masks_travel_unchanged(shape: tuple[int, int]) -> None:
    labels = np.random.default_rng(0).integers(0, 4, shape).astype(np.uint8)
    text = mask_runs.encode(labels)
    assert json.loads(text)["width"] == shape[1]
    np.testing.assert_array_equal(mask_runs.decode(text, shape, 3), labels)


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        "[]",
        "{}",
        "[" * 100_000,
        '{"width":3,"height":2,"runs":[0,6,1]}',
        '{"width":3,"height":2,"runs":[]}',
        '{"width":3,"height":2,"runs":[0,5]}',
        '{"width":3,"height":2,"runs":[0,7]}',
        '{"width":3,"height":2,"runs":[0,7,1,-1]}',
        '{"width":3,"height":2,"runs":[9,6]}',
        '{"width":3,"height":2,"runs":[-1,6]}',
        '{"width":2,"height":3,"runs":[0,6]}',
        '{"width":3,"height":2,"runs":"ab"}',
        '{"width":3,"height":2,"runs":[0,1e400]}',
        '{"width":3,"height":2,"runs":[0,99999999999999999999]}',
        '{"width":3,"height":2,"runs":[0,4611686018427387904,0,4611686018427387904,0,4611686018427387904,0,4611686018427387910]}',
        "x" * 4_000_001,
    ],
)
def test_a_drawing_that_does_not_fit_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"drawing"):
        mask_runs.decode(text, (2, 3), 3)


# Painting


def test_only_drawn_pixels_change_and_the_mask_names_their_class(scene: Scene, painter: DefectInpainter) -> None:
    labels = boxes(scene.size_hw, (10, 10, 1), (50, 70, 3))
    painted = paint(draw(scene, labels), painter)
    np.testing.assert_array_equal(painted.mask, labels)
    changed = (painted.image != scene.clean).any(axis=2)
    assert changed.any() and not changed[labels == 0].any()
    assert set(painted.contrasts) == {0, 2}


def test_each_class_has_its_latent_and_strength(scene: Scene, painter: DefectInpainter) -> None:
    labels = boxes(scene.size_hw, (10, 10, 1), (50, 70, 3))
    scene = draw(scene, labels)
    before = paint(scene, painter).image
    after = paint(with_setting(scene, 2, Setting(5, 1.0)), painter).image
    np.testing.assert_array_equal(before[labels == 1], after[labels == 1])
    assert (before[labels == 3] != after[labels == 3]).any()
    unpainted = paint(with_setting(scene, 2, Setting(5, 0.0)), painter)
    np.testing.assert_array_equal(unpainted.image[labels == 3], scene.clean[labels == 3])
    assert unpainted.contrasts[2] == 0


def test_what_is_kept_changes_no_more(scene: Scene, painter: DefectInpainter) -> None:
    first = draw(scene, boxes(scene.size_hw, (50, 70, 1)))
    before = paint(first, painter).image
    kept = keep(first, painter)
    np.testing.assert_array_equal(kept.base, before)
    # A mask of the same class above the first would take the first latent, and one across it would repaint it.
    labels = boxes(scene.size_hw, (10, 10, 1), (52, 74, 1))
    after = paint(with_setting(draw(kept, labels), 0, Setting(9, 1.0)), painter)
    locked = kept.locked()
    np.testing.assert_array_equal(after.image[locked], before[locked])
    np.testing.assert_array_equal(after.mask > 0, (labels > 0) | locked)
    with pytest.raises(ValueError, match="nothing new to keep"):
        keep(keep(draw(kept, labels), painter), painter)


def test_sampled_masks_are_of_the_class_and_never_touch(scene: Scene, painter: DefectInpainter) -> None:
    rng = np.random.default_rng(0)
    for count in range(1, 6):
        scene = sample_mask(scene, painter, 1, rng)
        assert set(np.unique(scene.drawn)) == {0, 2}
        assert cv2.connectedComponents((scene.drawn > 0).astype(np.uint8))[0] - 1 >= count
    full = draw(scene, np.full(scene.size_hw, 1, np.uint8))
    with pytest.raises(ValueError, match="no room"):
        sample_mask(full, painter, 1, rng)


def test_too_many_specks_are_refused(scene: Scene) -> None:
    labels = np.zeros(scene.size_hw, np.uint8)
    labels[::3, ::3] = 1
    with pytest.raises(ValueError, match="separate parts"):
        draw(scene, labels)


@pytest.mark.parametrize(("seed", "strength"), [(-1, 1.0), (2**31, 1.0), (0, -0.1), (0, 3.1), (0, float("nan"))])
def test_settings_are_checked(seed: int, strength: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        Setting(seed, strength)


@pytest.mark.parametrize("variation", [-0.1, 1.1, float("nan")])
def test_variation_is_checked(variation: float) -> None:
    with pytest.raises(ValueError, match="variation must be"):
        Setting(variation=variation)


# Painting like a real defect


def test_what_is_painted_is_like_the_exemplar_that_was_chosen(scene: Scene, bank_painter: DefectInpainter) -> None:
    """Of the painter's own call, and another exemplar or variation is another picture."""
    scene = draw(scene, boxes(scene.size_hw, (10, 10, 1)))
    one = paint(with_setting(scene, 0, Setting(7, 1.2, 0.3, exemplar=2)), bank_painter).image
    expected = bank_painter(scene.clean, scene.drawn == 1, "pit", seed=7, strength=1.2, exemplar=2, variation=0.3)
    np.testing.assert_array_equal(one, expected)
    for other in (Setting(7, 1.2, 0.3, exemplar=0), Setting(7, 1.2, 0.9, exemplar=2)):
        assert (paint(with_setting(scene, 0, other), bank_painter).image != one).any()


def test_a_sampled_mask_is_painted_as_its_donor_until_it_is_changed(
    scene: Scene, bank_painter: DefectInpainter
) -> None:
    rng = np.random.default_rng(1)
    scene = sample_mask(sample_mask(scene, bank_painter, 0, rng), bank_painter, 0, rng)
    first, second = scene.sampled
    assert [step.part for step in scene.steps()] == [first, second]
    assert all(bank_painter.bank.class_of(part.donor) == 0 for part in scene.sampled)
    np.testing.assert_array_equal(sum(step.mask.astype(int) for step in scene.steps()), scene.drawn)
    labels = scene.drawn.copy()
    labels[first.top : first.top + 2, first.left : first.left + first.mask.shape[1]] = 0
    erased = draw(scene, labels)
    assert [step.part for step in erased.steps()] == [None, second]
    assert [step.part for step in draw(erased, scene.drawn).steps()] == [first, second]  # "undo"
    other = next(i for i in bank_painter.bank.members(0) if i not in (first.donor, second.donor))
    chosen = with_setting(scene, 0, Setting(exemplar=other))
    assert [(step.part, step.setting.exemplar) for step in chosen.steps()] == [(None, other)]


def test_a_stroke_in_the_bend_of_a_sampled_mask_leaves_it_as_it_is() -> None:
    bend = np.zeros((20, 20), bool)
    bend[:, :3] = bend[-3:] = True
    part = SampledPart(0, bend, 5, 6, (False,) * 4, 0, None, 0, 0, 0.5, 1.0)
    drawn = np.zeros((40, 40), bool)
    part.lay(drawn, True)
    drawn[7:12, 14:20] = True
    assert part.is_still(drawn) and not part.is_free(drawn)
    drawn[7, 9:14] = True
    assert not part.is_still(drawn)


def test_a_sampled_mask_at_variation_0_is_the_donor_itself(bank_painter: DefectInpainter) -> None:
    """Dark by as much as the donor is, not by a look that was stretched into another shape."""
    image = np.full((90, 120, 3), 145, np.uint8)
    scene = with_setting(new_scene(Upload(image, "even")), 0, Setting(variation=0.0))
    scene = sample_mask(scene, bank_painter, 0, np.random.default_rng(1))
    (part,) = scene.sampled
    look = bank_painter.bank.appearance(part.donor)
    painted = paint(scene, bank_painter).image
    inside = cv2.erode(scene.drawn, np.ones((7, 7), np.uint8)) > 0
    assert abs(float(painted[inside].mean()) - float(look.pixels[look.mask].mean())) < 8


def test_sampled_masks_follow_seed_and_variation_where_they_are(scene: Scene, bank_painter: DefectInpainter) -> None:
    rng = np.random.default_rng(3)
    for _ in range(3):
        scene = sample_mask(scene, bank_painter, 0, rng)
    for setting in (Setting(4, 1.0, 0.5), Setting(4, 1.0, 1.0), Setting(5, 1.0, 0.0)):
        varied = vary_again(with_setting(scene, 0, setting), bank_painter, 0)
        steps = varied.steps()
        assert len(steps) == 3 and [s.part.donor for s in steps] == [p.donor for p in scene.sampled]  # type: ignore[union-attr]
        np.testing.assert_array_equal(sum(step.mask.astype(int) for step in steps), varied.drawn)
        assert (varied.drawn != scene.drawn).any()
        for step, part in zip(steps, scene.sampled, strict=True):
            assert step.part is not None and step.part.seed == setting.seed and step.mask[part.top :].any()
    again = vary_again(with_setting(varied, 0, Setting()), bank_painter, 0)
    np.testing.assert_array_equal(again.drawn, scene.drawn)
    assert len(again.steps()) == 3
    unchanged = with_setting(scene, 0, Setting(0, 2.0))
    assert vary_again(unchanged, bank_painter, 0) is unchanged


def test_a_sampled_mask_that_has_no_room_to_vary_stays(scene: Scene, bank_painter: DefectInpainter) -> None:
    scene = sample_mask(scene, bank_painter, 0, np.random.default_rng(3))
    around = cv2.dilate(scene.drawn, np.ones((3, 3), np.uint8)) == 0
    crowded = draw(scene, np.where(around, 2, scene.drawn).astype(np.uint8))
    varied = vary_again(with_setting(crowded, 0, Setting(4, 1.0, 1.0)), bank_painter, 0)
    np.testing.assert_array_equal(varied.drawn == 2, crowded.drawn == 2)
    assert len([step for step in varied.steps() if step.part is not None]) == 1


def test_a_mask_is_sampled_from_the_exemplar_that_was_chosen(scene: Scene, bank_painter: DefectInpainter) -> None:
    long = next(i for i in bank_painter.bank.members(1) if bank_painter.bank.size_of(i)[1] == 30)
    scene = sample_mask(with_setting(scene, 1, Setting(exemplar=long)), bank_painter, 1, np.random.default_rng(0))
    assert scene.sampled[0].donor == long and scene.drawn.max() == 2
    height, width = scene.sampled[0].mask.shape
    assert width > 1.5 * height


def test_one_s_own_defect_is_painted_on_another_image(scene: Scene, painter: DefectInpainter) -> None:
    """By weights that hold none, too: what was drawn over dark spots paints dark spots."""
    image, mask = defective((90, 120, 3))
    own = cut_out(image, mask == 1, "pit")
    assert len(own.painter.bank) == 2 and own.left_out == ()
    scene = with_setting(draw(scene, boxes(scene.size_hw, (10, 10, 3))), 2, Setting(own=own))
    painted = paint(scene, painter)
    assert painted.contrasts[2] > 8 and (painted.mask == scene.drawn).all()
    assert (painted.image.astype(int) - scene.clean)[scene.drawn == 3].mean() < -20
    sampled = sample_mask(scene, painter, 2, np.random.default_rng(0))
    assert np.count_nonzero(sampled.drawn) > np.count_nonzero(scene.drawn)
    assert sampled.steps()[-1].part is sampled.sampled[0] and sampled.sampled[0].own is own


def test_an_outline_is_filled() -> None:
    image, mask = defective((90, 120))
    whole = mask == 1
    ring = whole & ~cv2.erode(whole.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    np.testing.assert_array_equal(cut_out(image, ring, "pit").mask, whole)


@pytest.mark.parametrize(
    ("drawn", "said"),
    [
        ((slice(0, 0), slice(0, 0)), "nothing of pit is drawn"),
        ((slice(0, 90), slice(0, 120)), "it is larger than half of the image: 90 x 120"),
        ((slice(70, 85), slice(30, 50)), "it is fainter than"),
        ((slice(70, 71), slice(30, 33)), "smaller than a defect can be"),
    ],
)
def test_what_cannot_be_an_exemplar_is_explained(drawn: tuple[slice, slice], said: str) -> None:
    image = np.random.default_rng(0).integers(140, 143, (90, 120)).astype(np.uint8)
    mask = np.zeros((90, 120), bool)
    mask[drawn] = True
    with pytest.raises(ValueError, match=said):
        cut_out(image, mask, "pit")


def test_the_gallery_pages_through_the_defects_of_a_class(bank_painter: DefectInpainter) -> None:
    bank = bank_painter.bank
    whole = gallery(bank_painter, 0, (), Setting(), 0)
    assert [tile[0] for tile in whole["tiles"]] == [f"bank:{i}" for i in bank.members(0)]
    assert all(tile[2].startswith("data:image/jpeg;base64,") for tile in whole["tiles"])
    assert (whole["chosen"], whole["pages"], whole["range"]) == ("any", 1, "")
    image, mask = defective((90, 120, 3))
    many = DefectInpainter.from_bank(
        collect(annotated_images([image] * 25, [mask] * 25, ["pit", "scratch"])).bank(["pit", "scratch"]),
        ["pit", "scratch"],
    )
    own = cut_out(image, mask == 1, "pit")
    last = gallery(many, 1, (own,), Setting(own=own), 7)
    assert (last["page"], last["pages"], last["chosen"]) == (1, 2, "own:0")
    assert len(last["tiles"]) == 1 + 50 - ON_A_PAGE and last["range"] == f"{ON_A_PAGE + 1}–50 of 50"


def test_a_gallery_of_a_network_says_why_it_is_empty(painter: DefectInpainter) -> None:
    shown = gallery(painter, 0, (), Setting(), 0)
    assert shown["tiles"] == [] and "paint with a network" in shown["note"]


@pytest.mark.parametrize("token", [None, "", "bank", "bank:-1", "bank:99", "bank:1e3", "own:0", "bank:²", "x" * 9999])
def test_a_choice_that_is_not_offered_is_refused(bank_painter: DefectInpainter, token: object) -> None:
    with pytest.raises(ValueError, match="no such defect"):
        choose(Setting(), token, bank_painter, ())
    assert page_of(token) is None


# What is downloaded


def run_snippet(files: Files, folder: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Run the downloaded program beside the downloaded files, as its reader would."""
    monkeypatch.chdir(folder)
    runpy.run_path(str(files.snippet))
    (again,) = folder.glob("*-again.png")
    return cv2.imread(str(again), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("kept", [False, True])
def test_the_snippet_paints_the_downloaded_image_again(
    painter: DefectInpainter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gray: bool, kept: bool
) -> None:
    scene = new_scene(Upload(texture((90, 120) if gray else (90, 120, 3)), "part-7"))
    scene = draw(scene, boxes(scene.size_hw, (10, 10, 1), (50, 70, 3)))
    scene = with_setting(with_setting(scene, 0, Setting(11, 1.35)), 2, Setting(12, 0.6))
    if kept:
        scene = keep(scene, painter)
        scene = with_setting(draw(scene, boxes(scene.size_hw, (30, 40, 1))), 0, Setting(13, 0.9))
    painted = paint(scene, painter)
    files = write_files(scene, painted, painter, tmp_path)
    assert (files.steps is not None) == kept
    np.testing.assert_array_equal(cv2.imread(str(files.mask), cv2.IMREAD_UNCHANGED), painted.mask)
    image = cv2.imread(str(files.image), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(image if gray else image[:, :, ::-1], painted.image)
    np.testing.assert_array_equal(run_snippet(files, tmp_path, monkeypatch), image)


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("gray", [False, True])
def test_the_snippet_paints_real_defects_again(
    bank_painter: DefectInpainter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gray: bool, kept: bool
) -> None:
    """A chosen exemplar, sampled ones, and one's own, from the files of the archive alone."""
    shape = (90, 120) if gray else (90, 120, 3)
    image, mask = defective((60, 70) if gray else (90, 120, 3), 5)
    scene = new_scene(Upload(texture(shape), "part-7"))
    scene = draw(scene, boxes(scene.size_hw, (10, 10, 2)))
    scene = with_setting(scene, 1, Setting(3, 1.1, 0.2, own=cut_out(image, mask == 1, "dark pit")))
    for class_index in (0, 1):
        scene = sample_mask(scene, bank_painter, class_index, np.random.default_rng(2))
    scene = vary_again(with_setting(scene, 0, Setting(8, 1.3, 0.8)), bank_painter, 0)
    if kept:
        scene = keep(scene, bank_painter)
        scene = with_setting(draw(scene, boxes(scene.size_hw, (70, 100, 2))), 1, Setting(4, 0.9, 0.7, exemplar=3))
    painted = paint(scene, bank_painter)
    (tmp_path / "files").mkdir()
    (tmp_path / "again").mkdir()
    files = write_files(scene, painted, bank_painter, tmp_path / "files")
    for said in ("own_1(image", "paint_sampled(painter", "paint_sampled(own_1", "seed=8, variation=0.8, strength=1.3"):
        assert said in files.text
    assert ("exemplar=3, variation=0.7" in files.text) == kept
    with zipfile.ZipFile(files.archive) as archive:
        archive.extractall(tmp_path / "again")
    again = run_snippet(
        replace(files, snippet=tmp_path / "again" / files.snippet.name), tmp_path / "again", monkeypatch
    )
    np.testing.assert_array_equal(again, cv2.imread(str(files.image), cv2.IMREAD_UNCHANGED))
    np.testing.assert_array_equal(again if gray else again[:, :, ::-1], painted.image)


def test_the_snippet_names_bundled_weights_and_is_text_only(tmp_path: Path) -> None:
    painter = DefectInpainter.from_pretrained("magnetic-tile-v1")
    scene = new_scene(Upload(texture((90, 120)), "a"))
    scene = draw(scene, boxes(scene.size_hw, (10, 10, 3)))
    text = write_files(scene, paint(scene, painter), painter, tmp_path).text
    assert "from_pretrained('magnetic-tile-v1')" in text
    assert "image = painter(image, mask == 3, 'crack', seed=0, strength=1.0)" in text


# The page, without a browser


@contextmanager
def gradio_leaves_event_loops() -> Iterator[None]:
    """Collect, unreported, the event loops that Gradio opens and does not close when it builds a page."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@pytest.fixture(scope="module")
def page(weights: str, colour_weights: str, bank_weights: str) -> Any:
    pytest.importorskip("gradio", reason="the page needs the extra: pip install -e '.[app]'")
    from albu_gan.app.page import Page

    names = {"gray": weights, "colour": colour_weights, "bank": bank_weights}
    with gradio_leaves_event_loops():
        return Page({key: DefectInpainter.from_pretrained(name) for key, name in names.items()}, 0.02)


def test_the_page_s_handlers_paint_step_by_step(page: Any) -> None:
    from albu_gan.app.controls import CLOSE, WHOLE
    from albu_gan.app.session import Session

    upload = Upload(texture((90, 120, 3)), "part-7")
    (session, *_), canvas = page._start(Session("gray"), upload)[:-1], page._start(Session("gray"), upload)[-1]
    assert canvas["size_hw"] == [90, 120] and canvas["picture"].startswith("data:image/png;base64,")
    labels = boxes((90, 120), (10, 10, 1), (50, 70, 2))
    session, compare, status, image, mask, *_ = page._drawn(session, mask_runs.encode(labels), WHOLE)
    np.testing.assert_array_equal(cv2.imread(mask["value"], cv2.IMREAD_UNCHANGED), labels)
    np.testing.assert_array_equal(cv2.imread(compare[1]), cv2.imread(image["value"]))
    assert "**pit** 96 px" in status and "**scratch** 96 px" in status
    session = page._pick_class(session, 1)[0]
    session, _, _, again, *_ = page._settings(session, CLOSE, 4, 1.5, 0.5)
    assert session.scene.setting(1) == Setting(4, 1.5) and session.scene.setting(0) == Setting()
    assert cv2.imread(again["value"]).shape == (90, 120, 3)
    session = page._keep(session, WHOLE)[0]
    assert len(session.scene.kept) == 2 and not session.scene.drawn.any()
    assert page._pick_weights(session, "gray")[0] is session  # nothing is lost to a list that loses the focus
    session = page._pick_weights(session, "colour")[0]
    assert session.weights == "colour" and not session.scene.steps()


def test_the_page_shows_what_applies_to_the_weights(page: Any) -> None:
    from albu_gan.app.session import Session

    for weights, seed, has_variation in (("gray", "Latent of pit", False), ("bank", "Seed of pit", True)):
        number, button, _, variation, tiles = page._settings_of(Session(weights))
        assert number["label"] == seed and button["value"] == "New " + seed.split()[0].lower()
        assert variation["visible"] == has_variation and bool(tiles["tiles"]) == has_variation
        assert ("paint with a network" in tiles["note"]) != has_variation


def test_the_page_paints_like_one_s_own_defect_on_the_next_image(page: Any) -> None:
    from albu_gan.app.controls import WHOLE
    from albu_gan.app.session import Session

    image, mask = defective((90, 120, 3))
    session = page._start(Session("gray"), Upload(image, "broken"))[0]
    session = page._drawn(session, mask_runs.encode((mask == 1).astype(np.uint8)), WHOLE)[0]
    session, _, status, *rest = page._use_as_exemplar(session, WHOLE)
    assert status == "Nothing is painted yet." and not session.scene.drawn.any()
    number, _, _, variation, tiles = rest[-5:]
    assert (number["label"], variation["visible"], tiles["chosen"]) == ("Seed of pit", True, "own:0")
    session = page._start(session, Upload(texture((90, 120, 3)), "clean"))[0]
    session = page._drawn(session, mask_runs.encode(boxes((90, 120), (10, 10, 1))), WHOLE)[0]
    assert session.setting.own is session.owns[0]
    session = page._pick_exemplar(session, WHOLE, "any")[0]
    assert session.setting.own is None and len(session.owns) == 1
    session = page._pick_weights(session, "bank")[0]
    session, _, _, *rest = page._pick_exemplar(session, WHOLE, "own:0")
    assert session.setting.own is session.owns[0] and rest[-1]["chosen"] == "own:0"
    session = page._pick_exemplar(session, WHOLE, "page:0")[0]
    assert session.setting.own is session.owns[0]


def test_every_handler_returns_a_value_for_each_output(page: Any) -> None:
    from albu_gan.app.controls import WHOLE
    from albu_gan.app.session import Session

    session = page._start(Session("bank"), page.samples[0])[0]
    shown = len(page._shown(session, WHOLE))
    assert len(page._settings(session, WHOLE, None, 1.0, 0.5)) == shown + 1
    assert len(page._settings(session, WHOLE, 1, 1.0, 0.5)) == shown + 1
    assert len(page._pick_weights(session, "bank")) == len(page._pick_weights(session, "gray"))
    assert len(page._pick_exemplar(session, WHOLE, "page:1")) == len(page._pick_exemplar(session, WHOLE, "any"))


def test_the_page_explains_what_is_not_possible(page: Any, tmp_path: Path) -> None:
    import gradio

    from albu_gan.app.controls import WHOLE
    from albu_gan.app.page import explained
    from albu_gan.app.session import Session

    with pytest.raises(gradio.Error, match="Load an image or pick a sample first"):
        explained(page._sample)(Session("gray"), WHOLE)
    path = saved(tmp_path / "large.png", Image.fromarray(texture((200, 101))))
    with pytest.raises(gradio.Error, match=r"^'?large\.png is .*this app takes 0\.02"):
        explained(page._upload)(Session("gray"), str(path))


def test_a_replaced_image_leaves_no_files(page: Any) -> None:
    from albu_gan.app.session import Session, forget

    first = page._start(Session("gray"), page.samples[0])[0]
    second = page._start(first, page.samples[1])[0]
    assert not first.folder.exists() and second.folder.exists()
    forget(second)
    assert not second.folder.exists()


def test_the_space_is_complete_and_builds_the_page() -> None:
    pytest.importorskip("gradio", reason="the page needs the extra: pip install -e '.[app]'")
    import gradio
    from packaging.requirements import Requirement

    space = ROOT / "docs" / "space"
    _, front, text = (space / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    settings = yaml.safe_load(front)
    assert settings["sdk"] == "gradio" and (space / settings["app_file"]).is_file() and text.strip()
    assert len(settings["short_description"]) <= 60
    (line,) = (space / "requirements.txt").read_text(encoding="utf-8").split()
    assert Requirement(line).name == "albu-gan" and Requirement(line).extras == {"app"}
    (extra,) = re.findall(r'^app = \["(.+)"\]$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert settings["sdk_version"] in Requirement(extra).specifier
    with gradio_leaves_event_loops():
        names = runpy.run_path(str(space / settings["app_file"]), run_name="space")
    assert isinstance(names["demo"], gradio.Blocks)
    known = inspect.signature(gradio.Blocks.launch).parameters
    assert set(names["launch_options"](names["LIMITS"])) <= set(known)


# The command


def test_a_port_in_use_gives_one_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        assert main(["app", "--port", str(port), "--no-browser"]) == 1
    error = capsys.readouterr().err
    assert error == (
        f"albu-gan: error: port {port} is in use; choose another with --port, or a free one with --port 0\n"
    )


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--port", "70000"], "--port must be from 0 to 65535"),
        (["--host", "no.such.host.invalid"], "is no address"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
        (["--max-megapixels", "0"], "--max-megapixels must be"),
        (["--max-megapixels", "nan"], "--max-megapixels must be"),
        (["--max-megabytes", "0"], "--max-megabytes must be"),
        (["--weights", "./typo", "--port", "0"], "no such folder"),
    ],
)
def test_a_mistake_gives_one_line_and_status_1(flags: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["app", "--no-browser", *flags]) == 1
    error = capsys.readouterr().err
    assert error.startswith("albu-gan: error: ") and said in error and len(error.strip().splitlines()) == 1


def test_without_gradio_one_line_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, package=None: None if name == "gradio" else real(name, package)
    )
    assert main(["app"]) == 1
    assert capsys.readouterr().err == (
        'albu-gan: error: the app needs Gradio, which is not installed: pip install "albu-gan[app]"\n'
    )


def test_the_command_line_works_without_the_app_s_libraries(untouched: dict[str, Any]) -> None:
    """`albu-gan demo` must not need the extra: nothing that cli imports may import Gradio or Pillow's users."""
    imported = set(untouched["after importing the command line"])
    assert "albu_gan.cli" in imported
    assert not imported & {"gradio", "albu_gan.app.interface", "albu_gan.app.images"}


def test_port_0_takes_a_free_one_and_the_default_is_this_computer_only() -> None:
    assert 1023 < usable_port("127.0.0.1", 0) < 65536
    assert is_loopback("127.0.0.1") and is_loopback("localhost") and is_loopback("::1")
    assert not is_loopback("0.0.0.0") and not is_loopback("192.168.1.4")
