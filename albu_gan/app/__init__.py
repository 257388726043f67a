"""The browser app: `albu-gan app`.

Only `controls`, `page` and `interface` know Gradio, and are imported by their own names; what they show is computed by
the others.
"""

from albu_gan.app.launch import (
    add_arguments,
)

__all__ = [
    "add_arguments",
]
