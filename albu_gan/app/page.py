"""What happens when something on the page is used."""

from __future__ import annotations

import functools
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from albu_gan.app import exemplars, mask_runs, views
from albu_gan.app.controls import CLOSE, DOWNLOADS, WHOLE, Choices, Drawing, Results, header
from albu_gan.app.downloads import write_files
from albu_gan.app.images import Upload, clean_stem, read_upload
from albu_gan.app.own import cut_out
from albu_gan.app.sample_mask import sample_mask, vary_again
from albu_gan.app.scene import Setting, draw, keep, new_scene, paint, with_setting
from albu_gan.app.session import Session, forget
from albu_gan.defects import DefectInpainter
from albu_gan.pictures import SAMPLES, read_image

HOUR = 3600
NOTHING = "Nothing is painted yet."


class Page:
    """Components and their handlers; all that belongs to one person is in the session, which handlers return anew.

    Args:
        painters: by the name that they are chosen by; the first is chosen at the start.
        megapixels: of an upload at most, millions.
    """

    def __init__(self, painters: dict[str, DefectInpainter], megapixels: float) -> None:
        self.painters, self.megapixels = painters, megapixels
        self.samples = [Upload(read_image(path), clean_stem(path.stem)) for path in sorted(SAMPLES.glob("*.jpg"))]
        self.folder = tempfile.TemporaryDirectory(prefix="albu-gan-app-")
        start = Session(next(iter(painters)))
        with gr.Blocks(
            title="albu-gan", analytics_enabled=False, fill_width=True, delete_cache=(HOUR, HOUR)
        ) as self.blocks:
            self.session = gr.State(start, time_to_live=6 * HOUR, delete_callback=forget)
            header()
            *about, tiles = self._about(start)
            with gr.Row(elem_id="columns"):
                with gr.Column(scale=3, min_width=250):
                    samples = [sample.image for sample in self.samples]
                    self.choices = Choices(samples, list(painters), megapixels, self._classes(start))
                with gr.Column(scale=5, min_width=400):
                    self.drawing = Drawing(tiles)
                with gr.Column(scale=5, min_width=400):
                    self.results = Results(*about)
            self._connect()

    def _connect(self) -> None:
        c, d, r = self.choices, self.drawing, self.results
        shown = [self.session, r.compare, r.status, *r.downloads, r.steps, r.code]
        numbers: list[Any] = [r.seed, r.strength, r.variation]
        about = [r.seed, r.reroll, r.strength, r.variation, d.exemplars]
        here = [self.session, r.view]
        self._on(c.upload.upload, self._upload, [self.session, c.upload], [*shown, d.canvas])
        self._on(c.samples.select, self._pick_sample, [self.session], [*shown, d.canvas, c.classes, *about])
        self._on(
            c.weights.input,
            self._pick_weights,
            [self.session, c.weights],
            [*shown, d.canvas, c.classes, *about],
        )
        self._on(c.classes.input, self._pick_class, [self.session, c.classes], [self.session, d.canvas, *about])
        self._on(d.exemplars.input, self._pick_exemplar, [*here, d.exemplars], [*shown, *about])
        self._on(d.canvas.input, self._drawn, [self.session, d.canvas, r.view], shown)
        for number in numbers:
            self._on(number.input, self._settings, [*here, *numbers], [*shown, d.canvas])
        self._on(r.reroll.click, self._reroll, here, [*shown, d.canvas, r.seed])
        self._on(d.sample.click, self._sample, here, [*shown, d.canvas])
        self._on(d.keep.click, self._keep, here, [*shown, d.canvas])
        self._on(d.use_as_exemplar.click, self._use_as_exemplar, here, [*shown, d.canvas, *about])
        self._on(r.view.input, self._look, here, [r.compare])

    def _on(self, event: Any, handler: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Connect a handler: one at a time, the latest of many wins, and not part of a public API."""
        event(
            explained(handler),
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
        upload = read_upload(Path(path), self.megapixels)
        for note in upload.notes:
            gr.Info(note)
        return self._start(session, upload)

    def _pick_sample(self, session: Session, event: gr.SelectData) -> list[Any]:
        sample = self.samples[int(event.index) % len(self.samples)]
        session = self._with_class_of(session, sample)
        return [
            *self._start(session, sample),
            gr.update(**self._classes(session)),
            *self._settings_of(session),
        ]

    def _with_class_of(self, session: Session, sample: Upload) -> Session:
        """Choose a class of the surface that a sample shows, if the chosen one is of another."""
        surface = sample.stem.rpartition("-")[0].replace("-", " ") + " "
        fitting = [i for i, name in enumerate(self._painter(session).class_names) if name.startswith(surface)]
        if not fitting or session.class_index in fitting:
            return session
        return replace(session, class_index=fitting[0], gallery_page=0)

    def _start(self, session: Session, upload: Upload) -> list[Any]:
        forget(session)
        folder = Path(self.folder.name) / uuid.uuid4().hex
        folder.mkdir()
        settings = {} if session.scene is None else session.scene.settings
        session = replace(session, scene=new_scene(upload, settings), folder=folder)
        return [*self._shown(session, WHOLE), self._canvas(session)]

    def _pick_weights(self, session: Session, weights: str) -> list[Any]:
        if weights == session.weights:  # a list that loses the focus may say again what was chosen
            return [session, *self._nothing_new(), gr.skip(), gr.skip(), *self._settings_of(session)]
        scene = session.scene
        if scene is not None:
            if scene.steps():
                gr.Info("These weights paint other classes: the masks were removed.")
            scene = new_scene(Upload(scene.clean, scene.stem))
        session = replace(session, weights=weights, class_index=0, scene=scene, gallery_page=0)
        canvas = gr.update(active=0) if scene is None else self._canvas(session)
        return [*self._shown(session, WHOLE), canvas, gr.update(**self._classes(session)), *self._settings_of(session)]

    def _pick_class(self, session: Session, class_index: int) -> list[Any]:
        session = replace(session, class_index=int(class_index), gallery_page=0)
        return [session, gr.update(active=session.class_index), *self._settings_of(session)]

    def _pick_exemplar(self, session: Session, view: str, token: object) -> list[Any]:
        page = exemplars.page_of(token)
        if page is not None:
            session = replace(session, gallery_page=page)
            return [session, *self._nothing_new(), *self._settings_of(session)]
        setting = exemplars.choose(session.setting, token, self._painter(session), session.owns)
        session = self._set(session, setting)
        return [*self._shown(session, view), *self._settings_of(session)]

    def _drawn(self, session: Session, text: object, view: str) -> list[Any]:
        scene = session.loaded
        labels = mask_runs.decode(text, scene.size_hw, len(self._painter(session).class_names))
        return self._shown(replace(session, scene=draw(scene, labels)), view)

    def _settings(
        self, session: Session, view: str, seed: float | None, strength: float | None, variation: float | None
    ) -> list[Any]:
        if seed is None or strength is None or variation is None:  # a field that is just being typed into
            return [session, *self._nothing_new(), gr.skip()]
        setting = replace(session.setting, seed=int(seed), strength=float(strength), variation=float(variation))
        return self._varied(session, setting, view)

    def _reroll(self, session: Session, view: str) -> list[Any]:
        seed = int(np.random.default_rng().integers(1_000_000))
        return [*self._varied(session, replace(session.setting, seed=seed), view), seed]

    def _varied(self, session: Session, setting: Setting, view: str) -> list[Any]:
        """Return what is shown with another setting, and the canvas: sampled masks may have changed with it."""
        before = session.loaded.drawn
        session = self._set(session, setting)
        scene = vary_again(session.loaded, self._painter(session), session.class_index)
        session = replace(session, scene=scene)
        canvas = gr.skip() if scene.drawn is before else gr.update(value=mask_runs.encode(scene.drawn))
        return [*self._shown(session, view), canvas]

    def _set(self, session: Session, setting: Setting) -> Session:
        return replace(session, scene=with_setting(session.loaded, session.class_index, setting))

    def _sample(self, session: Session, view: str) -> list[Any]:
        scene = sample_mask(session.loaded, self._painter(session), session.class_index, np.random.default_rng())
        session = replace(session, scene=scene)
        return [*self._shown(session, view), gr.update(value=mask_runs.encode(scene.drawn))]

    def _keep(self, session: Session, view: str) -> list[Any]:
        session = replace(session, scene=keep(session.loaded, self._painter(session)))
        return [*self._shown(session, view), self._canvas(session, fresh=False)]

    def _use_as_exemplar(self, session: Session, view: str) -> list[Any]:
        """Cut out what is drawn of the chosen class, and paint the class like it; the drawing has served its turn."""
        scene = session.loaded
        if len(session.owns) >= exemplars.MAX_OWN:
            raise ValueError(f"no more than {exemplars.MAX_OWN} exemplars are held; reload the page to begin anew")
        drawn = scene.drawn == session.class_index + 1
        own = cut_out(scene.clean, drawn, self._painter(session).class_names[session.class_index])
        for reason in own.left_out:
            gr.Warning(f"One of the outlines is left out: {reason}.")
        gr.Info(f"{own.class_name} is painted like this now. Draw a mask, here or on another image that you load.")
        session = replace(session, owns=(*session.owns, own))
        scene = draw(scene, np.where(drawn, 0, scene.drawn).astype(np.uint8))
        session = self._set(replace(session, scene=scene), replace(session.setting, exemplar=None, own=own))
        canvas = gr.update(value=mask_runs.encode(scene.drawn))
        return [*self._shown(session, view), canvas, *self._settings_of(session)]

    def _look(self, session: Session, view: str) -> Any:
        """Return before / after alone: of a single output Gradio takes a list for its value."""
        painted = paint(session.loaded, self._painter(session))
        return views.comparison(session.loaded, painted, session.files, view == CLOSE)

    # What is shown.

    def _painter(self, session: Session) -> DefectInpainter:
        return self.painters[session.weights]

    def _classes(self, session: Session) -> dict[str, Any]:
        names = self._painter(session).class_names
        return {"choices": [(name, index) for index, name in enumerate(names)], "value": session.class_index}

    def _settings_of(self, session: Session) -> list[Any]:
        """Return what `_about` says, for components that are there already."""
        return [gr.update(**properties) for properties in self._about(session)]

    def _about(self, session: Session) -> list[dict[str, Any]]:
        """Return how the chosen class is painted: seed and its button, strength, variation, exemplars."""
        painter, setting = self._painter(session), session.setting
        name = painter.class_names[session.class_index]
        varies = exemplars.varies(painter, setting)
        seed = "Seed" if varies else "Latent"
        return [
            {"value": setting.seed, "label": f"{seed} of {name}"},
            {"value": f"New {seed.lower()}"},
            {"value": setting.strength, "label": f"Strength of {name}"},
            {"value": setting.variation, "label": f"Variation of {name}: 0 is the exemplar", "visible": varies},
            exemplars.gallery(painter, session.class_index, session.owns, setting, session.gallery_page),
        ]

    def _shown(self, session: Session, view: str) -> list[Any]:
        """Return session, before / after, status, the downloads, the steps and the code."""
        scene, painter = session.scene, self._painter(session)
        if scene is None or not scene.steps():
            disabled = [gr.update(interactive=False)] * len(DOWNLOADS)
            compare = None
            if scene is not None:
                compare = views.comparison(scene, paint(scene, painter), session.files, False)
            return [session, compare, NOTHING, *disabled, gr.update(visible=False), ""]
        painted = paint(scene, painter)
        files = write_files(scene, painted, painter, session.files)
        buttons = [
            gr.update(value=str(path), interactive=True)
            for path in (files.image, files.mask, files.clean, files.snippet, files.archive)
        ]
        steps = gr.update(value=str(files.steps) if files.steps else None, visible=files.steps is not None)
        compare = views.comparison(scene, painted, session.files, view == CLOSE)
        return [session, compare, views.status(painted, painter.class_names), *buttons, steps, files.text]

    def _nothing_new(self) -> list[Any]:
        """Return what `_shown` does, but for the session, where nothing of it changes."""
        return [gr.skip()] * (4 + len(DOWNLOADS))

    def _canvas(self, session: Session, fresh: bool = True) -> dict[str, Any]:
        """Return the drawing area's new contents; `fresh` also resets its zoom and history."""
        scene = session.loaded
        changes: dict[str, Any] = {
            "picture": views.data_url(scene.base),
            "size_hw": list(scene.size_hw),
            "locked": mask_runs.encode(scene.locked()) if scene.kept else None,
            "active": session.class_index,
            "value": mask_runs.encode(scene.drawn),
        }
        if fresh:
            changes["image_id"] = uuid.uuid4().hex
        return gr.update(**changes)


def explained(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Turn what a handler raises into a message on the page."""

    @functools.wraps(handler)
    def run(*arguments: Any, **named: Any) -> Any:
        try:
            return handler(*arguments, **named)
        except (ValueError, TypeError, OSError) as err:
            raise gr.Error(views.sentence(str(err)), title="Not possible", print_exception=False) from err

    return run
