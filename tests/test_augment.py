from __future__ import annotations

import pytest
import torch
from torch import Tensor

from training.gan.augment import SHIFT, diff_augment, draw_augmentation
from training.tensors import image_tensor, mask_tensor, uint8_images


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def augmented(image: Tensor, masks: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    return diff_augment(image, masks, draw_augmentation(len(image), seeded(seed)))


def positions(B: int, side: int) -> Tensor:
    """(B, 2, side, side): every pixel holds its own row and column."""
    index = torch.arange(side, dtype=torch.float32)
    return torch.stack([index[:, None].expand(side, side), index.expand(side, side)]).expand(B, 2, side, side)


def test_augmentation_moves_image_and_masks_alike_and_by_at_most_an_eighth() -> None:
    B, side = 64, 32
    image = torch.zeros(B, 1, side, side)
    _, moved = augmented(image, positions(B, side) + 1, seed=0)
    reach = int(side * SHIFT)
    centre = moved[:, :, side // 2, side // 2] - 1 - side // 2
    assert centre.abs().max() == reach and (centre.amin(0) == -reach).all() and (centre.amax(0) == reach).all()
    # The same shift carries the image: a bright pixel stays on its label.
    label = torch.zeros(B, 1, side, side)
    label[:, :, 13:17, 20:22] = 1
    seen, label_seen = augmented(label * 2 - 1, label, seed=3)
    assert torch.equal(seen > seen.mean(dim=(1, 2, 3), keepdim=True), label_seen > 0)
    assert (label_seen.sum(dim=(1, 2, 3)) == 8).all()


def test_what_a_shift_brings_in_is_mirrored_and_has_no_label() -> None:
    B, side = 32, 16
    image = torch.rand(B, 1, side, side, generator=seeded(0))
    seen, label = augmented(image, torch.ones(B, 1, side, side), seed=1)
    checked = 0
    for i in range(B):
        inside = label[i, 0] > 0
        rows, columns = inside.any(dim=1), inside.any(dim=0)
        assert torch.equal(inside, rows[:, None] & columns[None])
        first, left = int(rows.int().argmax()), int(columns.int().argmax())
        if first:  # a mirror on the border's pixel
            torch.testing.assert_close(seen[i, 0, first - 1], seen[i, 0, first + 1])
        if left:
            torch.testing.assert_close(seen[i, 0, :, left - 1], seen[i, 0, :, left + 1])
        checked += (first > 0) + (left > 0)
    assert checked > B / 2


def test_augmentation_changes_brightness_and_contrast_of_each_sample_by_its_own_draw() -> None:
    image = torch.rand(200, 1, 16, 16, generator=seeded(0)) * 0.1
    image[:, :, 4:12, 4:12] += 0.4  # far enough from the border to survive every shift
    seen, _ = augmented(image, torch.zeros(200, 1, 16, 16), seed=1)
    shifts = seen.mean(dim=(1, 2, 3)) - image.mean(dim=(1, 2, 3))
    ratios = (seen.amax(dim=(1, 2, 3)) - seen.amin(dim=(1, 2, 3))) / (
        image.amax(dim=(1, 2, 3)) - image.amin(dim=(1, 2, 3))
    )
    assert shifts.abs().max() < 0.7 and shifts.min() < -0.3 and shifts.max() > 0.3
    assert 0.6 < ratios.min() < 0.8 and 1.2 < ratios.max() < 1.31
    assert len(shifts.unique()) > 190


def test_augmentation_depends_on_its_generator_alone_and_keeps_the_size() -> None:
    image, masks = torch.rand(3, 3, 24, 40, generator=seeded(0)), torch.ones(3, 2, 24, 40)
    before, state = image.clone(), torch.get_rng_state()
    first, again, other = (augmented(image, masks, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    assert first[0].shape == image.shape and first[1].shape == masks.shape
    assert torch.equal(image, before) and torch.equal(torch.get_rng_state(), state)


def test_gradients_pass_through_the_augmentation() -> None:
    image = torch.rand(4, 1, 16, 16, generator=seeded(0), requires_grad=True)
    weights = torch.randn(4, 1, 16, 16, generator=seeded(1))
    (gradient,) = torch.autograd.grad((augmented(image, torch.zeros(4, 1, 16, 16), seed=2)[0] * weights).sum(), image)
    assert (gradient != 0).float().mean() > 0.9
    # Linear but for a constant: the gradient predicts any change of the image.
    step = torch.randn(4, 1, 16, 16, generator=seeded(3))
    change = (
        (augmented(image + step, torch.zeros(4, 1, 16, 16), seed=2)[0] * weights).sum()
        - (augmented(image, torch.zeros(4, 1, 16, 16), seed=2)[0] * weights).sum()
    ).item()
    assert change == pytest.approx((gradient * step).sum().item(), rel=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_survive_the_way_to_tensors_and_back(channels: int) -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).repeat(1, 1, 1, channels)
    tensor = image_tensor(levels)
    assert tensor.shape == (1, channels, 16, 16) and tensor.dtype == torch.float32
    assert (tensor.min().item(), tensor.max().item()) == (-1, 1)
    assert torch.equal(uint8_images(tensor), levels)
    assert uint8_images(torch.tensor([[[[-3.0, 7.0]]]])).flatten().tolist() == [0, 255]


def test_index_masks_become_one_plane_a_class() -> None:
    planes = mask_tensor(torch.tensor([[[0, 1], [2, 3]]], dtype=torch.uint8), 3)
    expected = torch.tensor([[[[0, 1], [0, 0]], [[0, 0], [1, 0]], [[0, 0], [0, 1]]]], dtype=torch.float32)
    assert torch.equal(planes, expected) and planes.is_contiguous()
