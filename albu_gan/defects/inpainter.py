"""`DefectInpainter`: paints where and what its user says."""

from __future__ import annotations

import hashlib
import os
import warnings
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from albu_gan.defects.bank import DefectBank
from albu_gan.defects.exemplars import wear
from albu_gan.hub import (
    BANK,
    OncePerProcess,
    WeightsConfig,
    WeightsError,
    WeightsFolder,
    bank_card,
    copy_folder,
    find_weights,
    push_folder,
    read_again,
    write_folder,
)
from albu_gan.painting import Draw, Look, Patch, check_backend, check_image, paste

if TYPE_CHECKING:
    from albu_gan.generators import DefectGenerator
    from albu_gan.painting.painter import NetworkPainter

BANKS: OncePerProcess[DefectBank] = OncePerProcess()
MEMORY = "memory:"  # what the names of banks that are in no folder begin with
_IN_MEMORY: weakref.WeakValueDictionary[str, DefectInpainter] = weakref.WeakValueDictionary()


class DefectInpainter:
    """Paints a defect of a given class into a given mask.

    A folder with a generator is painted from by its network; one with a bank alone by its real defects, relit. Both
    are loaded on first use and shared by every inpainter of the process that names the same folder, device and
    backend; torch is imported for a generator only.

    Args:
        folder: a checked weights folder.
        device: a torch device, "cpu" or "cuda:0", say.
        backend: "torch", or "onnx": ONNX Runtime, faster on the CPU, the same pixels within a level of 255. On
            first use the network is exported, checked against torch and kept in a cache folder.

    Raises:
        ValueError: if there is no such backend, or it is "onnx" and the device not "cpu".
        ImportError: if it is "onnx" and ONNX Runtime is not installed.
    """

    def __init__(self, folder: WeightsFolder, device: str = "cpu", backend: str = "torch") -> None:
        self.folder = folder
        self.device = device
        self.backend = check_backend(backend, device)
        self._bank: DefectBank | None = None  # of an inpainter without a folder
        self._key = str(folder.path.resolve())  # of the bank that is shared

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

    @classmethod
    def from_bank(cls, bank: DefectBank, class_names: Sequence[str]) -> DefectInpainter:
        """Return an inpainter that paints from a bank in memory, without any folder.

        Args:
            bank: with appearances.
            class_names: in index order.
        """
        config = WeightsConfig(None, tuple(class_names))
        tensors = bank.to_tensors()
        content = b"".join(name.encode() + tensors[name].tobytes() for name in sorted(tensors))
        name = MEMORY + hashlib.sha256(repr(config.class_names).encode() + content).hexdigest()[:16]
        folder = WeightsFolder(Path(name), config, name, None, bank.has_centres, bank.has_appearances)
        inpainter = cls(folder)
        inpainter._bank = bank
        _IN_MEMORY[name] = inpainter
        return inpainter

    @classmethod
    def in_memory(cls, name: str) -> DefectInpainter:
        """Return the inpainter that `from_bank` made under a name in this process.

        Raises:
            ValueError: if there is none (any more).
        """
        found = _IN_MEMORY.get(name)
        if found is None:
            raise ValueError(
                f"{name}: defects that were in the memory of another process, or are gone; call "
                "save_pretrained(folder) on the transform that has them, and load that folder"
            )
        return found

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._bank is not None:
            _IN_MEMORY.setdefault(self.folder.name, self)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write the weights folder: generator, bank, config, card and its pictures.

        Raises:
            FileExistsError: if `folder` exists and is not a weights folder; one that is, is replaced.
        """
        if self._bank is not None:
            write_folder(Path(folder), self.folder.config, None, self.bank.to_tensors(), bank_card(self.folder.config))
        else:
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

        Warns:
            UserWarning: if the bank holds pixels of the images that it was made from.
        """
        if self._bank is not None:
            raise WeightsError("these defects are in memory alone: save_pretrained(folder), then publish that folder")
        if self.folder.has_appearances and private is not True:
            warnings.warn(
                f"{self.folder.name} holds pixels of the images that its defects were cut from; whoever can read "
                f"{repo_id} can see them. private=True makes a private repository",
                stacklevel=2,
            )
        return push_folder(self.folder.path, repo_id, private=private, token=token, commit_message=commit_message)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in index order."""
        return self.folder.config.class_names

    @property
    def latent_dim(self) -> int:
        """Length of z; 0 without a network."""
        generator = self.folder.config.generator
        return 0 if generator is None else generator.latent_dim

    @property
    def paints_exemplars(self) -> bool:
        """Whether real defects are relit, no network paints."""
        return self.folder.paints == "exemplars"

    @property
    def bank(self) -> DefectBank:
        """Real defects of the training data.

        Raises:
            WeightsError: if the folder holds none, or its file is damaged.
        """
        if self._bank is not None:
            return self._bank
        return BANKS.get(self._key, lambda: load_bank(self.folder))

    @property
    def painter(self) -> NetworkPainter:
        """What paints with the network.

        Raises:
            WeightsError: if the folder holds none.
        """
        from albu_gan.painting.painter import NetworkPainter

        if self.folder.config.generator is None:
            raise WeightsError(f"{self.folder.name}: holds no generator, its defects are relit; there is no network")
        return NetworkPainter(self.folder, self.device, self.backend)

    @property
    def network(self) -> DefectGenerator:
        """The generator, in evaluation mode on its device, whatever backend runs it."""
        return self.painter.network

    @property
    def window_sizes(self) -> tuple[int, ...]:
        """Sides of the square windows the network was trained at, in pixels, ascending; () without one."""
        return self.folder.config.window_sizes

    def draw_latent(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a standard normal z."""
        return rng.standard_normal(self.latent_dim, dtype=np.float32)

    def paint(self, image: np.ndarray, draws: Sequence[Draw]) -> list[Patch]:
        """Paint defects: those that have a look as they look, the others by the network.

        Args:
            image: (H, W) or (H, W, C), uint8, or float32 in [0, 1]; read only.
            draws: masks inside the image that do not overlap.

        Returns:
            One patch a draw, for `albu_gan.painting.paste`.
        """
        unseen = [draw for draw in draws if draw.look is None]
        painted = iter(self.painter.paint(image, unseen) if unseen else [])
        return [next(painted) if draw.look is None else _relit(image, draw, draw.look) for draw in draws]

    def __call__(
        self,
        image: np.ndarray,
        mask: np.ndarray,
        class_name: str,
        seed: int = 0,
        strength: float = 1.0,
        exemplar: int | None = None,
        variation: float = 0.5,
    ) -> np.ndarray:
        """Paint one defect into every connected part of a mask.

        Args:
            image: (H, W), (H, W, 1) or (H, W, 3), uint8, or float32 in [0, 1]; not changed.
            mask: (H, W), nonzero = paint.
            class_name: one of `class_names`.
            seed: of what is drawn; same seed, same picture.
            strength: factor of what is added; 0 returns a copy of the image.
            exemplar: number, in `bank`, of the real defect that it is to look like; None takes one of the class that
                is like the mask in size. Of folders whose defects are relit.
            variation: how far it differs from the exemplar, in [0, 1]; likewise.

        Returns:
            A new image of the same shape and dtype, bit-identical outside the mask.

        Raises:
            TypeError, ValueError: if the image, mask, class or exemplar is not as described, or nothing finite can be
                painted.
        """
        check_image(image)
        mask = np.asarray(mask)
        if mask.shape != image.shape[:2]:
            raise ValueError(f"mask must be {image.shape[:2]} like its image, got shape {mask.shape}")
        if class_name not in self.class_names:
            raise ValueError(f"unknown class {class_name!r}; these weights paint {list(self.class_names)}")
        if exemplar is not None and not self.paints_exemplars:
            raise ValueError(f"exemplar={exemplar!r}, but {self.folder.name} paints with its generator; leave it out")
        if not np.isfinite(strength):
            raise ValueError(f"strength must be a finite number, got {strength!r}")
        rng = np.random.default_rng(seed)
        draws = []
        count, labels, stats, _ = cv2.connectedComponentsWithStats((mask != 0).astype(np.uint8), connectivity=8)
        for index in range(1, count):
            left, top, width, height = (int(v) for v in stats[index, :4])
            cut = labels[top : top + height, left : left + width] == index
            class_index, z = self.class_names.index(class_name), self.draw_latent(rng)
            look = None
            if self.paints_exemplars:
                look = wear(cut, self.bank, class_index, exemplar, variation, rng)
            draws.append(Draw(cut, top, left, class_index, z, None, look))
        painted = np.array(image, order="C")
        for patch in self.paint(image, draws):
            if not np.isfinite(patch.residual).all():
                raise ValueError(
                    "nothing finite can be painted into this image: it holds NaN or infinity, or the weights overflow"
                )
            paste(painted, Patch(patch.top, patch.left, patch.mask, patch.residual * strength, patch.class_index))
        return painted


def _relit(image: np.ndarray, draw: Draw, look: Look) -> Patch:
    residual, clarity = look.paint(image, draw.top, draw.left)
    return Patch(draw.top, draw.left, draw.mask, residual, draw.class_index, clarity)


def load_bank(folder: WeightsFolder) -> DefectBank:
    """Read the bank.

    Raises:
        WeightsError: naming the file, if there is none or it is damaged.
    """
    now = read_again(folder)
    if not now.config.bank:
        raise WeightsError(f"{folder.path}: holds no bank of defects to draw from; make one with albu-gan bank")
    try:
        return DefectBank.load(now.path / BANK, len(now.config.class_names))
    except ValueError as err:
        raise WeightsError(str(err)) from err
