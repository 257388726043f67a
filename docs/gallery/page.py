"""Write docs/gallery.md from the scripts of this folder; `--check` fails if it is stale."""

import ast
import sys
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "gallery.md"
ORDER = (
    "variation",
    "latents",
    "latent_walk",
    "own_mask",
    "classes",
    "strength",
    "scale",
    "region",
    "procedural",
    "multi_label",
    "boxes",
    "pipeline",
)
HEAD = """# Gallery

Every picture is made by a script in `docs/gallery`, with the weights and the sample images of the package. Its main
lines can be folded out; `python docs/gallery/variation.py` makes the first picture again. No seed was searched for. The
first picture shows real defects, relit and varied; the others show generators.

*Photographs: crops of BSData (T. Schlagenhauf, M. Landwehr 2021, <https://doi.org/10.5445/IR/1000129520>), CC BY-SA
4.0, and in the first picture also of the other data sets that [Licences](licences.md) names; the pictures are under CC
BY-SA 4.0. No weights were made of them. The ground steel that `magnetic-tile-v1` paints on is computed from random
numbers (`docs/figures/ground_surface.py`).*
"""


def scripts() -> list[Path]:
    """Return the examples in the order of the page."""
    found = {path.stem: path for path in HERE.glob("*.py") if path != Path(__file__)}
    if set(found) != set(ORDER):
        sys.exit(f"docs/gallery/page.py: ORDER and the folder disagree about {sorted(set(found) ^ set(ORDER))}")
    return [found[name] for name in ORDER]


def section(path: Path) -> str:
    """Title, text and picture of one example, and its code to fold out, without imports and the writing of the file."""
    source = path.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(source)) or ""
    title, _, text = docstring.partition("\n\n")
    code = source.split("\nOUT = ", 1)[1].split("\n", 1)[1].split("\nsheet = ", 1)[0].strip()
    picture = f"gallery/{path.stem}.jpg"
    return (
        f"## {title}\n\n{text}\n\n![{title}]({picture})\n\n"
        f'<details markdown="1"><summary>docs/gallery/{path.name}</summary>\n\n```python\n{code}\n```\n\n</details>\n'
    )


def page() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *(section(path) for path in scripts())])


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        stale = PAGE.read_text(encoding="utf-8") != page()
        sys.exit("docs/gallery.md is stale: run python docs/gallery/page.py" if stale else 0)
    PAGE.write_text(page(), encoding="utf-8")
