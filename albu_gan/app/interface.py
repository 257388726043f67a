"""Builds the page: `build` for its components, `launch_options` for how it is to be served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from albu_gan.app.controls import HERE, PALETTE
from albu_gan.app.page import Page
from albu_gan.defects import DefectInpainter

SESSIONS = 64  # open pages whose images are held in memory


@dataclass(frozen=True)
class Limits:
    """What an upload may be.

    Attributes:
        megapixels: millions of pixels.
        megabytes: of the file.
    """

    megapixels: float = 16.0
    megabytes: int = 32


def build(weights: Sequence[str], limits: Limits = Limits(), device: str = "cpu") -> gr.Blocks:
    """Build the page.

    Args:
        weights: names to choose from; the first is chosen at the start.
        limits: of uploads.
        device: torch device of the networks.

    Raises:
        WeightsError: if a name leads to no sound weights.
    """
    painters = {name: DefectInpainter.from_pretrained(name, device=device) for name in weights}
    blocks: gr.Blocks = Page(painters, limits.megapixels).blocks
    return blocks


def launch_options(limits: Limits = Limits()) -> dict[str, Any]:
    """Return the arguments of `Blocks.launch` that the page is made for, address and port apart."""
    return {
        "theme": page_theme(),
        "css": page_css(),
        "max_file_size": f"{limits.megabytes}mb",
        "state_session_capacity": SESSIONS,
        "footer_links": [],
        "share": False,
        "ssr_mode": False,
        "mcp_server": False,
        "run_history": False,
        "enable_monitoring": False,
        "pwa": False,
        "quiet": True,
    }


def page_theme() -> gr.themes.Base:
    """Return the theme, with fonts that Gradio serves itself: the page asks nothing of the internet.

    Weight 700, because Gradio's file of weight 600 holds few letters, and the rest would come from another font.
    """
    return gr.themes.Default(
        primary_hue="orange",
        neutral_hue="slate",
        radius_size="md",
        font=(gr.themes.LocalFont("Source Sans Pro", weights=(400, 700)), "ui-sans-serif", "system-ui", "sans-serif"),
        font_mono=("ui-monospace", "Consolas", "monospace"),
    )


def page_css() -> str:
    """Return the page's style: the column widths, and a swatch of its colour before each class."""
    swatches = "\n".join(
        f"#classes label:nth-of-type({len(PALETTE)}n+{i + 1}) span::before {{ background: {colour}; }}"
        for i, colour in enumerate(PALETTE)
    )
    return (HERE / "page.css").read_text(encoding="utf-8") + swatches
