"""The browser app: `albu-gan app`.

Only `interface` knows Gradio; what it shows is computed by `images`, `mask_runs`, `scene` and `snippet`.
"""
