"""The gallery of real defects to choose from: what is on a page of it, and what a choice means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from albu_gan.app.own import OwnExemplar
from albu_gan.app.scene import Setting
from albu_gan.app.views import data_url
from albu_gan.defects import DefectInpainter
from albu_gan.painting import mask_box

ON_A_PAGE = 39  # with "any" four rows of a usual window
THUMBNAIL = 72  # pixels of its longer side
MAX_OWN = 12  # of one person
ANY, BANK, OWN, PAGE = "any", "bank", "own", "page"
NETWORK = (
    "These weights paint with a network, from class and latent: they hold no defects to choose from, and no variation. "
    "To paint like a defect of your own, draw over it on its image and press <b>Use as exemplar</b>."
)
SHAPES_ALONE = "These weights hold shapes alone. Draw over a real defect on its image and press <b>Use as exemplar</b>."
ANY_SAID = "<b>Any</b> takes one of the class that is about as large as your mask, or the one a mask was sampled from."


@dataclass(frozen=True)
class Tile:
    """One defect of the gallery.

    Attributes:
        token: what the page sends if it is chosen.
        title: for people.
        source: its picture, a data URL.
    """

    token: str
    title: str
    source: str


def gallery(
    painter: DefectInpainter, class_index: int, owns: Sequence[OwnExemplar], setting: Setting, page: int
) -> dict[str, Any]:
    """Return what the gallery shows of a class: the person's own defects, and a page of the bank's.

    Args:
        painter: of the chosen weights.
        class_index: chosen class.
        owns: defects of the person's own.
        setting: of the class; says what is chosen.
        page: of the bank's defects, from 0 on.
    """
    members = painter.bank.members(class_index) if painter.paints_exemplars else []
    pages = max(1, -(-len(members) // ON_A_PAGE))
    first = ON_A_PAGE * min(max(page, 0), pages - 1)
    shown = members[first : first + ON_A_PAGE]
    tiles = [Tile(f"{OWN}:{i}", f"Yours: {own.class_name}", _own_picture(own)) for i, own in enumerate(owns)]
    tiles += [Tile(f"{BANK}:{i}", _title(painter, i), _picture(painter.bank.appearance(i).pixels)) for i in shown]
    return {
        "tiles": [[tile.token, tile.title, tile.source] for tile in tiles],
        "chosen": token_of(setting, owns),
        "note": said(painter),
        "page": first // ON_A_PAGE,
        "pages": pages,
        "range": f"{first + 1}–{first + len(shown)} of {len(members)}" if pages > 1 else "",
    }


def said(painter: DefectInpainter) -> str:
    """Say what can be chosen, and why it is not more."""
    return {"generator": NETWORK, "nothing": SHAPES_ALONE}.get(painter.folder.paints, ANY_SAID)


def choose(setting: Setting, token: object, painter: DefectInpainter, owns: Sequence[OwnExemplar]) -> Setting:
    """Return a class's setting with what was chosen in the gallery.

    Raises:
        ValueError: if the gallery offers no such defect.
    """
    kind, _, number = str(token).partition(":")
    if kind == ANY:
        return replace(setting, exemplar=None, own=None)
    index = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else -1
    if kind == OWN and 0 <= index < len(owns):
        return replace(setting, exemplar=None, own=owns[index])
    known = kind == BANK and painter.paints_exemplars and 0 <= index < len(painter.bank)
    if known and not painter.bank.is_compound(index):  # which is of more classes than a mask has here
        return replace(setting, exemplar=index, own=None)
    raise ValueError("the gallery holds no such defect (any more); reload the page")


def page_of(token: object) -> int | None:
    """Return the page of the gallery that was asked for; None if a defect was chosen."""
    kind, _, number = str(token).partition(":")
    return int(number) if kind == PAGE and number.isascii() and number.isdigit() and len(number) < 6 else None


def token_of(setting: Setting, owns: Sequence[OwnExemplar]) -> str:
    """Return what the page calls the chosen defect."""
    if setting.own is not None and setting.own in owns:
        return f"{OWN}:{owns.index(setting.own)}"
    return ANY if setting.exemplar is None else f"{BANK}:{setting.exemplar}"


def varies(painter: DefectInpainter, setting: Setting) -> bool:
    """Whether what is painted has an exemplar that it can differ from."""
    return painter.paints_exemplars or setting.own is not None


def _title(painter: DefectInpainter, index: int) -> str:
    height, width = painter.bank.size_of(index)
    return f"Number {index}: {width} x {height} pixels"


def _own_picture(own: OwnExemplar) -> str:
    """Show the first of somebody's own defects, with a little around it."""
    box = mask_box(own.mask)
    assert box is not None, "an exemplar has pixels"
    rim = 6
    rows = slice(max(0, box[0] - rim), box[0] + box[2] + rim)
    columns = slice(max(0, box[1] - rim), box[1] + box[3] + rim)
    return _picture(own.image[rows, columns])


def _picture(pixels: np.ndarray) -> str:
    """Encode (h, w), (h, w, 1) or (h, w, 3) uint8 as a thumbnail."""
    factor = THUMBNAIL / max(pixels.shape[:2])
    size_wh = (max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor)))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    small = cv2.resize(np.ascontiguousarray(pixels), size_wh, interpolation=method)
    return data_url(small, lossless=False)
