"""`GANDefectInpaint`: the Albumentations transform."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from albumentations.core.transforms_interface import BaseTransformInitSchema
from albumentations.core.type_definitions import Targets

from albu_gan import arguments
from albu_gan.defects import MEMORY, DefectInpainter, annotated_images, collect
from albu_gan.hub import DEFAULT_WEIGHTS, find_weights, is_hub_name
from albu_gan.painting.backends import check_backend
from albu_gan.targets import PaintedTargets


class GANDefectInpaint(PaintedTargets):
    """Paint new defects into an image, and label them.

    A real defect is drawn from a bank, varied, placed where it may go and relit for that place; with weights that hold
    a generator, a network that sees the clean surroundings, the mask, the class and a random latent paints it. What
    changed is labelled, and nothing is labelled that cannot be seen.

    Args:
        weights: bundled name, `org/name`, `org/name@revision`, or a folder (a path with a separator, or one that
            exists).
        defects_range: how many defects, both ends included.
        classes: names of the classes to paint; None for all.
        class_sampling: "balanced", "dataset" (frequencies of the bank) or `{name: weight}`. A compound (touching labels
            of several classes) is a defect of each of them, and drawn only if all of them may be.
        mask_source: "bank" (real shapes), "procedural" (invented shapes of the same sizes) or "both" (either, evenly).
        scale_range: factor by which a shape is scaled.
        rotate_range: degrees by which a shape is rotated. A shape that was cut off by its image's border is placed at
            that border and not rotated.
        mask_values: `{class: value}` written into (H, W) and (H, W, 1) masks, or one value for all classes (1 or 255
            for a binary mask); None: class index + 1.
        mask_channels: `{class: channel}` of an (H, W, C) mask, and of `masks`; None: the class index, if C is the
            number of classes of the weights. 1 is written, or 255 into a uint8 mask that holds 255. A channel
            "background" is cleared where a defect is; where it is not named, one that plainly is so is found.
        masks_as: what a list of `masks` is: "index" masks, one of each of the "classes", or one of each of the
            "instances", to which new ones are added. None: one a class if `mask_channels` is given, else index masks.
        avoid_existing: never touch pixels that the mask already labels.
        avoid_padding: paint nothing on areas of one value in a corner, as `A.PadIfNeeded` or `A.Rotate` leave them.
        ignore_value: a mask value (255, say) that is neither painted over nor counted as a defect.
        region_key: name of a target of type mask, nonzero where defects may go. Declare it in
            `A.Compose(..., additional_targets={key: "mask"})`, so that it follows the other transforms; it is never
            painted.
        exempt_keys: names of targets of type mask that hold no labels (depth, weights) and are passed on as they are.
            One with fractions, or without any 0, is taken for such a one.
        variation: how far a painted defect differs from the real one it is made from: 0 is that one, relit; 1 is
            warped, of another contrast, partly invented, or dressed as another one of its class. Of weights that
            relight real defects (`albu-gan info` says what paints); a generator varies by its latent.
        place_like: how far places are preferred whose brightness, colour and grain are those that the defect was seen
            in: 0 is anywhere, 1 the most alike of some that are looked at. Of banks that know how their defects look.
        max_shift: how far from where its shape was seen a defect may lie, in image heights and widths; 1: anywhere.
            Where every image shows the same view, as a fixed camera's do, a small value (0.1, say) puts defects where
            they occur; have the transform before those that crop, mirror or turn.
        min_contrast: a defect counts as visible if the 75th percentile, over its mask, of the largest absolute channel
            change is at least this, in levels of 255, and a relit one if it stands out of the grain as those of its
            class do. One that is not is drawn again, and at last dropped with its label; 0 keeps all.
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
        - `images`, `volume` and additional images receive the defect that was painted for the first image.
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
        masks_as: Any
        avoid_existing: Any
        avoid_padding: Any
        ignore_value: Any
        region_key: Any
        exempt_keys: Any
        variation: Any
        place_like: Any
        max_shift: Any
        min_contrast: Any
        bbox_labels: Any
        device: Any
        backend: Any

    def __init__(
        self,
        weights: str = DEFAULT_WEIGHTS,
        defects_range: tuple[int, int] = (1, 1),
        classes: list[str] | None = None,
        class_sampling: str | dict[str, float] = "balanced",
        mask_source: str = "bank",
        scale_range: tuple[float, float] = (0.8, 1.25),
        rotate_range: tuple[float, float] = (-15.0, 15.0),
        mask_values: dict[str, int] | int | None = None,
        mask_channels: dict[str, int] | None = None,
        masks_as: str | None = None,
        avoid_existing: bool = True,
        avoid_padding: bool = True,
        ignore_value: int | None = None,
        region_key: str | None = None,
        exempt_keys: Sequence[str] = (),
        variation: float = 0.5,
        place_like: float = 0.7,
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
        self.masks_as = arguments.masks_as(masks_as)
        self.avoid_existing = arguments.flag("avoid_existing", avoid_existing)
        self.avoid_padding = arguments.flag("avoid_padding", avoid_padding)
        self.ignore_value = None if ignore_value is None else arguments.integer("ignore_value", ignore_value)
        self.region_key = arguments.key("region_key", region_key)
        self.exempt_keys = arguments.keys("exempt_keys", exempt_keys)
        self.variation = arguments.number("variation", variation, 0, 1)
        self.place_like = arguments.number("place_like", place_like, 0, 1)
        self.max_shift = arguments.number("max_shift", max_shift, 0, 1)
        self.min_contrast = arguments.number("min_contrast", min_contrast, 0, 255)
        self.bbox_labels = bbox_labels
        self.device = str(device)
        self.backend = check_backend(backend, self.device)
        self._inpainter: DefectInpainter | None = None
        if isinstance(self.weights, str) and self.weights.startswith(MEMORY):
            self._attach(DefectInpainter.in_memory(self.weights))
        elif not is_hub_name(self.weights):
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

    @classmethod
    def from_defects(
        cls,
        images: Sequence[np.ndarray],
        masks: Sequence[np.ndarray],
        class_names: Sequence[str],
        *,
        groups: Sequence[Hashable] | None = None,
        **arguments: Any,
    ) -> GANDefectInpaint:
        """Build the transform from annotated images, without any file: what `albu-gan bank` does, in memory.

        Pickles, also to DataLoader workers, carry the defects along. JSON and YAML name them only: they are found again
        in the same process; for another one call `save_pretrained`.

        Args:
            images: (H, W), (H, W, 1) or (H, W, 3) uint8 each, RGB.
            masks: (H, W) integers each, 0 clean, else class index + 1.
            class_names: in index order.
            groups: of the physical part in each image, if several images show one; None for one an image.
            **arguments: of the constructor.

        Raises:
            ValueError, TypeError: if an image or mask is not as described, or no defect can be used.
        """
        bank = collect(annotated_images(images, masks, class_names, groups)).bank(class_names)
        inpainter = DefectInpainter.from_bank(bank, class_names)
        return cls(weights=inpainter.folder.name, **arguments)

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
