"""The components of the page, column by column; what they do is connected in `page`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from albu_gan.app.images import SUFFIXES
from albu_gan.app.scene import MAX_SEED, MAX_STRENGTH

Properties = dict[str, Any]
HERE = Path(__file__).parent
#: Of classes: told apart on gray and brown surfaces, and by people who see red and green alike.
PALETTE = ("#ff5a36", "#2f9dff", "#ffd23f", "#35d07f", "#c77dff", "#ff8fc7", "#00c2c7", "#a3e635")
HINT = (
    '<p class="albu-gan-hint">Draw with the mouse, or focus the image and use the arrow keys and Space. Ctrl and wheel '
    "zooms. <b>Keep</b> fixes what is painted: new masks of the same class then have settings of their own. <b>Use as "
    "exemplar</b>: draw over a real defect on an image of your own, and it is what the class is painted like.</p>"
)
WHOLE, CLOSE = "Whole image", "Around the masks"
DOWNLOADS = (
    ("image", "↓ Image"),
    ("mask", "↓ Mask"),
    ("clean", "↓ Clean image"),
    ("snippet", "↓ Python"),
    ("archive", "↓ All (zip)"),
)


SAMPLE_COLUMNS = 5


class Choices:
    """The left column: image, weights, class.

    Args:
        samples: images to start from.
        weights: names; the first is chosen.
        megapixels: of an upload.
        classes: to choose from.
    """

    def __init__(
        self, samples: Sequence[np.ndarray], weights: Sequence[str], megapixels: float, classes: Properties
    ) -> None:
        self.upload = gr.File(
            label=f"Your image, up to {megapixels:g} megapixels",
            file_types=list(SUFFIXES),
            height=106,
            elem_id="upload",
        )
        self.samples = gr.Gallery(
            list(samples),
            label="or a sample",
            columns=SAMPLE_COLUMNS,
            height=42 + 52 * -(-len(samples) // SAMPLE_COLUMNS),
            object_fit="cover",
            allow_preview=False,
            interactive=False,
            format="jpeg",
            buttons=[],
            elem_id="samples",
        )
        self.weights = gr.Dropdown(list(weights), value=weights[0], label="Weights", elem_id="weights")
        self.classes = gr.Radio(**classes, label="Class to draw", elem_id="classes", type="value")


class Drawing:
    """The middle column: what is drawn on, what makes masks or takes them, and real defects to paint like.

    Args:
        exemplars: what the gallery shows.
    """

    def __init__(self, exemplars: Properties) -> None:
        self.canvas = _own_html(
            "canvas", picture=None, size_hw=None, image_id=None, locked=None, active=0, palette=list(PALETTE)
        )
        with gr.Row():
            self.sample = gr.Button("Sample a mask", variant="primary", size="md", min_width=120, elem_id="sample")
            self.keep = gr.Button("Keep and go on", size="md", min_width=120, elem_id="keep")
            self.use_as_exemplar = gr.Button("Use as exemplar", size="md", min_width=120, elem_id="use-as-exemplar")
        self.exemplars = _own_html("exemplars", **exemplars)
        gr.HTML(HINT, padding=False, apply_default_css=False)


class Results:
    """The right column: before and after, how the chosen class is painted, downloads, the program.

    Args:
        seed, reroll, strength, variation: what depends on weights and class, in each component.
    """

    def __init__(self, seed: Properties, reroll: Properties, strength: Properties, variation: Properties) -> None:
        self.compare = gr.ImageSlider(
            label="Before / after",
            type="filepath",
            interactive=False,
            height=410,
            max_height=410,
            slider_position=15,  # most of the painted image: left of the handle a defect would seem missing
            buttons=["fullscreen"],
            elem_id="compare",
        )
        self.status = gr.Markdown("Nothing is painted yet.", elem_id="status")
        self.view = gr.Radio([WHOLE, CLOSE], value=WHOLE, show_label=False, container=False, elem_id="view")
        with gr.Row(elem_id="latent-row"):
            self.seed = gr.Number(**seed, precision=0, minimum=0, maximum=MAX_SEED, min_width=100, elem_id="seed")
            self.reroll = gr.Button(**reroll, min_width=100, size="md", elem_id="reroll")
        self.variation = gr.Slider(0, 1, **variation, step=0.05, elem_id="variation")
        self.strength = gr.Slider(0, MAX_STRENGTH, **strength, step=0.05, elem_id="strength")
        with gr.Row(elem_id="downloads"):
            self.downloads = [
                gr.DownloadButton(label, interactive=False, size="sm", min_width=90, elem_id=f"download-{name}")
                for name, label in DOWNLOADS
            ]
            self.steps = gr.DownloadButton("↓ Steps", visible=False, size="sm", min_width=90, elem_id="download-steps")
        with gr.Accordion("Python that paints this image again", open=False, elem_id="code"):
            self.code = gr.Code(
                "", language="python", interactive=False, show_label=False, elem_id="snippet", wrap_lines=True
            )


def header() -> gr.HTML:
    """Return what stands above the columns."""
    return gr.HTML((HERE / "header.html").read_text(encoding="utf-8"), padding=False, apply_default_css=False)


def _own_html(name: str, **properties: Any) -> gr.HTML:
    """Return a component of the files `name`.html, .css and .js."""
    html, css, script = ((HERE / f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return gr.HTML(
        value=None,
        html_template=html,
        css_template=css,
        js_on_load=script,
        apply_default_css=False,
        elem_id=name,
        **properties,
    )
