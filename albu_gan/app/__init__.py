"""The browser app: `albu-gan app`.

Only `interface` knows Gradio, and is imported by its own name; what it shows is computed by `images`, `mask_runs`,
`scene` and `snippet`.
"""

from albu_gan.app.launch import (
    add_arguments,
)

__all__ = [
    "add_arguments",
]
