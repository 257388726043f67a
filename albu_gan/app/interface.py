"""The page: what is on it, and what happens when something on it is used. The only module that knows Gradio."""

from __future__ import annotations

import base64
import functools
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when Gradio is imported

import gradio as gr

from albu_gan.app import mask_runs
from albu_gan.app.images import SUFFIXES, Upload, clean_stem, read_upload
from albu_gan.app.scene import (
    MAX_SEED,
    MAX_STRENGTH,
    VISIBLE,
    Painted,
    Scene,
    Setting,
    draw,
    keep,
    new_scene,
    paint,
    sample_mask,
    with_setting,
    write_files,
)
from albu_gan.defects import DefectInpainter
from albu_gan.painting import mask_box
from albu_gan.pictures import SAMPLES, read_image, write_png

HERE = Path(__file__).parent
#: Of classes: told apart on gray and brown surfaces, and by people who see red and green alike.
PALETTE = ("#ff5a36", "#2f9dff", "#ffd23f", "#35d07f", "#c77dff", "#ff8fc7", "#00c2c7", "#a3e635")
HINT = (
    '<p class="albu-gan-hint">Draw with the mouse, or focus the image and use the arrow keys and Space. Ctrl and wheel '
    "zooms. <b>Keep</b> fixes what is painted: new masks of the same class then have a latent of their own.</p>"
)
SHOWN_SIDE = 1600  # pixels of the before / after view; downloads have them all
CONTEXT = 0.6  # of the masks' extent, shown around them
MIN_VIEW = 96  # pixels of the image
SEED_LABEL, STRENGTH_LABEL = "Latent of {}", "Strength of {}"
WHOLE, CLOSE = "Whole image", "Around the masks"
SESSIONS = 64  # open pages whose images are held in memory
HOUR = 3600


@dataclass(frozen=True)
class Limits:
    """What an upload may be.

    Attributes:
        megapixels: millions of pixels.
        megabytes: of the file.
    """

    megapixels: float = 16.0
    megabytes: int = 32


@dataclass(frozen=True)
class Session:
    """One open page.

    Attributes:
        weights: chosen name.
        class_index: chosen class.
        scene: None until an image is loaded.
        folder: of the files to download.
    """

    weights: str
    class_index: int = 0
    scene: Scene | None = None
    folder: Path | None = None


def build(weights: Sequence[str], limits: Limits = Limits(), device: str = "cpu") -> gr.Blocks:
    """Build the page.

    Args:
        weights: names to choose from; the first is chosen at the start.
        limits: of uploads.
        device: torch device of the networks.

    Raises:
        WeightsError: if a name leads to no sound weights.
    """
    page = _Page({name: DefectInpainter.from_pretrained(name, device=device) for name in weights}, limits)
    blocks: gr.Blocks = page.blocks
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


class _Page:
    """Components and their handlers; all that belongs to one person is in the session, which handlers return anew."""

    def __init__(self, painters: dict[str, DefectInpainter], limits: Limits) -> None:
        self.painters, self.limits = painters, limits
        self.samples = [Upload(read_image(path), clean_stem(path.stem)) for path in sorted(SAMPLES.glob("*.jpg"))]
        self.folder = tempfile.TemporaryDirectory(prefix="albu-gan-app-")
        first = next(iter(painters))
        with gr.Blocks(
            title="albu-gan", analytics_enabled=False, fill_width=True, delete_cache=(HOUR, HOUR)
        ) as self.blocks:
            self.session = gr.State(Session(first), time_to_live=6 * HOUR, delete_callback=_forget)
            gr.HTML((HERE / "header.html").read_text(encoding="utf-8"), padding=False, apply_default_css=False)
            with gr.Row(elem_id="columns"):
                with gr.Column(scale=3, min_width=250):
                    self._build_choices(first)
                with gr.Column(scale=5, min_width=400):
                    self.canvas = gr.HTML(
                        value=None,
                        html_template=(HERE / "canvas.html").read_text(encoding="utf-8"),
                        css_template=(HERE / "canvas.css").read_text(encoding="utf-8"),
                        js_on_load=(HERE / "canvas.js").read_text(encoding="utf-8"),
                        apply_default_css=False,
                        elem_id="canvas",
                        picture=None,
                        size_hw=None,
                        image_id=None,
                        locked=None,
                        active=0,
                        palette=list(PALETTE),
                    )
                    with gr.Row():
                        self.sample = gr.Button("Sample a mask", variant="primary", size="md", elem_id="sample")
                        self.keep = gr.Button("Keep and go on", size="md", elem_id="keep")
                    gr.HTML(HINT, padding=False, apply_default_css=False)
                with gr.Column(scale=5, min_width=400):
                    self._build_results()
            self._connect()

    def _build_choices(self, first: str) -> None:
        name = self.painters[first].class_names[0]
        self.upload = gr.File(
            label=f"Your image, up to {self.limits.megapixels:g} megapixels",
            file_types=list(SUFFIXES),
            height=106,
            elem_id="upload",
        )
        self.gallery = gr.Gallery(
            [upload.image for upload in self.samples],
            label="or a sample",
            columns=4,
            rows=2,
            height=168,
            object_fit="cover",
            allow_preview=False,
            interactive=False,
            format="jpeg",
            buttons=[],
            elem_id="samples",
        )
        self.weights = gr.Dropdown(list(self.painters), value=first, label="Weights", elem_id="weights")
        self.classes = gr.Radio(
            self._class_choices(first), value=0, label="Class to draw", elem_id="classes", type="value"
        )
        with gr.Row(elem_id="latent-row"):
            self.seed = gr.Number(
                0,
                label=SEED_LABEL.format(name),
                precision=0,
                minimum=0,
                maximum=MAX_SEED,
                min_width=100,
                elem_id="seed",
            )
            self.reroll = gr.Button("New latent", min_width=100, size="md", elem_id="reroll")
        self.strength = gr.Slider(
            0, MAX_STRENGTH, 1.0, step=0.05, label=STRENGTH_LABEL.format(name), elem_id="strength"
        )

    def _build_results(self) -> None:
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
        with gr.Row(elem_id="downloads"):
            self.downloads = [
                gr.DownloadButton(label, interactive=False, size="sm", min_width=90, elem_id=f"download-{name}")
                for name, label in (
                    ("image", "↓ Image"),
                    ("mask", "↓ Mask"),
                    ("clean", "↓ Clean image"),
                    ("snippet", "↓ Python"),
                )
            ]
            self.steps_file = gr.DownloadButton(
                "↓ Steps", visible=False, size="sm", min_width=90, elem_id="download-steps"
            )
        with gr.Accordion("Python that paints this image again", open=False, elem_id="code"):
            self.code = gr.Code(
                "", language="python", interactive=False, show_label=False, elem_id="snippet", wrap_lines=True
            )

    def _connect(self) -> None:
        shown = [
            self.session,
            self.compare,
            self.status,
            *self.downloads,
            self.steps_file,
            self.code,
        ]
        settings = [self.seed, self.strength]
        self._on(self.upload.upload, self._upload, [self.session, self.upload], [*shown, self.canvas])
        self._on(self.gallery.select, self._pick_sample, [self.session], [*shown, self.canvas])
        self._on(
            self.weights.input,
            self._pick_weights,
            [self.session, self.weights],
            [*shown, self.canvas, self.classes, *settings],
        )
        self._on(
            self.classes.input, self._pick_class, [self.session, self.classes], [self.session, self.canvas, *settings]
        )
        drawn = [self.session, self.canvas, self.view]
        self._on(self.canvas.input, self._drawn, drawn, shown)
        for event in (self.seed.input, self.strength.input):
            self._on(event, self._settings, [self.session, self.view, *settings], shown)
        self._on(self.reroll.click, self._reroll, [self.session, self.view, self.strength], [*shown, self.seed])
        self._on(self.sample.click, self._sample, [self.session, self.view], [*shown, self.canvas])
        self._on(self.keep.click, self._keep, [self.session, self.view], [*shown, self.canvas])
        self._on(self.view.input, self._look, [self.session, self.view], [self.compare])

    def _on(self, event: Any, handler: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Connect a handler: one at a time, the latest of many wins, and not part of a public API."""
        event(
            _explained(handler),
            inputs=list(inputs),
            outputs=list(outputs),
            show_progress="hidden",
            trigger_mode="always_last",
            concurrency_limit=1,
            concurrency_id="paint",
            api_visibility="private",
        )

    # What is done. Each returns one value an output.

    def _upload(self, session: Session, path: str | None) -> list[Any]:
        if path is None:
            raise ValueError("no file arrived; choose it again")
        upload = read_upload(Path(path), self.limits.megapixels)
        for note in upload.notes:
            gr.Info(note)
        return self._start(session, upload)

    def _pick_sample(self, session: Session, event: gr.SelectData) -> list[Any]:
        return self._start(session, self.samples[int(event.index) % len(self.samples)])

    def _start(self, session: Session, upload: Upload) -> list[Any]:
        _forget(session)
        folder = Path(self.folder.name) / uuid.uuid4().hex
        folder.mkdir()
        session = Session(session.weights, session.class_index, new_scene(upload), folder)
        return [*self._shown(session, WHOLE), self._canvas(session)]

    def _pick_weights(self, session: Session, weights: str) -> list[Any]:
        scene = session.scene
        if scene is not None:
            if scene.steps():
                gr.Info("These weights paint other classes: the masks were removed.")
            scene = new_scene(Upload(scene.clean, scene.stem))
        session = Session(weights, 0, scene, session.folder)
        canvas = gr.update(active=0) if scene is None else self._canvas(session)
        return [
            *self._shown(session, WHOLE),
            canvas,
            gr.update(choices=self._class_choices(weights), value=0),
            *self._settings_of(session),
        ]

    def _pick_class(self, session: Session, class_index: int) -> list[Any]:
        session = replace(session, class_index=int(class_index))
        return [session, gr.update(active=session.class_index), *self._settings_of(session)]

    def _drawn(self, session: Session, text: object, view: str) -> list[Any]:
        scene = _loaded(session)
        labels = mask_runs.decode(text, scene.size_hw, len(self._painter(session).class_names))
        return self._shown(replace(session, scene=draw(scene, labels)), view)

    def _settings(self, session: Session, view: str, seed: float | None, strength: float | None) -> list[Any]:
        if seed is None or strength is None:  # a field that is just being typed into
            return [gr.skip()] * 9
        return self._shown(self._set(session, Setting(int(seed), float(strength))), view)

    def _reroll(self, session: Session, view: str, strength: float) -> list[Any]:
        seed = int(np.random.default_rng().integers(1_000_000))
        return [*self._shown(self._set(session, Setting(seed, float(strength))), view), seed]

    def _set(self, session: Session, setting: Setting) -> Session:
        return replace(session, scene=with_setting(_loaded(session), session.class_index, setting))

    def _sample(self, session: Session, view: str) -> list[Any]:
        scene = sample_mask(_loaded(session), self._painter(session), session.class_index, np.random.default_rng())
        session = replace(session, scene=scene)
        return [*self._shown(session, view), gr.update(value=mask_runs.encode(scene.drawn))]

    def _keep(self, session: Session, view: str) -> list[Any]:
        scene = keep(_loaded(session), self._painter(session))
        session = replace(session, scene=scene)
        return [*self._shown(session, view), self._canvas(session, fresh=False)]

    def _look(self, session: Session, view: str) -> Any:
        """Return before / after alone: of a single output Gradio takes a list for its value."""
        scene = _loaded(session)
        return _comparison(session, paint(scene, self._painter(session)), view)

    # What is shown.

    def _painter(self, session: Session) -> DefectInpainter:
        return self.painters[session.weights]

    def _class_choices(self, weights: str) -> list[tuple[str, int]]:
        return [(name, index) for index, name in enumerate(self.painters[weights].class_names)]

    def _settings_of(self, session: Session) -> list[Any]:
        """Return latent and strength of the chosen class."""
        setting = Setting() if session.scene is None else session.scene.setting(session.class_index)
        name = self._painter(session).class_names[session.class_index]
        return [
            gr.update(value=setting.seed, label=SEED_LABEL.format(name)),
            gr.update(value=setting.strength, label=STRENGTH_LABEL.format(name)),
        ]

    def _shown(self, session: Session, view: str) -> list[Any]:
        """Return session, before / after, status, the four downloads, the steps and the code."""
        scene, painter = session.scene, self._painter(session)
        if scene is None or not scene.steps():
            nothing = [gr.update(interactive=False)] * 4
            compare = None if scene is None else _comparison(session, paint(scene, painter), WHOLE)
            return [session, compare, "Nothing is painted yet.", *nothing, gr.update(visible=False), ""]
        painted = paint(scene, painter)
        files = write_files(scene, painted, painter, _folder(session))
        buttons = [
            gr.update(value=str(path), interactive=True)
            for path in (files.image, files.mask, files.clean, files.snippet)
        ]
        steps = gr.update(value=str(files.steps) if files.steps else None, visible=files.steps is not None)
        status = _status(painted, painter.class_names)
        return [session, _comparison(session, painted, view), status, *buttons, steps, files.text]

    def _canvas(self, session: Session, fresh: bool = True) -> dict[str, Any]:
        """Return the drawing area's new contents; `fresh` also resets its zoom and history."""
        scene = _loaded(session)
        changes: dict[str, Any] = {
            "picture": _data_url(scene.base),
            "size_hw": list(scene.size_hw),
            "locked": mask_runs.encode(scene.locked()) if scene.kept else None,
            "active": session.class_index,
            "value": mask_runs.encode(scene.drawn),
        }
        if fresh:
            changes["image_id"] = uuid.uuid4().hex
        return gr.update(**changes)


def _explained(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Turn what a handler raises into a message on the page."""

    @functools.wraps(handler)
    def run(*arguments: Any, **named: Any) -> Any:
        try:
            return handler(*arguments, **named)
        except (ValueError, TypeError, OSError) as err:
            raise gr.Error(_sentence(str(err)), title="Not possible", print_exception=False) from err

    return run


def _sentence(text: str) -> str:
    """Make a message a sentence; what starts with a file's name starts with it as it is written."""
    is_file = "." in text.partition(" ")[0]
    return f"{text if is_file else text[:1].upper() + text[1:]}."


def _loaded(session: Session) -> Scene:
    if session.scene is None:
        raise ValueError("load an image or pick a sample first")
    return session.scene


def _folder(session: Session) -> Path:
    assert session.folder is not None, "a session with an image has a folder"
    return session.folder


def _forget(session: Session) -> None:
    """Remove the files of a session."""
    if session.folder is not None:
        shutil.rmtree(session.folder, ignore_errors=True)


def _data_url(image: np.ndarray) -> str:
    """Encode an image for display alone: what is painted comes from the server's own copy."""
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    lossless = image.shape[0] * image.shape[1] <= 1_000_000
    options = [] if lossless else [cv2.IMWRITE_JPEG_QUALITY, 92]
    ok, data = cv2.imencode(".png" if lossless else ".jpg", pixels, options)
    if not ok:
        raise OSError("OpenCV could not encode the image")
    return f"data:image/{'png' if lossless else 'jpeg'};base64," + base64.b64encode(data.tobytes()).decode("ascii")


def _comparison(session: Session, painted: Painted, view: str) -> tuple[str, str]:
    """Write before and after, all of them or around the masks, not larger than a screen; returns their paths."""
    scene = _loaded(session)
    rows, columns = slice(None), slice(None)
    box = mask_box(painted.mask)
    if view == CLOSE and box is not None:
        top, left, height, width = box
        rows = _stretch(top, height, scene.size_hw[0])
        columns = _stretch(left, width, scene.size_hw[1])
    paths = []
    for name, image in (("before", scene.clean), ("after", painted.image)):
        path = _folder(session) / f"{name}.png"
        write_png(path, _fit(image[rows, columns], enlarge=view == CLOSE))
        paths.append(str(path))
    return paths[0], paths[1]


def _stretch(start: int, length: int, limit: int) -> slice:
    """Return an interval with some context around it, inside [0, limit]."""
    want = min(max(int(length * (1 + CONTEXT)), MIN_VIEW), limit)
    first = min(max(start + length // 2 - want // 2, 0), limit - want)
    return slice(first, first + want)


def _fit(image: np.ndarray, enlarge: bool) -> np.ndarray:
    """Shrink an image to the size that is shown, or enlarge a small one without smoothing its pixels."""
    side = max(image.shape[:2])
    if side > SHOWN_SIDE:
        factor = SHOWN_SIDE / side
        size_wh = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
        return cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA)
    times = SHOWN_SIDE // 2 // side
    if enlarge and times > 1:
        size_wh = (image.shape[1] * times, image.shape[0] * times)
        return cv2.resize(image, size_wh, interpolation=cv2.INTER_NEAREST)
    return np.ascontiguousarray(image)


def _status(painted: Painted, class_names: Sequence[str]) -> str:
    """Say what was painted, and what of it can hardly be seen."""
    parts = []
    for index, reached in sorted(painted.contrasts.items()):
        count = int(np.count_nonzero(painted.mask == index + 1))
        text = f"**{class_names[index]}** {count:,} px, contrast {reached:.0f}"
        if reached < VISIBLE:
            text += " (hardly visible: try another latent, or more strength)"
        parts.append(text)
    return " · ".join(parts)
