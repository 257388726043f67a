"""The targets of a sample: which are painted, which are labelled, and what is written into a mask."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from albu_gan.boxes import with_boxes
from albu_gan.defects import DefectSampler, Forbidden, channel_value, check_mask, fitting_value, write_labels
from albu_gan.painting import Patch, check_image, check_scale, paste
from albu_gan.randomness import PlannedTransform


@dataclass(frozen=True)
class SampleTargets:
    """What a sample's targets mean; the arguments are those of `GANDefectInpaint`.

    Attributes:
        additional: key to kind ("image", "mask") of additional targets.
        class_names: of the weights, in index order.
        painted: the classes that are painted.
        mask_values: see `GANDefectInpaint`.
        mask_channels: see `GANDefectInpaint`.
        avoid_existing: see `GANDefectInpaint`.
        ignore_value: see `GANDefectInpaint`.
        region_key: see `GANDefectInpaint`.
    """

    additional: Mapping[str, str]
    class_names: Sequence[str]
    painted: Sequence[str]
    mask_values: Mapping[str, int] | None
    mask_channels: Mapping[str, int] | None
    avoid_existing: bool
    ignore_value: int | None
    region_key: str | None

    @property
    def values(self) -> list[int]:
        """Value of each class index in a mask of one channel."""
        given = self.mask_values or {}
        return [given.get(name, index + 1) for index, name in enumerate(self.class_names)]

    def check(self, data: Mapping[str, Any]) -> np.ndarray:
        """Check every target that will be changed; return the image that conditions the network."""
        primary: np.ndarray | None = None
        for key, frame in self.frames(data):
            check_image(frame)
            check_scale(key, frame)
            primary = frame if primary is None else primary
            if frame.shape[:2] != primary.shape[:2]:
                raise ValueError(
                    f"{key} is {frame.shape[:2]}, the image that is painted first is {primary.shape[:2]}; all images "
                    "of a sample receive the same defects, so resize them to one height and width"
                )
        if primary is None:
            raise ValueError("GANDefectInpaint needs an image: pass image=, images= or volume=")
        for key, mask in self.masks(data):
            check_mask(key, mask, primary.shape[:2])
            if mask.ndim == 3 and mask.shape[2] > 1:
                self.channels(key, mask.shape[2])
            else:
                for name in self.painted:
                    fitting_value(self.values[self.class_names.index(name)], mask.dtype)
        return primary

    def frames(self, data: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
        """Every (H, W[, C]) image that will be painted, the one that conditions the network first."""
        for key, kind in self._present(data, {"image", "images", "volume", "volumes"}):
            frames = [data[key]] if kind == "image" else list(data[key])
            frames = [slice_ for volume in frames for slice_ in volume] if kind == "volumes" else frames
            for index, frame in enumerate(frames):
                yield (key if kind == "image" else f"{key}[{index}]"), frame

    def masks(self, data: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
        """Every (H, W[, C]) mask that will be labelled."""
        for key, kind in self._present(data, {"mask", "masks", "mask3d", "masks3d"}):
            layers = [data[key]] if kind == "mask" else list(data[key])
            layers = [layer for stack in layers for layer in stack] if kind == "masks3d" else layers
            for index, layer in enumerate(layers):
                yield (key if kind == "mask" else f"{key}[{index}]"), layer

    def _present(self, data: Mapping[str, Any], kinds: set[str]) -> Iterator[tuple[str, str]]:
        """Keys of `data` whose target is among `kinds`, with the target, standard names first."""
        for key in sorted(data, key=lambda k: (k not in kinds, k)):
            kind = self.additional.get(key, key)
            if kind in kinds and key != self.region_key and data[key] is not None:
                yield key, kind

    def channels(self, key: str, count: int) -> list[int]:
        """Channel of each class index in a mask of `count` channels."""
        names = self.class_names
        if self.mask_channels is not None:
            channels = [self.mask_channels.get(name, -1) for name in names]
            if max(channels) >= count:
                raise ValueError(
                    f"{key} has {count} channels, mask_channels={self.mask_channels} needs {max(channels) + 1}; "
                    "give a mask with more channels, or other channels"
                )
            return channels
        if count != len(names):
            example = {name: min(i, count - 1) for i, name in enumerate(names)}
            raise ValueError(
                f"{key} has {count} channels, the weights have {len(names)} classes; say where each class goes, "
                f"for example mask_channels={example}"
            )
        return list(range(count))

    def forbidden(self, data: Mapping[str, Any], image_hw: tuple[int, int]) -> Forbidden:
        """Where nothing may be painted."""
        region: np.ndarray | None = None
        if self.region_key is not None:
            region = data.get(self.region_key)
            if region is None:
                raise ValueError(
                    f"region_key={self.region_key!r} but no such target was passed; call with {self.region_key}=mask "
                    f"and build A.Compose(..., additional_targets={{{self.region_key!r}: 'mask'}})"
                )
            if self.additional.get(self.region_key, "mask") != "mask":
                raise ValueError(
                    f"region_key={self.region_key!r} must be a target of type mask, it is declared as "
                    f"{self.additional[self.region_key]!r}; declare {{{self.region_key!r}: 'mask'}}"
                )
            check_mask(self.region_key, region, image_hw)
        return Forbidden([mask for _, mask in self.masks(data)], region, self.ignore_value, self.avoid_existing)

    def label(self, mask: np.ndarray, patches: Sequence[Patch]) -> np.ndarray:
        """Return a labelled copy of one mask."""
        many = mask.ndim == 3 and mask.shape[2] > 1
        channels = self.channels("mask", mask.shape[2]) if many else None
        return write_labels(mask, patches, self.values, channels, self.ignore_value)

    def label_several(self, layers: Sequence[np.ndarray], patches: Sequence[Patch]) -> list[np.ndarray]:
        """Return labelled copies of `masks`: of index masks, or of one mask a channel if `mask_channels` is given."""
        if self.mask_channels is None or any(layer.ndim == 3 and layer.shape[2] > 1 for layer in layers):
            return [self.label(layer, patches) for layer in layers]
        channels = self.channels("masks", len(layers))
        high = max(channel_value(layer, self.ignore_value) for layer in layers)
        values = [high] * len(self.class_names)
        return [
            write_labels(layer, [p for p in patches if channels[p.class_index] == index], values, None)
            for index, layer in enumerate(layers)
        ]


class PaintedTargets(PlannedTransform):
    """The part of `GANDefectInpaint` that Albumentations calls for every target: all defects are decided in `plan`."""

    region_key: str | None
    bbox_labels: dict[str, Any] | None

    @abstractmethod
    def _sampler(self) -> DefectSampler:
        """Return what draws and paints."""

    @abstractmethod
    def _sample_targets(self) -> SampleTargets:
        """Return what a sample's targets mean."""

    def plan(self, data: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        """Draw, place and paint all defects of one sample."""
        targets = self._sample_targets()
        image = targets.check(data)
        patches = self._sampler().patches(image, targets.forbidden(data, image.shape[:2]), rng)
        return {"patches": patches, "image_hw": image.shape[:2]}

    def apply_with_params(self, params: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Paste into every target but the region."""
        if self.region_key is None or self.region_key not in kwargs:
            return dict(super().apply_with_params(params, *args, **kwargs))
        region = kwargs.pop(self.region_key)
        return {**super().apply_with_params(params, *args, **kwargs), self.region_key: region}

    def apply(
        self,
        img: np.ndarray,
        patches: tuple[Patch, ...] = (),
        image_hw: tuple[int, int] | None = None,
        **params: Any,
    ) -> np.ndarray:
        """Return a painted copy of one image."""
        if image_hw is not None and img.shape[:2] != tuple(image_hw):
            raise ValueError(
                f"these defects were painted for an image of {tuple(image_hw)}, got {img.shape[:2]}; "
                "replay them on an image of the same size"
            )
        painted = np.array(img, order="C")
        for patch in patches:
            paste(painted, patch)
        return painted

    def apply_to_mask(self, mask: np.ndarray, patches: tuple[Patch, ...] = (), **params: Any) -> np.ndarray:
        """Return a labelled copy of one mask."""
        return self._sample_targets().label(mask, patches)

    def apply_to_masks(self, masks: Any, patches: tuple[Patch, ...] = (), **params: Any) -> Any:
        """Label each of several masks: index masks, or one a channel if `mask_channels` is given."""
        labelled = self._sample_targets().label_several(list(masks), patches)
        return labelled if isinstance(masks, (list, tuple)) else np.stack(labelled) if labelled else masks

    def apply_to_mask3d(self, mask3d: np.ndarray, patches: tuple[Patch, ...] = (), **params: Any) -> np.ndarray:
        """Label every slice of a volume's mask."""
        return np.stack([self.apply_to_mask(layer, patches=patches) for layer in mask3d])

    def apply_to_masks3d(self, masks3d: np.ndarray, patches: tuple[Patch, ...] = (), **params: Any) -> np.ndarray:
        """Label every slice of several volumes' masks."""
        return np.stack([self.apply_to_mask3d(mask3d, patches=patches) for mask3d in masks3d])

    def apply_to_keypoints(self, keypoints: np.ndarray, **params: Any) -> np.ndarray:
        """Return the keypoints: painting moves nothing."""
        return keypoints

    def apply_to_bboxes(
        self,
        bboxes: np.ndarray,
        patches: tuple[Patch, ...] = (),
        image_hw: tuple[int, int] = (1, 1),
        **params: Any,
    ) -> np.ndarray:
        """Return the boxes, with one more a defect if `bbox_labels` is given."""
        if self.bbox_labels is None or not patches:
            return bboxes
        names = self._sample_targets().class_names
        labels = [self.bbox_labels[names[patch.class_index]] for patch in patches]
        return with_boxes(bboxes, patches, labels, image_hw, self.get_processor("bboxes"))
