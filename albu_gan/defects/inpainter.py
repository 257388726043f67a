"""`DefectInpainter`: paints where and what its user says."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from albu_gan.defects.bank import MaskBank
from albu_gan.hub import (
    MASKS,
    OncePerProcess,
    WeightsError,
    WeightsFolder,
    copy_folder,
    find_weights,
    push_folder,
    read_again,
)
from albu_gan.painting import Draw, Patch, check_image, paste
from albu_gan.painting.painter import NetworkPainter

BANKS: OncePerProcess[MaskBank] = OncePerProcess()


class DefectInpainter(NetworkPainter):
    """Paints a defect of a given class into a given mask.

    The network and the mask bank are loaded on first use and shared by every inpainter of the process that names the
    same folder, device and backend.

    Args:
        folder: a checked weights folder.
        device: a torch device, "cpu" or "cuda:0", say.
        backend: "torch", or "onnx": ONNX Runtime, faster on the CPU, the same pixels within a level of 255. On
            first use the network is exported, checked against torch and kept in a cache folder.

    Raises:
        ValueError: if there is no such backend, or it is "onnx" and the device not "cpu".
        ImportError: if it is "onnx" and ONNX Runtime is not installed.
    """

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        device: str = "cpu",
        backend: str = "torch",
    ) -> DefectInpainter:
        """Find weights by bundled name, folder or Hub repository; see `albu_gan.hub.find.find_weights`."""
        folder = find_weights(
            name, revision=revision, token=token, cache_dir=cache_dir, local_files_only=local_files_only
        )
        return cls(folder, device, backend)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write the weights folder: generator, mask bank, config, card and its pictures.

        Raises:
            FileExistsError: if `folder` exists and is not a weights folder; one that is, is replaced.
        """
        copy_folder(self.folder.path, Path(folder))

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | bool | None = None,
        commit_message: str = "Upload albu-gan weights",
    ) -> str:
        """Upload the weights folder as a model repository, in one commit.

        Args:
            repo_id: `org/name`; made if it does not exist.
            private: True makes a private repository, and refuses to upload into a public one; False makes a public
                one; None does what the organisation's settings say.
            token: of one who may write there; None takes the one that `hf auth login` stored.
            commit_message: of the commit.

        Returns:
            The commit: `from_pretrained(repo_id, revision=commit)` loads these bytes for ever.

        Raises:
            WeightsError: if the folder is not sound, or the Hub cannot be reached or does not take it.
        """
        return push_folder(self.folder.path, repo_id, private=private, token=token, commit_message=commit_message)

    @property
    def mask_bank(self) -> MaskBank:
        """Real shapes of the training data."""
        return BANKS.get(str(self.folder.path.resolve()), lambda: load_bank(self.folder))

    def __call__(
        self, image: np.ndarray, mask: np.ndarray, class_name: str, seed: int = 0, strength: float = 1.0
    ) -> np.ndarray:
        """Paint one defect into every connected part of a mask.

        Args:
            image: (H, W), (H, W, 1) or (H, W, 3), uint8, or float32 in [0, 1]; not changed.
            mask: (H, W), nonzero = paint.
            class_name: one of `class_names`.
            seed: of the latent; same seed, same picture.
            strength: factor of what is added; 0 returns a copy of the image.

        Returns:
            A new image of the same shape and dtype, bit-identical outside the mask.

        Raises:
            TypeError, ValueError: if the image, mask or class is not as described, or the network makes no finite
                numbers of the image.
        """
        check_image(image)
        mask = np.asarray(mask)
        if mask.shape != image.shape[:2]:
            raise ValueError(f"mask must be {image.shape[:2]} like its image, got shape {mask.shape}")
        if class_name not in self.class_names:
            raise ValueError(f"unknown class {class_name!r}; these weights paint {list(self.class_names)}")
        if not np.isfinite(strength):
            raise ValueError(f"strength must be a finite number, got {strength!r}")
        rng = np.random.default_rng(seed)
        draws = []
        count, labels, stats, _ = cv2.connectedComponentsWithStats((mask != 0).astype(np.uint8), connectivity=8)
        for index in range(1, count):
            left, top, width, height = (int(v) for v in stats[index, :4])
            cut = labels[top : top + height, left : left + width] == index
            draws.append(Draw(cut, top, left, self.class_names.index(class_name), self.draw_latent(rng)))
        painted = np.array(image, order="C")
        for patch in self.paint(image, draws):
            if not np.isfinite(patch.residual).all():
                raise ValueError(
                    "nothing finite can be painted into this image: it holds NaN or infinity, or the weights overflow"
                )
            paste(painted, Patch(patch.top, patch.left, patch.mask, patch.residual * strength, patch.class_index))
        return painted


def load_bank(folder: WeightsFolder) -> MaskBank:
    """Read the mask bank.

    Raises:
        WeightsError: naming the file, if it is damaged.
    """
    now = read_again(folder)
    try:
        return MaskBank.load(now.path / MASKS, now.config.generator.num_classes)
    except ValueError as err:
        raise WeightsError(str(err)) from err
