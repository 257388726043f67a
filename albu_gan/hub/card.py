"""The model card of a folder that holds a bank alone."""

from __future__ import annotations

from albu_gan.hub.folder import WeightsConfig


def bank_card(config: WeightsConfig, picture: str | None = None) -> str:
    """Return the Markdown of `README.md`, Hub metadata first.

    Args:
        config: its contents; `training` may hold name, source, licence, images, defects and left_out.
        picture: file name of the picture beside it; None for none.
    """
    training = config.training
    name = str(training.get("name", "my-defects"))
    lines = [
        "---",
        "library_name: albu-gan",
        *([f"license: {training['licence_id']}"] if "licence_id" in training else []),
        "tags:",
        "- albumentations",
        "- data-augmentation",
        "- defect-segmentation",
        "- industrial-inspection",
        "---",
        "",
        f"# {name}",
        "",
        f"Real defects ({_listed(config.class_names)}) that albu-gan lays into other images, relit and varied "
        "(`pip install albu-gan`). There is no network in it.",
        "",
        "```python",
        "import albumentations as A",
        "import numpy as np",
        "from albu_gan import GANDefectInpaint",
        "",
        "image = np.full((256, 256, 3), 128, np.uint8)  # yours",
        "mask = np.zeros((256, 256), np.uint8)  # yours: 0 is clean",
        f'train = A.Compose([GANDefectInpaint(weights="{name}", p=0.3)])',
        "out = train(image=image, mask=mask)  # new defects in the image, and in the mask: class index + 1",
        "```",
        "",
        *([f"![Donors, and what is painted from them]({picture})", ""] if picture else []),
        "**This folder holds pixels of the images that its defects were cut from**: each defect, and some pixels "
        "around it. Whoever may read the folder can see them. Share it as you would share those images.",
        "",
    ]
    rows = [(label, training.get(key)) for key, label in _ROWS if training.get(key) not in (None, {}, [], "")]
    if rows:
        lines += ["| | |", "|---|---|", *(f"| {label} | {_cell(value)} |" for label, value in rows), ""]
    if training.get("sources"):
        lines += ["## Sources", "", *(f"- {line}" for line in training["sources"]), ""]
    return "\n".join(lines)


_ROWS = (
    ("data", "Data"),
    ("source", "Source"),
    ("licence", "Licence"),
    ("split", "Split"),
    ("images", "Images read"),
    ("defects", "Defects"),
    ("compounds", "Of several classes (counted in each)"),
    ("left_out", "Left out"),
    ("formulas", "Shares of ratio, difference, pixels"),
)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _cell(value: object) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{key}: {entry}" for key, entry in value.items())
    return " ".join(str(value).replace("|", "/").split())
