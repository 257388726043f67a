"""The browser app: `albu-gan app`.

Only `controls`, `page` and `interface` know Gradio; what they show is computed by the others.
"""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when Gradio is imported
