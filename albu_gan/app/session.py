"""What belongs to one open page."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from albu_gan.app.own import OwnExemplar
from albu_gan.app.scene import Scene, Setting


@dataclass(frozen=True)
class Session:
    """One open page.

    Attributes:
        weights: chosen name.
        class_index: chosen class.
        scene: None until an image is loaded.
        folder: of the files to download.
        owns: defects of the person's own, which outlive the image that they were cut from.
        gallery_page: of the defects of the chosen class.
    """

    weights: str
    class_index: int = 0
    scene: Scene | None = None
    folder: Path | None = None
    owns: tuple[OwnExemplar, ...] = ()
    gallery_page: int = 0

    @property
    def loaded(self) -> Scene:
        """The scene.

        Raises:
            ValueError: if no image is loaded.
        """
        if self.scene is None:
            raise ValueError("load an image or pick a sample first")
        return self.scene

    @property
    def files(self) -> Path:
        """Folder of the files of the image that is loaded."""
        assert self.folder is not None, "a session with an image has a folder"
        return self.folder

    @property
    def setting(self) -> Setting:
        """How the chosen class is painted."""
        return Setting() if self.scene is None else self.scene.setting(self.class_index)


def forget(session: Session) -> None:
    """Remove the files of a session."""
    if session.folder is not None:
        shutil.rmtree(session.folder, ignore_errors=True)
