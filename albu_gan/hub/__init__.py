"""Weights folders: found, fetched from the Hugging Face Hub, checked, written and published."""

from albu_gan.hub.bank_header import (
    APPEARANCE_TENSORS,
    CENTRES,
    COMPOUND_TENSORS,
    check_bank_header,
)
from albu_gan.hub.card import bank_card
from albu_gan.hub.errors import (
    WeightsError,
)
from albu_gan.hub.find import (
    DEFAULT_WEIGHTS,
    bundled_names,
    find_weights,
    is_hub_name,
)
from albu_gan.hub.folder import (
    BANK,
    CARD,
    CONFIG,
    MODEL,
    PICTURE_SUFFIXES,
    WeightsConfig,
    WeightsFolder,
    copy_folder,
    read_again,
    read_folder,
    window_text,
    write_folder,
)
from albu_gan.hub.header import (
    check_safetensors,
)
from albu_gan.hub.once import (
    OncePerProcess,
)
from albu_gan.hub.push import (
    push_folder,
)

__all__ = [
    "APPEARANCE_TENSORS",
    "BANK",
    "CARD",
    "CENTRES",
    "COMPOUND_TENSORS",
    "CONFIG",
    "DEFAULT_WEIGHTS",
    "MODEL",
    "OncePerProcess",
    "PICTURE_SUFFIXES",
    "WeightsConfig",
    "WeightsError",
    "WeightsFolder",
    "bank_card",
    "bundled_names",
    "check_bank_header",
    "check_safetensors",
    "copy_folder",
    "find_weights",
    "is_hub_name",
    "push_folder",
    "read_again",
    "read_folder",
    "window_text",
    "write_folder",
]
