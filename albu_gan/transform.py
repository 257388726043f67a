"""`GANDefectInpaint`: the Albumentations transform."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
from albumentations.core.transforms_interface import BaseTransformInitSchema
from albumentations.core.type_definitions import Targets

from albu_gan import arguments
from albu_gan.compositing import Patch, paste
from albu_gan.hub import find_weights, is_hub_name
from albu_gan.inpainter import DefectInpainter, check_image
from albu_gan.labels import Forbidden, channel_value, check_mask, fitting_value, patch_box, write_labels
from albu_gan.onnx_backend import check_backend
from albu_gan.sampling import DefectSampler, class_probabilities

#: AlbumentationsX replaced the sampling hooks of Albumentations 2.0.8 by `sample_parameters`.
HAS_SAMPLING_CONTEXT = hasattr(A.DualTransform, "sample_parameters")


class GANDefectInpaint(A.DualTransform):
    """Paint new defects into an image with a GAN, and label them.

    A mask is drawn from a bank of real defect shapes (or invented), placed where it may go, and a generator that sees
    the clean surroundings, the mask, the class and a random latent paints the defect. What changed is labelled, and
    nothing is labelled that cannot be seen.

    Args:
        weights: bundled name, `org/name`, `org/name@revision`, or a folder (a path with a separator, or one that
            exists).
        defects_range: how many defects, both ends included.
        classes: names of the classes to paint; None for all.
        class_sampling: "balanced", "dataset" (frequencies of the mask bank) or `{name: weight}`.
        mask_source: "bank" (real shapes), "procedural" (invented shapes of the same sizes) or "both" (either, evenly).
        scale_range: factor by which a shape is scaled.
        rotate_range: degrees by which a shape is rotated. A shape that was cut off by its image's border is placed at
            that border and not rotated.
        mask_values: `{class: value}` written into (H, W) and (H, W, 1) masks; None: class index + 1.
        mask_channels: `{class: channel}` of an (H, W, C) mask, and of `masks`; None: the class index, if C is the
            number of classes of the weights. 1 is written, or 255 into a uint8 mask that holds 255.
        avoid_existing: never touch pixels that the mask already labels.
        ignore_value: a mask value (255, say) that is neither painted over nor counted as a defect.
        region_key: name of a target of type mask, nonzero where defects may go. Declare it in
            `A.Compose(..., additional_targets={key: "mask"})`, so that it follows the other transforms; it is never
            painted.
        max_shift: how far from where its shape was seen a defect may lie, in image heights and widths; 1: anywhere.
            Where every image shows the same view, as a fixed camera's do, a small value (0.1, say) puts defects where
            they occur; have the transform before those that crop, mirror or turn.
        min_contrast: a defect counts as visible if the 75th percentile, over its mask, of the largest absolute channel
            change is at least this, in levels of 255. One that is not is drawn again, and at last dropped with its
            label.
        bbox_labels: opt-in, adds a box a defect: `{class: label}`, or `{class: {field: label}}` for several label
            fields.
        device: torch device of the network.
        backend: "torch", or "onnx": ONNX Runtime, faster on the CPU (`pip install "albu-gan[onnx]"`). Draws are the
            same, pixels too within a level of 255.
        p: probability of applying the transform.

    Targets:
        image, mask, bboxes, keypoints, volume, mask3d

    Image types:
        uint8, float32

    Note:
        - `images`, `volume` and additional images receive the defect that was painted for the first image; `masks` are
          index masks unless `mask_channels` is given, then mask `i` is channel `i`.
        - Images of neither 1 nor 3 channels are painted as gray: their mean conditions the network, one residual goes
          to every channel.
        - Threads may share a transform: each call has defects of its own, and `get_applied_params` tells of whichever
          call was last. An `A.Compose` of Albumentations 2.0.8 keeps on itself whether `images` and `masks` came as
          lists, so threads that share one must all give lists or all give arrays.
        - Only the transform's own generators are drawn from. In a DataLoader worker that its user did not seed they are
          seeded from the worker's seed, so workers and epochs differ.

    Raises:
        ValueError, TypeError: at construction for arguments out of range and weights that cannot be used, at the call
            for images and masks of another type or size. Each message says what was expected, what came and what to
            do.
        ImportError: at construction for `backend="onnx"` without ONNX Runtime.

    Examples:
        >>> import albumentations as A
        >>> import numpy as np
        >>> from albu_gan import GANDefectInpaint
        >>> transform = A.Compose([GANDefectInpaint(p=1.0)], seed=1)
        >>> image = np.full((200, 300), 120, np.uint8)
        >>> result = transform(image=image, mask=np.zeros((200, 300), np.uint8))
        >>> bool(((result["image"] != image) <= (result["mask"] > 0)).all())
        True
    """

    __module__ = "albu_gan"
    #: All that hold pixels or positions. AlbumentationsX lists `images`, `masks`, `volumes` and `masks3d` of their own.
    _targets = tuple(target for target in Targets if target.name != "USER_DATA")

    class InitSchema(BaseTransformInitSchema):
        """Accepts the arguments; `albu_gan.arguments` checks them."""

        weights: Any
        defects_range: Any
        classes: Any
        class_sampling: Any
        mask_source: Any
        scale_range: Any
        rotate_range: Any
        mask_values: Any
        mask_channels: Any
        avoid_existing: Any
        ignore_value: Any
        region_key: Any
        max_shift: Any
        min_contrast: Any
        bbox_labels: Any
        device: Any
        backend: Any

    def __init__(
        self,
        weights: str = "magnetic-tile-v1",
        defects_range: tuple[int, int] = (1, 1),
        classes: list[str] | None = None,
        class_sampling: str | dict[str, float] = "balanced",
        mask_source: str = "bank",
        scale_range: tuple[float, float] = (0.8, 1.25),
        rotate_range: tuple[float, float] = (-15.0, 15.0),
        mask_values: dict[str, int] | None = None,
        mask_channels: dict[str, int] | None = None,
        avoid_existing: bool = True,
        ignore_value: int | None = None,
        region_key: str | None = None,
        max_shift: float = 1.0,
        min_contrast: float = 8.0,
        bbox_labels: dict[str, Any] | None = None,
        device: str = "cpu",
        backend: str = "torch",
        p: float = 0.5,
    ) -> None:
        super().__init__(p=p)
        self.weights = os.fspath(weights) if isinstance(weights, Path) else weights
        self.defects_range = arguments.count_range("defects_range", defects_range, 1000)
        self.classes = list(classes) if isinstance(classes, tuple) else classes
        self.class_sampling = class_sampling
        self.mask_source = arguments.mask_source(mask_source)
        self.scale_range = arguments.number_range("scale_range", scale_range, 0.01, 100)
        self.rotate_range = arguments.number_range("rotate_range", rotate_range, -360, 360)
        self.mask_values, self.mask_channels = mask_values, mask_channels
        self.avoid_existing = arguments.flag("avoid_existing", avoid_existing)
        self.ignore_value = None if ignore_value is None else arguments.integer("ignore_value", ignore_value)
        if region_key is not None and (not isinstance(region_key, str) or not region_key):
            raise ValueError(f"region_key must be the name of a target or None, got {region_key!r}")
        self.region_key = region_key
        self.max_shift = arguments.number("max_shift", max_shift, 0, 1)
        self.min_contrast = arguments.number("min_contrast", min_contrast, 0, 255)
        self.bbox_labels = bbox_labels
        self.device = str(device)
        self.backend = check_backend(backend, self.device)
        self._inpainter: DefectInpainter | None = None
        if not is_hub_name(self.weights):
            self._attach(DefectInpainter(find_weights(self.weights), self.device, self.backend))

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        **arguments: Any,
    ) -> GANDefectInpaint:
        """Build the transform from bundled weights, a folder or a Hub repository, which is fetched now.

        A Hub repository is resolved to a commit; that commit is what is serialised.

        Args:
            name: bundled name, folder, `org/name` or `org/name@revision`.
            revision: branch, tag or commit.
            token: for private repositories.
            cache_dir: of the Hub.
            local_files_only: use the cache alone.
            **arguments: of the constructor.
        """
        folder = find_weights(
            name, revision=revision, token=token, cache_dir=cache_dir, local_files_only=local_files_only
        )
        transform = cls(weights=str(folder.path), **arguments)
        transform._attach(DefectInpainter(folder, transform.device, transform.backend))
        return transform

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write the weights folder that this transform paints with."""
        self._painter().save_pretrained(folder)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | bool | None = None,
        commit_message: str = "Upload albu-gan weights",
    ) -> str:
        """Upload the weights folder as a model repository; returns the commit. See `DefectInpainter.push_to_hub`."""
        return self._painter().push_to_hub(repo_id, private=private, token=token, commit_message=commit_message)

    def _attach(self, inpainter: DefectInpainter) -> None:
        """Take over resolved weights and check the arguments that depend on their classes."""
        known = inpainter.class_names
        painted = arguments.class_list(self.classes, known)
        self.class_sampling = arguments.check_class_sampling(self.class_sampling, painted, known)
        self.mask_values = arguments.class_integers("mask_values", self.mask_values, painted, known, low=1)
        self.mask_channels = arguments.class_integers("mask_channels", self.mask_channels, painted, known)
        labels = {name: (self.mask_values or {}).get(name, known.index(name) + 1) for name in painted}
        arguments.require_not_ignored(self.ignore_value, labels)
        if self.bbox_labels is not None:
            if not isinstance(self.bbox_labels, Mapping):
                raise ValueError(f"bbox_labels must be {{class: label}}, got {self.bbox_labels!r}")
            arguments.require_known("bbox_labels", self.bbox_labels, known)
            arguments.require_covered("bbox_labels", self.bbox_labels, painted)
            self.bbox_labels = dict(self.bbox_labels)
        arguments.require_centres(self.max_shift, inpainter.folder.has_centres, inpainter.folder.name)
        self._inpainter = inpainter
        self.weights = inpainter.folder.name

    def _painter(self) -> DefectInpainter:
        if self._inpainter is None:
            self._attach(DefectInpainter(find_weights(self.weights), self.device, self.backend))
            assert self._inpainter is not None
        return self._inpainter

    if HAS_SAMPLING_CONTEXT:

        def sample_parameters(self, params: Any, data: Any, targets: Any, sampling: Any) -> Any:
            """Decide and paint everything once (AlbumentationsX, which also follows workers and pickles no draws)."""
            from albumentations.core.transform_params import SampledParams  # type: ignore[import-not-found]

            return SampledParams(params=self.plan(data, sampling.random_generator))

    else:

        def __getstate__(self) -> dict[str, Any]:
            # The last call's patches would make every pickle megabytes large.
            return {**self.__dict__, "params": {}}

        def set_random_seed(self, seed: int | None) -> None:
            """Seed both generators; a seed set in a DataLoader worker is not replaced by the worker's."""
            super().set_random_seed(seed)
            self._seeded_in = os.getpid()

        def set_random_state(self, random_generator: np.random.Generator, py_random: random.Random) -> None:
            """Take over both generators; those set in a DataLoader worker are not replaced by the worker's."""
            super().set_random_state(random_generator, py_random)
            self._seeded_in = os.getpid()

        def __call__(self, *args: Any, force_apply: bool = False, **kwargs: Any) -> Any:
            """Apply the transform to named targets."""
            self._follow_worker()
            return super().__call__(*args, force_apply=force_apply, **kwargs)

        def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
            """Decide and paint everything once; `apply*` only paste."""
            return self.plan(data, self.random_generator)

    def _follow_worker(self) -> None:
        """Reseed in a DataLoader worker that its user did not seed: Albumentations 2.0.8 repeats its streams there."""
        if self._seeded_in == os.getpid():
            return
        loader = sys.modules.get("torch.utils.data")
        info = loader.get_worker_info() if loader is not None else None
        if info is None and self.seed is not None:
            self._seeded_in = os.getpid()
            return
        own = [int(v) for v in self.random_generator.integers(2**32, size=4)]
        entropy = [*own, info.seed % 2**64 if info is not None else random.SystemRandom().getrandbits(64)]
        generator = np.random.default_rng(entropy)
        self.py_random = random.Random(int(generator.integers(2**63)))
        self.random_generator = generator
        self._seeded_in = os.getpid()  # last, or another thread would draw from the generators that came along

    def plan(self, data: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        """Draw, place and paint all defects of one sample."""
        image = self._check(data)
        patches = self._sampler().patches(image, self._forbidden(data, image.shape[:2]), rng)
        return {"patches": patches, "image_hw": image.shape[:2]}

    def _sampler(self) -> DefectSampler:
        painter = self._painter()
        painted = arguments.class_list(self.classes, painter.class_names)
        return DefectSampler(
            painter,
            class_probabilities(painter, painted, self.class_sampling),
            self.defects_range,
            self.mask_source,
            self.scale_range,
            self.rotate_range,
            self.min_contrast,
            self.max_shift,
        )

    def _check(self, data: Mapping[str, Any]) -> np.ndarray:
        """Check every target that will be changed; return the image that conditions the network."""
        primary: np.ndarray | None = None
        for key, frame in self._frames(data):
            check_image(frame)
            _check_scale(key, frame)
            primary = frame if primary is None else primary
            if frame.shape[:2] != primary.shape[:2]:
                raise ValueError(
                    f"{key} is {frame.shape[:2]}, the image that is painted first is {primary.shape[:2]}; all images "
                    "of a sample receive the same defects, so resize them to one height and width"
                )
        if primary is None:
            raise ValueError("GANDefectInpaint needs an image: pass image=, images= or volume=")
        names = self._painter().class_names
        painted = arguments.class_list(self.classes, names)
        for key, mask in self._masks(data):
            check_mask(key, mask, primary.shape[:2])
            if mask.ndim == 3 and mask.shape[2] > 1:
                self._channels_for(key, mask.shape[2])
            else:
                for name in painted:
                    fitting_value(self._values()[names.index(name)], mask.dtype)
        return primary

    def _frames(self, data: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
        """Every (H, W[, C]) image that will be painted, the one that conditions the network first."""
        for key, kind in self._present(data, {"image", "images", "volume", "volumes"}):
            frames = [data[key]] if kind == "image" else list(data[key])
            frames = [slice_ for volume in frames for slice_ in volume] if kind == "volumes" else frames
            for index, frame in enumerate(frames):
                yield (key if kind == "image" else f"{key}[{index}]"), frame

    def _present(self, data: Mapping[str, Any], kinds: set[str]) -> Iterator[tuple[str, str]]:
        """Keys of `data` whose target is among `kinds`, with the target, standard names first."""
        for key in sorted(data, key=lambda k: (k not in kinds, k)):
            kind = self._additional_targets.get(key, key)
            if kind in kinds and key != self.region_key and data[key] is not None:
                yield key, kind

    def _masks(self, data: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
        """Every (H, W[, C]) mask that will be labelled."""
        for key, kind in self._present(data, {"mask", "masks", "mask3d", "masks3d"}):
            layers = [data[key]] if kind == "mask" else list(data[key])
            layers = [layer for stack in layers for layer in stack] if kind == "masks3d" else layers
            for index, layer in enumerate(layers):
                yield (key if kind == "mask" else f"{key}[{index}]"), layer

    def _channels_for(self, key: str, count: int) -> list[int]:
        """Channel of each class index in a mask of `count` channels."""
        names = self._painter().class_names
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

    def _forbidden(self, data: Mapping[str, Any], image_hw: tuple[int, int]) -> Forbidden:
        """Where nothing may be painted."""
        region: np.ndarray | None = None
        if self.region_key is not None:
            region = data.get(self.region_key)
            if region is None:
                raise ValueError(
                    f"region_key={self.region_key!r} but no such target was passed; call with {self.region_key}=mask "
                    f"and build A.Compose(..., additional_targets={{{self.region_key!r}: 'mask'}})"
                )
            if self._additional_targets.get(self.region_key, "mask") != "mask":
                raise ValueError(
                    f"region_key={self.region_key!r} must be a target of type mask, it is declared as "
                    f"{self._additional_targets[self.region_key]!r}; declare {{{self.region_key!r}: 'mask'}}"
                )
            check_mask(self.region_key, region, image_hw)
        return Forbidden([mask for _, mask in self._masks(data)], region, self.ignore_value, self.avoid_existing)

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
        many = mask.ndim == 3 and mask.shape[2] > 1
        channels = self._channels_for("mask", mask.shape[2]) if many else None
        return write_labels(mask, patches, self._values(), channels, self.ignore_value)

    def apply_to_masks(self, masks: Any, patches: tuple[Patch, ...] = (), **params: Any) -> Any:
        """Label each of several masks: index masks, or one a channel if `mask_channels` is given."""
        layers = list(masks)
        if self.mask_channels is None or any(layer.ndim == 3 and layer.shape[2] > 1 for layer in layers):
            labelled = [self.apply_to_mask(layer, patches=patches) for layer in layers]
        else:
            channels = self._channels_for("masks", len(layers))
            names = self._painter().class_names
            high = max(channel_value(layer, self.ignore_value) for layer in layers)
            labelled = [
                write_labels(layer, [p for p in patches if channels[p.class_index] == i], [high] * len(names), None)
                for i, layer in enumerate(layers)
            ]
        return labelled if isinstance(masks, (list, tuple)) else np.stack(labelled) if labelled else masks

    def apply_to_mask3d(self, mask3d: np.ndarray, patches: tuple[Patch, ...] = (), **params: Any) -> np.ndarray:
        """Label every slice of a volume's mask."""
        return np.stack([self.apply_to_mask(layer, patches=patches) for layer in mask3d])

    def apply_to_masks3d(self, masks3d: np.ndarray, patches: tuple[Patch, ...] = (), **params: Any) -> np.ndarray:
        """Label every slice of several volumes' masks."""
        return np.stack([self.apply_to_mask3d(mask3d, patches=patches) for mask3d in masks3d])

    def _values(self) -> list[int]:
        """Value of each class index in a mask of one channel."""
        names = self._painter().class_names
        given = self.mask_values or {}
        return [given.get(name, index + 1) for index, name in enumerate(names)]

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
        names = self._painter().class_names
        boxes = np.array([patch_box(patch, image_hw) for patch in patches], np.float32)
        labels = self._box_labels([self.bbox_labels[names[patch.class_index]] for patch in patches], bboxes)
        added = np.hstack([boxes, labels]).astype(np.float32)
        if bboxes.size == 0:
            return added
        if bboxes.shape[1] != added.shape[1]:
            raise ValueError(
                f"boxes have {bboxes.shape[1] - 4} labels each, bbox_labels gives {added.shape[1] - 4}; "
                "give one {field: label} for each label field"
            )
        return np.vstack([bboxes, added])

    def _box_labels(self, labels: list[Any], bboxes: np.ndarray) -> np.ndarray:
        """Encode labels as Albumentations encoded those of the existing boxes: (N, number of label fields)."""
        processor: Any = self.get_processor("bboxes")
        fields = list(processor.params.label_fields or []) if processor is not None else []
        columns = []
        for field in fields:
            values = [label[field] if isinstance(label, Mapping) and field in label else label for label in labels]
            if any(isinstance(value, Mapping) for value in values):
                raise ValueError(f"bbox_labels has no label for the label field {field!r}; the fields are {fields}")
            known = processor.label_manager.metadata["bboxes"].get(field)
            if known is not None and known.is_numerical != all(isinstance(value, (int, float)) for value in values):
                raise ValueError(
                    f"label field {field!r} holds {'numbers' if known.is_numerical else 'strings'}, bbox_labels gives "
                    f"{values[0]!r}; use the same kind in both"
                )
            if known is not None and known.dtype is not None and known.dtype.kind == "U":
                known.dtype = np.result_type(known.dtype, np.asarray(values))  # or a longer label would be cut off
            columns.append(np.asarray(processor.label_manager.process_field("bboxes", field, values)).reshape(-1, 1))
        if columns:
            return np.hstack(columns).astype(np.float32)
        inline = bboxes.shape[1] - 4 if bboxes.ndim == 2 and bboxes.size else 1
        if inline == 0:
            return np.empty((len(labels), 0), np.float32)
        if not all(isinstance(label, (int, float)) for label in labels):
            raise ValueError(
                f"labels inside the boxes are numbers, bbox_labels gives {labels[0]!r}; "
                "use numbers, or label_fields in BboxParams"
            )
        return np.array(labels, np.float32).reshape(-1, 1)


def _check_scale(key: str, frame: np.ndarray) -> None:
    """Raise if a float image is plainly not in [0, 1]; what interpolation overshoots is let pass."""
    sparse = frame[::8, ::8]
    if frame.dtype == np.float32 and (sparse.max() > 1.5 or sparse.min() < -0.5):
        raise ValueError(
            f"{key} must hold float32 in [0, 1], got values from {sparse.min():g} to {sparse.max():g}; divide by 255, "
            "or put GANDefectInpaint before A.Normalize"
        )
