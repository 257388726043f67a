"""A process that has loaded nothing yet."""

from typing import Any

import pytest

from albu_gan.defects.inpainter import BANKS
from albu_gan.painting.painter import NETWORKS


def forget_loaded(monkeypatch: pytest.MonkeyPatch) -> dict[Any, Any]:
    """Empty the caches of networks and banks until the test ends; return that of networks."""
    networks: dict[Any, Any] = {}
    monkeypatch.setattr(NETWORKS, "loaded", networks)
    monkeypatch.setattr(BANKS, "loaded", {})
    return networks
