"""The part of the transform that Albumentations calls for every target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from albu_gan import arguments
from albu_gan.boxes import with_boxes
from albu_gan.defects import BACKGROUND, DefectInpainter, DefectSampler, SampleTargets, class_probabilities
from albu_gan.hub import find_weights
from albu_gan.painting import Patch, paste, patches_from_text, patches_to_text
from albu_gan.randomness import HAS_SAMPLING_CONTEXT, PlannedTransform


class PaintedTargets(PlannedTransform):
    """The part of `GANDefectInpaint` that Albumentations calls for every target: all defects are decided in `plan`.

    Its attributes are the arguments of `GANDefectInpaint`.
    """

    weights: str
    defects_range: tuple[int, int]
    classes: list[str] | None
    class_sampling: str | dict[str, float]
    mask_source: str
    scale_range: tuple[float, float]
    rotate_range: tuple[float, float]
    mask_values: Any
    mask_channels: dict[str, int] | None
    masks_as: str | None
    avoid_existing: bool
    avoid_padding: bool
    ignore_value: int | None
    region_key: str | None
    exempt_keys: list[str]
    variation: float
    place_like: float
    max_shift: float
    min_contrast: float
    bbox_labels: dict[str, Any] | None
    device: str
    backend: str
    _inpainter: DefectInpainter | None

    def _attach(self, inpainter: DefectInpainter) -> None:
        """Take over resolved weights and check the arguments that depend on their classes."""
        known = inpainter.class_names
        painted = arguments.class_list(self.classes, known)
        self.class_sampling = arguments.check_class_sampling(self.class_sampling, painted, known)
        values = arguments.class_integers("mask_values", self.mask_values, painted, known, low=1, one_for_all=True)
        beside = [] if BACKGROUND in known else [BACKGROUND]
        channels = arguments.class_integers("mask_channels", self.mask_channels, painted, known, beside=beside)
        self.mask_values, self.mask_channels = values, channels
        labels = {name: (values or {}).get(name, known.index(name) + 1) for name in painted}
        arguments.require_not_ignored(self.ignore_value, labels)
        self.bbox_labels = arguments.box_labels(self.bbox_labels, painted, known)
        arguments.require_centres(self.max_shift, inpainter.folder.has_centres, inpainter.folder.name)
        self._inpainter = inpainter
        self.weights = inpainter.folder.name

    def _painter(self) -> DefectInpainter:
        if self._inpainter is None:
            self._attach(DefectInpainter(find_weights(self.weights), self.device, self.backend))
            assert self._inpainter is not None
        return self._inpainter

    def _sampler(self) -> DefectSampler:
        painter = self._painter()
        painted = arguments.class_list(self.classes, painter.class_names)
        return DefectSampler(
            painter,
            class_probabilities(painter, painted, self.class_sampling, self.mask_source),
            self.defects_range,
            self.mask_source,
            self.scale_range,
            self.rotate_range,
            self.min_contrast,
            self.max_shift,
            self.variation,
            self.place_like,
        )

    def _sample_targets(self) -> SampleTargets:
        names = self._painter().class_names
        return SampleTargets(
            self._additional_targets,
            names,
            arguments.class_list(self.classes, names),
            self.mask_values,
            self.mask_channels,
            self.masks_as,
            self.avoid_existing,
            self.avoid_padding,
            self.ignore_value,
            self.region_key,
            self.exempt_keys,
        )

    def plan(self, data: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        """Draw, place and paint all defects of one sample."""
        targets = self._sample_targets()
        image = targets.check(data)
        patches = self._sampler().patches(image, targets.forbidden(data, image), rng)
        if not patches:
            targets.say_why_nothing_is_free(data)
        # What Albumentations records is to be JSON; the text costs time, so that it is written for a record alone.
        recorded = getattr(self, "deterministic", False) or "applied_transforms" in data
        return {"patches": patches_to_text(patches) if recorded else patches, "image_hw": image.shape[:2]}

    def apply_with_params(self, params: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Paste into every target but those that hold no labels."""
        planned = params.params if HAS_SAMPLING_CONTEXT else params
        if isinstance(planned.get("patches"), str):
            planned = {**planned, "patches": patches_from_text(planned["patches"])}
            params = replace(params, params=planned) if HAS_SAMPLING_CONTEXT else planned
        passed = {key: kwargs.pop(key) for key in self._sample_targets().exempt(kwargs)} if planned else {}
        return {**super().apply_with_params(params, *args, **kwargs), **passed}

    def get_applied_params(self) -> dict[str, Any]:
        """Return what the last call did; defects as text, so that it can be written as JSON and collated."""
        params = dict(super().get_applied_params())
        if not isinstance(params.get("patches", ""), str):
            params["patches"] = patches_to_text(params["patches"])
        return params

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

    def apply_to_masks(
        self,
        masks: Any,
        patches: tuple[Patch, ...] = (),
        image_hw: tuple[int, int] = (1, 1),
        **params: Any,
    ) -> Any:
        """Label several masks, as `masks_as` says; of instances, new ones come last."""
        dtype = getattr(masks, "dtype", np.uint8)
        labelled = self._sample_targets().label_several(list(masks), patches, image_hw, dtype)
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
