"""The targets of a sample: which are painted, which are labelled, and what is written into a mask."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from albu_gan.defects.labels import (
    Forbidden,
    channel_value,
    check_mask,
    fitting_value,
    occupied,
    write_channels,
    write_labels,
)
from albu_gan.defects.mask_kinds import (
    background_channel,
    covers_most,
    float_advice,
    holds_no_labels,
    one_each,
    require_plain_values,
)
from albu_gan.defects.padding import Filling
from albu_gan.painting import Patch, check_image, check_scale

BACKGROUND = "background"  # in `mask_channels`, where no class is


@dataclass(frozen=True)
class SampleTargets:
    """What a sample's targets mean; the arguments are those of `GANDefectInpaint`.

    Attributes:
        additional: key to kind ("image", "mask") of additional targets.
        class_names: of the weights, in index order.
        painted: the classes that are painted.
        mask_values: see `GANDefectInpaint`.
        mask_channels: see `GANDefectInpaint`.
        masks_as: see `GANDefectInpaint`.
        avoid_existing: see `GANDefectInpaint`.
        avoid_padding: see `GANDefectInpaint`.
        ignore_value: see `GANDefectInpaint`.
        region_key: see `GANDefectInpaint`.
        exempt_keys: see `GANDefectInpaint`.
    """

    additional: Mapping[str, str]
    class_names: Sequence[str]
    painted: Sequence[str]
    mask_values: Mapping[str, int] | None
    mask_channels: Mapping[str, int] | None
    masks_as: str | None
    avoid_existing: bool
    avoid_padding: bool
    ignore_value: int | None
    region_key: str | None
    exempt_keys: Sequence[str]

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
        for key, kind, layers in self._mask_targets(data):
            for index, mask in enumerate(layers):
                check_mask(key if kind == "mask" else f"{key}[{index}]", mask, primary.shape[:2])
            self._check_kind(key, kind, layers)
        return primary

    def frames(self, data: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
        """Every (H, W[, C]) image that will be painted, the one that conditions the network first."""
        for key, kind in self._present(data, {"image", "images", "volume", "volumes"}):
            frames = [data[key]] if kind == "image" else list(data[key])
            frames = [slice_ for volume in frames for slice_ in volume] if kind == "volumes" else frames
            for index, frame in enumerate(frames):
                yield (key if kind == "image" else f"{key}[{index}]"), frame

    def exempt(self, data: Mapping[str, Any]) -> set[str]:
        """Keys of targets of type mask that are passed on as they are: the region, those told, and what is no label."""
        keys = {key for key in (self.region_key, *self.exempt_keys) if key is not None and key in data}
        for key, kind in self.additional.items():
            if kind == "mask" and key not in keys and isinstance(data.get(key), np.ndarray) and data[key].size:
                mask = data[key]
                if mask.dtype.kind in "iuf" and mask.ndim in (2, 3) and holds_no_labels(mask):
                    keys.add(key)
        return keys

    def forbidden(self, data: Mapping[str, Any], image: np.ndarray) -> Forbidden:
        """Where nothing may be painted into the image that conditions the network."""
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
            check_mask(self.region_key, region, image.shape[:2])
        masks: list[np.ndarray] = []
        backgrounds: list[int | None] = []
        for key, kind, layers in self._mask_targets(data):
            if kind == "masks" and self._stacking(layers) == "classes":
                empty = self.background(layers, self.channels(key, len(layers)))
                masks += [layer for index, layer in enumerate(layers) if index != empty]
                backgrounds += [None] * (len(masks) - len(backgrounds))
                continue
            for mask in layers:
                masks.append(mask)
                backgrounds.append(self._own_background(key, mask))
        filling = Filling.of(image) if self.avoid_padding else None
        return Forbidden(masks, region, self.ignore_value, self.avoid_existing, backgrounds, filling)

    def say_why_nothing_is_free(self, data: Mapping[str, Any]) -> None:
        """Warn of masks in which every pixel is labelled."""
        for key, kind, layers in self._mask_targets(data):
            if kind != "mask":
                continue
            taken = occupied(layers[0], self.ignore_value, self.avoid_existing, self._own_background(key, layers[0]))
            if taken is not None and taken.all():
                warnings.warn(
                    f"{key} has a label on every pixel, so nothing was painted. A clean pixel is 0 in an index mask; a "
                    f"background channel is named by mask_channels={{'{BACKGROUND}': 0, ...}}; a target that holds no "
                    f"labels by exempt_keys=[{key!r}]; avoid_existing=False paints over labels",
                    stacklevel=4,
                )

    def label(self, mask: np.ndarray, patches: Sequence[Patch]) -> np.ndarray:
        """Return a labelled copy of one mask."""
        channels = self.channels("mask", mask.shape[2]) if _many(mask) else None
        background = self._own_background("mask", mask)
        return write_labels(mask, patches, self.values, channels, self.ignore_value, background)

    def label_several(
        self, layers: Sequence[np.ndarray], patches: Sequence[Patch], image_hw: tuple[int, int], dtype: Any = np.uint8
    ) -> list[np.ndarray]:
        """Return labelled copies of `masks`, as `masks_as` says.

        Args:
            layers: the masks.
            patches: to label.
            image_hw: height and width of the image.
            dtype: of the masks, if there are none.
        """
        stacking = self._stacking(layers)
        if stacking == "index":
            return [self.label(layer, patches) for layer in layers]
        present = max((channel_value(layer, self.ignore_value) for layer in layers), default=1)
        copies = [np.array(layer, order="C") for layer in layers]
        if stacking == "classes":
            channels = self.channels("masks", len(layers)) if layers else []
            if layers:
                flat = [copy.reshape(copy.shape[:2]) for copy in copies]
                write_channels(flat, patches, channels, present, self.background(layers, channels))
            return copies
        shape, dtype = (layers[0].shape, layers[0].dtype) if layers else (image_hw, np.dtype(dtype))
        for patch in patches:
            value = self.values[patch.class_index] if self.mask_values else present
            copies.append(write_labels(np.zeros(shape, dtype), [patch], [value] * len(self.class_names), None))
        return copies

    def channels(self, key: str, count: int) -> list[int]:
        """Channel of each class index in a mask of `count` channels."""
        names, given = self.class_names, self.mask_channels
        if given is not None:
            if max(given.values()) >= count:
                raise ValueError(
                    f"{key} has {count} channels, mask_channels={dict(given)} needs {max(given.values()) + 1}; "
                    "give a mask with more channels, or other channels"
                )
            return [given.get(name, -1) for name in names]
        if count != len(names):
            if count == len(names) + 1:
                example = {BACKGROUND: 0, **{name: index + 1 for index, name in enumerate(names)}}
            else:
                example = {name: min(i, count - 1) for i, name in enumerate(names)}
            raise ValueError(
                f"{key} has {count} channels, the weights have {len(names)} classes; say where each class goes, "
                f"for example mask_channels={example}"
            )
        return list(range(count))

    def background(self, layers: Sequence[np.ndarray], channels: Sequence[int]) -> int | None:
        """Channel that is set where no class is: the one that `mask_channels` names, or one that plainly is so."""
        if self.mask_channels is None:
            return None
        if BACKGROUND in self.mask_channels and BACKGROUND not in self.class_names:
            return self.mask_channels[BACKGROUND]
        return background_channel([layer.reshape(layer.shape[:2]) for layer in layers], channels, self.ignore_value)

    def _own_background(self, key: str, mask: np.ndarray) -> int | None:
        if not _many(mask):
            return None
        layers = [mask[:, :, channel] for channel in range(mask.shape[2])]
        return self.background(layers, self.channels(key, len(layers)))

    def _stacking(self, layers: Sequence[np.ndarray]) -> str:
        """What a list of masks means."""
        if self.masks_as is not None:
            return self.masks_as
        return "index" if self.mask_channels is None or any(_many(layer) for layer in layers) else "classes"

    def _check_kind(self, key: str, kind: str, layers: Sequence[np.ndarray]) -> None:
        """Check that the masks of a target can be labelled, and warn where it is doubtful how."""
        stacking = self._stacking(layers) if kind == "masks" else "index"
        if stacking != "index":
            if any(_many(layer) for layer in layers):
                raise ValueError(
                    f"{key} must hold masks of one channel for masks_as={stacking!r}, got {layers[0].shape}"
                )
            if layers and stacking == "classes":
                self.channels(key, len(layers))
            return
        if kind == "masks" and self.masks_as is None and one_each(layers):
            warnings.warn(
                f"{key} look like one mask a class or one an instance, and each is labelled as an index mask; say "
                "masks_as='classes', 'instances' or 'index'",
                stacklevel=5,
            )
        if kind == "mask" and key in self.additional and covers_most(layers[0]) and not _many(layers[0]):
            warnings.warn(
                f"{key} labels more than half of the image, where nothing is painted. If it holds no labels, "
                f"exempt_keys=[{key!r}] passes it on; if it says where defects may go, region_key={key!r}",
                stacklevel=5,
            )
        for mask in layers:
            self._check_values(key, mask)

    def _check_values(self, key: str, mask: np.ndarray) -> None:
        if _many(mask):
            self.channels(key, mask.shape[2])
            return
        values = [self.values[self.class_names.index(name)] for name in self.painted]
        for value in values:
            fitting_value(value, mask.dtype)
        if self.mask_values is None:
            require_plain_values(key, mask, values, self.ignore_value)
            advice = float_advice(key, mask, values)
            if advice:
                warnings.warn(advice, stacklevel=6)

    def _mask_targets(self, data: Mapping[str, Any]) -> Iterator[tuple[str, str, list[np.ndarray]]]:
        """Every target that will be labelled: key, kind and its (H, W[, C]) masks."""
        passed = self.exempt(data)
        for key, kind in self._present(data, {"mask", "masks", "mask3d", "masks3d"}):
            if key in passed:
                continue
            layers = [data[key]] if kind == "mask" else list(data[key])
            yield key, kind, [layer for stack in layers for layer in stack] if kind == "masks3d" else layers

    def _present(self, data: Mapping[str, Any], kinds: set[str]) -> Iterator[tuple[str, str]]:
        """Keys of `data` whose target is among `kinds`, with the target, standard names first."""
        for key in sorted(data, key=lambda k: (k not in kinds, k)):
            kind = self.additional.get(key, key)
            if kind in kinds and key != self.region_key and data[key] is not None:
                yield key, kind


def _many(mask: np.ndarray) -> bool:
    return mask.ndim == 3 and mask.shape[2] > 1
