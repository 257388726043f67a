"""The one error of weights that cannot be used."""

from __future__ import annotations


class WeightsError(ValueError):
    """Weights that cannot be found or used; the message names the place and says what to do."""
