"""Features of Inception-v3, the ones that published FID and KID are of, from a file or a download."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from urllib.error import URLError

import cv2
import numpy as np
import torch
from torch import nn

from albu_gan.data import DataError
from albu_gan.pictures import to_rgb

DOWNLOAD = "download"
FILE = "weights-inception-2015-12-05-6726825d.pth"
NAME = "Inception-v3, pool layer of 2048, whole windows"
LAYER = "2048"
BATCH = 16


class InceptionFeatures:
    """Inception-v3 with the weights of the original FID, as torchmetrics and torch-fidelity run it.

    Args:
        source: path of torch-fidelity's `weights-inception-2015-12-05-6726825d.pth`, or "download" to let
            torch-fidelity fetch it into torch's cache.
        device: to run on.

    Raises:
        DataError: if torch-fidelity is not installed, or the weights cannot be had.
    """

    def __init__(self, source: str, device: torch.device | str = "cpu") -> None:
        self.network: nn.Module = _load(source).to(device)
        self.device = device

    @torch.no_grad()
    def embed(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """(H, W, C) uint8 images, sizes may differ, to (N, 2048) float64."""
        size = int(self.network.INPUT_IMAGE_SIZE)
        parts = []
        for start in range(0, len(images), BATCH):
            resized = [
                # What the network does itself with its input, image by image, since the sizes differ.
                cv2.resize(to_rgb(image), (size, size), interpolation=cv2.INTER_LINEAR)
                for image in images[start : start + BATCH]
            ]
            batch = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2)
            parts.append(self.network(batch.to(self.device)).double().cpu().numpy())
        return np.concatenate(parts)


def _load(source: str) -> nn.Module:
    if source != DOWNLOAD and not Path(source).is_file():
        raise DataError(f"{source}: no such file; give the path of {FILE}, or {DOWNLOAD!r}")
    try:
        import torch_fidelity  # noqa: F401  (torchmetrics only says at the first use that it is missing)
        from torchmetrics.image.fid import NoTrainInceptionV3
    except ImportError as err:
        raise DataError('Inception needs torch-fidelity: pip install "torch-fidelity>=0.3"') from err
    try:
        if source != DOWNLOAD:  # torch-fidelity would run whatever a pickle holds; what passes here holds tensors alone
            torch.load(source, map_location="cpu", weights_only=True)
        return NoTrainInceptionV3("inception-v3-compat", [LAYER], None if source == DOWNLOAD else source)
    except (URLError, TimeoutError, ConnectionError) as err:
        raise DataError(
            f"the Inception weights could not be downloaded ({err}); fetch {FILE} elsewhere, give its path"
        ) from err
    except (RuntimeError, OSError, EOFError, KeyError, ValueError, TypeError, pickle.UnpicklingError) as err:
        raise DataError(
            f"{source}: no Inception weights, or a damaged file; expected {FILE} of torch-fidelity"
        ) from err
