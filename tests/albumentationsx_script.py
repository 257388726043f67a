"""Checks of `GANDefectInpaint` under AlbumentationsX; `test_albumentationsx.py` runs this in a process of its own.

Usage: python albumentationsx_script.py WEIGHTS, with AlbumentationsX first on PYTHONPATH. Prints one JSON object: what
failed, by the name of the check.
"""

from __future__ import annotations

import copy
import json
import pickle
import sys
import traceback
from collections.abc import Callable
from typing import Any

import albumentations as A
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from albu_gan import GANDefectInpaint

SIZE = (64, 80)
LABELS = {"pit": "P", "scratch": "S", "stain": "T"}
WEIGHTS = sys.argv[1] if len(sys.argv) > 1 else ""


def picture(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    levels = np.random.default_rng(0).integers(90, 160, shape or SIZE).astype(np.uint8)
    return levels if dtype == np.uint8 else (levels / 255).astype(dtype)


def blank(*shape: int) -> np.ndarray:
    return np.zeros(shape or SIZE, np.uint8)


def compose(seed: int | None = 0, targets: dict[str, str] | None = None, **options: Any) -> A.Compose:
    return A.Compose([GANDefectInpaint(WEIGHTS, **{"p": 1.0, **options})], seed=seed, additional_targets=targets)


def differs(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).reshape(*before.shape[:2], -1).any(axis=2)


def check_that_this_is_albumentationsx() -> None:
    assert int(A.__version__.partition(".")[0]) == 2 and int(A.__version__.split(".")[1]) >= 5, A.__version__


def check_images_are_painted_inside_their_label_only() -> None:
    for channels in ((), (1,), (3,), (5,)):
        for dtype in (np.uint8, np.float32):
            image, values = picture(*SIZE, *channels, dtype=dtype), set()
            before = image.copy()
            for seed in range(6):
                result = compose(seed)(image=image, mask=blank())
                assert result["image"].shape == image.shape and result["image"].dtype == dtype
                assert result["mask"].shape == SIZE and result["image"].flags["C_CONTIGUOUS"]
                inside = result["mask"] > 0
                assert differs(image, result["image"]).any()
                assert not (differs(image, result["image"]) & ~inside).any()
                values |= set(np.unique(result["mask"]).tolist())
            assert values == {0, 1, 2, 3} and np.array_equal(image, before)


def check_a_seed_repeats() -> None:
    image = picture()
    for make in (compose, lambda seed: compose(seed, p=0.5)):
        first, again = ([pipeline(image=image)["image"].tobytes() for _ in range(6)] for pipeline in (make(3), make(3)))
        assert first == again
    assert len({compose(seed)(image=image)["image"].tobytes() for seed in range(4)}) == 4
    pipeline = compose(None)
    assert len({pipeline(image=image)["image"].tobytes() for _ in range(4)}) == 4


def check_global_generators_are_left_alone() -> None:
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    compose()(image=picture())
    assert np.array_equal(before[0], np.random.get_state()[1]) and torch.equal(before[1], torch.get_rng_state())


def check_every_kind_of_mask_is_labelled() -> None:
    for seed in range(6):
        image = picture(*SIZE, 3)
        index = compose(seed)(image=image, mask=blank())["mask"]
        assert np.array_equal(compose(seed)(image=image, mask=blank(*SIZE, 1))["mask"][:, :, 0], index)
        channels = compose(seed)(image=image, mask=blank(*SIZE, 3))["mask"]
        assert all(np.array_equal(channels[:, :, i] == 1, index == i + 1) for i in range(3))
        own = compose(seed, mask_values={"pit": 9, "scratch": 8, "stain": 7})(image=image, mask=blank())["mask"]
        assert np.array_equal(own, np.where(index > 0, 10 - index, 0))
        masks = compose(seed)(image=image, masks=np.stack([blank()] * 2))["masks"]
        assert masks.shape == (2, *SIZE) and all(np.array_equal(mask, index) for mask in masks)
        places = {"pit": 2, "scratch": 0, "stain": 1}
        masks = compose(seed, mask_channels=places)(image=image, masks=np.stack([blank()] * 3))["masks"]
        assert all(np.array_equal(masks[places[name]] == 1, index == i + 1) for i, name in enumerate(LABELS))


def check_images_and_volumes_receive_the_same_defects() -> None:
    stack = picture(3, *SIZE, 3)
    result = compose()(images=stack, mask=blank())
    inside = result["mask"] > 0
    assert inside.any() and result["images"].shape == stack.shape
    assert all(
        differs(a, b).any() and not (differs(a, b) & ~inside).any()
        for a, b in zip(stack, result["images"], strict=True)
    )
    result = compose()(volume=stack, mask3d=blank(3, *SIZE))
    assert (result["mask3d"] == result["mask3d"][0]).all() and result["mask3d"].any()
    assert not ((result["volume"] != stack).any(axis=3) & (result["mask3d"] == 0)).any()
    second = picture(*SIZE, dtype=np.float32)
    result = compose(targets={"second": "image"})(image=stack[0], second=second, mask=blank())
    assert differs(second, result["second"]).any()
    assert not (differs(second, result["second"]) & (result["mask"] == 0)).any()


def boxes(coord_format: str, **options: Any) -> A.Compose:
    transform = GANDefectInpaint(WEIGHTS, defects_range=(1, 1), p=1.0, **{"bbox_labels": LABELS, **options})
    params = A.BboxParams(coord_format=coord_format, label_fields=["kind"])  # type: ignore[call-arg]
    return A.Compose([transform], bbox_params=params, seed=0)


def check_boxes_are_appended() -> None:
    for old in ([], [[10, 12, 30, 40]]):
        kinds = ["dog"] * len(old)
        result = boxes("pascal_voc")(image=picture(), mask=blank(), bboxes=np.array(old).reshape(-1, 4), kind=kinds)
        rows, columns = np.nonzero(result["mask"])
        tight = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.allclose(result["bboxes"], [*old, tight], atol=1e-3)
        assert list(result["kind"]) == [*kinds, "PST"[int(result["mask"].max()) - 1]]
    as_they_are = boxes("coco", bbox_labels=None)(image=picture(), bboxes=[[1, 2, 9, 9]], kind=["dog"])
    assert np.allclose(as_they_are["bboxes"], [[1, 2, 9, 9]]) and list(as_they_are["kind"]) == ["dog"]
    numbers = boxes("coco", bbox_labels={"pit": 1, "scratch": 2, "stain": 3})
    result = numbers(image=picture(), mask=blank(), bboxes=[[1, 2, 9, 9]], kind=[8])
    assert list(result["kind"]) == [8, result["mask"].max()]


def check_a_depth_map_is_left_alone() -> None:
    pipeline = compose(targets={"depth": "mask"}, exempt_keys=["depth"])
    result = pipeline(image=picture(), mask=blank(), depth=picture())
    assert result["mask"].any() and np.array_equal(result["depth"], picture())


def check_keypoints_stay() -> None:
    params = A.KeypointParams(coord_format="xy")  # type: ignore[call-arg]
    pipeline = A.Compose([GANDefectInpaint(WEIGHTS, p=1.0)], keypoint_params=params)
    points = np.array([[3.0, 4.0], [70.0, 60.0]])
    assert np.allclose(pipeline(image=picture(), keypoints=points)["keypoints"], points)


def check_a_region_travels_and_is_never_painted() -> None:
    region = blank()
    region[20:60, :50] = 1
    pipeline = A.Compose(
        [A.HorizontalFlip(p=1.0), A.RandomCrop(50, 60, p=1.0), GANDefectInpaint(WEIGHTS, region_key="roi", p=1.0)],
        additional_targets={"roi": "mask"},
        seed=1,
    )
    painted = 0
    for _ in range(8):
        result = pipeline(image=picture(), mask=blank(), roi=region)
        assert set(np.unique(result["roi"])) == {0, 1} and result["roi"].shape == (50, 60)
        assert not result["mask"][result["roi"] == 0].any()
        painted += result["mask"].any()
    assert painted >= 7


def check_a_replay_paints_the_same() -> None:
    pipeline = A.ReplayCompose([A.HorizontalFlip(p=0.5), GANDefectInpaint(WEIGHTS, p=0.7)], seed=5)
    painted = set()
    for _ in range(8):
        first = pipeline(image=picture(), mask=blank())
        record = json.loads(json.dumps(first["replay"]))
        again = A.ReplayCompose.replay(record, image=picture(), mask=blank())
        assert np.array_equal(first["image"], again["image"]) and np.array_equal(first["mask"], again["mask"])
        painted.add(bool(first["mask"].any()))
    assert painted == {True, False}


def check_round_trips_paint_the_same() -> None:
    pipeline = compose(
        2, classes=["pit", "stain"], class_sampling={"pit": 2}, bbox_labels={"pit": "P", "stain": "T"}, p=0.9
    )
    pipeline(image=picture())
    size = len(pickle.dumps(pipeline))
    assert size < 20_000, size
    copies = (
        A.from_dict(json.loads(json.dumps(A.to_dict(pipeline)))),
        pickle.loads(pickle.dumps(pipeline)),
        copy.deepcopy(pipeline),
    )
    for twin in copies:
        for each in (pipeline, twin):
            each.set_random_seed(7)
        ours, theirs = ([each(image=picture())["image"].tobytes() for _ in range(3)] for each in (pipeline, twin))
        assert ours == theirs and len(set(ours)) > 1


def check_containers_nest() -> None:
    for nest in (
        lambda t: A.OneOf([t], p=1.0),
        lambda t: A.SomeOf([t, A.NoOp()], n=2),
        lambda t: A.Sequential([t], p=1.0),
    ):
        result = A.Compose([nest(GANDefectInpaint(WEIGHTS, p=1.0))], seed=0)(image=picture(), mask=blank())
        assert result["mask"].any() and not (differs(picture(), result["image"]) & (result["mask"] == 0)).any()


def check_errors_are_those_of_the_package() -> None:
    for data, kind, words in (
        ({"image": picture(), "mask": blank(*SIZE, 2)}, ValueError, "mask_channels="),
        ({"image": np.zeros(SIZE)}, TypeError, "uint8 or float32"),
    ):
        try:
            compose()(**data)
        except kind as err:
            assert words in str(err), err
        else:
            raise AssertionError(f"no {kind.__name__}")


class Painted(Dataset[dict[str, np.ndarray]]):
    """The same clean image, painted by each of several pipelines."""

    def __init__(self, **pipelines: Any) -> None:
        self.pipelines = pipelines

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return {name: pipeline(image=picture())["image"] for name, pipeline in self.pipelines.items()}


def epoch(dataset: Painted, name: str, **options: Any) -> list[bytes]:
    batches = DataLoader(dataset, batch_size=1, num_workers=2, multiprocessing_context="fork", timeout=60, **options)
    return [batch[name].numpy().tobytes() for batch in batches]


def check_workers_and_epochs_differ() -> None:
    for seed in (None, 3):
        for used_before in (False, True):
            dataset = Painted(pipeline=compose(seed))
            if used_before:
                dataset[0]
            assert len({sample for _ in range(2) for sample in epoch(dataset, "pipeline")}) == 16, (seed, used_before)


def check_a_torch_seed_repeats_a_seeded_run() -> None:
    runs = []
    for torch_seed in (1, 1, 2):
        torch.manual_seed(torch_seed)
        runs.append(epoch(Painted(pipeline=compose(3)), "pipeline"))
    assert runs[0] == runs[1] and not set(runs[0]) & set(runs[2])


def check_a_state_set_in_the_worker_wins() -> None:
    samples = epoch(Painted(pipeline=compose(3)), "pipeline", worker_init_fn=set_state)
    for worker in range(2):
        reference = compose(3)
        reference.set_random_state(*state_of(worker))
        assert samples[worker::2] == [reference(image=picture())["image"].tobytes() for _ in range(4)]


def state_of(worker: int) -> tuple[Any, Any]:
    import random

    return np.random.default_rng(100 + worker), random.Random(100 + worker)


def set_state(worker: int) -> None:
    info = get_worker_info()
    assert info is not None
    info.dataset.pipelines["pipeline"].set_random_state(*state_of(worker))


CHECKS: dict[str, Callable[[], None]] = {
    name.removeprefix("check_"): value for name, value in globals().items() if name.startswith("check_")
}


def main() -> None:
    """Run every check and print what failed."""
    failures = {}
    for name, check in CHECKS.items():
        try:
            check()
        except Exception:
            failures[name] = traceback.format_exc()
    sys.stdout.write(json.dumps(failures))


if __name__ == "__main__":
    main()
