"""Model cards: what a weights folder was trained on, what it reached, and how to use it."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from albu_gan.hub import CARD, CONFIG, WeightsConfig, WeightsError, read_folder, window_text
from training.atomic import write_json, write_text
from training.evaluation.table import markdown, mean_table

PICTURE = "preview.jpg"


def model_card(config: WeightsConfig, *, picture: bool = False) -> str:
    """Return the Markdown of `README.md`, Hub metadata first, generated from `config.json` alone.

    Args:
        config: its contents; `metrics` may be empty.
        picture: whether the folder holds `preview.jpg`.
    """
    training = config.training
    name = training.get("name", "unnamed")
    colour = "gray" if config.require_generator().in_channels == 1 else "colour"
    parts = [
        "---",
        _metadata(config, name),
        "---",
        "",
        f"# {name}",
        "",
        f"Paints {_listed(config.class_names)} into {colour} "
        "images, with albu-gan (`pip install albu-gan`), as an Albumentations transform.",
        "",
        "```python",
        "import albumentations as A",
        "import numpy as np",
        "from albu_gan import GANDefectInpaint",
        "",
        f'train = A.Compose([GANDefectInpaint(weights="{name}", p=1.0)])',
        "",
        "image = np.full((256, 512), 128, np.uint8)  # yours",
        "out = train(image=image, mask=np.zeros((256, 512), np.uint8))",
        'out["image"], out["mask"]  # new defects, and where they are: class index + 1',
        "```",
        "",
    ]
    if picture:
        parts += [
            f"![Clean, mask, painted, and the defect enlarged with two latents]({PICTURE})",
            "",
            f"Drawn at random, not chosen. The images are the package's samples: {_samples(config)}.",
            "",
        ]
    parts += ["## Training", "", *_table(_training_rows(training, config)), ""]
    if config.metrics:
        parts += ["## Measured on held-out groups", "", *_metrics(config.metrics), ""]
    if training.get("limits"):
        parts += ["## Limits", "", *(f"- {line}" for line in training["limits"]), ""]
    if training.get("held_out_groups"):
        parts += [
            "## Split",
            "",
            "By group (one physical part, or one series of images). No network was trained on the held-out groups, no "
            "shape in the mask bank is theirs, and the checkpoint was chosen without them."
            if training.get("validation_groups")
            else "By group (one physical part, or one series of images). No network was trained on the held-out "
            "groups, and no shape in the mask bank is theirs. People did see them: the sample sheets of the training "
            "paint held-out windows, and whoever trains looks at them when changing settings.",
            "",
            f"Held out: {', '.join(training['held_out_groups'])}",
            "",
        ]
    return "\n".join(parts)


def _metadata(config: WeightsConfig, name: str) -> str:
    """What the Hub reads: licence, tags, data, and what was measured, as its own library writes it."""
    training, classes = config.training, config.metrics.get("classes", {})
    licence = training.get("weights_licence", "other")
    dataset = training.get("dataset_id")
    # The type says which data set on the Hub, or is any word; the name is for people.
    measured_on = {"dataset_type": dataset or "custom", "dataset_name": f"{training.get('source')}, held-out groups"}
    results = [
        EvalResult(
            task_type="image-to-image",
            task_name="Defect inpainting",
            metric_type=kind,
            metric_name=f"{FIGURES[key][0]}, {class_name}",
            metric_value=values[key],
            **measured_on,
        )
        for class_name, values in classes.items()
        for key, kind in HUB_METRICS.items()
        if key in values
    ]
    data = ModelCardData(
        license=licence,
        license_name="see-model-card" if licence == "other" else None,
        license_link="README.md" if licence == "other" else None,
        library_name="albu-gan",
        pipeline_tag="image-to-image",
        tags=[
            "albumentations",
            "data-augmentation",
            "defect-segmentation",
            "industrial-inspection",
            "gan",
            "inpainting",
        ],
        datasets=[dataset] if dataset else None,
        metrics=sorted({result.metric_type for result in results}) or None,
        model_name=name if results else None,
        eval_results=results or None,
    )
    return str(data.to_yaml()).strip()


def _training_rows(training: dict[str, Any], config: WeightsConfig) -> list[tuple[str, str]]:
    rows = [
        ("Data", str(training.get("source", "not recorded"))),
        ("Licence of the data", str(training.get("licence", "not recorded"))),
        ("Images of the training groups", str(training.get("train_images", "not recorded"))),
        ("Training groups", str(len(training.get("train_groups", [])))),
        ("Shapes in the mask bank", ", ".join(f"{k} {v}" for k, v in training.get("shapes", {}).items())),
        ("Windows shown to the discriminator", f"{training.get('images_seen', 0):,}"),
        ("Steps", f"{training.get('steps', 0):,}"),
        ("Started from", str(training.get("init", ""))),
        ("Checkpoint", _checkpoint(training)),
        ("Minutes", str(training.get("minutes", "not recorded"))),
        ("Hardware", str(training.get("hardware", "not recorded"))),
        ("Window sizes", window_text(config)),
        ("Commit", str(training.get("commit", "not recorded"))),
    ]
    return [(key, value) for key, value in rows if value]


def _checkpoint(training: dict[str, Any]) -> str:
    best = training.get("best")
    if not best:
        return ""
    return (
        f"of {best['images']:,} windows, the best by KID ({best['kid']:.3f}) on {len(training['validation_groups'])} "
        "validation groups"
    )


def _table(rows: list[tuple[str, str]]) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows)]


HUB_METRICS = {"kid_painted": "kid", "diversity": "diversity", "coverage": "coverage"}  # key: type on the Hub
FIGURES = {  # key of a class's metrics: title of its column, how it is written
    "draws": ("draws", "d"),
    "contrast_reached": ("contrast reached", ".0%"),
    "diversity": ("diversity across z", ".2f"),
    "coverage": ("coverage", ".0%"),
    "coverage_real": ("coverage by real", ".0%"),
    "kid_painted": ("KID painted", ".3f"),
    "kid_copy_paste": ("KID copy-paste", ".3f"),
    "kid_real": ("KID real floor", ".3f"),
    "unseen_groups": ("held-out groups", "d"),
}


def _metrics(metrics: dict[str, Any]) -> list[str]:
    known = [key for key in FIGURES if all(key in values for values in metrics["classes"].values())]
    rows = [(name, values) for name, values in metrics["classes"].items()]
    lines = ["| class | " + " | ".join(FIGURES[key][0] for key in known) + " |", "|---" * (len(known) + 1) + "|"]
    for name, values in rows:
        lines.append(f"| {name} | " + " | ".join(format(values[key], FIGURES[key][1]) for key in known) + " |")
    compared = metrics.get("compared")
    if compared:
        shared = [key for key in ("contrast_reached", "diversity", "coverage", "kid_painted") if key in known]
        titles = [f"{FIGURES[key][0]}: {which}" for key in shared for which in ("new", "old")]
        lines += [
            "",
            f"Beside {compared['name']}, on the same windows, groups that neither was trained on:",
            "",
            "| class | " + " | ".join(titles) + " |",
            "|---" * (len(titles) + 1) + "|",
        ]
        for name, values in rows:
            pairs = [
                format(figures[key], FIGURES[key][1])
                for key in shared
                for figures in (values, compared["classes"][name])
            ]
            lines.append(f"| {name} | " + " | ".join(pairs) + " |")
    if "fid_painted" in metrics["means"]:
        lines += [
            "",
            markdown(mean_table(metrics)),
            "",
            "Real: training defects beside the held-out ones; where single defects are judged, the held-out ones "
            f"themselves. FID: of {_draws(metrics)} windows a class in {metrics['num_features']} features, biased "
            "upward; compare within this table only. Found: the segmenter whose encoder gives the features sees the "
            f"defect there (intersection over union of at least {metrics['found_iou']:g}). AUC: of a classifier that "
            "tells the windows from real held-out defects, on groups it was not fitted to; 0.5 is best. Real defects "
            "lie on defective parts and painted ones on clean parts, so copy-paste is what to compare it with. "
            "Likeness: median correlation inside the mask with the training defect that is most like it; copy-paste "
            "shows what copies have.",
        ]
    return [
        *lines,
        "",
        "Contrast reached: share of first draws, before any redraw, whose 75th percentile of change inside the mask is "
        f"at least {metrics['min_contrast']:g} levels. Diversity: mean feature distance, inside the mask, of two "
        "latents on the same window and mask, over the mean distance of two real defects of the class. Coverage: share "
        "of held-out real defects with a painted one nearer than their fifth real neighbour; by real, with a "
        "training defect there. KID: kernel distance to "
        "held-out real defects (lower is better); copy-paste pastes the real defects of the same masks with a soft "
        "edge; the real floor is training against held-out. Features: "
        f"{metrics['features']}, not Inception; compare within this table only.",
    ]


def _draws(metrics: dict[str, Any]) -> str:
    counts = sorted({values["draws"] for values in metrics["classes"].values()})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _samples(config: WeightsConfig) -> str:
    """What `albu_gan.pictures.demo.sample_images` are, of the kind that goes with the weights."""
    if config.require_generator().in_channels == 1:
        return "ground steel, computed from random numbers"
    return (
        "crops of BSData (T. Schlagenhauf, M. Landwehr, 2021, CC BY-SA 4.0), from groups that no bundled weights were "
        "trained on; the picture is under the same licence"
    )


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def main(argv: list[str] | None = None) -> int:
    """Write a folder's card again from its `config.json`; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.card", description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", action="append", default=[], help="a limit to state; added to those there are")
    parser.add_argument("--dataset-id", help="of the data, as the Hub names it: org/name")
    arguments = parser.parse_args(argv)
    try:
        config = read_folder(arguments.folder, str(arguments.folder)).config
    except WeightsError as err:
        print(f"error: {err}", file=sys.stderr)
        return 1
    limits = [*config.training.get("limits", []), *arguments.limit]
    training = {**config.training, "limits": limits}
    if arguments.dataset_id:
        training["dataset_id"] = arguments.dataset_id
    config = replace(config, training=training)
    picture = (arguments.folder / PICTURE).is_file()
    write_json(arguments.folder / CONFIG, config.to_dict())
    write_text(arguments.folder / CARD, model_card(config, picture=picture))
    return 0


if __name__ == "__main__":
    sys.exit(main())
