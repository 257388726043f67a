"""Draw the diagrams of docs/how-it-works.md as SVG: `python docs/figures/diagrams.py [FOLDER]`.

Widths and parameter counts are read from the bundled weights, so that a diagram cannot disagree with what ships.
"""

import sys
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from albu_gan import DefectInpainter

IMAGES = Path(__file__).parent.parent / "images"
INK, PAPER, BLUE, ORANGE, GREEN, GRAY = "#263238", "#ffffff", "#dbe9f6", "#fde3cf", "#dcefdc", "#eceff1"
LINE = 17  # pixels between lines of text


@dataclass
class Drawing:
    """An SVG that grows by boxes, arrows and words."""

    width: int
    height: int
    parts: list[str] = field(default_factory=list)

    def box(self, x: int, y: int, w: int, h: int, text: str, fill: str = GRAY) -> None:
        """Add a rectangle with centred lines of text, the first one bold."""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="6" fill="{fill}" stroke="{INK}" stroke-width="1.2"/>'
        )
        lines = text.split("\n")
        top = y + h / 2 - LINE * (len(lines) - 1) / 2 + 4.5
        for number, line in enumerate(lines):
            self.words(x + w / 2, top + LINE * number, line, bold=number == 0)

    def words(self, x: float, y: float, text: str, *, bold: bool = False, anchor: str = "middle") -> None:
        """Add one line of text."""
        weight = ' font-weight="600"' if bold else ""
        self.parts.append(f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{weight}>{escape(text)}</text>')

    def arrow(self, *points: tuple[int, int], dashed: bool = False) -> None:
        """Add a line through points that ends in an arrow head."""
        path = " ".join(f"{x},{y}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{INK}" stroke-width="1.4"{dash} marker-end="url(#head)"/>'
        )

    def svg(self) -> str:
        """Return the file's content."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" font-family="Helvetica, Arial, sans-serif" font-size="12.5" fill="{INK}">\n'
            '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
            f'orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="{INK}"/></marker></defs>\n'
            f'<rect width="{self.width}" height="{self.height}" fill="{PAPER}"/>\n'
            + "\n".join(self.parts)
            + "\n</svg>\n"
        )


def timeline() -> Drawing:
    """From GAN to inpainting generator: what each step put in and got out."""
    steps = (
        ("GAN", "2014", "noise", "an image", "a network judges, no rule", GRAY),
        ("DCGAN", "2016", "noise", "an image", "convolutions, up to 64 px", GRAY),
        ("pix2pix", "2017", "an image", "an image", "the encoder gives control", BLUE),
        ("BicycleGAN", "2017", "image, latent", "many images", "one input, many outputs", BLUE),
        ("StyleGAN 2", "2020", "latent", "a sharp image", "the latent modulates layers", BLUE),
        ("CoModGAN, LaMa", "2021, 2022", "image, hole", "a filled hole", "inpainting, also large", BLUE),
        ("bachelor thesis", "", "clean image, class masks", "a defect image", "place, size and class chosen", ORANGE),
        ("albu-gan", "", "clean window, mask, latent", "residual, alpha", "nothing outside the mask", GREEN),
    )
    drawing = Drawing(960, 350)
    for index, (name, year, given, result, gain, fill) in enumerate(steps):
        x, y = 10 + (index % 4) * 240, 20 + (index // 4) * 170
        drawing.box(x, y, 218, 130, f"{name}{', ' + year if year else ''}\nin: {given}\nout: {result}\n \n{gain}", fill)
        if index % 4 < 3:
            drawing.arrow((x + 218, y + 65), (x + 240, y + 65))
    drawing.arrow((839, 150), (839, 170), (119, 170), (119, 190))
    return drawing


def conditioning() -> Drawing:
    """A decoder that makes images, beside an encoder-decoder that paints into one."""
    drawing = Drawing(900, 350)
    drawing.words(20, 28, "Decoder only: the latent decides everything", bold=True, anchor="start")
    drawing.box(20, 50, 120, 60, "latent", BLUE)
    drawing.arrow((140, 80), (200, 80))
    drawing.box(200, 50, 160, 60, "decoder")
    drawing.arrow((360, 80), (420, 80))
    drawing.box(420, 50, 190, 60, "image, perhaps a mask\nplace, size, class: by luck", ORANGE)
    drawing.words(632, 75, "must learn the whole surface", anchor="start")
    drawing.words(632, 92, "from defective images alone", anchor="start")

    drawing.words(20, 158, "Encoder-decoder: you decide where, how large, which", bold=True, anchor="start")
    drawing.box(20, 176, 120, 40, "clean image", BLUE)
    drawing.box(20, 226, 120, 40, "class masks", BLUE)
    drawing.box(20, 276, 120, 40, "latent", BLUE)
    for y in (196, 246, 296):
        drawing.arrow((140, y), (200, 246))
    drawing.box(200, 206, 100, 80, "encoder")
    drawing.arrow((300, 246), (330, 246))
    drawing.box(330, 206, 100, 80, "decoder")
    drawing.arrow((430, 246), (470, 246))
    drawing.box(470, 216, 140, 60, "defect\nfits what is around", ORANGE)
    drawing.arrow((610, 246), (650, 246))
    drawing.box(
        650, 196, 230, 100, "image + label\nthe label is the mask you gave\nclean pixels are the camera's own", GREEN
    )
    drawing.arrow((20, 246), (8, 246), (8, 336), (765, 336), (765, 296), dashed=True)
    return drawing


def generator() -> Drawing:
    """The default generator, with the widths of the bundled weights."""
    painter = DefectInpainter.from_pretrained("magnetic-tile-v1")
    config = painter.folder.config.require_generator()
    parameters = sum(p.numel() for p in painter.network.parameters()) / 1e6
    first, second, third = config.channels
    drawing = Drawing(980, 430)
    title = f"The default generator, {parameters:.2f} million parameters in magnetic-tile-v1"
    drawing.words(20, 26, title, bold=True, anchor="start")
    drawing.box(20, 60, 150, 84, "window, masks, noise\nfull resolution", BLUE)
    drawing.arrow((170, 102), (205, 102))
    drawing.box(205, 60, 130, 84, f"fold 4 x 4\nstem, {first} channels\nat 1/4")
    drawing.arrow((270, 144), (270, 180))
    drawing.box(205, 180, 130, 54, f"down, {second}\nat 1/8")
    drawing.arrow((270, 234), (270, 270))
    drawing.box(205, 270, 130, 54, f"down, {third}\nat 1/16")
    drawing.arrow((335, 297), (390, 297))
    drawing.box(390, 270, 110, 54, f"middle\n{third}")
    drawing.arrow((500, 297), (555, 297), (555, 234))
    drawing.box(490, 180, 130, 54, f"up, {second}\nat 1/8")
    drawing.arrow((555, 180), (555, 144))
    drawing.box(490, 60, 130, 84, f"up, {first}\nat 1/4")
    drawing.arrow((335, 207), (490, 207), dashed=True)
    drawing.arrow((335, 90), (490, 90), dashed=True)
    drawing.words(412, 84, "skip, added")
    drawing.words(412, 201, "skip, added")
    drawing.arrow((620, 102), (660, 102))
    drawing.box(660, 60, 140, 84, f"fine head, {config.fine_channels}\nat 1/2: sees window,\nmask, noise again", GRAY)
    drawing.arrow((95, 60), (95, 46), (730, 46), (730, 60), dashed=True)
    drawing.arrow((800, 102), (840, 102))
    drawing.box(840, 60, 125, 84, "residual, alpha\nfull resolution", ORANGE)
    drawing.arrow((902, 144), (902, 180))
    drawing.box(820, 180, 145, 76, "composite\nclean + mask x\nalpha x residual", GREEN)
    drawing.box(20, 360, 150, 50, f"latent, {config.latent_dim}\nand class", BLUE)
    drawing.arrow((170, 385), (205, 385))
    drawing.box(205, 360, 130, 50, "mapping network")
    drawing.arrow((335, 385), (390, 385))
    drawing.box(390, 360, 230, 50, "FiLM: scale and shift\nof every block and the fine head")
    drawing.arrow((445, 360), (445, 324), dashed=True)
    drawing.arrow((595, 360), (595, 234), dashed=True)
    drawing.arrow((620, 385), (700, 385), (700, 144), dashed=True)
    drawing.arrow((95, 360), (95, 144), dashed=True)
    drawing.words(103, 260, "the latent mixes", anchor="start")
    drawing.words(103, 276, "the noise", anchor="start")
    return drawing


def training() -> Drawing:
    """One training step."""
    drawing = Drawing(960, 330)
    drawing.box(20, 30, 170, 66, "clean window\nof the camera, or a real\ndefect filled in", BLUE)
    drawing.box(20, 116, 170, 50, "mask of a real defect\nof the class", BLUE)
    drawing.box(20, 186, 170, 50, "two latents", BLUE)
    for y in (63, 141, 211):
        drawing.arrow((190, y), (240, 141))
    drawing.box(240, 111, 110, 60, "generator")
    drawing.arrow((350, 141), (390, 141))
    drawing.box(390, 106, 140, 70, "two composites\none clean window,\ntwo defects", ORANGE)
    drawing.box(390, 20, 140, 56, "real defect\nin its window", BLUE)
    drawing.arrow((530, 48), (590, 90))
    drawing.arrow((530, 141), (590, 110))
    drawing.box(590, 60, 150, 84, "discriminator\nsees image and masks,\njudges near the mask")
    drawing.arrow((740, 102), (780, 102))
    drawing.box(780, 60, 165, 84, "adversarial loss\nrelativistic, with\nR1 and R2 penalties", GREEN)
    drawing.arrow((460, 176), (460, 220), (590, 220))
    drawing.box(590, 190, 355, 50, "mode seeking, capped\nthe two defects must differ, until it is enough", GREEN)
    drawing.arrow((430, 176), (430, 282), (590, 282))
    drawing.box(590, 257, 355, 50, "low-frequency L1\n8 x 8 averages of the nearer one, beside the real defect", GREEN)
    return drawing


DIAGRAMS = {"timeline": timeline, "conditioning": conditioning, "generator": generator, "training": training}

if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    for name, draw in DIAGRAMS.items():
        (folder / f"{name}.svg").write_text(draw().svg(), encoding="utf-8")
