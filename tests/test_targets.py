"""Every target that a sample can carry receives the same defects, in its own form."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import albumentations as A
import numpy as np
import pytest

from albu_gan import GANDefectInpaint
from albu_gan.defects.labels import patch_box

MakeImage = Callable[..., np.ndarray]
SIZE = (64, 80)
LABELS = {"pit": "P", "scratch": "S", "stain": "T"}


def blank(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    return np.zeros(shape or SIZE, dtype)


def compose(weights: str, seed: int = 0, targets: dict[str, str] | None = None, **options: Any) -> A.Compose:
    options.setdefault("p", 1.0)
    return A.Compose([GANDefectInpaint(weights, **options)], seed=seed, additional_targets=targets)


def differs(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(H, W): where any channel changed."""
    return (before != after).reshape(*before.shape[:2], -1).any(axis=2)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.float32, np.uint16])
@pytest.mark.parametrize("shape", [SIZE, (*SIZE, 1)])
def test_an_index_mask_receives_the_class_values(
    weights: str, make_image: MakeImage, shape: tuple[int, ...], dtype: type
) -> None:
    image, seen = make_image((*SIZE, 3)), set()
    for seed in range(12):
        told = {"mask_values": {name: index + 1 for index, name in enumerate(LABELS)}} if dtype == np.float32 else {}
        result = compose(weights, seed, **told)(image=image, mask=blank(*shape, dtype=dtype))
        assert result["mask"].shape == shape and result["mask"].dtype == dtype and result["mask"].flags["C_CONTIGUOUS"]
        seen |= set(np.unique(result["mask"]).tolist())
        assert not (differs(image, result["image"]) & (result["mask"].reshape(SIZE) == 0)).any()
    assert seen == {0, 1, 2, 3}


def test_own_mask_values_are_written(weights: str, make_image: MakeImage) -> None:
    values, seen = {"pit": 40, "scratch": 7, "stain": 255}, set()
    for seed in range(12):
        result = compose(weights, seed, mask_values=values)(image=make_image(SIZE), mask=blank())
        seen |= set(np.unique(result["mask"]).tolist())
    assert seen == {0, 7, 40, 255}


def test_a_bool_mask_becomes_true(weights: str, make_image: MakeImage) -> None:
    image = make_image(SIZE)
    result = compose(weights)(image=image, mask=blank(dtype=bool))
    assert result["mask"].dtype == bool and result["mask"].any()
    assert not (differs(image, result["image"]) & ~result["mask"]).any()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, bool])
def test_a_channel_a_class_receives_ones(weights: str, make_image: MakeImage, dtype: type) -> None:
    image, channels = make_image(SIZE), set()
    for seed in range(12):
        index = compose(weights, seed)(image=image, mask=blank())["mask"]
        mask = compose(weights, seed)(image=image, mask=blank(*SIZE, 3, dtype=dtype))["mask"]
        assert mask.dtype == dtype and set(np.unique(mask).tolist()) == {0, 1}
        for channel in range(3):
            assert np.array_equal(mask[:, :, channel] > 0, index == channel + 1)
        channels |= set(np.flatnonzero(mask.any(axis=(0, 1))).tolist())
    assert channels == {0, 1, 2}


def test_a_uint8_channel_mask_that_holds_255_receives_255(weights: str, make_image: MakeImage) -> None:
    mask = blank(*SIZE, 3)
    mask[0, 0, 1] = 255
    result = compose(weights)(image=make_image(SIZE), mask=mask)["mask"]
    assert set(np.unique(result)) == {0, 255} and (result == 255).sum() > 1


def test_255_that_means_ignore_is_not_taken_for_a_label(weights: str, make_image: MakeImage) -> None:
    mask = blank(*SIZE, 3)
    mask[:4, :, 1] = 255
    result = compose(weights, ignore_value=255)(image=make_image(SIZE), mask=mask)["mask"]
    assert np.array_equal(result == 255, mask == 255)
    assert (result == 1).any()


def test_mask_channels_say_where_each_class_goes(weights: str, make_image: MakeImage) -> None:
    channels = {"pit": 5, "scratch": 0, "stain": 0}
    image, seen = make_image(SIZE), set()
    for seed in range(10):
        index = compose(weights, seed)(image=image, mask=blank())["mask"]
        mask = compose(weights, seed, mask_channels=channels)(image=image, mask=blank(*SIZE, 6))["mask"]
        assert np.array_equal(mask[:, :, 5] > 0, index == 1)
        assert np.array_equal(mask[:, :, 0] > 0, index > 1)
        assert not mask[:, :, 1:5].any()
        seen |= set(np.unique(index).tolist())
    assert seen == {0, 1, 2, 3}


def test_a_label_in_any_channel_is_avoided(weights: str, make_image: MakeImage) -> None:
    image, mask = make_image(SIZE), blank(*SIZE, 3)
    mask[:, :40, 2] = 1
    for seed in range(5):
        result = compose(weights, seed)(image=image, mask=mask)
        assert np.array_equal(result["mask"][:, :40], mask[:, :40])
        assert np.array_equal(result["image"][:, :40], image[:, :40])


@pytest.mark.parametrize("kind", [list, tuple, np.stack])
def test_masks_are_index_masks_by_default(weights: str, make_image: MakeImage, kind: Callable[..., Any]) -> None:
    image = make_image(SIZE)
    single = compose(weights)(image=image, mask=blank())
    result = compose(weights)(image=image, masks=kind([blank(), blank()]))
    assert isinstance(result["masks"], np.ndarray if kind is np.stack else list)
    assert len(result["masks"]) == 2
    assert np.array_equal(result["image"], single["image"]) and single["mask"].any()
    for mask in result["masks"]:
        assert np.array_equal(mask, single["mask"])


@pytest.mark.parametrize("kind", [list, np.stack])
def test_masks_are_one_a_channel_with_mask_channels(
    weights: str, make_image: MakeImage, kind: Callable[..., Any]
) -> None:
    channels = {"pit": 3, "scratch": 1, "stain": 0}
    image, seen = make_image(SIZE), set()
    for seed in range(10):
        index = compose(weights, seed)(image=image, mask=blank())["mask"]
        masks = compose(weights, seed, mask_channels=channels)(image=image, masks=kind([blank()] * 4))["masks"]
        assert np.array_equal(masks[3], index == 1)
        assert np.array_equal(masks[1], index == 2)
        assert np.array_equal(masks[0], index == 3)
        assert not masks[2].any()
        seen |= set(np.unique(index).tolist())
    assert seen == {0, 1, 2, 3}


def test_masks_that_hold_255_receive_255(weights: str, make_image: MakeImage) -> None:
    masks = [blank(), blank(), blank()]
    masks[1][0, 0] = 255
    channels = {"pit": 0, "scratch": 1, "stain": 2}
    result = compose(weights, mask_channels=channels)(image=make_image(SIZE), masks=masks)["masks"]
    assert set(np.unique(np.stack(result))) == {0, 255}
    assert sum(int((mask == 255).sum()) for mask in result) > 1


def test_no_masks_in_a_list_stay_none(weights: str, make_image: MakeImage) -> None:
    image = make_image(SIZE)
    result = compose(weights)(image=image, masks=[])
    assert len(result["masks"]) == 0 and not np.array_equal(result["image"], image)


@pytest.mark.parametrize("shape", [(3, *SIZE), (3, *SIZE, 3)])
def test_images_receive_the_defects_of_the_first(weights: str, make_image: MakeImage, shape: tuple[int, ...]) -> None:
    images = make_image(shape)
    result = compose(weights)(images=images, mask=blank())
    first = compose(weights)(image=images[0], mask=blank())
    assert result["images"].shape == shape and result["images"].flags["C_CONTIGUOUS"]
    assert np.array_equal(result["images"][0], first["image"]) and first["mask"].any()
    inside = result["mask"] > 0
    for before, after in zip(images, result["images"], strict=True):
        assert differs(before, after).any() and not (differs(before, after) & ~inside).any()


def test_a_list_of_images_comes_back_as_a_list(weights: str, make_image: MakeImage) -> None:
    images = [make_image(SIZE, seed=seed) for seed in range(2)]
    result = compose(weights)(images=images)["images"]
    assert isinstance(result, list) and len(result) == 2
    assert all(differs(before, after).any() for before, after in zip(images, result, strict=True))


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_a_volume_and_its_mask_receive_the_defect_in_every_slice(
    weights: str, make_image: MakeImage, channels: tuple[int, ...]
) -> None:
    volume = make_image((4, *SIZE, *channels))
    result = compose(weights)(volume=volume, mask3d=blank(4, *SIZE))
    assert result["volume"].shape == volume.shape and result["mask3d"].shape == (4, *SIZE)
    assert result["mask3d"][0].any()
    for before, after, mask in zip(volume, result["volume"], result["mask3d"], strict=True):
        assert np.array_equal(mask, result["mask3d"][0])
        assert differs(before, after).any() and not (differs(before, after) & (mask == 0)).any()


def test_several_volumes_receive_the_same_defects(weights: str, make_image: MakeImage) -> None:
    volumes = make_image((2, 3, *SIZE, 1))
    result = compose(weights)(volumes=volumes, masks3d=blank(2, 3, *SIZE))
    assert result["volumes"].shape == volumes.shape
    inside = result["masks3d"] > 0
    assert inside.any() and (inside == inside[0, 0]).all()
    changed = (result["volumes"] != volumes)[..., 0]
    assert changed.any() and not (changed & ~inside).any()


def test_additional_images_and_masks_receive_the_same_draw(weights: str, make_image: MakeImage) -> None:
    left, right = make_image((*SIZE, 3)), make_image(SIZE, np.float32, seed=1)
    targets = {"right": "image", "other": "mask", "third": "masks"}
    result = compose(weights, targets=targets)(
        image=left, right=right, mask=blank(), other=blank(*SIZE, 3), third=blank(2, *SIZE)
    )
    inside = result["mask"] > 0
    assert inside.any() and np.array_equal(result["other"].any(axis=2), inside)
    assert np.array_equal(result["third"], np.stack([result["mask"]] * 2))
    for before, after in ((left, result["image"]), (right, result["right"])):
        assert after.dtype == before.dtype
        assert differs(before, after).any() and not (differs(before, after) & ~inside).any()


def test_labels_in_an_additional_mask_are_avoided_too(weights: str, make_image: MakeImage) -> None:
    other = blank()
    other[:, 60:] = 2
    result = compose(weights, targets={"other": "mask"})(image=make_image(SIZE), mask=blank(), other=other)
    assert result["mask"].any() and not result["mask"][:, 60:].any()
    assert np.array_equal(result["other"][:, 60:], other[:, 60:])


@pytest.mark.parametrize("mask", [{}, {"mask": None}])
def test_without_a_mask_the_image_alone_is_painted(weights: str, make_image: MakeImage, mask: dict[str, Any]) -> None:
    image = make_image(SIZE)
    result = compose(weights)(image=image, **mask)
    assert set(result) == {"image", *mask}
    assert np.array_equal(result["image"], compose(weights)(image=image, mask=blank())["image"])
    assert differs(image, result["image"]).any()


def test_foreign_entries_pass_untouched(weights: str, make_image: MakeImage) -> None:
    entry = object()
    assert compose(weights)(image=make_image(SIZE), name="a.png", entry=entry)["entry"] is entry


def test_keypoints_stay_where_they_are(weights: str, make_image: MakeImage) -> None:
    pipeline = A.Compose(
        [GANDefectInpaint(weights, p=1.0)],
        seed=0,
        keypoint_params=A.KeypointParams(format="xy", label_fields=["names"]),
    )
    points = np.array([[3.5, 4.0], [70.0, 60.0]], np.float32)
    image = make_image(SIZE)
    result = pipeline(image=image, keypoints=points, names=["a", "b"])
    assert np.array_equal(result["keypoints"], points) and list(result["names"]) == ["a", "b"]
    assert differs(image, result["image"]).any()
    assert len(pipeline(image=image, keypoints=[], names=[])["keypoints"]) == 0


def box_pipeline(weights: str, box_format: str, fields: list[str] | None, seed: int = 0, **options: Any) -> A.Compose:
    params = A.BboxParams(format=box_format, label_fields=fields)  # type: ignore[arg-type]
    options.setdefault("bbox_labels", LABELS)
    return A.Compose([GANDefectInpaint(weights, p=1.0, **options)], seed=seed, bbox_params=params)


def tight_box(mask: np.ndarray, box_format: str) -> list[float]:
    rows, columns = np.nonzero(mask)
    x, y, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    height, width = mask.shape
    return {
        "pascal_voc": [x, y, right, bottom],
        "albumentations": [x / width, y / height, right / width, bottom / height],
        "coco": [x, y, right - x, bottom - y],
        "yolo": [(x + right) / 2 / width, (y + bottom) / 2 / height, (right - x) / width, (bottom - y) / height],
    }[box_format]


FORMATS = ["pascal_voc", "albumentations", "coco", "yolo"]
OLD_BOX = {
    "pascal_voc": [10, 12, 30, 40],
    "albumentations": [0.125, 0.1875, 0.375, 0.625],
    "coco": [10, 12, 20, 28],
    "yolo": [0.25, 0.40625, 0.25, 0.4375],
}


@pytest.mark.parametrize("box_format", FORMATS)
@pytest.mark.parametrize("existing", [0, 1, 2])
def test_the_appended_box_is_the_tight_box_of_the_new_label(
    weights: str, make_image: MakeImage, box_format: str, existing: int
) -> None:
    for seed in range(4):
        pipeline = box_pipeline(weights, box_format, ["kind"], seed, defects_range=(1, 1))
        boxes = np.array([OLD_BOX[box_format]] * existing, np.float32).reshape(existing, 4)
        result = pipeline(image=make_image(SIZE), mask=blank(), bboxes=boxes, kind=["dog", "cat"][:existing])
        value = int(result["mask"].max())
        assert len(result["bboxes"]) == len(result["kind"]) == existing + 1
        assert np.allclose(result["bboxes"][:existing], boxes, atol=1e-4)
        assert np.allclose(result["bboxes"][-1], tight_box(result["mask"] > 0, box_format), atol=1e-4)
        assert list(result["kind"]) == [*["dog", "cat"][:existing], "PST"[value - 1]]


def test_every_defect_gets_a_box(weights: str, make_image: MakeImage) -> None:
    pipeline = box_pipeline(weights, "pascal_voc", ["kind"], defects_range=(3, 3))
    result = pipeline(image=make_image((160, 160)), mask=blank(160, 160), bboxes=[[1, 1, 9, 9]], kind=["dog"])
    assert isinstance(result["bboxes"], list) and len(result["bboxes"]) == len(result["kind"]) == 4
    covered = np.zeros((160, 160), bool)
    for x, y, right, bottom in np.rint(result["bboxes"][1:]).astype(int):
        assert result["mask"][y:bottom, x:right].any()
        covered[y:bottom, x:right] = True
    assert not (result["mask"] > 0)[~covered].any()


@pytest.mark.parametrize("as_array", [True, False])
def test_numeric_labels_stay_numbers(weights: str, make_image: MakeImage, as_array: bool) -> None:
    pipeline = box_pipeline(
        weights, "coco", ["kind"], defects_range=(1, 1), bbox_labels={"pit": 11, "scratch": 12, "stain": 13}
    )
    labels: Any = np.array([4], np.int64) if as_array else [4]
    result = pipeline(image=make_image(SIZE), mask=blank(), bboxes=np.array([OLD_BOX["coco"]]), kind=labels)
    assert list(result["kind"]) == [4, 10 + int(result["mask"].max())]
    assert not as_array or result["kind"].dtype == np.int64


def test_a_longer_label_is_not_cut_off_by_an_array_of_short_ones(weights: str, make_image: MakeImage) -> None:
    pipeline = box_pipeline(
        weights, "coco", ["kind"], defects_range=(1, 1), bbox_labels=dict.fromkeys(LABELS, "a long name")
    )
    result = pipeline(image=make_image(SIZE), bboxes=np.array([OLD_BOX["coco"]]), kind=np.array(["dog"]))
    assert list(result["kind"]) == ["dog", "a long name"]


@pytest.mark.parametrize("boxes", [[], np.zeros((0, 4), np.float32)])
@pytest.mark.parametrize(("first", "second"), [("P", 5), (5, "P")])
def test_several_label_fields_are_filled_even_where_there_was_no_box(
    weights: str, make_image: MakeImage, boxes: Any, first: Any, second: Any
) -> None:
    labels = {name: {"kind": first, "origin": second} for name in LABELS}
    pipeline = box_pipeline(weights, "yolo", ["kind", "origin"], defects_range=(1, 1), bbox_labels=labels)
    result = pipeline(image=make_image(SIZE), mask=blank(), bboxes=boxes, kind=[], origin=[])
    assert len(result["bboxes"]) == 1
    assert list(result["kind"]) == [first] and list(result["origin"]) == [second]
    assert np.allclose(result["bboxes"][0], tight_box(result["mask"] > 0, "yolo"), atol=1e-4)
    old = pipeline(image=make_image(SIZE), mask=blank(), bboxes=[OLD_BOX["yolo"]], kind=[first], origin=[second])
    assert list(old["kind"]) == [first] * 2 and list(old["origin"]) == [second] * 2


def test_one_label_fills_every_field(weights: str, make_image: MakeImage) -> None:
    pipeline = box_pipeline(weights, "yolo", ["kind", "origin"], defects_range=(1, 1))
    result = pipeline(image=make_image(SIZE), bboxes=[OLD_BOX["yolo"]], kind=["dog"], origin=["camera"])
    assert result["kind"][1] == result["origin"][1] and result["kind"][1] in "PST"


def test_boxes_without_label_fields_carry_their_number_inside(weights: str, make_image: MakeImage) -> None:
    labels = {"pit": 1, "scratch": 2, "stain": 3}
    pipeline = box_pipeline(weights, "pascal_voc", None, defects_range=(1, 1), bbox_labels=labels)
    for boxes in ([[10, 12, 30, 40, 8]], []):
        result = pipeline(image=make_image(SIZE), mask=blank(), bboxes=boxes)
        assert len(result["bboxes"]) == len(boxes) + 1
        assert result["bboxes"][-1][4] == result["mask"].max()
        assert np.allclose(result["bboxes"][-1][:4], tight_box(result["mask"] > 0, "pascal_voc"), atol=1e-4)
    bare = pipeline(image=make_image(SIZE), mask=blank(), bboxes=np.array([[10, 12, 30, 40.0]]))
    assert bare["bboxes"].shape == (2, 4)


@pytest.mark.parametrize("boxes", [[], [OLD_BOX["coco"]]])
def test_without_bbox_labels_boxes_stay_as_they_are(weights: str, make_image: MakeImage, boxes: Any) -> None:
    pipeline, image = box_pipeline(weights, "coco", ["kind"], bbox_labels=None), make_image(SIZE)
    result = pipeline(image=image, bboxes=boxes, kind=["dog"] * len(boxes))
    assert differs(image, result["image"]).any()
    assert np.allclose(result["bboxes"], boxes) and list(result["kind"]) == ["dog"] * len(boxes)


def test_a_dropped_defect_leaves_no_box(weights: str, make_image: MakeImage) -> None:
    pipeline = box_pipeline(weights, "coco", ["kind"], min_contrast=255)
    result = pipeline(image=make_image(SIZE), bboxes=[OLD_BOX["coco"]], kind=["dog"])
    assert len(result["bboxes"]) == 1 and result["kind"] == ["dog"]


@pytest.mark.parametrize(
    ("labels", "fields", "boxes", "message"),
    [
        (dict.fromkeys(LABELS, 3), {"kind": ["dog"]}, [OLD_BOX["coco"]], "'kind' holds strings, bbox_labels gives 3"),
        (LABELS, {"kind": [4]}, [OLD_BOX["coco"]], "'kind' holds numbers, bbox_labels gives '[PST]'"),
        (
            {name: {"other": "x"} for name in LABELS},
            {"kind": ["dog"]},
            [OLD_BOX["coco"]],
            r"no label for the label field 'kind'; the fields are \['kind'\]",
        ),
        (LABELS, {}, [[10, 12, 20, 28, 8]], "labels inside the boxes are numbers, bbox_labels gives '[PST]'"),
        (dict.fromkeys(LABELS, 3), {}, [[10, 12, 20, 28, 8, 9]], "boxes have 2 labels each, bbox_labels gives 1"),
    ],
)
def test_labels_that_do_not_fit_the_boxes_are_one_clear_error(
    weights: str, make_image: MakeImage, labels: Any, fields: dict[str, Any], boxes: Any, message: str
) -> None:
    pipeline = box_pipeline(weights, "coco", list(fields) or None, bbox_labels=labels)
    with pytest.raises(ValueError, match=message):
        pipeline(image=make_image(SIZE), bboxes=boxes, **fields)


def test_the_targets_of_the_docstring_are_those_of_the_class() -> None:
    documented = re.search(r"Targets:\n\s+(.+)\n", GANDefectInpaint.__doc__ or "")
    assert documented is not None
    declared = {target.value.lower() for target in GANDefectInpaint._targets}
    assert set(documented.group(1).split(", ")) == declared
    assert declared == {"image", "mask", "bboxes", "keypoints", "volume", "mask3d"}


@pytest.mark.parametrize(
    "nest",
    [
        lambda transform: A.OneOf([transform], p=1.0),
        lambda transform: A.SomeOf([transform, A.NoOp()], n=2),
        lambda transform: A.RandomOrder([transform, A.HorizontalFlip(p=1.0)], n=2),
        lambda transform: A.Sequential([transform, A.VerticalFlip(p=1.0)], p=1.0),
        lambda transform: A.Compose([A.Compose([transform])]),
    ],
    ids=["OneOf", "SomeOf", "RandomOrder", "Sequential", "Compose"],
)
def test_every_container_passes_masks_boxes_and_regions(
    weights: str, make_image: MakeImage, nest: Callable[[Any], Any]
) -> None:
    transform = GANDefectInpaint(weights, defects_range=(1, 1), region_key="roi", bbox_labels=LABELS, p=1.0)
    pipeline = A.Compose(
        [nest(transform)],
        seed=0,
        additional_targets={"roi": "mask", "second": "image"},
        bbox_params=A.BboxParams(format="pascal_voc", label_fields=["kind"]),
    )
    region = blank()
    region[:, 20:60] = 1
    image = make_image(SIZE)
    result = pipeline(image=image, second=image, mask=blank(), roi=region, bboxes=[[1, 2, 9, 9]], kind=["dog"])
    inside = result["mask"] > 0
    assert inside.any() and not inside[:, :20].any() and not inside[:, 60:].any()
    assert np.array_equal(result["image"], result["second"])
    assert np.allclose(result["bboxes"][1], tight_box(inside, "pascal_voc"), atol=1e-4) and len(result["kind"]) == 2


def test_labels_follow_the_geometry_that_comes_after(weights: str, make_image: MakeImage) -> None:
    image = make_image(SIZE)
    pipeline = A.Compose(
        [GANDefectInpaint(weights, bbox_labels=LABELS, p=1.0), A.HorizontalFlip(p=1.0), A.Transpose(p=1.0)],
        seed=0,
        bbox_params=A.BboxParams(format="coco", label_fields=["kind"]),
    )
    result = pipeline(image=image, mask=blank(), bboxes=[], kind=[])
    back = np.ascontiguousarray(result["image"].T[:, ::-1]), np.ascontiguousarray(result["mask"].T[:, ::-1])
    assert differs(image, back[0]).any() and not (differs(image, back[0]) & (back[1] == 0)).any()
    inside = np.zeros((80, 64), bool)
    for x, y, width, height in np.rint(result["bboxes"]).astype(int):
        inside[y : y + height, x : x + width] = True
    assert not (result["mask"] > 0)[~inside].any()


def test_a_box_of_a_patch_is_exact() -> None:
    from albu_gan.painting.compositing import Patch

    mask = np.zeros((6, 9), bool)
    mask[2, 3] = mask[4, 7] = True
    patch = Patch(10, 20, mask, np.zeros((6, 9, 1), np.float32), 0)
    assert patch_box(patch, (100, 200)) == (23 / 200, 12 / 100, 28 / 200, 15 / 100)
